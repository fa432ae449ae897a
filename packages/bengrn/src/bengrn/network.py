"""Take a network in any of its forms: a matrix, and every naming its genes have."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp
from anndata import AnnData

import grnndata
from bengrn._wording import listed
from bengrn.gene_names import symbols_of, without_version
from grnndata import NamedGenes

SYMBOL = "symbol"


@dataclass(frozen=True, eq=False)
class Network:
    """A square matrix, row = regulator, and the names of its genes.

    Attributes
    ----------
    matrix
        Array or CSR, (genes, genes).
    namings
        The genes' names, one entry a naming: "var_names" (Ensembl ids without their version), and "symbol"
        where the network has symbols or, for human and mouse ids, where the bundled table has them. (genes,)
        each.
    method
        What made the network, "unknown" where it does not say.
    directed
        False where the network says that it is undirected.
    notes
        What was guessed and left out when it was read from a table, in words.
    """

    matrix: Any
    namings: Mapping[str, pd.Index]
    method: str = "unknown"
    directed: bool = True
    notes: tuple[str, ...] = ()


def as_network(grn: Any) -> Network:
    """Take a network in any of the forms that can be scored.

    Parameters
    ----------
    grn
        A GRNAnnData or AnnData with ``varp["GRN"]``; an edge table with columns source, target, weight; or a
        pair (square array or sparse matrix, gene names), or the three of a matrix that has rows for its regulators only
        (matrix, regulators, genes). Row = regulator, column = target.

    Raises
    ------
    TypeError
        For anything else.
    ValueError
        If the network is missing, not square, or does not fit its names.
    """
    if isinstance(grn, AnnData):
        return _from_anndata(grn)
    if isinstance(grn, pd.DataFrame):
        return _from_anndata(grnndata.from_edges(grn))
    if isinstance(grn, tuple) and len(grn) == 2:
        return _from_matrix(*grn)
    if isinstance(grn, tuple) and len(grn) == 3:
        matrix, regulators, genes = grn
        return _from_anndata(grnndata.from_matrix(matrix, genes, regulators=regulators))
    raise TypeError(
        f"cannot score a {type(grn).__name__}: pass a GRNAnnData (or AnnData with varp['GRN']), an edge "
        "table with columns source, target, weight, a pair (square matrix, gene names), or the three "
        "(matrix, regulators, genes)"
    )


def of_same_genes(adata: AnnData, network: Network) -> Network:
    """Take a further network of a network's genes, in their order: their names are not looked up again."""
    return _from_anndata(adata, network.namings)


def _from_anndata(adata: AnnData, namings: Mapping[str, pd.Index] | None = None) -> Network:
    if "GRN" not in adata.varp:
        several = getattr(adata, "networks", None)
        if several:
            raise ValueError(
                f"there are several networks ({listed(several)}): choose one by its name, networks[name], or "
                "--network-name on the command line"
            )
        held = listed(adata.varp) or "nothing"
        raise ValueError(f"no network to score: varp['GRN'] is missing (varp holds {held})")
    if adata.varp["GRN"].ndim == 3:
        raise ValueError("this is a stack of networks: score them one by one, networks[name] is one of them")
    namings = namings_of(adata) if namings is None else namings
    matrix = adata.varp["GRN"]
    described = adata.uns.get("grn", {})
    if not isinstance(described, Mapping):
        described = {}
    method, directed = described.get("method", "unknown"), described.get("directed", True)
    parameters = described.get("parameters", {})
    notes = parameters.get("notes", ()) if isinstance(parameters, Mapping) else ()
    return Network(_stored(matrix), namings, str(method), bool(directed), tuple(map(str, notes)))


def namings_of(adata: AnnData) -> dict[str, pd.Index]:
    """Return the names that genes have: their own, without versions, and their symbols where these are known."""
    namings = _namings(pd.Index(adata.var_names.astype(str)))
    if SYMBOL in adata.var:
        symbols = adata.var[SYMBOL].astype(object)
        namings[SYMBOL] = pd.Index(symbols.where(symbols.notna(), "").astype(str))
    return namings


def find_in(adata: AnnData, names: Iterable[str], what: str = "genes") -> NamedGenes:
    """Find genes of an AnnData by any name that they have: their own, ids without version, or symbols.

    Parameters
    ----------
    adata
        Cells and genes.
    names
        Names that are looked for.
    what
        Word for these genes in messages.
    """
    namings = [adata.var_names, *namings_of(adata).values()]
    return grnndata.find_genes(names, *(one.tolist() for one in namings), what=what)


def _from_matrix(matrix: Any, names: Any) -> Network:
    genes = pd.Index(names).astype(str)
    stored = _stored(matrix)
    if stored.shape != (len(genes), len(genes)):
        raise ValueError(
            f"the matrix has shape {stored.shape} and there are {len(genes):,} gene names: a network is "
            "square, one row and one column a gene"
        )
    return Network(stored, _namings(genes))


def _namings(names: pd.Index) -> dict[str, pd.Index]:
    namings = {"var_names": without_version(names)}
    symbols = symbols_of(names)
    return namings if symbols is None else namings | {SYMBOL: symbols}


def _stored(matrix: Any) -> Any:
    return matrix.tocsr() if is_sparse(matrix) else np.asarray(matrix)


def is_sparse(matrix: Any) -> bool:
    """Say whether a matrix is sparse, without telling a type checker that it is nothing else."""
    return bool(sp.issparse(matrix))

"""Refuse what is not a matrix of raw counts with usable names, before any work starts, and say what to do instead."""

from __future__ import annotations

import re

import anndata
import numpy as np
import pandas as pd
from scipy import sparse

from scdataloader.genes.tables import ORGANISMS, organism_id

#: Ensembl ids of each organism, also behind a genome's name as aligners to two genomes write it (``GRCh38_ENSG...``).
_ID_OF = {
    "NCBITaxon:9606": re.compile(r"^([A-Za-z0-9.]+_+)?ENSG\d{11}"),
    "NCBITaxon:10090": re.compile(r"^([A-Za-z0-9.]+_+)?ENSMUSG\d{11}"),
}
_CHUNK = 1 << 22  # values looked at together: bounds the temporary arrays of the integer test


def check_shape(adata: anndata.AnnData, *, min_cells: int = 2) -> None:
    """Raise ValueError unless there are at least `min_cells` cells and one gene."""
    n_cells, n_genes = adata.shape
    check_size(n_cells, n_genes, min_cells=min_cells)
    if adata.X is None:
        raise ValueError("X is empty: put the raw counts in X, for instance from a layer")


def check_size(n_cells: int, n_genes: int, *, min_cells: int) -> None:
    """Raise ValueError unless there are at least `min_cells` cells and one gene."""
    if n_genes == 0 or n_cells == 0:
        raise ValueError(f"the data hold {n_cells} cells and {n_genes} genes: there is nothing to work on")
    if n_cells < min_cells:
        raise ValueError(f"the data hold {n_cells} cell(s): at least {min_cells} are needed (min_cells)")


def check_cell_names(names: pd.Index) -> None:
    """Raise ValueError when a cell has the name of another, and say which."""
    repeated = names[names.duplicated()].unique()
    if len(repeated):
        raise ValueError(
            f"{len(repeated)} duplicate cell ids, such as {repeated[:3].tolist()}: "
            "make them unique (adata.obs_names_make_unique())"
        )


def check_raw_counts(matrix: sparse.csr_matrix | np.ndarray, *, all_zero: bool = False) -> None:
    """Raise ValueError unless every value is a finite whole number, zero or more, and not all are zero.

    Parameters
    ----------
    matrix
        Counts, shape (n_cells, n_genes).
    all_zero
        Let a matrix of zeros pass, as one block of a larger matrix may be.
    """
    values = matrix.data if sparse.issparse(matrix) else np.asarray(matrix).ravel()
    largest = 0.0
    for begin in range(0, len(values), _CHUNK):
        part = values[begin : begin + _CHUNK]
        if part.dtype.kind in "bu":
            largest = max(largest, float(part.max(initial=0)))
            continue
        if not np.isfinite(part).all():
            raise ValueError("the counts hold NaN or infinite values: fix them first")
        if (part < 0).any():
            raise ValueError(
                f"the counts hold negative values (least {part.min():.4g}): they look scaled, pass raw counts"
            )
        whole = part == np.floor(part)
        if not whole.all():
            examples = ", ".join(f"{v:.4g}" for v in part[~whole][:3])
            raise ValueError(
                f"these are not raw counts: {(~whole).mean():.0%} of the stored values are not whole numbers "
                f"({examples}, ...; largest {part.max():.4g}), so they look normalised. Put raw counts in X, for "
                "instance from adata.raw or a layer"
            )
        largest = max(largest, float(part.max(initial=0)))
    if largest == 0 and not all_zero:
        raise ValueError("every count is zero")


def find_organism(obs: pd.DataFrame, names: pd.Index, organism: str | None = None) -> str:
    """Return the NCBI taxon id of the data's organism.

    Taken from `organism` if given, else from ``obs["organism_ontology_term_id"]`` or ``obs["organism"]``, else
    from the prefix of Ensembl ids among the gene names.

    Parameters
    ----------
    obs
        One row a cell.
    names
        Names of the genes.
    organism
        Overrides what the data say; see `scdataloader.genes.tables.organism_id`.

    Raises
    ------
    ValueError
        When the organism is unknown, mixed, or cannot be told.
    """
    if organism is not None:
        return organism_id(organism)
    for column in ("organism_ontology_term_id", "organism"):
        if column in obs:
            found = [str(x) for x in pd.unique(obs[column].dropna()) if str(x) not in {"unknown", "na", ""}]
            if len(found) > 1:
                raise ValueError(f"obs[{column!r}] mixes organisms {found[:5]}: split the data by organism")
            if found:
                return organism_id(found[0])
    return _organism_of_names([str(name) for name in names.tolist()])


def _organism_of_names(names: list[str]) -> str:
    """Tell the organism by Ensembl ids; those of a mixture carry the genome's name in front of them."""
    counts = {taxon: sum(bool(pattern.match(name)) for name in names) for taxon, pattern in _ID_OF.items()}
    found = [taxon for taxon, n in counts.items() if n > 0.01 * len(names)]
    if len(found) > 1:
        numbers = ", ".join(f"{counts[taxon]:,} of {ORGANISMS[taxon]}" for taxon in found)
        raise ValueError(f"the genes are of several organisms ({numbers}): split the data by organism")
    if found:
        return found[0]
    choices = " or ".join(repr(name) for name in ORGANISMS.values())
    raise ValueError(
        f"cannot tell the organism: obs has no 'organism_ontology_term_id' and the gene names "
        f"({names[:3]}) are no Ensembl ids: pass organism={choices}"
    )

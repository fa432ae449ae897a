"""Tests of which gene sets are among the hubs of a network."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Literal

import numpy as np
import pandas as pd
import scipy.sparse as sp
from numpy.typing import NDArray

import grnndata
from bengrn.network import Network

logger = logging.getLogger(__name__)

type Ranking = Literal["out_strength", "in_strength", "eigenvector"]
type GeneSets = Mapping[str, Iterable[str]]

#: How genes are ranked: as regulators (row sums), as targets (column sums), by eigenvector centrality.
RANKINGS: tuple[Ranking, ...] = ("out_strength", "in_strength", "eigenvector")


def hub_rankings(
    network: Network, rankings: Sequence[Ranking], *, regulators: Iterable[str] | None = None
) -> tuple[dict[str, pd.Series], dict[str, str]]:
    """Rank the genes of a network by how much they regulate, or are regulated.

    Parameters
    ----------
    network
        Row = regulator.
    rankings
        Names from `RANKINGS`: sums of absolute weights without self-edges, of rows and of columns, and eigenvector
        centrality over incoming edges, as networkx defines it.
    regulators
        Genes that could have been regulators: the ranking by ``out_strength`` is of these only.

    Returns
    -------
    dict, dict
        Values by ranking, indexed by place in the network; and why a ranking is not available.

    Raises
    ------
    ValueError
        If a weight is NaN or infinite, or none of `regulators` is in the network.
    """
    grn = grnndata.from_matrix(network.matrix, _places(network))
    could = _could_regulate(network, regulators)
    compute: dict[str, Callable[[], pd.Series]] = {
        "out_strength": lambda: grnndata.tl.strength(grn, "out")[could],
        "in_strength": lambda: grnndata.tl.strength(grn, "in"),
        "eigenvector": lambda: grnndata.tl.eigenvector(grn),
    }
    values: dict[str, pd.Series] = {}
    reasons: dict[str, str] = {}
    for ranking in rankings:
        try:
            values[ranking] = compute[ranking]()
        except (ValueError, RuntimeError) as error:
            # Only the eigenvector can fail: no cycle of edges, several groups that tie, no convergence.
            reasons[ranking] = str(error)
    return values, reasons


def hub_enrichment(
    network: Network,
    hubs: Mapping[str, pd.Series],
    gene_sets: GeneSets,
    *,
    min_size: int = 5,
    n_permutations: int = 1000,
    seed: int = 0,
) -> tuple[pd.DataFrame, dict[str, str]]:
    """Test where gene sets stand in rankings of genes: `grnndata.tl.prerank` and `grnndata.tl.camera` of each ranking.

    The first compares with random genes, as if genes were independent; the second allows for the correlation of their
    weights in the network. Genes are matched to the sets in the network's naming that shares most names with them.

    Parameters
    ----------
    network, hubs
        A network, and values of its genes as `hub_rankings` gives them.
    gene_sets
        Genes by name of the set.
    min_size
        Sets with fewer genes in the ranking are left out, and those that are the whole ranking.
    n_permutations, seed
        See `grnndata.tl.prerank`.

    Returns
    -------
    DataFrame, dict
        ``ranking``, the columns of `grnndata.tl.prerank`, and ``difference, p_correlated, q_correlated`` of
        `grnndata.tl.camera`; and why a ranking gave nothing.

    Raises
    ------
    ValueError
        If no set shares `min_size` genes with the network.
    ImportError
        When gseapy is not installed.
    """
    # The rankings are made: for the names of the genes a network without edges will do.
    n_genes = len(network.namings["var_names"])
    names = grnndata.from_matrix(sp.csr_matrix((n_genes, n_genes), dtype=np.float32), _places(network))
    names.var["symbol"] = labels_for(network, gene_sets, min_size).to_numpy()
    tables: list[pd.DataFrame] = []
    reasons: dict[str, str] = {}
    for ranking, values in hubs.items():
        try:
            found = grnndata.tl.prerank(
                names,
                gene_sets,
                ranking=values,
                min_size=min_size,
                max_size=n_genes,
                n_permutations=n_permutations,
                seed=seed,
            )
        except ValueError as error:
            # A ranking of one value, or of too few genes of the sets: the others may still serve.
            reasons[ranking] = str(error)
        else:
            found = found.merge(
                _correlated(network, ranking, values, names, gene_sets, min_size), on="term", how="left"
            )
            found.insert(0, "ranking", ranking)
            tables.append(found)
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(), reasons


def _correlated(
    network: Network,
    ranking: str,
    values: pd.Series,
    names: grnndata.GRNAnnData,
    gene_sets: GeneSets,
    min_size: int,
) -> pd.DataFrame:
    """Return where sets stand, and p- and q-values that allow for the correlation of weights over all partners."""
    # A ranking of regulators is of rows, and one of targets of columns.
    matrix = network.matrix if ranking == "out_strength" else network.matrix.T
    grn = grnndata.from_matrix(matrix, list(names.var_names))
    grn.var["symbol"] = names.var["symbol"].to_numpy()
    found = grnndata.tl.camera(
        grn, gene_sets, ranking=values, correlation="network", min_size=min_size, max_size=grn.n_vars
    )
    renamed = found.rename(columns={"p_value": "p_correlated", "q_value": "q_correlated"})
    return renamed[["term", "difference", "p_correlated", "q_correlated"]]


def labels_for(network: Network, gene_sets: GeneSets, min_size: int = 1) -> pd.Index:
    """Return the genes' names in the naming that shares most with the sets, "" for a gene without one.

    Raises
    ------
    ValueError
        If no set shares `min_size` genes with the network, in that naming.
    """
    wanted = set().union(*gene_sets.values())
    names = max(network.namings.values(), key=lambda naming: len(wanted.intersection(naming)))
    present = set(names)
    best = max((len(present.intersection(genes)) for genes in gene_sets.values()), default=0)
    if best < min_size:
        ours = "; ".join(", ".join(naming[:3]) for naming in network.namings.values())
        raise ValueError(
            f"none of {len(gene_sets):,} gene sets has {min_size:,} genes of the network's {len(names):,}, the largest "
            f"overlap is {best:,}: the sets hold {', '.join(sorted(wanted)[:3]) or 'nothing'}, ..., the network's "
            f"genes are called {ours}, ...; check the organism, or put symbols into var['symbol']"
        )
    return names


def _could_regulate(network: Network, regulators: Iterable[str] | None) -> NDArray[np.bool_]:
    n_genes = len(network.namings["var_names"])
    if regulators is None:
        return np.ones(n_genes, dtype=bool)
    asked = grnndata.find_genes(regulators, *(names.tolist() for names in network.namings.values()), what="regulators")
    if not len(asked.places):
        raise ValueError(
            f"none of the {len(asked):,} regulators ({', '.join(asked.asked[:3])}, ...) is a gene of the network "
            f"({', '.join(network.namings['var_names'][:3])}, ...){asked.hint()}"
        )
    if asked.missing:
        logger.warning(
            "%d of the %d regulators are not genes of the network, %s", len(asked.missing), len(asked), asked.examples()
        )
    could = np.zeros(n_genes, dtype=bool)
    could[asked.places] = True
    return could


def _places(network: Network) -> list[str]:
    # Names may repeat; places do not.
    return [str(place) for place in range(len(network.namings["var_names"]))]

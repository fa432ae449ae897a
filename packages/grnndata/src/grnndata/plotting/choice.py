"""The choice of the genes and edges that a drawing shows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp
from numpy.typing import NDArray

from .._wording import counted
from ..blocks import row_blocks
from ..edges import check_unique, matrix_to_edges, some
from ..named_genes import find_genes
from ..ranking import check_count, top_k_matrix
from ..schema import Network, is_sparse
from ..stored import edges_per_row

#: Largest relative difference of weights that agree up to rounding of float32.
_ROUNDING = 1e-5


def check_genes(genes: Sequence[str], labels: pd.Series) -> pd.Index:
    """Return the names of the genes to draw.

    Parameters
    ----------
    genes
        Names or labels; see `grnndata.find_genes`.
    labels
        Label of every gene, by its name.

    Raises
    ------
    ValueError
        When they are unknown, repeated, none, or one string.
    """
    if isinstance(genes, str):
        raise ValueError(f"genes must be a list of gene names, not the string {genes!r}: pass [{genes!r}]")
    names = labels.index
    found = find_genes(genes, names.tolist(), labels.tolist())
    unknown = found.missing
    if unknown or not len(found):
        missing = counted(len(unknown), "gene is", "genes are")
        what = f"{missing} not in var_names: {some(unknown)}{found.hint()}" if unknown else "no genes"
        raise ValueError(f"{what}; pass names from var_names, which are like {', '.join(names[:3])}")
    return check_unique(names.take(found.at))


def ego_edges(
    network: Network, names: pd.Index, genes: pd.Index, *, neighbours: int, among: pd.Index | None = None
) -> pd.DataFrame:
    """List the strongest edges out of every gene, `neighbours` of each, self-edges left out.

    Parameters
    ----------
    network
        Shape (genes, genes), row = regulator.
    names
        Names of its rows and columns.
    genes
        Some of them.
    neighbours
        Number of edges; 0 for none.
    among
        Genes that may be targets; all when None.

    Raises
    ------
    ValueError
        When `neighbours` is negative or no whole number.
    """
    if not neighbours:
        return matrix_to_edges(sp.csr_matrix((0, 0), dtype=np.float32), [])
    check_count(neighbours, "neighbours")
    at = names.get_indexer(genes)
    rows = sp.csr_matrix((np.ones(len(at), np.float32), (at, np.arange(len(at)))), shape=(len(names), len(at)))
    outgoing = sp.csr_matrix(rows @ sp.csr_matrix(network[at]))
    if among is not None:
        outgoing = sp.csr_matrix(outgoing @ sp.diags_array(names.isin(among).astype(np.float32)))
        outgoing.eliminate_zeros()
    return matrix_to_edges(top_k_matrix(outgoing, neighbours), names)


def edges_between(
    network: Network, names: pd.Index, genes: pd.Index, *, top_edges: int, directed: bool, first: pd.DataFrame
) -> pd.DataFrame:
    """List the strongest edges between some genes, no self-edges, an undirected pair once.

    Parameters
    ----------
    network, names
        See `ego_edges`.
    genes
        Genes to draw.
    top_edges
        Number of edges.
    directed
        Whether i → j and j → i differ; of a pair that does not, the gene first in `genes` is the source.
    first
        Edges that are listed before all others, for example of `ego_edges`.
    """
    at = names.get_indexer(genes)
    inner = pd.concat([first, matrix_to_edges(network[np.ix_(at, at)], genes)], ignore_index=True)
    ends = [genes.get_indexer(pd.Index(inner[column])).astype(np.int64) for column in ("source", "target")]
    low, high = ends if directed else (np.minimum(*ends), np.maximum(*ends))
    kept = (low != high) & ~pd.Series(low * max(1, len(genes)) + high).duplicated().to_numpy()
    listed = pd.DataFrame({"source": genes.take(low), "target": genes.take(high), "weight": inner["weight"]})
    return listed[kept].head(top_edges).reset_index(drop=True)


def choose_edges(
    network: Network,
    labels: pd.Series,
    genes: Sequence[str],
    *,
    neighbours: int,
    top_edges: int,
    directed: bool,
) -> tuple[pd.Index, pd.DataFrame]:
    """Return the names of the genes to draw, the given ones and their neighbours, and the strongest edges between them.

    Raises
    ------
    ValueError
        See `check_genes` and `ego_edges`.
    """
    names, drawn = labels.index, check_genes(genes, labels)
    first = ego_edges(network, names, drawn, neighbours=neighbours)
    drawn = drawn.append(pd.Index(first["target"])).unique()
    return drawn, edges_between(network, names, drawn, top_edges=top_edges, directed=directed, first=first)


def strongest_edges(
    network: Network, names: pd.Index, *, top_edges: int, directed: bool
) -> tuple[pd.Index, pd.DataFrame]:
    """Return the strongest edges of a whole network, an undirected pair once, and the genes that have them.

    Raises
    ------
    ValueError
        When the network has no edges between different genes.
    """
    kept = top_k_matrix(network, top_edges, per="all", directed=directed)
    edges = matrix_to_edges(kept if directed else sp.csr_matrix(sp.triu(kept)), names)
    if edges.empty:
        raise ValueError(
            f"the network has no edges between different genes: pass genes=, for example {some(list(names[:3]))}"
        )
    drawn = names[names.isin(edges["source"]) | names.isin(edges["target"])]
    return drawn, edges


def is_directed(network: Network, *, directed: bool) -> bool:
    """Say whether a drawing needs arrows: not if the network is undirected, or every weight is the same both ways."""
    if not directed or not network.shape[0]:
        return directed
    if is_sparse(network):
        one: Any = network
        other = one.T.tocsr()
        return bool((abs(one - other) > abs(one).maximum(abs(other)) * _ROUNDING).nnz)
    dense = np.asarray(network)
    return not all(_agree(dense[rows], dense.T[rows]).all() for rows in row_blocks(dense))


def count_edges(network: Network, *, directed: bool) -> int:
    """Count the edges between different genes, an undirected pair once."""
    count = int(edges_per_row(network).sum()) - int(np.count_nonzero(network.diagonal()))
    return count if directed else count // 2


def merge_equal_ways(
    network: Network, names: pd.Index, edges: pd.DataFrame, *, directed: bool
) -> tuple[pd.DataFrame, NDArray[np.bool_]]:
    """Keep one of two opposite edges of the same weight.

    Parameters
    ----------
    network, names
        Network, shape (genes, genes), and the names of its rows and columns.
    edges
        Some of its edges.
    directed
        Whether edges have a direction; without one nothing is merged.

    Returns
    -------
    edges
        Of opposite edges of the same weight, the first that is listed.
    mutual
        bool, one an edge: whether the network holds the opposite edge with the same weight.
    """
    if edges.empty or not directed:
        return edges, np.zeros(len(edges), dtype=bool)
    ends = [names.get_indexer(pd.Index(edges[column])) for column in ("source", "target")]
    opposite = np.asarray(network[ends[1], ends[0]], dtype=np.float32).ravel()
    mutual = _agree(edges["weight"].to_numpy(dtype=np.float32), opposite)
    pair = pd.Series(np.minimum(*ends).astype(np.int64) * len(names) + np.maximum(*ends))
    kept = ~(mutual & pair.duplicated().to_numpy())
    return edges[kept].reset_index(drop=True), mutual[kept]


def _agree(one: NDArray[np.float32], other: NDArray[np.float32]) -> NDArray[np.bool_]:
    return np.asarray(np.abs(one - other) <= _ROUNDING * np.maximum(np.abs(one), np.abs(other)))


def both_ways(edges: pd.DataFrame) -> NDArray[np.bool_]:
    """Say of every edge whether the opposite one is listed too."""
    pairs = set(zip(edges["source"], edges["target"], strict=True))
    return np.array(
        [(target, source) in pairs for source, target in zip(edges["source"], edges["target"], strict=True)]
    )

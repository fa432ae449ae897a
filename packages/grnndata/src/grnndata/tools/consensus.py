"""One network out of many."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, get_args

import numpy as np
import pandas as pd
import scipy.sparse as sp
from numpy.typing import NDArray

from .._provenance import step
from ..concat import named_networks
from ..convert import from_matrix
from ..core import GRNAnnData
from ..history import put_together
from ..ranking import check_count, top_k_matrix
from ..schema import Network, is_sparse, nonzero_entries
from ..stored import single_network
from .align import all_genes, dense_block, over_genes, row_slices, shared_genes

type How = Literal["mean", "max", "rank", "votes"]
type GeneChoice = Literal["shared", "all"]

# Edges that are ranked in each network unless asked otherwise, as in the DREAM5 challenge.
_RANKED = 100_000


def consensus(
    networks: Mapping[str, GRNAnnData] | Sequence[GRNAnnData] | GRNAnnData,
    *,
    how: How = "mean",
    top_k: int | None = None,
    genes: GeneChoice = "shared",
    self_edges: bool = False,
) -> GRNAnnData:
    """Merge networks into one.

    Parameters
    ----------
    networks
        Networks by name or in a sequence, or an object that holds several. Genes are matched by ``var_names``.
    how
        Weight of an edge in the result. ``"mean"``: its mean weight, 0 where a network does not have it;
        networks on different scales are to be normalised first. ``"max"``: its weight of largest absolute
        value (of equal ones with different signs, that of the first network). ``"votes"``: the share of
        networks that have it. ``"rank"``: edges of each network are ranked by absolute weight, 1 = strongest,
        ties sharing their mean rank, absent ones at rank K + 1, where K is `top_k`, or the largest number of
        edges that a network has if that is smaller; the mean rank r becomes (K + 1 - r) / K, which is 1 for the
        strongest edge of every network and 0, no edge, for one that none has (Borda count).
    top_k
        Number of edges of each network that take part, its strongest ones after the choice of genes; an
        undirected network counts pairs. None takes all, and 100,000 for ``"rank"``.
    genes
        ``"shared"``: those in all networks; ``"all"``: those in any, where a network has no edges of genes
        that it does not hold.
    self_edges
        Whether edges from a gene to itself take part; they are dropped otherwise.

    Returns
    -------
    GRNAnnData
        Without cells; genes in the order of the first network, then of the next. ``var["symbol"]`` is kept
        when all networks have it. Undirected when all networks are. Dense when a network is dense, `top_k` is
        None and `how` is not ``"rank"``, without further arrays of that size; else sparse.

    Raises
    ------
    TypeError
        When an item is not a GRNAnnData.
    ValueError
        When `networks` is empty, they share no gene, gene names repeat within one, `how` or `genes` is
        unknown, or `top_k` is not a positive whole number.

    References
    ----------
    Marbach et al. 2012, Wisdom of crowds for robust gene network inference, Nature Methods 9:796-804
    (doi:10.1038/nmeth.2016): mean ranks over the top 100,000 edges.
    """
    made = step(consensus, locals(), skip=("networks",))
    for name, value, choices in (
        ("how", how, get_args(How.__value__)),
        ("genes", genes, get_args(GeneChoice.__value__)),
    ):
        if value not in choices:
            raise ValueError(f"{name} must be one of {', '.join(map(repr, choices))}, got {value!r}")
    if top_k is not None:
        check_count(top_k, "top_k")
    named = named_networks(networks)
    kept = shared_genes(named) if genes == "shared" else all_genes(named)
    matrices = [single_network(grn) for grn in named.values()]
    places = [grn.var_names.get_indexer(kept) for grn in named.values()]
    n_edges = _RANKED if top_k is None and how == "rank" else top_k
    if n_edges is None and not all(is_sparse(matrix) for matrix in matrices):
        merged: Network = _merge_dense(matrices, places, how, self_edges)
    else:
        directed = [grn.directed for grn in named.values()]
        merged = _merge_sparse(matrices, places, directed, how, n_edges, self_edges)
    result = from_matrix(
        merged,
        kept,
        method="consensus",
        parameters={
            "networks": list(named),
            "how": how,
            "top_k": n_edges,
            "genes": genes,
            "self_edges": self_edges,
        },
        directed=any(grn.directed for grn in named.values()),
    )
    result.uns.update(put_together(named, made))
    if all("symbol" in grn.var for grn in named.values()):
        symbols = pd.concat([grn.var["symbol"].astype(str) for grn in named.values()])
        result.var["symbol"] = symbols[~symbols.index.duplicated()].loc[kept].to_numpy()
    return result


def _merge_dense(
    matrices: list[Network], places: list[NDArray[np.intp]], how: How, self_edges: bool
) -> NDArray[np.float32]:
    n = places[0].size
    merged = np.zeros((n, n), dtype=np.float32)
    for rows in row_slices(n):
        total = np.zeros((rows.stop - rows.start, n))
        for matrix, at in zip(matrices, places, strict=True):
            block = dense_block(matrix, at, rows, self_edges=self_edges)
            if how == "max":
                np.copyto(total, block, where=np.abs(block) > np.abs(total))
            elif how == "votes":
                total += block != 0
            else:
                total += block
        merged[rows] = total if how == "max" else total / len(matrices)
    return merged


def _merge_sparse(
    matrices: list[Network],
    places: list[NDArray[np.intp]],
    directed: list[bool],
    how: How,
    n_edges: int | None,
    self_edges: bool,
) -> sp.csr_matrix:
    n = places[0].size
    entries = [
        _edges(over_genes(matrix, at), n_edges, directed=one_way, self_edges=self_edges)
        for matrix, at, one_way in zip(matrices, places, directed, strict=True)
    ]
    if how == "rank":
        worst = max(weights.size for _, _, weights in entries)
        entries = [(rows, columns, _scores(weights, worst)) for rows, columns, weights in entries]
    entries = [part if one_way else _mirrored(*part) for part, one_way in zip(entries, directed, strict=True)]
    numbers = np.concatenate([rows.astype(np.int64) * n + columns for rows, columns, _ in entries])
    weights = np.concatenate([weights for _, _, weights in entries])
    order = np.argsort(numbers, kind="stable")  # stable: of one edge, the first network comes first
    numbers, weights = numbers[order], weights[order].astype(np.float64)
    starts = np.flatnonzero(np.diff(numbers, prepend=-1))
    if how == "max":
        size = np.abs(weights)
        largest = np.maximum.reduceat(size, starts) if starts.size else size
        counts = np.diff(starts, append=numbers.size)
        is_largest = np.flatnonzero(size == np.repeat(largest, counts))
        merged = weights[is_largest[np.searchsorted(is_largest, starts)]]
    elif how == "votes":
        merged = np.diff(starts, append=numbers.size) / len(matrices)
    else:
        merged = (np.add.reduceat(weights, starts) if starts.size else weights) / len(matrices)
    result = sp.csr_matrix((merged.astype(np.float32), np.divmod(numbers[starts], n)), shape=(n, n))
    result.eliminate_zeros()
    return result


type _Entries = tuple[NDArray[np.integer], NDArray[np.integer], NDArray[np.floating]]


def _edges(network: Network, n_edges: int | None, *, directed: bool, self_edges: bool) -> _Entries:
    """Return rows, columns and weights of the edges that take part; of an undirected network each pair once."""
    kept = network
    if n_edges is not None:
        # Of a symmetric matrix, the strongest 2k entries hold the strongest k pairs.
        kept = top_k_matrix(network, n_edges if directed else 2 * n_edges, per="all", self_edges=self_edges)
    if not directed:
        kept = sp.triu(kept, format="csr")
        if n_edges is not None:
            kept = top_k_matrix(kept, n_edges, per="all", self_edges=self_edges)
    rows, columns, weights = nonzero_entries(kept)
    if not self_edges:
        different = rows != columns
        rows, columns, weights = rows[different], columns[different], weights[different]
    return rows, columns, weights


def _mirrored(rows: NDArray[np.integer], columns: NDArray[np.integer], weights: NDArray[np.floating]) -> _Entries:
    """Add the lower triangle to the entries of an upper one."""
    off = rows != columns
    return (
        np.concatenate([rows, columns[off]]),
        np.concatenate([columns, rows[off]]),
        np.concatenate([weights, weights[off]]),
    )


def _scores(weights: NDArray[np.floating], worst: int) -> NDArray[np.float64]:
    """Turn weights into scores by rank: 1 for the strongest, 1 / worst at rank `worst`."""
    from scipy.stats import rankdata  # takes a second to import

    return (worst + 1 - rankdata(-np.abs(weights))) / worst if worst else np.empty(0)

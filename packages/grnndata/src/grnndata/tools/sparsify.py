"""Keep a network's strongest edges."""

from __future__ import annotations

from typing import Literal

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from ..core import GRNAnnData, single_network
from ..ranking import check_count, strongest
from ..schema import Network, is_sparse, nonzero_entries
from .blocks import row_blocks

type Per = Literal["regulator", "target", "all"]

type _Entries = tuple[NDArray[np.integer], NDArray[np.integer], NDArray[np.float32]]


def top_k(grn: GRNAnnData, k: int, *, per: Per = "regulator", self_edges: bool = False) -> GRNAnnData:
    """Return a copy with only the strongest edges, as a sparse network.

    Parameters
    ----------
    grn
        The network; not changed.
    k
        How many edges to keep, those of largest absolute weight; ties go to the genes first in ``var_names``.
    per
        `k` edges out of every ``"regulator"``, into every ``"target"``, or of the whole network (``"all"``).
        An undirected network keeps a pair when either of its genes does, and `k` counts pairs for ``"all"``.
    self_edges
        Whether edges from a gene to itself compete too; they are dropped otherwise.

    Returns
    -------
    GRNAnnData
        ``uns["grn"]["steps"]`` names this step.

    Raises
    ------
    ValueError
        When `k` is not positive, or `per` unknown.
    """
    kept = top_k_matrix(single_network(grn), k, per=per, self_edges=self_edges, directed=grn.directed)
    return grn.with_network(kept, step=f"top_k(k={k}, per={per!r}, self_edges={self_edges})")


def threshold(grn: GRNAnnData, minimum: float, *, absolute: bool = True) -> GRNAnnData:
    """Return a copy without the edges whose weight is below a minimum.

    Parameters
    ----------
    grn
        The network; not changed.
    minimum
        Edges of this weight are kept. An undirected network keeps a pair when both its directions reach it:
        they may differ by rounding.
    absolute
        Compare absolute weights, so that strong repression stays; otherwise the weights themselves.

    Returns
    -------
    GRNAnnData
        The network is sparse, or dense if it was dense and more than half of its weights are kept, which then
        takes less memory. ``uns["grn"]["steps"]`` names this step.

    Raises
    ------
    ValueError
        When `minimum` is not a finite number, or is negative while `absolute`.
    """
    if not np.isfinite(minimum):
        raise ValueError(f"minimum must be a finite number, got {minimum!r}")
    if absolute and minimum < 0:
        raise ValueError(
            f"minimum must be 0 or more, as it is compared with the absolute weight, got {minimum!r}: pass "
            "absolute=False to compare the weights themselves"
        )
    kept = threshold_matrix(single_network(grn), float(minimum), absolute=absolute, both_ways=not grn.directed)
    return grn.with_network(kept, step=f"threshold(minimum={minimum}, absolute={absolute})")


def top_k_matrix(
    network: Network, k: int, *, per: Per = "regulator", self_edges: bool = False, directed: bool = True
) -> sp.csr_matrix:
    """Keep the strongest entries of a matrix: the plain-array form of `top_k`.

    Parameters
    ----------
    network
        Shape (genes, genes), row = regulator.
    k, per, self_edges
        See `top_k`.
    directed
        False for a symmetric matrix, and a symmetric result.

    Returns
    -------
    scipy.sparse.csr_matrix
        float32, same shape.

    Raises
    ------
    ValueError
        When `k` is not positive, or `per` unknown.
    """
    check_count(k, "k")
    if per not in ("regulator", "target", "all"):
        raise ValueError(f"per must be 'regulator', 'target' or 'all', got {per!r}")
    if per == "all":
        kept = _top_k_of_all(network, k, self_edges=self_edges, upper=not directed)
        return kept if directed else (kept + sp.triu(kept, k=1).T).tocsr()
    kept = _top_k_per_gene(network, k, per=per, self_edges=self_edges)
    # Not the larger of the two: with negative weights that could be the absent edge.
    return kept if directed else (kept + kept.T - kept.multiply(kept.T.astype(bool))).tocsr()


def threshold_matrix(network: Network, minimum: float, *, absolute: bool, both_ways: bool) -> Network:
    """Drop the entries of a matrix that are below a minimum: the plain-array form of `threshold`.

    Parameters
    ----------
    network
        Shape (genes, genes), row = regulator.
    minimum, absolute
        See `threshold`.
    both_ways
        Keep (i, j) only when (j, i) reaches the minimum too.
    """

    def reaches(weights: NDArray[np.float32]) -> NDArray[np.bool_]:
        size = np.abs(weights) if absolute else weights
        return np.asarray((size >= minimum) & (weights != 0))

    if is_sparse(network):
        rows, columns, weights = nonzero_entries(network)
        passing = reaches(weights)
        kept = _to_csr((rows[passing], columns[passing], weights[passing]), network.shape)
        return kept.multiply(kept.T.astype(bool)).tocsr() if both_ways else kept
    dense = np.asarray(network)

    def passing_of(block: slice) -> NDArray[np.bool_]:
        return reaches(dense[block]) & reaches(dense.T[block]) if both_ways else reaches(dense[block])

    counts = [int(np.count_nonzero(passing_of(block))) for block in row_blocks(dense)]
    # An entry of a CSR matrix takes 8 bytes, one of an array 4.
    if sum(counts) > dense.size / 2:
        full = np.zeros_like(dense)
        for block in row_blocks(dense):
            np.copyto(full[block], dense[block], where=passing_of(block))
        return full
    columns, weights = np.empty(sum(counts), np.int32), np.empty(sum(counts), np.float32)
    per_row, end = [np.zeros(1, np.int64)], 0
    for block, count in zip(row_blocks(dense), counts, strict=True):
        passing = passing_of(block)
        start, end = end, end + count
        columns[start:end] = np.nonzero(passing)[1]
        weights[start:end] = dense[block][passing]
        per_row.append(np.count_nonzero(passing, axis=1))
    return sp.csr_matrix((weights, columns, np.cumsum(np.concatenate(per_row))), shape=dense.shape)


def _top_k_per_gene(network: Network, k: int, *, per: Per, self_edges: bool) -> sp.csr_matrix:
    turned = network.T if per == "target" else network
    if is_sparse(turned):
        rows, columns, weights = _candidates(nonzero_entries(turned), self_edges=self_edges, upper=False)
        kept = _strongest_of_rows(rows, weights, k)
        rows, columns, weights = rows[kept], columns[kept], weights[kept]
    else:
        rows, columns, weights = _strongest_of_dense_rows(np.asarray(turned), k, self_edges=self_edges)
    if per == "target":
        rows, columns = columns, rows
    return _to_csr((rows, columns, weights), network.shape)


def _top_k_of_all(network: Network, k: int, *, self_edges: bool, upper: bool) -> sp.csr_matrix:
    if is_sparse(network):
        rows, columns, weights = _candidates(nonzero_entries(network), self_edges=self_edges, upper=upper)
        kept = strongest(weights, k)
        return _to_csr((rows[kept], columns[kept], weights[kept]), network.shape)
    dense = np.asarray(network)
    places, weights = np.empty(0, np.int64), np.empty(0, np.float32)
    pending: list[tuple[NDArray[np.int64], NDArray[np.float32]]] = []
    cut = np.float32(0)
    for block in row_blocks(dense):
        size = np.abs(dense[block])
        if upper:
            size[np.tri(size.shape[0], size.shape[1], k=block.start - 1, dtype=bool)] = 0
        if not self_edges:
            np.fill_diagonal(size[:, block.start :], 0)
        # A tie with the weakest one held loses: that one comes earlier.
        found = np.flatnonzero(size > cut)
        pending.append((found + block.start * dense.shape[1], dense[block].ravel()[found]))
        if block.stop == dense.shape[0] or sum(part.size for part, _ in pending) > k:
            places = np.concatenate([places, *(part for part, _ in pending)])
            weights = np.concatenate([weights, *(part for _, part in pending)])
            pending = []
            kept = np.sort(strongest(weights, k))  # in row-major order again, as that decides ties
            places, weights = places[kept], weights[kept]
            if weights.size == k:
                cut = np.abs(weights).min()
    rows, columns = np.divmod(places, max(1, dense.shape[1]))
    return _to_csr((rows, columns, weights), dense.shape)


def _candidates(entries: _Entries, *, self_edges: bool, upper: bool) -> _Entries:
    rows, columns, weights = entries
    allowed = (rows <= columns) if upper else np.ones(rows.size, dtype=bool)
    if not self_edges:
        allowed &= rows != columns
    return rows[allowed], columns[allowed], weights[allowed]


def _strongest_of_rows(rows: NDArray[np.integer], weights: NDArray[np.float32], k: int) -> NDArray[np.intp]:
    order = np.lexsort((-np.abs(weights), rows))  # stable: ties stay in column order
    starts = np.searchsorted(rows[order], rows[order])
    return order[np.arange(order.size) - starts < k]


def _strongest_of_dense_rows(network: NDArray[np.float32], k: int, *, self_edges: bool) -> _Entries:
    n = network.shape[1]
    parts = [(np.empty(0, np.int32), np.empty(0, np.int32), np.empty(0, np.float32))]
    for rows in row_blocks(network):
        # Contiguous rows: those of a transposed network are not, and partitioning them would be slow.
        block = np.ascontiguousarray(network[rows])
        size = np.abs(block)
        if not self_edges:
            np.fill_diagonal(size[:, rows.start :], 0)
        if k < n:
            cut = np.partition(size, n - k, axis=1)[:, n - k, None]
            above = size > cut
            tied = size == cut
            room = k - above.sum(axis=1, keepdims=True)
            size[~(above | (tied & (np.cumsum(tied, axis=1, dtype=np.int32) <= room)))] = 0
        i, j = np.nonzero(size)
        parts.append(((i + rows.start).astype(np.int32), j.astype(np.int32), block[i, j]))
    i, j, weights = (np.concatenate(part) for part in zip(*parts, strict=True))
    return i, j, weights


def _to_csr(entries: _Entries, shape: tuple[int, int]) -> sp.csr_matrix:
    rows, columns, weights = entries
    return sp.csr_matrix((weights, (rows, columns)), shape=shape, dtype=np.float32)

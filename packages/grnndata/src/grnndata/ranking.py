"""The k strongest values of an array, or edges of a matrix: the same ones every time."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from .blocks import row_blocks
from .schema import Network, is_sparse, nonzero_entries

#: Whether the k strongest edges are kept out of every regulator, into every target, or of the whole network.
type Per = Literal["regulator", "target", "all"]

type _Entries = tuple[NDArray[np.integer], NDArray[np.integer], NDArray[np.float32]]


def strongest(values: NDArray[Any], k: int | None) -> NDArray[np.intp]:
    """Return the positions of the `k` values largest in absolute value, strongest first.

    Equal values are taken in order of position, so the answer never depends on the sorting algorithm.

    Parameters
    ----------
    values
        One-dimensional, finite, shape (n,).
    k
        Number of values to take; all when None or larger than n.

    Returns
    -------
    numpy.ndarray
        Positions, shape (min(k, n),). O(n + k log k).

    Raises
    ------
    ValueError
        When `k` is not a positive whole number.
    """
    if k is not None:
        check_count(k, "k")
    size = np.abs(values)
    if k is None or k >= size.size:
        return np.argsort(-size, kind="stable")
    cut = np.partition(size, size.size - k)[size.size - k]
    above = np.flatnonzero(size > cut)
    tied = np.flatnonzero(size == cut)[: k - above.size]
    kept = np.sort(np.concatenate([above, tied]))
    return kept[np.argsort(-size[kept], kind="stable")]


def check_count(value: int, name: str) -> None:
    """Raise ValueError unless a number is a positive whole number."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 1:
        raise ValueError(f"{name} must be a positive whole number, got {value!r}")


def top_k_matrix(
    network: Network, k: int, *, per: Per = "regulator", self_edges: bool = False, directed: bool = True
) -> sp.csr_matrix:
    """Keep the strongest entries of a matrix: the plain-array form of `grnndata.tools.top_k`.

    Parameters
    ----------
    network
        Shape (genes, genes), row = regulator.
    k, per, self_edges
        See `grnndata.tools.top_k`.
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
    return to_csr((rows, columns, weights), network.shape)


def _top_k_of_all(network: Network, k: int, *, self_edges: bool, upper: bool) -> sp.csr_matrix:
    if is_sparse(network):
        rows, columns, weights = _candidates(nonzero_entries(network), self_edges=self_edges, upper=upper)
        kept = strongest(weights, k)
        return to_csr((rows[kept], columns[kept], weights[kept]), network.shape)
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
    return to_csr((rows, columns, weights), dense.shape)


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


def to_csr(entries: _Entries, shape: tuple[int, int]) -> sp.csr_matrix:
    """Return rows, columns and weights of edges as a CSR matrix, float32."""
    rows, columns, weights = entries
    return sp.csr_matrix((weights, (rows, columns)), shape=shape, dtype=np.float32)

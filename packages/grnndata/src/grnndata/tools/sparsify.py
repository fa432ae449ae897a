"""Keep a network's strongest edges."""

from __future__ import annotations

from typing import Literal

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from ..core import GRNAnnData
from ..ranking import check_count, strongest
from ..schema import Network, nonzero_entries

type Per = Literal["regulator", "target", "all"]

# 2**22 entries of a dense network at a time: the work arrays stay near 100 MB.
_BLOCK = 2**22


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
    network = grn.grn
    if grn.directed:
        kept = top_k_matrix(network, k, per=per, self_edges=self_edges)
    elif per == "all":
        upper = sp.triu(sp.csr_matrix(network), format="csr")
        kept = top_k_matrix(upper, k, per=per, self_edges=self_edges)
        kept = (kept + sp.triu(kept, k=1).T).tocsr()
    else:
        kept = top_k_matrix(network, k, per=per, self_edges=self_edges)
        # Not the larger of the two: with negative weights that could be the absent edge.
        kept = (kept + kept.T - kept.multiply(kept.T.astype(bool))).tocsr()
    return grn.with_network(kept, step=f"top_k(k={k}, per={per!r}, self_edges={self_edges})")


def top_k_matrix(network: Network, k: int, *, per: Per = "regulator", self_edges: bool = False) -> sp.csr_matrix:
    """Keep the strongest entries of a matrix: the plain-array form of `top_k`.

    Parameters
    ----------
    network
        Shape (genes, genes), row = regulator.
    k, per, self_edges
        See `top_k`.

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
    turned = network.T if per == "target" else network
    if sp.issparse(turned):
        rows, columns, weights = nonzero_entries(turned)
        if not self_edges:
            different = rows != columns
            rows, columns, weights = rows[different], columns[different], weights[different]
    else:
        # Of a dense network no row contributes more than k to the whole either.
        rows, columns, weights = _strongest_of_dense(np.asarray(turned), k, self_edges=self_edges)
    if per == "all":
        kept = strongest(weights, k) if weights.size else np.empty(0, dtype=np.intp)
    else:
        kept = _strongest_of_rows(rows, weights, k)
    if per == "target":
        rows, columns = columns, rows
    return sp.csr_matrix((weights[kept], (rows[kept], columns[kept])), shape=network.shape, dtype=np.float32)


def _strongest_of_rows(rows: NDArray[np.integer], weights: NDArray[np.float32], k: int) -> NDArray[np.intp]:
    order = np.lexsort((-np.abs(weights), rows))  # stable: ties stay in column order
    starts = np.searchsorted(rows[order], rows[order])
    return order[np.arange(order.size) - starts < k]


def _strongest_of_dense(
    network: NDArray[np.float32], k: int, *, self_edges: bool
) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.float32]]:
    n = network.shape[1]
    step = max(1, _BLOCK // max(1, n))
    parts = []
    for start in range(0, network.shape[0], step):
        block = network[start : start + step]
        size = np.abs(block)
        if not self_edges:
            np.fill_diagonal(size[:, start:], 0)
        if k < n:
            cut = np.partition(size, n - k, axis=1)[:, n - k, None]
            above = size > cut
            tied = size == cut
            room = k - above.sum(axis=1, keepdims=True)
            size[~(above | (tied & (np.cumsum(tied, axis=1) <= room)))] = 0
        rows, columns = np.nonzero(size)
        parts.append((rows + start, columns, block[rows, columns]))
    if not parts:
        return np.empty(0, np.intp), np.empty(0, np.intp), np.empty(0, np.float32)
    rows, columns, weights = (np.concatenate(part) for part in zip(*parts, strict=True))
    return rows, columns, weights

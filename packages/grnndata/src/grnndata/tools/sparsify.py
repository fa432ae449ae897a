"""Keep a network's strongest edges."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from .._provenance import step
from ..blocks import row_blocks
from ..core import GRNAnnData
from ..ranking import Per, to_csr, top_k_matrix
from ..schema import Network, is_sparse, nonzero_entries
from ..stored import single_network


def top_k(grn: GRNAnnData, k: int, *, per: Per = "regulator", self_edges: bool = False) -> GRNAnnData:
    """Return a copy with only the strongest edges, as a sparse network.

    Parameters
    ----------
    grn
        The network; not changed.
    k
        Number of edges to keep, those of largest absolute weight; ties go to the genes first in ``var_names``.
    per
        Scope of `k`: edges out of every ``"regulator"``, into every ``"target"``, or of the whole network (``"all"``).
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
    made = step(top_k, locals(), skip=("grn",))
    kept = top_k_matrix(single_network(grn), k, per=per, self_edges=self_edges, directed=grn.directed)
    return grn.with_network(kept, step=f"top_k(k={k}, per={per!r}, self_edges={self_edges})", made=made)


def threshold(grn: GRNAnnData, minimum: float, *, absolute: bool = True) -> GRNAnnData:
    """Return a copy without the edges whose weight is below a minimum.

    Parameters
    ----------
    grn
        The network; not changed.
    minimum
        Smallest weight that is kept. An undirected network keeps a pair when both its directions reach it:
        they may differ by rounding.
    absolute
        Whether to compare absolute weights, so that strong repression stays; otherwise the weights themselves.

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
    made = step(threshold, locals(), skip=("grn",))
    if not np.isfinite(minimum):
        raise ValueError(f"minimum must be a finite number, got {minimum!r}")
    if absolute and minimum < 0:
        raise ValueError(
            f"minimum must be 0 or more, as it is compared with the absolute weight, got {minimum!r}: pass "
            "absolute=False to compare the weights themselves"
        )
    kept = threshold_matrix(single_network(grn), float(minimum), absolute=absolute, both_ways=not grn.directed)
    return grn.with_network(kept, step=f"threshold(minimum={minimum}, absolute={absolute})", made=made)


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
        kept = to_csr((rows[passing], columns[passing], weights[passing]), network.shape)
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

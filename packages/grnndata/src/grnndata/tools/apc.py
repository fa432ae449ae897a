"""Average product correction: take out what two genes share with every other gene."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from .._provenance import step
from ..blocks import dense_rows, row_blocks
from ..core import GRNAnnData
from ..schema import Network
from ..stored import single_network
from .centrality import strength_of_matrix


def apc(grn: GRNAnnData) -> GRNAnnData:
    """Return a copy with the average product correction: every weight minus what its two genes' means predict.

    The weight of i → j loses ``out_mean(i) × in_mean(j) / mean``: the means of i's outgoing edges, of j's
    incoming ones and of all, each over pairs of different genes, with 0 for an absent edge. A network whose
    weights are products of one factor for the regulator and one for the target says nothing about single
    pairs, and becomes 0. For a symmetric network this is the correction of the paper.

    Parameters
    ----------
    grn
        The network, of associations such as mutual information or attention; not changed.

    Returns
    -------
    GRNAnnData
        A dense network, also for a sparse one, as absent edges become negative: genes² × 4 bytes. Self-edges
        are dropped. ``uns["grn"]["steps"]`` names this step.

    Raises
    ------
    ValueError
        When weights cancel out to a mean of 0, by which the correction divides.

    References
    ----------
    Dunn, Wahl and Gloor 2008, Mutual information without the influence of phylogeny or entropy dramatically
    improves residue contact prediction, Bioinformatics 24:333-340, doi:10.1093/bioinformatics/btm604.
    """
    made = step(apc, locals(), skip=("grn",))
    corrected = apc_matrix(single_network(grn), directed=grn.directed)
    return grn.with_network(corrected, step="apc()", made=made)


def apc_matrix(network: Network, *, directed: bool = True) -> NDArray[np.float32]:
    """Correct a matrix: the plain-array form of `apc`.

    Parameters
    ----------
    network
        Shape (genes, genes), row = regulator.
    directed
        False when the matrix is symmetric up to rounding: the result is then exactly so.

    Raises
    ------
    ValueError
        When the mean weight is 0 and not all weights are.
    """
    n = network.shape[0]
    row_sum = strength_of_matrix(network, "out", signed=True)
    column_sum = strength_of_matrix(network, "in", signed=True) if directed else row_sum
    total, size = float(row_sum.sum()), float(strength_of_matrix(network, "out").sum())
    if size and abs(total) <= 1e-7 * size:  # sums of float32 weights do not cancel more exactly than that
        raise ValueError(
            "the mean weight is 0, and the average product correction divides by it: it is meant for weights that "
            "are associations, not signed effects; correct their absolute values instead"
        )
    # mean * mean / mean, from sums over n - 1, n - 1 and n (n - 1) pairs.
    factor = n / ((n - 1) * total) if total else 0.0
    transposed = network.T.tocsr() if sp.issparse(network) else network.T
    full = np.empty(network.shape, dtype=np.float32)
    for rows in row_blocks(network):
        # In float64: what is left can be much smaller than the weights.
        block = dense_rows(network, rows).astype(np.float64)
        if not directed:
            block = (block + dense_rows(transposed, rows)) / 2
        full[rows] = block - np.multiply.outer(row_sum[rows], column_sum) * factor
    np.fill_diagonal(full, 0)
    return full

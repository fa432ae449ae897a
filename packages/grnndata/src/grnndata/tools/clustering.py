"""Count how often two neighbours of a gene are neighbours too."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from ..blocks import row_blocks
from ..schema import Network, is_sparse, nonzero_entries
from .igraph_graphs import build_graph

# Above this share of pairs joined, products of a dense matrix are faster than lists of neighbours.
_DENSE = 0.02


def triangles_and_degrees(network: Network) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Count every gene's triangles and neighbours, whatever the direction and weight of edges.

    Parameters
    ----------
    network
        Shape (genes, genes).

    Returns
    -------
    triangles, degrees
        Each shape (genes,).
    """
    if is_sparse(network):
        return _of_edges(network)
    dense = np.asarray(network)
    if np.count_nonzero(dense) <= _DENSE * dense.size:
        return _of_edges(dense)
    joined = np.empty(dense.shape, dtype=np.float32)  # the one further array
    for rows in row_blocks(dense):
        joined[rows] = (dense[rows] != 0) | (dense.T[rows] != 0)
    np.fill_diagonal(joined, 0)
    triangles = np.empty(dense.shape[0])
    for rows in row_blocks(dense):  # float32 counts up to 2**24 exactly
        triangles[rows] = np.einsum("ij,ij->i", joined[rows] @ joined, joined[rows], dtype=np.float64) / 2
    return triangles, joined.sum(axis=1, dtype=np.float64).astype(np.int64)


def clustering_coefficients(triangles: NDArray[np.float64], degrees: NDArray[np.int64]) -> tuple[float, float]:
    """Return the mean over genes of the share of pairs of neighbours that are joined, and the share over all pairs.

    A gene with fewer than two neighbours counts as 0 in the mean.

    References
    ----------
    Watts and Strogatz 1998, Nature 393:440-442; transitivity: Newman, Watts and Strogatz 2002, Proc. Natl. Acad.
    Sci. 99:2566-2572.
    """
    pairs = degrees * (degrees - 1.0) / 2
    local = np.divide(triangles, pairs, out=np.zeros(pairs.size), where=pairs > 0)
    mean = float(local.mean()) if local.size else float("nan")
    return mean, float(triangles.sum() / pairs.sum()) if pairs.any() else 0.0


def _of_edges(network: Network) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    n = network.shape[0]
    rows, columns, _ = nonzero_entries(network)
    pattern = sp.csr_matrix((np.ones(rows.size, dtype=bool), (rows, columns)), shape=(n, n))
    upper = sp.triu(pattern + pattern.T, k=1, format="coo")
    degrees = np.bincount(np.concatenate([upper.row, upper.col]), minlength=n)
    graph = build_graph(n, upper.row, upper.col, directed=False)
    share = np.array(graph.transitivity_local_undirected(mode="zero"), dtype=np.float64)
    return np.round(share * degrees * (degrees - 1.0) / 2), degrees

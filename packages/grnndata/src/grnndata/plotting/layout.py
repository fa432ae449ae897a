"""The places of the nodes of a drawing."""

from __future__ import annotations

import networkx as nx
import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.sparse.csgraph import shortest_path


def node_positions(weights: sp.csr_matrix) -> NDArray[np.float64]:
    """Place nodes so that distances in the plane follow distances in the graph.

    Parameters
    ----------
    weights
        Symmetric, non-negative, shape (nodes, nodes); 0 = no edge.

    Returns
    -------
    numpy.ndarray
        Shape (nodes, 2), within [0, 1]; the same for the same input.

    References
    ----------
    Kamada and Kawai 1989, An algorithm for drawing general undirected graphs, Inf. Process. Lett. 31:7-15.
    """
    n = weights.shape[0]
    if n < 3:
        return np.column_stack([np.linspace(0.2, 0.8, n) if n > 1 else np.full(n, 0.5), np.full(n, 0.5)])
    distance = shortest_path(weights, directed=False, unweighted=True)
    finite = distance[np.isfinite(distance)]
    # Parts that are not connected stand a little further apart than the widest part is wide.
    distance[~np.isfinite(distance)] = finite.max() + 1
    graph: nx.Graph = nx.from_scipy_sparse_array(weights)
    placed = nx.kamada_kawai_layout(
        graph, dist={i: dict(enumerate(row)) for i, row in enumerate(distance.tolist())}, weight=None
    )
    return _fit(np.array([placed[i] for i in range(n)]))


def spread_boxes(
    centres: NDArray[np.float64],
    sizes: NDArray[np.float64],
    bounds: tuple[float, float],
    *,
    rounds: int = 400,
) -> NDArray[np.float64]:
    """Push boxes apart until they do not overlap, as far as there is room.

    Parameters
    ----------
    centres
        Shape (boxes, 2).
    sizes
        Width and height of every box in the same unit, shape (boxes, 2).
    bounds
        Width and height of the area, whose corner is (0, 0); boxes stay inside.
    rounds
        Largest number of passes over all pairs.

    Returns
    -------
    numpy.ndarray
        New centres, shape (boxes, 2); `centres` when nothing overlaps.
    """
    moved = centres.astype(np.float64, copy=True)
    half = sizes / 2
    reach = half[:, None] + half[None]
    lower, upper = half, np.maximum(half, np.asarray(bounds) - half)
    for _ in range(rounds):
        gap = moved[:, None] - moved[None]
        overlap = reach - np.abs(gap)
        np.einsum("iik->ik", overlap)[:] = 0
        touching = (overlap > 1e-9).all(axis=-1)
        if not touching.any():
            break
        # The shorter way out disturbs the picture least; boxes on one spot part by their order.
        axis = np.argmin(overlap, axis=-1)
        push = np.take_along_axis(overlap, axis[..., None], axis=-1)[..., 0] * touching / 2
        side = np.take_along_axis(gap, axis[..., None], axis=-1)[..., 0]
        index = np.arange(len(moved))
        sign = np.where(side == 0, np.where(index[:, None] > index[None], 1.0, -1.0), np.sign(side))
        step = np.stack([(push * sign * (axis == k)).sum(axis=1) for k in (0, 1)], axis=-1)
        crowd = np.maximum(1, touching.sum(axis=1))[:, None]
        moved = np.clip(moved + 1.05 * step / np.sqrt(crowd), lower, upper)
    return moved


def _fit(positions: NDArray[np.float64]) -> NDArray[np.float64]:
    low, high = positions.min(axis=0), positions.max(axis=0)
    return (positions - low) / np.maximum(high - low, 1e-12)

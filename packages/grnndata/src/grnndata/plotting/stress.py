"""The places of the nodes of a large drawing: each part by stress, the parts close together."""

from __future__ import annotations

import numpy as np
import scipy.linalg
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation, binary_fill_holes
from scipy.sparse.csgraph import connected_components, shortest_path
from scipy.sparse.linalg import eigsh
from scipy.spatial import cKDTree

# Lengths are pixels at scale 1.
_APART = 46.0  # usual distance of a node from the next one
_LEAST = 34.0
_CELL = 30.0  # of the grid on which parts of a network are put side by side
_WIDE = 1.4  # width of the whole, over its height


def packed_positions(n: int, ends: NDArray[np.integer]) -> NDArray[np.float64]:
    """Find a place for every node; parts of a graph that do not hang together stand side by side.

    Parameters
    ----------
    n
        Number of nodes.
    ends
        The two nodes of every edge, shape (edges, 2).

    Returns
    -------
    numpy.ndarray
        Shape (nodes, 2), in pixels; the same for the same input. O(nodes²) memory, and time times at most 150.
    """
    graph = sp.csr_matrix((np.ones(len(ends), np.float32), (ends[:, 0], ends[:, 1])), shape=(n, n))
    graph = sp.csr_matrix(graph + graph.T)
    _, part = connected_components(graph, directed=False)
    members = np.split(np.argsort(part, kind="stable"), np.cumsum(np.bincount(part))[:-1]) if n else []
    places = np.zeros((n, 2))
    taken = np.zeros((1, 1), dtype=bool)
    for at in sorted(members, key=lambda at: (-len(at), int(at[0]))):
        inner = sp.csr_matrix(graph[at][:, at])
        placed = _level(_spread(stress_positions(inner)))
        offset, taken = _find_room(placed, np.argwhere(inner.toarray()), taken)
        places[at] = placed + offset
    return places


def stress_positions(graph: sp.csr_matrix) -> NDArray[np.float64]:
    """Place the nodes of a connected graph so that distances in the plane follow those in the graph.

    Parameters
    ----------
    graph
        Symmetric, shape (nodes, nodes); 0 = no edge. Weights do not count.

    Returns
    -------
    numpy.ndarray
        Shape (nodes, 2), in pixels.

    References
    ----------
    Gansner, Koren and North 2005, Graph drawing by stress majorization, Graph Drawing 2004: 239-250: the
    iteration of section 2, and edges that are longer around nodes of many neighbours (section 5).
    """
    n = graph.shape[0]
    if n < 3:
        return np.column_stack([np.arange(n) * _APART * 1.5, np.zeros(n)])
    is_edge = (graph.toarray() > 0).astype(np.float64)
    degree = is_edge.sum(axis=1)
    # How many neighbours the two ends of an edge do not share.
    lengths = np.sqrt(degree[:, None] + degree[None] - 2 * is_edge @ is_edge) * is_edge
    distance = shortest_path(sp.csr_matrix(lengths), directed=False)
    places = _scaled(distance)
    np.fill_diagonal(distance, 1)
    weights = distance**-2
    np.fill_diagonal(weights, 0)
    solved = scipy.linalg.cho_factor(np.diag(weights.sum(axis=1)) - weights + 1 / n)
    for _ in range(int(np.clip(4e7 / n**2, 10, 150))):
        apart = np.hypot(*(places[:, None] - places[None]).transpose(2, 0, 1))
        np.fill_diagonal(apart, 1)
        pull = -weights * distance / np.maximum(apart, 1e-9)
        np.fill_diagonal(pull, -pull.sum(axis=1))
        places = scipy.linalg.cho_solve(solved, pull @ places)
    nearest = cKDTree(places).query(places, k=2)[0][:, 1]
    return np.asarray(places * _APART / max(float(np.median(nearest)), 1e-9))


def _scaled(distance: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return a start for the iteration: classical scaling, and noise that parts nodes which it puts on one spot."""
    n, rng = len(distance), np.random.default_rng(0)
    centred = distance**2
    centred -= centred.mean(axis=0)
    centred -= centred.mean(axis=1, keepdims=True)
    if n < 100:
        values, vectors = scipy.linalg.eigh(-centred / 2, subset_by_index=[n - 2, n - 1])
    else:
        values, vectors = eigsh(-centred / 2, k=2, which="LA", v0=rng.normal(size=n), tol=1e-3)
    # What sign a vector has is up to the library that finds it.
    vectors *= np.sign(vectors[np.abs(vectors).argmax(axis=0), [0, 1]])
    noise = rng.normal(size=(n, 2)) * distance.mean() / 10
    return np.asarray(vectors * np.sqrt(np.maximum(values, 0)) + noise)


def _spread(places: NDArray[np.float64]) -> NDArray[np.float64]:
    """Push nodes apart that are too close."""
    moved = places.copy()
    for _ in range(100):
        pairs = cKDTree(moved).query_pairs(_LEAST, output_type="ndarray")
        if not len(pairs):
            break
        gap = moved[pairs[:, 0]] - moved[pairs[:, 1]]
        length = np.linalg.norm(gap, axis=1, keepdims=True)
        push = gap / np.maximum(length, 1e-9) * (_LEAST * 1.02 - length) / 2
        np.add.at(moved, pairs[:, 0], push * 0.7)
        np.add.at(moved, pairs[:, 1], -push * 0.7)
    return moved


def _level(places: NDArray[np.float64]) -> NDArray[np.float64]:
    """Turn places so that they are wider than high, and start at 0."""
    centred = places - places.mean(axis=0)
    _, _, axes = np.linalg.svd(centred, full_matrices=False)
    turned = centred @ axes.T if len(axes) == 2 else centred
    return np.asarray(turned - turned.min(axis=0))


def _find_room(
    places: NDArray[np.float64], edges: NDArray[np.intp], taken: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Find the free room nearest to the middle of a drawing.

    Parameters
    ----------
    places
        Nodes of one part, shape (nodes, 2), from 0 on.
    edges
        Its edges, shape (edges, 2).
    taken
        Cells that hold other parts, an odd number of rows (y) and columns (x), the middle of the drawing in
        the middle.

    Returns
    -------
    numpy.ndarray
        What to add to `places`.
    numpy.ndarray
        Cells that are taken then.

    References
    ----------
    Freivalds, Dogrusoz and Kikusts 2002, Disconnected graph layout and the polyomino packing approach, Graph
    Drawing 2001: 378-391.
    """
    along = np.linspace(0, 1, 40)[:, None, None]
    dots = np.concatenate([places, (places[edges[:, 0]] * (1 - along) + places[edges[:, 1]] * along).reshape(-1, 2)])
    cells = (dots / _CELL).astype(int) + 1
    mask = np.zeros(cells.max(axis=0)[::-1] + 2, dtype=bool)
    mask[cells[:, 1], cells[:, 0]] = True
    mask = binary_fill_holes(binary_dilation(mask))

    room = np.pad(taken, [(size, size) for size in mask.shape])
    n_rows, n_columns = np.array(room.shape) - mask.shape + 1
    blocked = np.zeros((n_rows, n_columns), dtype=bool)
    for row, column in np.argwhere(mask):
        blocked |= room[row : row + n_rows, column : column + n_columns]
    rows, columns = np.nonzero(~blocked)
    middle = (np.array(room.shape) - mask.shape) / 2
    best = int(np.argmin(((rows - middle[0]) * _WIDE) ** 2 + (columns - middle[1]) ** 2))
    row, column = int(rows[best]), int(columns[best])
    room[row : row + mask.shape[0], column : column + mask.shape[1]] |= mask
    corner = np.array([column, row]) + 1 - np.array(room.shape[::-1]) / 2
    # Only what is taken, or the grid would grow with every part; as much on both sides, to keep the middle.
    spare = [int(min(used.argmax(), used[::-1].argmax())) for used in (room.any(axis=1), room.any(axis=0))]
    return corner * _CELL, room[tuple(slice(cut, size - cut) for cut, size in zip(spare, room.shape, strict=True))]

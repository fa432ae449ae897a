"""Which cells are near each other."""

from __future__ import annotations

import numpy as np


def nearest_cells(embedding: np.ndarray, groups: np.ndarray, n: int) -> np.ndarray:
    """Return the nearest other cells of each cell among those of its group.

    Parameters
    ----------
    embedding
        Coordinates of the cells, shape (n_cells, d).
    groups
        Number of the group of each cell, such as its data set, shape (n_cells,).
    n
        Number of neighbours.

    Returns
    -------
    numpy.ndarray
        Indices of cells, nearest first by Euclidean distance, -1 where a group has too few; int64, shape (n_cells, n).
    """
    from scipy.spatial import cKDTree

    out = np.full((len(embedding), n), -1, np.int64)
    for group in np.unique(groups):
        cells = np.flatnonzero(groups == group)
        k = min(n + 1, len(cells))
        if k < 2:
            continue
        found = cKDTree(embedding[cells]).query(embedding[cells], k=k)[1]
        # a cell is its own nearest, unless cells with the same coordinates are listed before it
        own = found == np.arange(len(cells))[:, None]
        own[~own.any(axis=1), -1] = True
        out[cells, : k - 1] = cells[found[~own].reshape(len(cells), k - 1)]
    return out

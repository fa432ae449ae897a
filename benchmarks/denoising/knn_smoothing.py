"""kNN-smoothing 2 (Wagner, Yan and Yanai 2018, bioRxiv 217737, version 3), after the paper's description."""

from __future__ import annotations

import math

import numpy as np
from scipy import sparse
from sklearn.decomposition import PCA
from sklearn.metrics import pairwise_distances


def knn_smoothing(
    counts: sparse.csr_matrix, k: int, *, n_components: int = 10, dither: float = 0.03, seed: int = 0
) -> sparse.csr_matrix:
    """Return the counts of each cell and its `k` nearest cells, added up, the nearest found in ever smoother counts.

    In each step the cells smoothed so far are scaled to their median depth, transformed by Freeman and Tukey's sum of
    square roots, and compared in principal components; then the raw counts of twice as many cells are added up.

    Parameters
    ----------
    counts
        Raw counts, shape (n_cells, n_genes).
    k
        Number of neighbours, below the number of cells.
    n_components
        Number of principal components.
    dither
        Share of each component's range that noise on it spans, so that smoothed cells do not lie on top of each other.
    seed
        Seed for the noise.
    """
    rng = np.random.default_rng(seed)
    smoothed = counts
    steps = math.ceil(math.log2(k + 1))
    for step in range(1, steps + 1):
        total = np.asarray(smoothed.sum(axis=1)).ravel().astype(np.float64)
        scaled = (sparse.diags_array(np.median(total) / np.maximum(total, 1)) @ smoothed).toarray().astype(np.float32)
        values = np.sqrt(scaled) + np.sqrt(scaled + 1)
        points = PCA(min(n_components, min(values.shape) - 1), random_state=seed).fit_transform(values)
        points += (rng.random(points.shape) - 0.5) * np.ptp(points, axis=0) * dither
        distances = pairwise_distances(points)
        np.fill_diagonal(distances, -1.0)  # a cell is the nearest to itself
        n = min(2**step - 1, k) + 1
        nearest = np.argsort(distances, axis=1, kind="stable")[:, :n]
        cells = np.repeat(np.arange(len(points)), n)
        taken = sparse.csr_matrix((np.ones(len(cells)), (cells, nearest.ravel())), shape=(len(points), len(points)))
        smoothed = sparse.csr_matrix(taken @ counts)
    return smoothed

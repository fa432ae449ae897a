"""Weighted random sampling with replacement, by groups of cells that share all their labels."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np


def group_weights(counts: np.ndarray, scale: float) -> np.ndarray:
    """Return the chance of drawing each group: proportional to s·n / (n + s) for a group of n cells.

    So every cell of a group has weight s / (n + s): rare groups are drawn up to s times more often than their share,
    common ones hardly. s → 0 draws all groups alike, s → ∞ all cells alike.

    Parameters
    ----------
    counts
        Number of cells in each group, shape (n_groups,).
    scale
        s, 50 in the paper.

    References
    ----------
    Kalfon et al. 2025, Methods, "Optimization method".
    """
    if scale <= 0:
        raise ValueError(f"scale={scale} must be positive")
    n = np.asarray(counts, dtype=np.float64)
    weights = scale * n / (n + scale)
    return weights / weights.sum()


class WeightedSampler:
    """Draws cell indices with replacement; a group is drawn by its weight, then a cell in it uniformly.

    Parameters
    ----------
    labels
        Integer labels, shape (n_cells, n_columns); cells with the same row form a group.
    scale
        See `group_weights`.
    n_draws
        Cells per epoch.
    seed
        Epoch e draws from (seed, e), so each epoch differs and a run can be repeated.
    """

    def __init__(self, labels: np.ndarray, *, scale: float = 50, n_draws: int, seed: int = 0) -> None:
        if len(labels) == 0:
            raise ValueError("there are no cells to draw from")
        _, group, counts = np.unique(labels, axis=0, return_inverse=True, return_counts=True)
        self._order = np.argsort(group.ravel(), kind="stable")
        self._counts = counts
        self._begin = np.concatenate([[0], np.cumsum(counts)[:-1]])
        self._weights = group_weights(counts, scale)
        self._n_draws = n_draws
        self._seed = seed
        self.epoch = 0

    def __len__(self) -> int:
        return self._n_draws

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch whose draws come next."""
        self.epoch = epoch

    def __iter__(self) -> Iterator[int]:
        rng = np.random.default_rng([self._seed, self.epoch])
        groups = rng.choice(len(self._counts), size=self._n_draws, p=self._weights)
        within = (rng.random(self._n_draws) * self._counts[groups]).astype(np.int64)
        yield from self._order[self._begin[groups] + within].tolist()

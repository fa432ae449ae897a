"""How near profiles of cells are to counts that were taken away, cell by cell."""

from __future__ import annotations

import numpy as np
from scipy.special import gammaln
from scipy.stats import rankdata

#: Shares of the mean profile that a profile may be mixed with, so that no gene is impossible.
SHARES = (0.003, 0.01, 0.03, 0.1, 0.2, 0.4, 0.7, 1.0)


def over_all_genes(truth: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Return the Spearman correlation of each cell over all of the genes."""
    ranks = [(rankdata(t), rankdata(v)) for t, v in zip(truth, values, strict=True)]
    return np.array([np.corrcoef(t, v)[0, 1] if np.ptp(v) and np.ptp(t) else 0.0 for t, v in ranks])


def log_likelihood(
    removed: np.ndarray, values: np.ndarray, depth: np.ndarray, mean: np.ndarray
) -> tuple[np.ndarray, float]:
    """Return the Poisson log likelihood of each cell's removed counts, in nats a count, and the share mixed in.

    Each cell's profile is scaled to the depth that the removed counts are expected to have. Methods say of many genes
    that they are not expressed at all, and one count of such a gene would make a cell impossible: the same share of the
    mean profile is mixed in for all cells, the one of `SHARES` that suits the method best.

    Parameters
    ----------
    removed
        Removed counts, shape (B, S).
    values
        Profiles on any scale, shape (B, S); a cell of zeros alone has the mean profile.
    depth
        Expected sum of the removed counts of each cell, (B,).
    mean
        Mean profile, shape (S,).
    """
    values = np.maximum(values, 0)
    total = values.sum(axis=1, keepdims=True)
    profile = np.where(total > 0, values / np.where(total > 0, total, 1), mean / mean.sum())
    n = np.maximum(removed.sum(axis=1), 1)
    best: tuple[np.ndarray, float] | None = None
    for share in SHARES:
        rate = ((1 - share) * profile + share * mean / mean.sum()) * depth[:, None]
        logs = np.log(np.maximum(rate, 1e-12))
        found = (removed * logs - rate - gammaln(removed + 1)).sum(axis=1) / n
        if best is None or found.mean() > best[0].mean():
            best = found, share
    assert best is not None  # noqa: S101 (SHARES is not empty)
    return best

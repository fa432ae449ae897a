"""Measure how far confidences are from the share that is right, and how far chance alone would take them."""

from __future__ import annotations

import numpy as np

from scprint_model.intervals import REPLICATES


def bins_of(confidence: np.ndarray, bins: int) -> np.ndarray:
    """Return the bin of each confidence, (B,), of so many that are equally wide."""
    return np.clip(np.searchsorted(np.arange(bins + 1) / bins, confidence, side="right") - 1, 0, bins - 1)


def calibration_error(
    confidence: np.ndarray, right: np.ndarray, bins: int = 10, seed: int = 0
) -> tuple[float, tuple[float, float]]:
    """Return the expected calibration error, and what it is where the confidence is the chance to be right.

    The latter is the mean and the 95 % quantile over draws (consistency resampling: Broecker and Smith, Weather and
    Forecasting 22:651, 2007). Cells are put in the order of their confidence: their place in the file changes nothing.
    All are NaN without cells.

    Parameters
    ----------
    confidence
        Chance that each label is right, by the method itself, (B,).
    right
        Whether each label is right, (B,) bool.
    bins
        Number of bins of the confidence, equally wide.
    seed
        Seed for the draws.
    """
    if not len(confidence):
        return float("nan"), (float("nan"), float("nan"))
    order = np.argsort(confidence, kind="stable")
    confidence, right = confidence[order], right[order]
    at = bins_of(confidence, bins)
    starts = np.flatnonzero(np.diff(at, prepend=-1))
    rng = np.random.default_rng(seed)
    drawn = np.array(
        [
            np.abs(np.add.reduceat(confidence - (rng.random(len(confidence)) < confidence), starts)).sum()
            for _ in range(REPLICATES)
        ]
    )
    error = float(np.abs(np.add.reduceat(confidence - right, starts)).sum() / len(confidence))
    return error, (float(drawn.mean() / len(confidence)), float(np.quantile(drawn, 0.95) / len(confidence)))

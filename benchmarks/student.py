"""Means of few numbers with intervals by Student's t."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import t


def mean_with_ends(values: ArrayLike) -> tuple[float, float, float]:
    """Return the mean of some numbers and the ends of its 95 % interval, which are NaN of a single number."""
    numbers = np.asarray(values, dtype=float)
    mean, n = float(numbers.mean()), len(numbers)
    half = float(t.ppf(0.975, n - 1) * numbers.std(ddof=1) / math.sqrt(n)) if n > 1 else math.nan
    return mean, mean - half, mean + half

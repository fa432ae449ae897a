"""The k strongest values of an array, the same ones every time."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def strongest(values: NDArray[Any], k: int | None) -> NDArray[np.intp]:
    """Return the positions of the `k` values largest in absolute value, strongest first.

    Equal values are taken in order of position, so the answer never depends on the sorting algorithm.

    Parameters
    ----------
    values
        One-dimensional, finite, shape (n,).
    k
        How many; all when None or larger than n.

    Returns
    -------
    numpy.ndarray
        Positions, shape (min(k, n),). O(n + k log k).

    Raises
    ------
    ValueError
        When `k` is not a positive whole number.
    """
    if k is not None:
        check_count(k, "k")
    size = np.abs(values)
    if k is None or k >= size.size:
        return np.argsort(-size, kind="stable")
    cut = np.partition(size, size.size - k)[size.size - k]
    above = np.flatnonzero(size > cut)
    tied = np.flatnonzero(size == cut)[: k - above.size]
    kept = np.sort(np.concatenate([above, tied]))
    return kept[np.argsort(-size[kept], kind="stable")]


def check_count(value: int, name: str) -> None:
    """Raise ValueError unless a number is a positive whole number."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 1:
        raise ValueError(f"{name} must be a positive whole number, got {value!r}")

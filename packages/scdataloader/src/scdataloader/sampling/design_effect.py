"""The randomness of a sampler's batches, compared with independent draws."""

from __future__ import annotations

from typing import Protocol

import numpy as np


class _Sequence(Protocol):
    def __len__(self) -> int: ...

    def indices(self, begin: int, end: int) -> np.ndarray: ...


def design_effect(
    sampler: _Sequence, labels: np.ndarray, batch_size: int, *, n_batches: int = 2000, seed: int = 0
) -> float:
    """Return the variance of a batch's label frequencies, as a multiple of that of independent draws.

    1 for independent draws; `batch_size` where all cells of a batch have the same label. A batch is worth as many
    independent cells as its size over this number, as far as the label goes.

    Parameters
    ----------
    sampler
        Sampler to measure, in its present epoch.
    labels
        Codes of the cells, not negative; shape (n_cells,).
    batch_size
        Cells a batch.
    n_batches
        Full batches to look at, at random places of the epoch; all when there are fewer.
    seed
        Seed for these places.

    Raises
    ------
    ValueError
        When the epoch has fewer than two full batches, or all cells seen have the same label.

    References
    ----------
    Kish 1965, Survey Sampling, 8.2 ("design effect"); summed over labels, each compared with p(1 - p) / batch_size.
    """
    available = len(sampler) // batch_size
    if available < 2:
        raise ValueError(f"an epoch of {len(sampler)} draws has fewer than two batches of {batch_size}")
    chosen = np.arange(available)
    if n_batches < available:
        chosen = np.sort(np.random.default_rng(seed).choice(available, n_batches, replace=False))
    _, codes = np.unique(labels, return_inverse=True)
    n_labels = int(codes.max()) + 1
    total, squares = np.zeros(n_labels), np.zeros(n_labels)
    for batch in chosen.tolist():
        cells = sampler.indices(batch * batch_size, (batch + 1) * batch_size)
        frequency = np.bincount(codes[cells], minlength=n_labels) / batch_size
        total += frequency
        squares += frequency**2
    mean = total / len(chosen)
    variance = (squares - len(chosen) * mean**2) / (len(chosen) - 1)
    independent = mean * (1 - mean) / batch_size
    if not independent.sum() > 0:
        raise ValueError("all cells seen have the same label: there is nothing to compare")
    return float(variance.sum() / independent.sum())

"""All cells in their order."""

from __future__ import annotations

import numpy as np

from scdataloader.sampling.pool import PoolSampler


class SequentialSampler(PoolSampler):
    """Gives each cell once, in the order of the pool; the same in every epoch.

    Parameters
    ----------
    cells
        How many, or which; see `PoolSampler`.
    """

    def __init__(self, cells: int | np.ndarray) -> None:
        super().__init__(cells)

    def _places(self, begin: int, end: int) -> np.ndarray:
        return np.arange(begin, end)

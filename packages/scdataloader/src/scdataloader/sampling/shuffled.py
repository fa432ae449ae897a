"""Each cell exactly once an epoch, in random order."""

from __future__ import annotations

import numpy as np

from scdataloader.sampling.pool import PoolSampler


class ShuffledSampler(PoolSampler):
    """Gives each cell exactly once an epoch, in an order of the epoch's own that takes no memory.

    Parameters
    ----------
    cells
        How many, or which; see `PoolSampler`.
    seed
        Of the order; see `scdataloader.sampling.feistel`.
    """

    def __init__(self, cells: int | np.ndarray, *, seed: int = 0) -> None:
        super().__init__(cells, seed=seed)

    def _places(self, begin: int, end: int) -> np.ndarray:
        from scdataloader.sampling.feistel import permuted, round_keys

        out = np.empty(end - begin, np.int64)
        permuted(round_keys(self.seed, self.epoch), self._n, begin, out)
        return out

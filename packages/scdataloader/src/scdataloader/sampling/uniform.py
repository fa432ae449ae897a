"""Uniform draws with replacement."""

from __future__ import annotations

import numpy as np

from scdataloader.sampling.pool import PoolSampler


class UniformSampler(PoolSampler):
    """Draws each cell with the same chance every time, whatever was drawn before.

    Parameters
    ----------
    cells
        How many, or which; see `PoolSampler`.
    n_draws
        Cells per epoch; by default as many as there are.
    seed
        Of the draws; see `scdataloader.sampling.philox`.
    """

    def _places(self, begin: int, end: int) -> np.ndarray:
        from scdataloader.sampling.drawing import key_of, uniform

        out = np.empty(end - begin, np.int64)
        uniform(key_of(self.seed), self.epoch, begin, self._n, out)
        return out

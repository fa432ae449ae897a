"""Every n-th draw of a sampler: a rank's share where ranks need not have as many batches."""

from __future__ import annotations

from typing import Any

import numpy as np

from scdataloader.sampling.sampler import Sampler


class Interleaved(Sampler):
    """Gives draws rank, rank + world_size, and so on, of another sampler: all ranks together give each draw once.

    Ranks may differ by one draw, so it is for evaluation; where ranks exchange gradients, use `Share`.

    Parameters
    ----------
    sampler
        Whole sequence.
    rank, world_size
        Which share, and of how many.
    """

    def __init__(self, sampler: Sampler, rank: int, world_size: int) -> None:
        if not 0 <= rank < world_size:
            raise ValueError(f"rank={rank} must lie between 0 and world_size - 1 = {world_size - 1}")
        super().__init__(len(range(rank, len(sampler), world_size)), sampler.seed)
        self.sampler, self.rank, self.world_size = sampler, rank, world_size

    def positions(self, begin: int, end: int) -> np.ndarray:
        """Return the places of draws `begin` to `end` of this share in the sampler's sequence; int64."""
        return self.rank + self.world_size * np.arange(begin, end)

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch whose draws come next."""
        super().set_epoch(epoch)
        self.sampler.set_epoch(epoch)

    def _draw(self, begin: int, end: int) -> np.ndarray:
        if begin == end:
            return np.empty(0, np.int64)
        first = self.rank + self.world_size * begin
        return self.sampler.indices(first, self.rank + self.world_size * (end - 1) + 1)[:: self.world_size]

    def _config(self) -> dict[str, Any]:
        return {"sampler": self.sampler.fingerprint, "share": [self.rank, self.world_size]}

"""Which part of a sampler's sequence is a rank's."""

from __future__ import annotations

import numpy as np

from scdataloader.sampling.sampler import Sampler


class Share:
    """A rank's share of an epoch, as a sequence of its own: batches rank, rank + world_size, and so on.

    All ranks have as many batches, as ranks must that exchange gradients, and together they have the whole sequence.
    It is a sampler for `scdataloader.StoreLoader`.

    Parameters
    ----------
    sampler
        The whole sequence.
    batch_size
        Draws a batch.
    rank, world_size
        Which share, of how many.
    start
        The first batch that is shared out: the ones before were drawn before the run was continued.
    drop_last
        Leave out the end of the epoch that does not give every rank a full batch. Else, unless only the last rank's
        batch lacks some, it is parted among the ranks in smaller batches of one size; where fewer draws than ranks are
        left, ranks repeat the last one.
    """

    def __init__(
        self,
        sampler: Sampler,
        batch_size: int,
        *,
        rank: int = 0,
        world_size: int = 1,
        start: int = 0,
        drop_last: bool = False,
    ) -> None:
        if batch_size < 1:
            raise ValueError(f"batch_size={batch_size} must be at least 1")
        if not 0 <= rank < world_size:
            raise ValueError(f"rank={rank} must lie between 0 and world_size - 1 = {world_size - 1}")
        if start < 0:
            raise ValueError(f"start={start} must not be negative")
        self.sampler, self.batch_size = sampler, batch_size
        self.rank, self.world_size = rank, world_size
        self.start, self.drop_last = start, drop_last

    @property
    def _full(self) -> int:
        """Batches of full size."""
        return max(len(self.sampler) // self.batch_size - self.start, 0) // self.world_size

    @property
    def _rest(self) -> tuple[int, int]:
        """Where the end of the epoch begins and ends that does not give every rank a full batch."""
        begin = (self.start + self._full * self.world_size) * self.batch_size
        return begin, begin if self.drop_last else max(len(self.sampler), begin)

    @property
    def n_batches(self) -> int:
        """Batches of this rank, as many as of the others."""
        begin, end = self._rest
        return self._full + (end > begin)

    def span(self, batch: int) -> tuple[int, int]:
        """Return where a batch of this rank begins and ends in the sampler's sequence."""
        if not 0 <= batch < self.n_batches:
            raise IndexError(f"there is no batch {batch} of {self.n_batches}")
        if batch < self._full:
            begin = (self.start + batch * self.world_size + self.rank) * self.batch_size
            return begin, begin + self.batch_size
        begin, end = self._rest
        n = end - begin
        if n > (self.world_size - 1) * self.batch_size:
            begin += self.rank * self.batch_size
            return begin, min(begin + self.batch_size, end)
        if n < self.world_size:
            begin += min(self.rank, n - 1)
            return begin, begin + 1
        return begin + n * self.rank // self.world_size, begin + n * (self.rank + 1) // self.world_size

    def __len__(self) -> int:
        if self.n_batches == self._full:
            return self._full * self.batch_size
        begin, end = self.span(self._full)
        return self._full * self.batch_size + end - begin

    @property
    def epoch(self) -> int:
        """The epoch whose draws come next."""
        return self.sampler.epoch

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch whose draws come next."""
        self.sampler.set_epoch(epoch)

    def positions(self, begin: int, end: int) -> np.ndarray:
        """Return the places of draws `begin` to `end` of this share in the sampler's sequence; int64."""
        parts = [np.arange(*span) for span in self._spans(begin, end)]
        return np.concatenate(parts) if parts else np.empty(0, np.int64)

    def indices(self, begin: int, end: int) -> np.ndarray:
        """Return draws `begin` to `end` of this share, indices of cells; int64."""
        parts = [self.sampler.indices(*span) for span in self._spans(begin, end)]
        return np.concatenate(parts) if parts else np.empty(0, np.int64)

    def _spans(self, begin: int, end: int) -> list[tuple[int, int]]:
        if not 0 <= begin <= end <= len(self):
            raise ValueError(f"draws {begin} to {end} are not among the {len(self)} of this share")
        out = []
        while begin < end:
            batch, inside = divmod(begin, self.batch_size)
            first, last = self.span(batch)
            n = min(end - begin, last - first - inside)
            out.append((first + inside, first + inside + n))
            begin += n
        return out

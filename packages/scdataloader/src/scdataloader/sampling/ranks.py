"""Ranks: which one this process is, and which part of a sampler's sequence is its own."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from scdataloader.sampling.sampler import Sampler


@dataclass(frozen=True)
class Place:
    """The rank and the epoch of this process: those given, else those of ``torch.distributed``, else of a trainer.

    Parameters
    ----------
    rank, world_size
        Rank of this process, and number of ranks; None: see above, and 0 of 1 where nobody knows.
    trainer
        Returns the trainer, or None where there is none.

    Raises
    ------
    ValueError
        When only one of `rank` and `world_size` is given, or they do not fit together.
    """

    rank: int | None = None
    world_size: int | None = None
    trainer: Callable[[], Any] = lambda: None

    def __post_init__(self) -> None:
        if (self.rank is None) != (self.world_size is None):
            raise ValueError(f"rank={self.rank} and world_size={self.world_size}: give both, or none")
        if self.rank is not None and self.world_size is not None and not 0 <= self.rank < self.world_size:
            raise ValueError(f"rank={self.rank} must lie between 0 and world_size - 1 = {self.world_size - 1}")

    @property
    def ranks(self) -> tuple[int, int]:
        """Rank of this process, and number of ranks."""
        if self.rank is not None and self.world_size is not None:
            return self.rank, self.world_size
        torch = sys.modules.get("torch")  # where it was never imported, nobody has started ranks with it
        if torch is not None and torch.distributed.is_available() and torch.distributed.is_initialized():
            return int(torch.distributed.get_rank()), int(torch.distributed.get_world_size())
        trainer = self.trainer()
        return (0, 1) if trainer is None else (int(trainer.global_rank), int(trainer.world_size))

    @property
    def epoch(self) -> int | None:
        """The epoch that the trainer is in; None without a trainer, where loaders count themselves."""
        trainer = self.trainer()
        return None if trainer is None else int(trainer.current_epoch)


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
        Rank whose share it is, and number of ranks.
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
        """Begin and end of the rest of the epoch that does not give every rank a full batch."""
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

    def round_start(self, begin: int) -> int:
        """Return the place in the sampler's sequence where the batches begin that ranks take beside draw `begin`."""
        return (self.start + begin // self.batch_size * self.world_size) * self.batch_size

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


class Interleaved(Sampler):
    """Gives draws rank, rank + world_size, and so on, of another sampler: all ranks together give each draw once.

    Ranks may differ by one draw, so it is for evaluation; where ranks exchange gradients, use `Share`.

    Parameters
    ----------
    sampler
        Whole sequence.
    rank, world_size
        Rank whose draws are given, and number of ranks.
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

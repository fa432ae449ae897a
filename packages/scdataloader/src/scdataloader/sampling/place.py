"""Where in a run a loader is: which rank of how many, and which epoch. Every loader asks here."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Place:
    """Says the rank and the epoch: what was given, else what ``torch.distributed`` says, else a Lightning trainer.

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
        """The epoch that the trainer is in; None where there is no trainer, and loaders count themselves."""
        trainer = self.trainer()
        return None if trainer is None else int(trainer.current_epoch)

"""All samplers share this: any part of an epoch's sequence of cells is a pure function of the seed and the epoch."""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any

import numpy as np

#: Draws made at a time when a sampler is iterated.
_CHUNK = 4096


class Sampler(ABC):
    """A sequence of cells for each epoch.

    Nothing depends on what was drawn before, so ranks, workers and threads can each compute their part and make the
    same sequence together, and a run can be continued anywhere.

    Parameters
    ----------
    n_draws
        Length of an epoch.
    seed
        Seed for the draws, not negative.

    Attributes
    ----------
    epoch
        The epoch whose draws come next; set it with `set_epoch`.
    """

    def __init__(self, n_draws: int, seed: int = 0) -> None:
        if n_draws < 0:
            raise ValueError(f"n_draws={n_draws} must not be negative")
        if seed < 0:
            raise ValueError(f"seed={seed} must not be negative")
        self._n_draws = int(n_draws)
        self.seed = int(seed)
        self.epoch = 0
        self._next = 0
        self._resumed = False

    @abstractmethod
    def _draw(self, begin: int, end: int) -> np.ndarray:
        """Return draws `begin` to `end` of the epoch, which exist."""

    @abstractmethod
    def _config(self) -> dict[str, Any]:
        """Return all that decides the draws but the seed and the epoch, as JSON would have it."""

    def __len__(self) -> int:
        return self._n_draws

    def indices(self, begin: int, end: int) -> np.ndarray:
        """Return draws `begin` to `end` of this epoch.

        Returns
        -------
        numpy.ndarray
            Indices of cells; int64, shape (end - begin,).
        """
        if not 0 <= begin <= end <= len(self):
            raise ValueError(f"draws {begin} to {end} are not among the {len(self)} of an epoch")
        return self._draw(begin, end)

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch whose draws come next: without it, every iteration gives the same."""
        if not 0 <= epoch < 2**32:
            raise ValueError(f"epoch={epoch} must lie between 0 and 2^32 - 1")
        if epoch != self.epoch:
            self._next, self._resumed = 0, False
        self.epoch = int(epoch)

    @cached_property
    def fingerprint(self) -> str:
        """A short hash of the sampler's kind, settings and cells: all that decides the draws but seed and epoch."""
        return fingerprint({"kind": type(self).__name__, "n_draws": len(self), **self._config()})

    def state_dict(self) -> dict[str, Any]:
        """Return the place in the run: after the last cell that iteration gave."""
        return {"seed": self.seed, "epoch": self.epoch, "next": self._next, "fingerprint": self.fingerprint}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from a `state_dict` at the next iteration, with its seed.

        Raises
        ------
        ValueError
            When the state is that of other cells or settings.
        """
        check_fingerprint(state["fingerprint"], self.fingerprint)
        self.seed = int(state["seed"])
        self.set_epoch(int(state["epoch"]))
        self._next, self._resumed = int(state["next"]), True

    def __iter__(self) -> Iterator[int]:
        begin = self._next if self._resumed else 0
        self._next, self._resumed = begin, False
        for first in range(begin, len(self), _CHUNK):
            for cell in self.indices(first, min(first + _CHUNK, len(self))).tolist():
                self._next += 1
                yield cell
        self._next = 0


def fingerprint(config: Mapping[str, Any]) -> str:
    """Return a hash of 16 hexadecimal digits."""
    text = json.dumps(config, sort_keys=True).encode()
    return hashlib.blake2b(text, digest_size=8).hexdigest()


def fingerprint_of_array(array: np.ndarray) -> str:
    """Return a hash of an array's values, type and shape; 16 hexadecimal digits."""
    digest = hashlib.blake2b(f"{array.dtype.str}{array.shape}".encode(), digest_size=8)
    digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def check_fingerprint(theirs: str, ours: str) -> None:
    """Raise unless a state is that of the sampler it is loaded into."""
    if theirs != ours:
        raise ValueError(
            f"the state has fingerprint {theirs}, this sampler {ours}: the cells, their groups or weights, or a "
            "setting such as the batch size has changed, so the run cannot be continued; start a new one, or restore "
            "what the state was saved with"
        )

"""Tell how far a benchmark is, and how long it will still take."""

from __future__ import annotations

import time
from collections.abc import Sequence

from bengrn.benchmarking.grid import Planned
from bengrn.effort import duration


class Progress:
    """Count of the networks that are done, with an estimate of the time left.

    What is left is expected to take as long for each network as what this run has done.

    Parameters
    ----------
    todo
        Jobs that are to be done.
    n_before
        Number of jobs that earlier runs have done.
    """

    def __init__(self, todo: Sequence[Planned], n_before: int) -> None:
        self._n_todo, self._n_before, self._n_now = len(todo), n_before, 0
        self._started = time.monotonic()
        self._last = ""

    def finished(self, one: Planned) -> None:
        """Note that a job is done."""
        self._n_now += 1
        told = one.columns
        self._last = ", ".join(filter(None, (told["label"], told["dataset"], told["group"], told["replicate"])))

    def __str__(self) -> str:
        """Return this in a line."""
        n_left = self._n_todo - self._n_now
        seconds = (time.monotonic() - self._started) / max(1, self._n_now) * n_left
        left = f", about {duration(seconds)} left" if n_left else ""
        n, n_all = self._n_before + self._n_now, self._n_before + self._n_todo
        return f"{n:,} of {n_all:,} networks done{left} ({self._last})"

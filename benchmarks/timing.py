"""Median times of functions that take turns, so that a busy moment of the machine hits all of them."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable


def medians(
    functions: dict[str, Callable[[], object]], *, repeats: int, clock: Callable[[], float] = time.perf_counter
) -> dict[str, float]:
    """Return the median seconds of each function, called in turn `repeats` times after one unmeasured round.

    With ``clock=time.process_time`` these are seconds of all processors together, which other work of the machine
    changes less.
    """
    times: dict[str, list[float]] = {name: [] for name in functions}
    for turn in range(repeats + 1):
        for name, function in functions.items():
            started = clock()
            function()
            if turn:
                times[name].append(clock() - started)
    return {name: statistics.median(values) for name, values in times.items()}

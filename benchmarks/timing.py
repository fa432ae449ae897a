"""Median times of functions that take turns, so that a busy moment of the machine hits all of them."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable


def medians(functions: dict[str, Callable[[], object]], *, repeats: int) -> dict[str, float]:
    """Return the median seconds of each function, called in turn `repeats` times after one unmeasured round."""
    times: dict[str, list[float]] = {name: [] for name in functions}
    for turn in range(repeats + 1):
        for name, function in functions.items():
            started = time.perf_counter()
            function()
            if turn:
                times[name].append(time.perf_counter() - started)
    return {name: statistics.median(values) for name, values in times.items()}

"""Random numbers that are a pure function of (seed, position of the draw), compiled.

The generator is SplitMix64 (Steele, Lea & Flood 2014, OOPSLA, "Fast splittable pseudorandom number generators"),
started anew for each position: no thread, worker or batch border changes what a cell gets.
"""

from __future__ import annotations

import numba
import numpy as np

from scdataloader.splitmix import STEP, mix

_32 = np.uint64(32)


@numba.njit(nogil=True, cache=True)
def start(seed: np.uint64, position: int) -> np.uint64:
    """Return the state of the generator of one draw."""
    return mix(mix(np.uint64(seed) + STEP) ^ (np.uint64(position) * STEP))


@numba.njit(nogil=True, cache=True, inline="always")
def below(state: np.uint64, limit: int) -> tuple[np.uint64, int]:
    """Return the next state and a whole number from 0 to `limit` - 1 (below 2^31, its bias under 2^-32 · limit)."""
    state += STEP
    number: int = np.int64(((mix(state) >> _32) * np.uint64(limit)) >> _32)  # type: ignore[assignment]
    return state, number


@numba.njit(nogil=True, cache=True)
def choose_in_place(state: np.uint64, genes: np.ndarray, counts: np.ndarray, n: int, size: int) -> np.uint64:
    """Keep `size` of the first `n` entries of both arrays, each subset as likely, in their order.

    Selection sampling (Knuth, The Art of Computer Programming 2, 3.4.2, algorithm S).
    """
    kept = 0
    for j in range(n):
        state, number = below(state, n - j)
        genes[kept] = genes[j]
        counts[kept] = counts[j]
        kept += number < size - kept
        if kept == size:
            break
    return state

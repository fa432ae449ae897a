"""The scrambling of SplitMix64, compiled: for random numbers that are a pure function of where they are drawn.

References
----------
Steele, Lea & Flood 2014, OOPSLA, "Fast splittable pseudorandom number generators".
"""

from __future__ import annotations

import numba
import numpy as np

#: What the generator's state grows by from number to number.
STEP = np.uint64(0x9E3779B97F4A7C15)
_FIRST, _SECOND = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_30, _27, _31 = np.uint64(30), np.uint64(27), np.uint64(31)


@numba.njit(nogil=True, cache=True, inline="always")
def mix(value: np.uint64) -> np.uint64:
    """Scramble 64 bits, one to one."""
    value = (value ^ (value >> _30)) * _FIRST
    value = (value ^ (value >> _27)) * _SECOND
    return value ^ (value >> _31)

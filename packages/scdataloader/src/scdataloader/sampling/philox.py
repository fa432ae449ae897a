"""Random bits that are a pure function of (seed, epoch, position of the draw), compiled.

The generator is Philox4x32-10: ten rounds scramble a counter of 128 bits under a key of 64. It passes
TestU01's BigCrush and needs no state, so any draw can be made by itself, in any order, by any thread.

References
----------
Salmon et al. 2011, SC '11, "Parallel random numbers: as easy as 1, 2, 3".
"""

from __future__ import annotations

import numba
import numpy as np

_FIRST, _SECOND = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
_FIRST_STEP, _SECOND_STEP = np.uint64(0x9E3779B9), np.uint64(0xBB67AE85)
_LOW, _32 = np.uint64(0xFFFFFFFF), np.uint64(32)
ROUNDS = 10


@numba.njit(nogil=True, cache=True, inline="always")
def bits(key: np.uint64, position: np.uint64, epoch: np.uint64, attempt: np.uint64) -> tuple[np.uint64, np.uint64]:
    """Return two random numbers of 64 bits; `epoch` and `attempt` are below 2^32."""
    a, b = position & _LOW, position >> _32
    c, d = epoch, attempt
    first_key, second_key = key & _LOW, key >> _32
    for _ in range(ROUNDS):
        first, second = _FIRST * a, _SECOND * c
        a, b = (second >> _32) ^ b ^ first_key, second & _LOW
        c, d = (first >> _32) ^ d ^ second_key, first & _LOW
        first_key = (first_key + _FIRST_STEP) & _LOW
        second_key = (second_key + _SECOND_STEP) & _LOW
    return (b << _32) | a, (d << _32) | c


@numba.njit(nogil=True, cache=True, inline="always")
def below(number: np.uint64, limit: np.uint64) -> np.uint64:
    """Return the upper 64 bits of ``number * limit``: random bits as a whole number from 0 to `limit` - 1.

    No number's chance is further than 2^-64 from 1 / `limit`: the bias is below 2^-32 for limits up to 2^32.
    """
    low, high = number & _LOW, number >> _32
    limit_low, limit_high = limit & _LOW, limit >> _32
    middle = high * limit_low + ((low * limit_low) >> _32)
    other = low * limit_high + (middle & _LOW)
    return high * limit_high + (middle >> _32) + (other >> _32)

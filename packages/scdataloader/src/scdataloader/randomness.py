"""Random numbers that are a pure function of the seed and of where they are drawn, compiled.

No thread, worker, rank or batch border changes what a draw gives, and any draw can be made by itself. Two generators:

SplitMix64 is the fastest; it makes the many numbers of one cell (which genes), started anew for each position, and the
random functions of an order. Where a cell shall look the same wherever it lies, its position is a key made of its
counts, and each gene has a number of its own.

Philox4x32-10, ten rounds that scramble a counter of 128 bits under a key of 64, passes TestU01's BigCrush and needs no
state; it makes the draws of cells, one of each a position.

References
----------
Steele, Lea & Flood 2014, OOPSLA, "Fast splittable pseudorandom number generators".
Salmon et al. 2011, SC '11, "Parallel random numbers: as easy as 1, 2, 3".
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

#: What the generator's state grows by from number to number.
STEP = np.uint64(0x9E3779B97F4A7C15)
_FIRST_MIX, _SECOND_MIX = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_30, _27, _31, _32 = np.uint64(30), np.uint64(27), np.uint64(31), np.uint64(32)


@numba.njit(nogil=True, cache=True, inline="always")
def mix(value: np.uint64) -> np.uint64:
    """Scramble 64 bits, one to one."""
    value = (value ^ (value >> _30)) * _FIRST_MIX
    value = (value ^ (value >> _27)) * _SECOND_MIX
    return value ^ (value >> _31)


@numba.njit(nogil=True, cache=True)
def start(seed: np.uint64, position: int) -> np.uint64:
    """Return the state of the generator of one draw."""
    return mix(mix(np.uint64(seed) + STEP) ^ (np.uint64(position) * STEP))


@numba.njit(nogil=True, cache=True, inline="always")
def next_below(state: np.uint64, limit: int) -> tuple[np.uint64, int]:
    """Return the next state and a whole number from 0 to `limit` - 1 (below 2^31, its bias under 2^-32 · limit)."""
    state += STEP
    number: int = np.int64(((mix(state) >> _32) * np.uint64(limit)) >> _32)  # type: ignore[assignment]
    return state, number


@numba.njit(nogil=True, cache=True, inline="always")
def number(state: np.uint64, gene: int) -> np.uint64:
    """Return the number of a gene from 0: that in the gene's place of the sequence which begins at `state`."""
    return mix(state + (np.uint64(gene) + np.uint64(1)) * STEP)


@numba.njit(nogil=True, cache=True)
def by_number(numbers: np.ndarray) -> np.ndarray:
    """Return the places of evenly spread 64-bit numbers, the smallest first.

    As many boxes as there are numbers, each for a range of them, leave next to nothing to sort.
    """
    bits = 1
    while (1 << bits) < len(numbers):
        bits += 1
    shift = np.uint64(64 - bits)
    begins, order = np.zeros((1 << bits) + 1, np.int64), np.empty(len(numbers), np.int64)
    for one in numbers:
        begins[np.int64(one >> shift) + 1] += 1
    for i in range(1 << bits):
        begins[i + 1] += begins[i]
    for j in range(len(numbers)):
        box = np.int64(numbers[j] >> shift)
        order[begins[box]] = j
        begins[box] += 1
    for j in range(1, len(numbers)):
        moved, to = order[j], j
        while to > 0 and numbers[order[to - 1]] > numbers[moved]:
            order[to] = order[to - 1]
            to -= 1
        order[to] = moved
    return order


@numba.njit(nogil=True, cache=True)
def choose(
    state: np.uint64,
    genes: np.ndarray,
    counts: np.ndarray,
    drawn: np.ndarray,
    out_genes: np.ndarray,
    out_counts: np.ndarray,
) -> np.uint64:
    """Copy as many entries as `out_genes` holds, fewer than there are, in their order; each subset is as likely.

    The smaller of the two parts, the kept or the left, is drawn one by one until each is new; `drawn` (bool, one an
    entry) is where they are marked. That is faster than to ask of each entry whether to keep it.
    """
    n, size = len(genes), len(out_genes)
    n_drawn = min(size, n - size)
    keep = n_drawn == size
    drawn[:n] = False
    so_far: Any = np.uint64(0)
    while so_far < np.uint64(n_drawn):
        state, number = next_below(state, n)
        so_far += np.uint64(not drawn[np.uint64(number)])
        drawn[np.uint64(number)] = True
    kept: Any = np.uint64(0)
    for j in range(np.uint64(n)):
        out_genes[kept] = genes[j]
        out_counts[kept] = counts[j]
        kept += np.uint64(drawn[j] == keep)
        if kept == np.uint64(size):
            break
    return state


_FIRST, _SECOND = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
_FIRST_STEP, _SECOND_STEP = np.uint64(0x9E3779B9), np.uint64(0xBB67AE85)
_LOW = np.uint64(0xFFFFFFFF)
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
def scaled(number: np.uint64, limit: np.uint64) -> np.uint64:
    """Return the upper 64 bits of ``number * limit``: random bits as a whole number from 0 to `limit` - 1.

    No number's chance is further than 2^-64 from 1 / `limit`: the bias is below 2^-32 for limits up to 2^32.
    """
    low, high = number & _LOW, number >> _32
    limit_low, limit_high = limit & _LOW, limit >> _32
    middle = high * limit_low + ((low * limit_low) >> _32)
    other = low * limit_high + (middle & _LOW)
    return high * limit_high + (middle >> _32) + (other >> _32)

"""Random numbers that are a pure function of (seed, position of the draw), compiled.

The generator is SplitMix64 (Steele, Lea & Flood 2014, OOPSLA, "Fast splittable pseudorandom number generators"),
started anew for each position: no thread, worker or batch border changes what a cell gets. Where a cell shall look the
same wherever it lies, its position is a key made of its counts, and each gene has a number of its own.
"""

from __future__ import annotations

from typing import Any

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
        state, number = below(state, n)
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

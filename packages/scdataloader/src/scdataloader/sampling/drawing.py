"""Compiled draws with replacement: a group by its alias table, then a cell in the group."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numba
import numpy as np

from scdataloader.randomness import bits, scaled

_ZERO, _11 = np.uint64(0), np.uint64(11)
_UNIT = 2.0**-53
#: Draws of which the random numbers are made together.
_PIECE = 256


class Alias(NamedTuple):
    """An alias table: slot i stands for i with chance ``threshold[i] / 2^64`` and for ``other[i]`` else."""

    threshold: np.ndarray
    other: np.ndarray


@lru_cache(maxsize=64)
def key_of(seed: int) -> np.uint64:
    """Return the key of the generator."""
    return np.random.SeedSequence(seed).generate_state(1, np.uint64)[0]


def alias_table(weights: np.ndarray) -> Alias:
    """Return the table by which one of n is drawn in proportion to weights, at the same cost for any n.

    Parameters
    ----------
    weights
        float64, shape (n,), not negative, with a positive sum.

    References
    ----------
    Walker 1977, ACM TOMS 3:253; Vose 1991, IEEE Trans. Softw. Eng. 17:972.
    """
    share = weights * (len(weights) / weights.sum())
    other = np.arange(len(weights), dtype=np.uint32 if len(weights) <= 2**32 else np.uint64)
    _vose(share, other)
    # 1 is not to be had in 64 bits; where it stands, the other is the slot itself
    threshold = np.full(len(weights), 2**64 - 1, np.uint64)
    part = share < 1
    threshold[part] = (share[part] * 2.0**64).astype(np.uint64)
    return Alias(threshold, other)


@numba.njit(nogil=True, cache=True)
def _vose(share: np.ndarray, other: np.ndarray) -> None:
    """Fill every slot that holds less than 1 from one that holds more; what is left in `share` is the slot's own."""
    n = len(share)
    stack = np.empty(n, np.int64)  # small ones from the left, large ones from the right
    small, large = 0, n
    for i in range(n):
        if share[i] < 1:
            stack[small] = i
            small += 1
        else:
            large -= 1
            stack[large] = i
    left = np.empty(n, np.float64)
    while small > 0 and large < n:
        small -= 1
        i, giver = stack[small], stack[large]
        other[i] = giver
        left[i] = share[i]
        share[giver] -= 1 - share[i]
        if share[giver] < 1:
            large += 1
            stack[small] = giver
            small += 1
    for k in range(small):  # rounding only keeps these from 1
        left[stack[k]] = 1
    for k in range(large, n):
        left[stack[k]] = 1
    share[:] = left


@numba.njit(nogil=True, cache=True)
def uniform(key: np.uint64, epoch: int, begin: int, n: int, out: np.ndarray) -> None:
    """Write draws from 0 … n - 1, from number `begin` on; `out` is int64."""
    era, limit = np.uint64(epoch), np.uint64(n)
    for i in range(len(out)):
        number, _ = bits(key, np.uint64(begin + i), era, _ZERO)
        out[i] = scaled(number, limit)


@numba.njit(nogil=True, cache=True, inline="always")
def _group(number: np.uint64, threshold: np.ndarray, other: np.ndarray) -> int:
    n = np.uint64(len(threshold))
    slot = np.int64(scaled(number, n))
    fraction = number * n  # the lower 64 bits: where in the slot
    elsewhere = np.int64(other[slot])
    return slot if fraction < threshold[slot] else elsewhere  # type: ignore[return-value]


@numba.njit(nogil=True, cache=True)
def weighted(
    key: np.uint64, epoch: int, begin: int, alias: Alias, first: np.ndarray, members: np.ndarray, out: np.ndarray
) -> None:
    """Write draws, the first being number `begin`: group g by the alias table, then one of its cells.

    These are ``members[first[g]:first[g + 1]]``.
    """
    era = np.uint64(epoch)
    which, where = np.empty(_PIECE, np.uint64), np.empty(_PIECE, np.uint64)
    for done in range(0, len(out), _PIECE):
        n = min(_PIECE, len(out) - done)
        # loops of their own: the processor makes several random numbers at once, and waits for memory all at once
        for i in range(n):
            which[i], where[i] = bits(key, np.uint64(begin + done + i), era, _ZERO)
        for i in range(n):
            group = _group(which[i], alias.threshold, alias.other)
            start = first[group]
            out[done + i] = start + np.int64(scaled(where[i], np.uint64(first[group + 1] - start)))
        for i in range(n):
            out[done + i] = members[out[done + i]]


@numba.njit(nogil=True, cache=True)
def weighted_by_cell(
    key: np.uint64,
    epoch: int,
    begin: int,
    alias: Alias,
    first: np.ndarray,
    members: np.ndarray,
    weights: np.ndarray,
    ceiling: np.ndarray,
    out: np.ndarray,
) -> None:
    """Write draws as `weighted` does, but inside group g a cell is kept with chance ``weights[cell] / ceiling[g]``.

    Else another is tried, with the random numbers of the next attempt.
    """
    era = np.uint64(epoch)
    which, where = np.empty(_PIECE, np.uint64), np.empty(_PIECE, np.uint64)
    groups, waiting = np.empty(_PIECE, np.int64), np.empty(_PIECE, np.int64)
    for done in range(0, len(out), _PIECE):
        n = min(_PIECE, len(out) - done)
        for i in range(n):
            which[i], _ = bits(key, np.uint64(begin + done + i), era, _ZERO)
            waiting[i] = i
        for i in range(n):
            groups[i] = _group(which[i], alias.threshold, alias.other)
        attempt = _ZERO
        while n > 0:
            attempt += np.uint64(1)
            for k in range(n):
                which[k], where[k] = bits(key, np.uint64(begin + done + waiting[k]), era, attempt)
            left = 0
            for k in range(n):
                i = waiting[k]
                start = first[groups[i]]
                cell = members[start + np.int64(scaled(where[k], np.uint64(first[groups[i] + 1] - start)))]
                out[done + i] = cell
                waiting[left] = i
                left += np.float64(which[k] >> _11) * _UNIT * ceiling[groups[i]] >= weights[cell]
            n = left


@numba.njit(nogil=True, cache=True)
def sums(first: np.ndarray, members: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the sum of the cells' weights in each group, float64."""
    out = np.zeros(len(first) - 1)
    for group in range(len(out)):
        total = 0.0
        for k in range(first[group], first[group + 1]):
            total += np.float64(weights[members[k]])
        out[group] = total
    return out

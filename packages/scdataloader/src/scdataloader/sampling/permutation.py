"""A random order of 0 … n - 1 of which any part can be computed by itself: nothing is stored, nothing is shuffled.

A generalized Feistel network permutes pairs (left, right) of an a × b table with n ≤ a·b < n + √n + 2 places: in turn
one half is rotated by a random function of the other. Where it leads out of 0 … n - 1 it is applied again ("cycle
walking"), which keeps it one to one. The random functions are outputs of SplitMix64, number `half` from a seed of the
round's own. a is even: rotations of odd length are even permutations, and only such orders would come out.

References
----------
Black & Rogaway 2002, CT-RSA, "Ciphers with arbitrary finite domains", method 3.
Steele, Lea & Flood 2014, OOPSLA, "Fast splittable pseudorandom number generators".
"""

from __future__ import annotations

from functools import lru_cache

import numba
import numpy as np

from scdataloader.randomness import STEP, mix, scaled

#: Rounds for many, and for few: where the halves take few values, each round mixes less (with 16 the 720 orders of six
#: are not yet equally likely). For many, fewer than about six can be told from a random order.
_ROUNDS, ROUNDS, _FEW = 10, 24, 1 << 16


@lru_cache(maxsize=64)
def round_keys(seed: int, epoch: int) -> np.ndarray:
    """Return the keys of the rounds; uint64, shape (`ROUNDS`,), not to be written to."""
    return np.random.SeedSequence([seed, epoch]).generate_state(ROUNDS, np.uint64)


@numba.njit(nogil=True, cache=True)
def sides(n: int) -> tuple[np.uint64, np.uint64]:
    """Return a and b of the table for n places."""
    a = np.uint64(2 * np.ceil(np.sqrt(n) / 2))
    return a, (np.uint64(n) + a - np.uint64(1)) // a


@numba.njit(nogil=True, cache=True)
def permute(
    place: np.uint64, n: np.uint64, a: np.uint64, b: np.uint64, keys: np.ndarray, tweak: np.uint64
) -> np.uint64:
    """Return what stands at `place` of the order of 0 … n - 1 that belongs to the keys and the tweak."""
    shift = mix(tweak)
    rounds = ROUNDS if n < _FEW else _ROUNDS
    while True:
        left, right = place // b, place % b
        for r in range(0, rounds, 2):
            left += scaled(mix(keys[r] + shift + right * STEP), a)
            if left >= a:
                left -= a
            right += scaled(mix(keys[r + 1] + shift + left * STEP), b)
            if right >= b:
                right -= b
        place = left * b + right
        if place < n:
            return place


@numba.njit(nogil=True, cache=True)
def place_of(
    value: np.uint64, n: np.uint64, a: np.uint64, b: np.uint64, keys: np.ndarray, tweak: np.uint64
) -> np.uint64:
    """Return the place of a value in that order: the inverse of `permute`."""
    shift = mix(tweak)
    rounds = ROUNDS if n < _FEW else _ROUNDS
    while True:
        left, right = value // b, value % b
        for r in range(rounds - 2, -1, -2):
            turn = scaled(mix(keys[r + 1] + shift + left * STEP), b)
            right = right - turn if right >= turn else right + b - turn
            turn = scaled(mix(keys[r] + shift + right * STEP), a)
            left = left - turn if left >= turn else left + a - turn
        value = left * b + right
        if value < n:
            return value


@numba.njit(nogil=True, cache=True)
def permuted(keys: np.ndarray, n: int, begin: int, out: np.ndarray) -> None:
    """Write the part of the order of 0 … n - 1 that starts at `begin`; `out` is int64."""
    size, tweak = np.uint64(n), np.uint64(0)
    a, b = sides(n)
    for i in range(len(out)):
        out[i] = permute(np.uint64(begin + i), size, a, b, keys, tweak)


_ZERO = np.uint64(0)


@numba.njit(nogil=True, cache=True)
def mixed_blocks(keys: np.ndarray, n: int, size: int, window: int, begin: int, out: np.ndarray) -> None:
    """Write the part of the order of 0 … n - 1 that starts at `begin`; `out` is int64.

    The blocks stand in a random order, `window` of them make a window, and the cells of a window are permuted. What
    complicates it is the last block, which lacks some cells: those after it in the order are that much further ahead.
    """
    n_blocks = (n + size - 1) // size
    lacking = n_blocks * size - n
    a, b = sides(n_blocks)
    short = np.int64(place_of(np.uint64(n_blocks - 1), np.uint64(n_blocks), a, b, keys, _ZERO))
    short_window = short // window
    short_end = (short_window + 1) * window * size - lacking  # where the window with the short block ends
    former = -1
    start, length, c, d = 0, 0, a, b
    for i in range(len(out)):
        place = begin + i
        now = place // (window * size) if place < short_end else (place + lacking) // (window * size)
        if now != former:
            start = now * window * size - (lacking if now > short_window else 0)
            stop = (now + 1) * window * size - (lacking if now >= short_window else 0)
            length = (stop if stop < n else n) - start
            c, d = sides(length)
            former = now
        inside = np.int64(permute(np.uint64(place - start), np.uint64(length), c, d, keys, np.uint64(now + 1)))
        before = short * size - start  # where the short block begins in its window
        if now == short_window and inside >= before + size - lacking:
            inside += lacking
        at = now * window + inside // size
        block = np.int64(permute(np.uint64(at), np.uint64(n_blocks), a, b, keys, _ZERO))
        out[i] = block * size + inside % size


@numba.njit(nogil=True, cache=True)
def choose(keys: np.ndarray, first: np.ndarray, members: np.ndarray, take: np.ndarray, out: np.ndarray) -> None:
    """Write ``take[g]`` random cells of each group g: the begin of a random order of its own."""
    done = 0
    for group in range(len(take)):
        n = first[group + 1] - first[group]
        a, b = sides(n)
        for k in range(take[group]):
            inside = permute(np.uint64(k), np.uint64(n), a, b, keys, np.uint64(group))
            out[done] = members[first[group] + np.int64(inside)]
            done += 1

"""Compiled counting sort of cells by a code that may be any number: a small hash table finds a code's slot."""

from __future__ import annotations

import numba
import numpy as np

from scdataloader.randomness import STEP, mix


@numba.njit(nogil=True, cache=True, inline="always")
def _slot(code: int, keys: np.ndarray) -> int:
    """Return where a code stands in the table, or the free place where it would; free places hold -1."""
    last = np.uint64(len(keys) - 1)
    slot = np.int64(mix(np.uint64(code)) & last)
    while keys[slot] != code and keys[slot] != -1:
        slot = np.int64(np.uint64(slot + 1) & last)
    return slot  # type: ignore[return-value]


@numba.njit(nogil=True, cache=True)
def count(codes: np.ndarray, done: int, keys: np.ndarray, counts: np.ndarray, used: int) -> tuple[int, int]:
    """Count codes from number `done` on, until the table is half full; return how many are done and slots used.

    `keys` has a power of two of places.
    """
    for i in range(done, len(codes)):
        slot = _slot(codes[i], keys)
        if keys[slot] == -1:
            if 2 * used >= len(keys):
                return i, used
            keys[slot] = codes[i]
            used += 1
        counts[slot] += 1
    return len(codes), used


@numba.njit(nogil=True, cache=True)
def grow(keys: np.ndarray, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the table with four times the places."""
    more = np.full(4 * len(keys), -1, np.int64)
    more_counts = np.zeros(4 * len(keys), np.int64)
    for i in range(len(keys)):
        if keys[i] != -1:
            slot = _slot(keys[i], more)
            more[slot] = keys[i]
            more_counts[slot] = counts[i]
    return more, more_counts


@numba.njit(nogil=True, cache=True)
def place(codes: np.ndarray, cells: np.ndarray, keys: np.ndarray, following: np.ndarray, members: np.ndarray) -> None:
    """Write cells where the next of their code goes, ``following[slot]``, and move that on."""
    for i in range(len(codes)):
        slot = _slot(codes[i], keys)
        members[following[slot]] = cells[i]
        following[slot] += 1


@numba.njit(nogil=True, cache=True)
def number(codes: np.ndarray, keys: np.ndarray, numbers: np.ndarray) -> np.ndarray:
    """Return what `numbers` holds for each code, int64."""
    out = np.empty(len(codes), np.int64)
    for i in range(len(codes)):
        out[i] = numbers[_slot(codes[i], keys)]
    return out


@numba.njit(nogil=True, cache=True)
def digest(members: np.ndarray) -> np.uint64:
    """Return a hash of a list of cells in their order."""
    total = np.uint64(0)
    for i in range(len(members)):
        total += mix(np.uint64(members[i]) + np.uint64(i) * STEP)
    return total

"""Compiled order of cells in shuffled blocks that are mixed a window at a time."""

from __future__ import annotations

import numba
import numpy as np

from scdataloader.sampling.feistel import permute, place_of, sides

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

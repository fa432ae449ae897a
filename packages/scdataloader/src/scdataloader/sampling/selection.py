"""Compiled choice without replacement in each group."""

from __future__ import annotations

import numba
import numpy as np

from scdataloader.sampling.feistel import permute, sides


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

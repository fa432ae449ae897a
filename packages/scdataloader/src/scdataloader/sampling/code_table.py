"""A table of the codes that occur, and how often."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np


class CodeTable(NamedTuple):
    """The codes of some cells.

    Attributes
    ----------
    keys
        Hash table: a code or -1 at each place; int64, its length a power of two.
    slots
        Places of the codes in `keys`, in increasing order of the codes.
    counts
        How often each of these occurs.
    """

    keys: np.ndarray
    slots: np.ndarray
    counts: np.ndarray

    def of_slots(self, values: np.ndarray) -> np.ndarray:
        """Return what is given for each code at the code's place of the hash table; int64."""
        out = np.zeros(len(self.keys), np.int64)
        out[self.slots] = values
        return out


def count_codes(chunks: Iterable[np.ndarray]) -> CodeTable:
    """Count codes that come in chunks: int64, not negative."""
    from scdataloader.sampling.grouping import count, grow

    keys, counts, used = np.full(1 << 12, -1, np.int64), np.zeros(1 << 12, np.int64), 0
    for codes in chunks:
        done = 0
        while True:
            done, used = count(codes, done, keys, counts, used)
            if done == len(codes):
                break
            keys, counts = grow(keys, counts)
    slots = np.flatnonzero(keys >= 0)
    slots = slots[np.argsort(keys[slots])]
    return CodeTable(keys, slots, counts[slots])

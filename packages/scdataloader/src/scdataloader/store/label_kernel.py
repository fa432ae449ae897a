"""Compiled look-up of label codes in the mapped dictionary columns of shards."""

from __future__ import annotations

from typing import NamedTuple

import numba
import numpy as np
from numba.np.numpy_support import carray

from scdataloader.store.memory import pointer


class Codes(NamedTuple):
    """Dictionary columns, shape (n_shards, n_classes) each but for `lookup`.

    Attributes
    ----------
    address, width
        Where the codes lie, and bytes of each; width 0 where the shard has no such column.
    valid
        Where Arrow's bits of valid rows lie, 0 where all are.
    lookup, lookup_start
        Label codes of the dictionaries' entries, one after the other, and where each dictionary begins.
    """

    address: np.ndarray
    width: np.ndarray
    valid: np.ndarray
    lookup: np.ndarray
    lookup_start: np.ndarray


@numba.njit(nogil=True, cache=True)
def read_codes(first_row: np.ndarray, codes: Codes, rows: np.ndarray, out: np.ndarray) -> int:
    """Write the label codes of rows, shape (n_rows, n_classes); return the place of the first bad row, else -1."""
    for i in range(len(rows)):
        row = rows[i]
        if row < 0 or row >= first_row[-1]:
            return i
        shard = np.searchsorted(first_row, row, side="right") - 1
        at = row - first_row[shard]
        n_rows = first_row[shard + 1] - first_row[shard]
        for c in range(out.shape[1]):
            out[i, c] = -1
            width = codes.width[shard, c]
            if width == 0:
                continue
            bits = codes.valid[shard, c]
            if bits != 0 and not (carray(pointer(bits), (n_rows + 7) // 8, np.uint8)[at >> 3] >> (at & 7)) & 1:
                continue
            place = codes.address[shard, c]
            if width == 1:
                code = np.int64(carray(pointer(place), n_rows, np.int8)[at])
            elif width == 2:
                code = np.int64(carray(pointer(place), n_rows, np.int16)[at])
            else:
                code = np.int64(carray(pointer(place), n_rows, np.int32)[at])
            out[i, c] = codes.lookup[codes.lookup_start[shard, c] + code]
    return -1

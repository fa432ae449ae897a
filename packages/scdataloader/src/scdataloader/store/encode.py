"""Compiled packing of counts into records, 2 bytes a count as a rule; ``FORMAT.md`` describes them.

Why this format: ``benchmarks/speed/loader/formats.py`` measures size and speed on 25,000 synthetic cells and on four
real data sets, one core, random cells, 2,200 genes out. Speeds from memory are multiples of the plain gather of the
same run, for the machine was busy; those from a cold disk are cells/s, of 100,000 synthetic cells.

=============================================  ==============  ===========  =======================
format                                         bytes a count   from memory  cold
=============================================  ==============  ===========  =======================
CSR of 16 + 16 bits, mapped: the plain gather  4.0             1            5,700
gap byte and count byte, mapped: this one      2.0 (to 2.2)    1.0 to 1.9   7,800; 27,000 read ahead
gap and count in one byte, mapped              1.3 to 2.1      0.6 to 0.9   11,400
uncompressed h5ad, h5py                        8.0             0.03 to 0.2  1,900
zarr v3 shards of 64-cell chunks, lz4          2.0 to 3.0      below 0.003  200
zarr v3 shards of 64-cell chunks, zstd         1.5 to 1.8      below 0.003  200
=============================================  ==============  ===========  =======================

Half the memory to move makes up for decoding, and a cell is one or two pages, so one request to a cold disk. One byte
saves up to a third more, but costs speed, most on real cells, whose counts are larger. Chunked formats decode a chunk
for each cell.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

#: Units of 16 bits before the first pair of a record: number of pairs and number of large counts, 32 bits each.
HEADER = 4
#: The count byte that says: the count is the next of the large counts.
ESCAPE = 255
#: Largest distance between two genes that one pair can hold.
MAX_GAP = 255


@numba.njit(nogil=True, cache=True)
def encode_sizes(columns: np.ndarray, counts: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """Return the number of units of each record of a CSR block; int64, shape (n_rows,)."""
    sizes = np.empty(len(ends) - 1, np.int64)
    for row in range(len(sizes)):
        position = np.int64(0)
        units: Any = HEADER
        for j in range(ends[row], ends[row + 1]):
            gap = np.int64(columns[j]) - position
            units += 1
            if gap > MAX_GAP:
                units += (gap - 1) // MAX_GAP
            if counts[j] >= ESCAPE:
                units += 2
            position = np.int64(columns[j])
        sizes[row] = units
    return sizes


@numba.njit(nogil=True, cache=True)
def encode(columns: np.ndarray, counts: np.ndarray, ends: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Return the records of a CSR block, uint16, one after the other.

    Parameters
    ----------
    columns
        Gene numbers, ascending inside each row.
    counts
        Whole numbers from 1 to 2^32 - 1, int64.
    ends
        CSR row pointers, shape (n_rows + 1,).
    sizes
        From `encode_sizes`.
    """
    out = np.empty(sizes.sum(), np.uint16)
    begin = np.int64(0)
    for row in range(len(sizes)):
        position = np.int64(0)
        at = begin + HEADER
        n_large = np.int64(0)
        for j in range(ends[row], ends[row + 1]):
            gap = np.int64(columns[j]) - position
            while gap > MAX_GAP:  # a pair without a count only moves on
                out[at] = MAX_GAP
                at += 1
                gap -= MAX_GAP
            out[at] = gap | (min(counts[j], ESCAPE) << 8)
            at += 1
            n_large += counts[j] >= ESCAPE
            position = np.int64(columns[j])
        n_pairs = at - begin - HEADER
        out[begin] = n_pairs & 0xFFFF
        out[begin + 1] = n_pairs >> 16
        out[begin + 2] = n_large & 0xFFFF
        out[begin + 3] = n_large >> 16
        if n_large:
            for j in range(ends[row], ends[row + 1]):
                if counts[j] >= ESCAPE:
                    out[at] = counts[j] & 0xFFFF
                    out[at + 1] = counts[j] >> 16
                    at += 2
        begin += sizes[row]
    return out

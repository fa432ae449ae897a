"""Compiled packing of counts into records, 2 bytes a count as a rule, and reading; ``FORMAT.md`` describes them.

Damaged records are noticed, never followed out of bounds.

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

from typing import Any, NamedTuple

import numba
import numpy as np
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic
from numba.np.numpy_support import carray

from scdataloader.store.genemap import Targets

#: Units of 16 bits before the first pair of a record: number of pairs and number of large counts, 32 bits each.
HEADER = 4
#: The count byte that says: the count is the next of the large counts.
ESCAPE = 255
#: Largest distance between two genes that one pair can hold.
MAX_GAP = 255


class Space(NamedTuple):
    """Arrays that a kernel works in: those of one row, and one mark a target, the last for unwanted genes."""

    genes: np.ndarray
    counts: np.ndarray
    seen: np.ndarray


def _pointer(typing_context: Any, address: Any) -> Any:  # noqa: ARG001 (numba's signature)
    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:  # noqa: ARG001
        return builder.inttoptr(arguments[0], cgutils.voidptr_t)

    return types.voidptr(address), code


#: ``pointer(address)``: an address as what `numba.carray` takes, inside compiled code.
pointer: Any = intrinsic(_pointer)


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


class Shards(NamedTuple):
    """The places of the shards in memory, one entry a shard; addresses are int64."""

    first_row: np.ndarray
    counts: np.ndarray
    n_units: np.ndarray
    begin: np.ndarray
    total: np.ndarray
    n_genes: np.ndarray
    table: np.ndarray


@numba.njit(nogil=True, cache=True)
def _record(shards: Shards, targets: Targets, row: int) -> tuple[Any, Any, Any, Any, Any]:
    """Return (shard, first pair, number of pairs, number of large counts, genes of the table), -1 shard if damaged."""
    if row < 0 or row >= shards.first_row[-1]:
        return -1, 0, 0, 0, 0
    shard = np.searchsorted(shards.first_row, row, side="right") - 1
    n_rows = shards.first_row[shard + 1] - shards.first_row[shard]
    begin = np.int64(carray(pointer(shards.begin[shard]), n_rows, np.uint32)[row - shards.first_row[shard]])
    n_units = shards.n_units[shard]
    if begin + HEADER > n_units:
        return -1, 0, 0, 0, 0
    data = carray(pointer(shards.counts[shard]), n_units, np.uint16)
    n_pairs = np.int64(data[begin]) | (np.int64(data[begin + 1]) << 16)
    n_large = np.int64(data[begin + 2]) | (np.int64(data[begin + 3]) << 16)
    table = shards.table[shard]
    n_genes = targets.target_start[table + 1] - targets.target_start[table] - 1
    if n_pairs > n_genes + n_genes // MAX_GAP or begin + HEADER + n_pairs + 2 * n_large > n_units:
        return -1, 0, 0, 0, 0
    return shard, begin + HEADER, n_pairs, n_large, n_genes


@numba.njit(nogil=True, cache=True)
def dense_row(
    shards: Shards,
    targets: Targets,
    row: int,
    out: np.ndarray,
    base: int,
    space: Space,  # noqa: ARG001 (what other stores need)
) -> bool:
    """Write the counts of a row's genes to ``out[base + target]``; False if the record is damaged."""
    shard, first, n_pairs, n_large, n_genes = _record(shards, targets, row)
    if shard < 0:
        return False
    data = carray(pointer(shards.counts[shard]), shards.n_units[shard], np.uint16)
    start_of = targets.target_start[shards.table[shard]]
    target = targets.target[start_of : start_of + n_genes + 1]
    # All without sign: of a signed index numba asks, for each count, whether it is one from the end.
    last_gene, to = np.uint64(n_genes), np.uint64(base)
    gene: Any = np.uint64(0)
    large: Any = np.uint64(first + n_pairs)
    last = large + np.uint64(2 * n_large)
    for j in range(np.uint64(first), np.uint64(first + n_pairs)):
        pair = np.uint32(data[j])
        gene += np.uint64(pair & np.uint32(0xFF))
        count: Any = pair >> np.uint32(8)
        if count == np.uint32(ESCAPE):
            if large >= last:
                return False
            count = np.uint32(data[large]) | (np.uint32(data[large + np.uint64(1)]) << np.uint32(16))
            large += np.uint64(2)
        # a pair that only moves on writes 0 to a gene that has none
        out[to + np.uint64(target[min(gene, last_gene)])] = np.float32(count)
    return bool(gene <= last_gene and large == last)


@numba.njit(nogil=True, cache=True)
def most_values(shards: Shards, targets: Targets, row: int) -> int:
    """Return a number that the row's genes do not exceed, -1 if its record is damaged."""
    shard, _first, n_pairs, _n_large, _n_genes = _record(shards, targets, row)
    most: int = n_pairs if shard >= 0 else -1
    return most


@numba.njit(nogil=True, cache=True)
def expressed(
    shards: Shards,
    targets: Targets,
    row: int,
    genes: np.ndarray,
    counts: np.ndarray,
    space: Space,
    mark: np.uint8,
) -> tuple[int, int]:
    """Write the wanted genes of a row and their counts, and mark them; return (gene table or -1, number of genes).

    One entry more than `most_values` is written to.
    """
    shard, first, n_pairs, n_large, n_genes = _record(shards, targets, row)
    if shard < 0:
        return -1, 0
    data = carray(pointer(shards.counts[shard]), shards.n_units[shard], np.uint16)
    table = shards.table[shard]
    target = targets.target[targets.target_start[table] : targets.target_start[table] + n_genes + 1]
    width, last_gene = np.uint32(targets.width), np.uint64(n_genes)
    gene: Any = np.uint64(0)
    large: Any = np.uint64(first + n_pairs)
    last = large + np.uint64(2 * n_large)
    n: Any = np.uint64(0)
    for j in range(np.uint64(first), np.uint64(first + n_pairs)):
        pair = np.uint32(data[j])
        gene += np.uint64(pair & np.uint32(0xFF))
        count: Any = pair >> np.uint32(8)
        if count == np.uint32(ESCAPE):
            if large >= last:
                return -1, 0
            count = np.uint32(data[large]) | (np.uint32(data[large + np.uint64(1)]) << np.uint32(16))
            large += np.uint64(2)
        place: Any = np.uint32(target[min(gene, last_gene)])
        place = place if count > np.uint32(0) else width  # a pair that only moves on names no gene
        genes[n] = place
        counts[n] = count
        space.seen[place] = mark
        n += np.uint64(place < width)
    if gene > last_gene or large != last:
        return -1, 0
    return table, np.int64(n)  # type: ignore[return-value]


@numba.njit(nogil=True, cache=True)
def room(shards: Shards, targets: Targets) -> int:  # noqa: ARG001 (as for every store)
    """Return the largest number of pairs that a sound record can hold, plus the one written ahead."""
    most = 0
    for table in range(len(targets.target_start) - 1):
        most = max(most, targets.target_start[table + 1] - targets.target_start[table] - 1)
    return most + most // MAX_GAP + 1


@numba.njit(nogil=True, cache=True)
def read_column(shards: Shards, addresses: np.ndarray, rows: np.ndarray, out: np.ndarray) -> int:
    """Write a column of the cells' tables, of the type of `out`; return the place of the first bad row, else -1."""
    for i in range(len(rows)):
        if rows[i] < 0 or rows[i] >= shards.first_row[-1]:
            return i
        shard = np.searchsorted(shards.first_row, rows[i], side="right") - 1
        n_rows = shards.first_row[shard + 1] - shards.first_row[shard]
        out[i] = carray(pointer(addresses[shard]), n_rows, out.dtype)[rows[i] - shards.first_row[shard]]
    return -1

"""Compiled reading of rows of CSR matrices where they lie: in memory, or in a mapped file, in one piece or in chunks.

Values may be of any integer or floating type, the genes of a row in any order and more than once. What cannot be a
count, or a gene that there is not, is noticed, never followed out of bounds.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numba
import numpy as np
from numba.np.numpy_support import carray

from scdataloader.store.files import LARGEST_COUNT
from scdataloader.store.genemap import Targets
from scdataloader.store.records import Space, pointer

#: Types of stored numbers, by their code in `CsrParts`.
KINDS = tuple(np.dtype(kind) for kind in ("f4", "f8", "i4", "i8", "u2", "u1", "u4", "u8", "i2", "i1", "?"))
_F4, _F8, _I4, _I8, _U2, _U1, _U4, _U8, _I2, _I1 = range(10)


class CsrParts(NamedTuple):
    """The places of the matrices in memory; arrays of int64 with one entry a part, but for the two lists of chunks.

    Attributes
    ----------
    first_row
        First row of each part, and the number of all rows.
    ends
        Address of its row pointers, int64.
    values, value_chunk, value_size, value_kind
        Addresses of all parts' chunks of values; where those of each part begin, how many values a chunk holds, and of
        which of `KINDS`. An array in one piece is one chunk.
    columns, column_chunk, column_size, column_kind
        The same of the gene numbers.
    n_genes, table
        Genes of the part, and the number of its gene table.
    longest
        Stored values of the longest row of all.
    """

    first_row: np.ndarray
    ends: np.ndarray
    values: np.ndarray
    value_chunk: np.ndarray
    value_size: np.ndarray
    value_kind: np.ndarray
    columns: np.ndarray
    column_chunk: np.ndarray
    column_size: np.ndarray
    column_kind: np.ndarray
    n_genes: np.ndarray
    table: np.ndarray
    longest: int


@numba.njit(nogil=True, cache=True)
def _whole(stored: np.ndarray, begin: int, n: int, out: np.ndarray, at: int, limit: int) -> bool:
    """Copy `n` numbers; False if one of them is not a whole number from 0 to `limit`."""
    sound = True
    for j in range(n):
        value = stored[begin + j]
        # only what has a whole part is converted: the rest becomes 0, which it is not
        number = np.int64(value if (value >= 0) & (value <= limit) else stored.dtype.type(0))
        sound &= number == value
        out[at + j] = number
    return sound


@numba.njit(nogil=True, cache=True)
def _fetch(
    chunks: np.ndarray,
    first: int,
    size: int,
    kind: int,
    begin: int,
    end: int,
    out: np.ndarray,
    limit: int,
) -> bool:
    """Copy stored numbers `begin` to `end` of a part to `out`; False as for `_whole`."""
    sound = True
    at: Any = begin
    while at < end:
        inside = at % size
        n = min(end - at, size - inside)
        place = pointer(chunks[first + at // size])
        to = at - begin
        if kind == _F4:
            sound &= _whole(carray(place, size, np.float32), inside, n, out, to, limit)
        elif kind == _F8:
            sound &= _whole(carray(place, size, np.float64), inside, n, out, to, limit)
        elif kind == _I4:
            sound &= _whole(carray(place, size, np.int32), inside, n, out, to, limit)
        elif kind == _I8:
            sound &= _whole(carray(place, size, np.int64), inside, n, out, to, limit)
        elif kind == _U2:
            sound &= _whole(carray(place, size, np.uint16), inside, n, out, to, limit)
        elif kind == _U4:
            sound &= _whole(carray(place, size, np.uint32), inside, n, out, to, limit)
        elif kind == _U8:
            sound &= _whole(carray(place, size, np.uint64), inside, n, out, to, limit)
        elif kind == _I2:
            sound &= _whole(carray(place, size, np.int16), inside, n, out, to, limit)
        elif kind == _I1:
            sound &= _whole(carray(place, size, np.int8), inside, n, out, to, limit)
        else:  # truth values are bytes of 0 and 1
            sound &= _whole(carray(place, size, np.uint8), inside, n, out, to, limit)
        at += n
    return sound


@numba.njit(nogil=True, cache=True)
def _read(parts: CsrParts, row: int, genes: np.ndarray, counts: np.ndarray) -> tuple[Any, Any]:
    """Write the stored values of a row, genes ascending, each once; return (part, number of values), part -1 if bad."""
    if row < 0 or row >= parts.first_row[-1]:
        return -1, 0
    part = np.searchsorted(parts.first_row, row, side="right") - 1
    n_rows = parts.first_row[part + 1] - parts.first_row[part]
    ends = carray(pointer(parts.ends[part]), n_rows + 1, np.int64)
    at = row - parts.first_row[part]
    begin, end = ends[at], ends[at + 1]
    n: Any = end - begin
    if n > parts.longest:
        return -1, 0
    first, size, kind = parts.column_chunk[part], parts.column_size[part], parts.column_kind[part]
    sound = _fetch(parts.columns, first, size, kind, begin, end, genes, parts.n_genes[part] - 1)
    first, size, kind = parts.value_chunk[part], parts.value_size[part], parts.value_kind[part]
    sound &= _fetch(parts.values, first, size, kind, begin, end, counts, LARGEST_COUNT)
    if not sound:
        return -1, 0
    ascending = True
    for j in range(1, n):
        ascending &= genes[j - 1] < genes[j]
    if not ascending:
        n = _sort_and_sum(genes, counts, n)
        for j in range(n):
            if counts[j] > LARGEST_COUNT:
                return -1, 0
    return part, n


@numba.njit(nogil=True, cache=True)
def _sort_and_sum(genes: np.ndarray, counts: np.ndarray, n: int) -> int:
    """Put the first `n` genes in ascending order, sum the counts of those that come more than once; return how many."""
    order = np.argsort(genes[:n])
    sorted_genes, sorted_counts = genes[:n][order], counts[:n][order]
    kept = 0
    for j in range(n):
        if kept > 0 and genes[kept - 1] == sorted_genes[j]:
            counts[kept - 1] += sorted_counts[j]
        else:
            genes[kept] = sorted_genes[j]
            counts[kept] = sorted_counts[j]
            kept += 1
    return kept


@numba.njit(nogil=True, cache=True)
def room(parts: CsrParts, targets: Targets) -> int:  # noqa: ARG001 (as for every store)
    """Return the most values that a row has, plus one."""
    return parts.longest + 1


@numba.njit(nogil=True, cache=True)
def most_values(parts: CsrParts, targets: Targets, row: int) -> int:  # noqa: ARG001 (as for every store)
    """Return a number that the row's genes do not exceed, -1 if the row does not exist."""
    if row < 0 or row >= parts.first_row[-1]:
        return -1
    part = np.searchsorted(parts.first_row, row, side="right") - 1
    ends = carray(pointer(parts.ends[part]), parts.first_row[part + 1] - parts.first_row[part] + 1, np.int64)
    at = row - parts.first_row[part]
    most: int = ends[at + 1] - ends[at]
    return most


@numba.njit(nogil=True, cache=True)
def expressed(
    parts: CsrParts,
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
    part, n_stored = _read(parts, row, space.genes, space.counts)
    if part < 0:
        return -1, 0
    table = parts.table[part]
    target = targets.target[targets.target_start[table] : targets.target_start[table] + parts.n_genes[part]]
    width = np.uint32(targets.width)
    n: Any = np.uint64(0)
    for j in range(np.uint64(n_stored)):
        place: Any = np.uint32(target[np.uint32(space.genes[j])])
        place = place if space.counts[j] > 0 else width
        genes[n] = place
        counts[n] = space.counts[j]
        space.seen[place] = mark
        n += np.uint64(place < width)
    return table, np.int64(n)  # type: ignore[return-value]


@numba.njit(nogil=True, cache=True)
def dense_row(parts: CsrParts, targets: Targets, row: int, out: np.ndarray, base: int, space: Space) -> bool:
    """Write the counts of a row's genes to ``out[base + target]``; False if the row cannot be read."""
    part, n = _read(parts, row, space.genes, space.counts)
    if part < 0:
        return False
    table = parts.table[part]
    target = targets.target[targets.target_start[table] : targets.target_start[table] + parts.n_genes[part]]
    for j in range(np.uint64(n)):
        out[np.uint64(base) + np.uint64(target[np.uint64(space.genes[j])])] = np.float32(space.counts[j])
    return True


@numba.njit(nogil=True, cache=True)
def sums(parts: CsrParts, rows: np.ndarray, totals: np.ndarray, n_genes: np.ndarray) -> int:
    """Write each row's sum of counts and number of expressed genes; return the place of the first bad row, else -1."""
    genes, counts = np.empty(parts.longest + 1, np.int32), np.empty(parts.longest + 1, np.int64)
    for i in range(len(rows)):
        part, n = _read(parts, rows[i], genes, counts)
        if part < 0:
            return i
        totals[i] = counts[:n].sum()
        n_genes[i] = (counts[:n] > 0).sum()
    return -1


@numba.njit(nogil=True, cache=True)
def n_stored(parts: CsrParts, rows: np.ndarray) -> int:
    """Return how many values are stored of these rows; those that do not exist have none."""
    total = 0
    for row in rows:
        if row >= 0 and row < parts.first_row[-1]:
            part = np.searchsorted(parts.first_row, row, side="right") - 1
            n_rows = parts.first_row[part + 1] - parts.first_row[part]
            ends = carray(pointer(parts.ends[part]), n_rows + 1, np.int64)
            at = row - parts.first_row[part]
            total += ends[at + 1] - ends[at]
    return total

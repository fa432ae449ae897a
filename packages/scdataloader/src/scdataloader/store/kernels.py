"""Compiled choices of genes for many cells at once, dense or as lists, over any way that the counts are stored.

All release the GIL and use one thread each: callers run several at once, on batches of their own. What differs between
stores is how one row is read: `scdataloader.store.records` for shards, `scdataloader.store.csr_rows` for CSR matrices.
The kernels return the place in `rows` of the first row that cannot be read, else -1.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numba.extending import overload

from scdataloader.randomness import by_number, choose, next_below, number, start
from scdataloader.store import csr_rows, records
from scdataloader.store.csr_rows import CsrParts
from scdataloader.store.genemap import Targets
from scdataloader.store.records import Shards, Space

#: Counts above this many are sorted by comparison, not by counting, when the most expressed genes are chosen.
_BINS = 256
#: Where counts may be.
Cells = Shards | CsrParts


def _reader(cells: Any) -> Any:
    """Return the module that reads rows of these cells; `cells` is their type, of Python or of numba."""
    return records if getattr(cells, "instance_class", cells) is Shards else csr_rows


def _room(cells: Cells, targets: Targets) -> int:
    """Return the most entries that a row may have, plus the one written ahead."""
    return int(_reader(type(cells)).room(cells, targets))


def _most_values(cells: Cells, targets: Targets, row: int) -> int:
    """Return a number that the row's genes do not exceed; -1 if it cannot be read."""
    return int(_reader(type(cells)).most_values(cells, targets, row))


def _expressed(
    cells: Cells, targets: Targets, row: int, genes: np.ndarray, counts: np.ndarray, space: Space, mark: np.uint8
) -> Any:
    """Write the wanted genes of a row and their counts, and mark them; return (gene table or -1, number of genes)."""
    return _reader(type(cells)).expressed(cells, targets, row, genes, counts, space, mark)


def _dense_row(cells: Cells, targets: Targets, row: int, out: np.ndarray, base: int, space: Space) -> Any:
    """Write the counts of a row's genes to ``out[base + target]``; False if it cannot be read."""
    return _reader(type(cells)).dense_row(cells, targets, row, out, base, space)


# numba wants the compiled function to have the very signature of the one that chooses it
@overload(_room)
def _compiled_room(cells: Any, targets: Any) -> Any:  # noqa: ARG001
    room = _reader(cells).room

    def compiled(cells: Any, targets: Any) -> Any:
        return room(cells, targets)

    return compiled


@overload(_most_values)
def _compiled_most_values(cells: Any, targets: Any, row: Any) -> Any:  # noqa: ARG001
    most_values = _reader(cells).most_values

    def compiled(cells: Any, targets: Any, row: Any) -> Any:
        return most_values(cells, targets, row)

    return compiled


@overload(_expressed)
def _compiled_expressed(
    cells: Any,
    targets: Any,  # noqa: ARG001
    row: Any,  # noqa: ARG001
    genes: Any,  # noqa: ARG001
    counts: Any,  # noqa: ARG001
    space: Any,  # noqa: ARG001
    mark: Any,  # noqa: ARG001
) -> Any:
    expressed = _reader(cells).expressed

    def compiled(cells: Any, targets: Any, row: Any, genes: Any, counts: Any, space: Any, mark: Any) -> Any:
        return expressed(cells, targets, row, genes, counts, space, mark)

    return compiled


@overload(_dense_row)
def _compiled_dense_row(cells: Any, targets: Any, row: Any, out: Any, base: Any, space: Any) -> Any:  # noqa: ARG001
    dense_row = _reader(cells).dense_row

    def compiled(cells: Any, targets: Any, row: Any, out: Any, base: Any, space: Any) -> Any:
        return dense_row(cells, targets, row, out, base, space)

    return compiled


@numba.njit(nogil=True, cache=True)
def _space(room: int, width: int) -> Space:
    return Space(np.empty(room, np.int32), np.empty(room, np.int64), np.zeros(width + 1, np.uint8))


@numba.njit(nogil=True, cache=True)
def _next_mark(seen: np.ndarray, number: int) -> np.uint8:
    """Return a mark that nothing bears yet: bytes, as they stay in the fastest cache, wiped when all are used."""
    mark = np.uint8(number % 255 + 1)
    if mark == 1:
        seen[:] = 0
    return mark


@numba.njit(nogil=True, cache=True)
def dense(cells: Cells, targets: Targets, rows: np.ndarray, out: np.ndarray) -> int:
    """Write the counts of each row to the place of its gene, 0 elsewhere.

    `out` is float32, shape (n_rows · width + 1,): genes without a target are written one past the end of their row,
    which the next row clears. That is faster than to ask, for each count, whether its gene is wanted.
    """
    width = targets.width
    space = _space(_room(cells, targets), 0)
    for i in range(len(rows)):
        base = i * width
        out[base : base + width] = 0
        if not _dense_row(cells, targets, rows[i], out, base, space):
            return i
    return -1


@numba.njit(nogil=True, cache=True)
def _pad(
    targets: Targets, table: int, state: np.uint64, seen: np.ndarray, mark: np.uint8, n: int, genes: np.ndarray
) -> bool:
    """Fill ``genes[n:]`` with measured genes not yet seen, drawn without replacement; each subset as likely.

    False if there are too few, which happens only where a damaged record has a gene twice.
    """
    measured = targets.measured[targets.measured_start[table] : targets.measured_start[table + 1]]
    size = len(genes)
    if 4 * size < 3 * len(measured):  # few enough to draw until one is new
        kept: Any = np.uint64(n)
        while kept < np.uint64(size):
            state, number = next_below(state, len(measured))
            gene = np.uint32(measured[np.uint64(number)])
            genes[kept] = gene
            new = seen[gene] != mark
            seen[gene] = mark
            kept += np.uint64(new)
        return True
    left = len(measured) - n
    for gene in measured:
        if n == size:
            break
        if seen[gene] != mark:
            state, number = next_below(state, max(left, 1))
            if number < size - n:
                genes[n] = gene
                n += 1
            left -= 1
    return n == size


@numba.njit(nogil=True, cache=True)
def random_expressed(
    cells: Cells,
    targets: Targets,
    rows: np.ndarray,
    seed: np.uint64,
    positions: np.ndarray,
    out_genes: np.ndarray,
    out_counts: np.ndarray,
    pad: bool,
    shuffle: bool,
) -> int:
    """Write a random choice of each row's expressed genes, shapes (n_rows, size).

    Rows that express fewer are padded with random measured genes, or without `pad` with gene -1. With `shuffle` the
    expressed genes come in random order, else in that of the row.
    """
    size = out_genes.shape[1]
    room = _room(cells, targets)
    space = _space(room, targets.width)
    many_genes, many_counts = np.empty(room, out_genes.dtype), np.empty(room, out_counts.dtype)
    drawn = np.empty(room, np.bool_)
    for i in range(len(rows)):
        genes, counts = out_genes[i], out_counts[i]
        state, mark = start(seed, positions[i]), _next_mark(space.seen, i)
        # straight to where they belong if they fit, with the entry written ahead
        if _most_values(cells, targets, rows[i]) < size:
            table, n = _expressed(cells, targets, rows[i], genes, counts, space, mark)
        else:
            table, n = _expressed(cells, targets, rows[i], many_genes, many_counts, space, mark)
            if n > size:
                state = choose(state, many_genes[:n], many_counts[:n], drawn, genes, counts)
                n = size
            else:
                genes[:n] = many_genes[:n]
                counts[:n] = many_counts[:n]
        if table < 0:
            return i
        if shuffle:
            state = _shuffle(state, genes[:n], counts[:n])
        if n < size:
            counts[n:] = 0
            if not pad:
                genes[n:] = -1
            elif not _pad(targets, table, state, space.seen, mark, n, genes):
                return i
    return -1


@numba.njit(nogil=True, cache=True)
def _shuffle(state: np.uint64, genes: np.ndarray, counts: np.ndarray) -> np.uint64:
    """Put the entries in random order (Fisher-Yates); return the next state."""
    for j in range(len(genes) - 1, 0, -1):
        state, number = next_below(state, j + 1)
        other = np.uint64(number)
        genes[np.uint64(j)], genes[other] = genes[other], genes[np.uint64(j)]
        counts[np.uint64(j)], counts[other] = counts[other], counts[np.uint64(j)]
    return state


@numba.njit(nogil=True, cache=True)
def most_expressed(
    cells: Cells,
    targets: Targets,
    rows: np.ndarray,
    seed: np.uint64,
    positions: np.ndarray,
    out_genes: np.ndarray,
    out_counts: np.ndarray,
    pad: bool,
) -> int:
    """Write each row's most expressed genes by falling count, padded with measured genes.

    Among equal counts, and among the genes to pad with, those with the smallest numbers come first: a gene's number
    depends on the seed, the row's position and the gene.
    """
    size = out_genes.shape[1]
    room = _room(cells, targets)
    space = _space(room, targets.width)
    genes, counts, order = np.empty(room, np.int32), np.empty(room, np.int64), np.empty(room, np.int32)
    begins, ends = np.empty(_BINS + 1, np.int64), np.empty(_BINS + 1, np.int64)
    for i in range(len(rows)):
        mark = _next_mark(space.seen, i)
        table, n = _expressed(cells, targets, rows[i], genes, counts, space, mark)
        if table < 0:
            return i
        state = start(seed, positions[i])
        _by_falling_count(state, genes[:n], counts[:n], order, begins, ends)
        kept = min(n, size)
        for j in range(kept):
            out_genes[i, j] = genes[order[j]]
            out_counts[i, j] = counts[order[j]]
        if kept < size:  # then all that are marked are kept
            out_counts[i, kept:] = 0
            if not pad:
                out_genes[i, kept:] = -1
            elif not _fill(targets, table, state, space.seen, mark, kept, out_genes[i]):
                return i
    return -1


@numba.njit(nogil=True, cache=True)
def rank_value(
    cells: Cells,
    targets: Targets,
    rows: np.ndarray,
    seed: np.uint64,
    positions: np.ndarray,
    medians: np.ndarray,
    out_genes: np.ndarray,
    out_counts: np.ndarray,
) -> int:
    """Write each row's genes of highest count over median, highest first; gene -1 after them.

    Ties are broken as in `most_expressed`. `medians` holds one number above 0 a target.
    """
    size = out_genes.shape[1]
    room = _room(cells, targets)
    space = _space(room, targets.width)
    genes, counts = np.empty(room, np.int32), np.empty(room, np.int64)
    for i in range(len(rows)):
        table, n = _expressed(cells, targets, rows[i], genes, counts, space, np.uint8(1))
        if table < 0:
            return i
        chance = by_number(_numbers(start(seed, positions[i]), genes[:n]))
        # a sort that keeps the chance order of equal values
        order = chance[np.argsort((-counts[:n] / medians[genes[:n]])[chance], kind="mergesort")]
        kept = min(n, size)
        for j in range(kept):
            out_genes[i, j] = genes[order[j]]
            out_counts[i, j] = counts[order[j]]
        out_genes[i, kept:] = -1
        out_counts[i, kept:] = 0
    return -1


@numba.njit(nogil=True, cache=True)
def _numbers(state: np.uint64, genes: np.ndarray) -> np.ndarray:
    """Return the numbers that break ties between genes."""
    numbers = np.empty(len(genes), np.uint64)
    for j in range(len(genes)):
        numbers[j] = number(state, genes[j])
    return numbers


@numba.njit(nogil=True, cache=True)
def _by_falling_count(
    state: np.uint64, genes: np.ndarray, counts: np.ndarray, order: np.ndarray, begins: np.ndarray, ends: np.ndarray
) -> None:
    """Write the places of the counts to `order`, largest first, equal ones by the numbers of their genes.

    A counting sort of the genes in the order of their numbers. The few counts from `_BINS` on share a bin; it is sorted
    by comparison, which keeps the order of equal ones.
    """
    ends[:] = 0
    for count in counts:
        ends[min(count, _BINS)] += 1
    total = 0
    for value in range(_BINS, -1, -1):
        begins[value] = total
        total += ends[value]
    for j in by_number(_numbers(state, genes)):
        value = min(counts[j], _BINS)
        order[begins[value]] = j
        begins[value] += 1
    if ends[_BINS] > 1:
        large = order[: ends[_BINS]].copy()
        order[: ends[_BINS]] = large[np.argsort(-counts[large], kind="mergesort")]


@numba.njit(nogil=True, cache=True)
def _fill(
    targets: Targets, table: int, state: np.uint64, seen: np.ndarray, mark: np.uint8, n: int, genes: np.ndarray
) -> bool:
    """Fill ``genes[n:]`` with the measured genes not yet seen of smallest number; False if there are too few."""
    measured = targets.measured[targets.measured_start[table] : targets.measured_start[table + 1]]
    wanted = len(genes) - n
    share = wanted / max(len(measured) - n, 1)
    # the numbers are evenly spread: those below a limit are a few more than are wanted, and few are left to sort
    limit = np.uint64(2**63 * min(share + 6 * np.sqrt(share / len(measured)), 1.0)) if share < 1 else np.uint64(2**63)
    numbers, found = np.empty(len(measured), np.uint64), np.empty(len(measured), np.int64)
    while True:
        n_found = 0
        for gene in measured:
            drawn = number(state, gene)
            if seen[gene] != mark and drawn >> np.uint64(1) <= limit:
                numbers[n_found] = drawn
                found[n_found] = gene
                n_found += 1
        if n_found >= wanted:
            genes[n:] = found[by_number(numbers[:n_found])[:wanted]]
            return True
        if limit == np.uint64(2**63):
            return False
        limit = np.uint64(2**63)


@numba.njit(nogil=True, cache=True)
def csr(
    cells: Cells,
    targets: Targets,
    rows: np.ndarray,
    ends: np.ndarray,
    out_genes: np.ndarray,
    out_counts: np.ndarray,
) -> int:
    """Write the wanted genes of all rows one row after the other; `ends` (n_rows + 1) gets the row pointers."""
    room = _room(cells, targets)
    space = _space(room, targets.width)
    genes, counts = np.empty(room, np.int32), np.empty(room, np.int64)
    ends[0] = 0
    for i in range(len(rows)):
        table, n = _expressed(cells, targets, rows[i], genes, counts, space, np.uint8(1))
        begin = ends[i]
        if table < 0 or begin + n > len(out_genes):
            return i
        for j in range(n):
            out_genes[begin + j] = genes[j]
            out_counts[begin + j] = counts[j]
        ends[i + 1] = begin + n
    return -1

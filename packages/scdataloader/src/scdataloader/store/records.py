"""Compiled reading of the packed records of memory-mapped shards; ``FORMAT.md`` describes them.

Damaged records are noticed, never followed out of bounds.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numba
import numpy as np
from numba.np.numpy_support import carray

from scdataloader.store.encode import ESCAPE, HEADER, MAX_GAP
from scdataloader.store.memory import Space, Targets, pointer


class Shards(NamedTuple):
    """Where the shards lie in memory, one entry a shard; addresses are int64."""

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
    """Largest number of pairs that a sound record can hold, plus the one written ahead."""
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

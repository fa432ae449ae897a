"""Gathers of cells by compiled kernels, for readers whose counts lie where these find them, packed or not.

The system is asked to read ahead what will be needed soon: many requests wait for the disk together, not one by one.
"""

from __future__ import annotations

import ctypes
import mmap
import sys
from abc import abstractmethod
from collections.abc import Sequence
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa

from scdataloader.store.cells_table import BEGIN, N_GENES, TOTAL, to_pandas
from scdataloader.store.files import UNIT, PackedCells
from scdataloader.store.genemap import Gathered, GeneMap, empty_gathered, flat
from scdataloader.store.reader import CellReader

if TYPE_CHECKING:
    from scdataloader.store.records import Shards


class KernelReader(CellReader):
    """Reads counts that lie in memory or in mapped files."""

    @abstractmethod
    def _located(self, rows: np.ndarray) -> tuple[Any, np.ndarray, object]:
        """Return where the kernels find these rows, the rows' numbers there, and what to keep as long as they read."""

    @abstractmethod
    def _most_values(self, cells: Any, places: np.ndarray) -> int:
        """Return how many counts rows have at most; the arguments are the first two of what `_located` returns."""

    @abstractmethod
    def _fault(self, row: int) -> Exception:
        """Return what is wrong with an existing row that could not be read."""

    def gather(
        self,
        rows: np.ndarray,
        genes: GeneMap,
        *,
        choice: str = "all",
        context: int | None = None,
        positions: np.ndarray | None = None,
        seed: int = 0,
        pad: bool = True,
        shuffle: bool = False,
        medians: np.ndarray | None = None,
        out: Gathered | None = None,
    ) -> Gathered:
        """See `CellReader.gather`."""
        from scdataloader.store import kernels

        rows = np.ascontiguousarray(rows, dtype=np.int64)
        out = empty_gathered(len(rows), genes, choice=choice, context=context) if out is None else out
        if len(out.counts) != len(rows):
            raise ValueError(f"the arrays to write to hold {len(out.counts)} cells, but {len(rows)} rows were given")
        if pad and choice in ("random_expressed", "most_expressed"):
            self.check_measured(genes, out.counts.shape[1], rows)
        where = rows if positions is None else np.ascontiguousarray(positions, dtype=np.int64)
        cells, places, _keep = self._located(rows)
        arguments: Any = [cells, genes.targets, places, np.uint64(seed), where]
        kernel: Any
        if choice == "all":
            bad = kernels.dense(cells, genes.targets, places, flat(out.counts))
        elif choice == "rank_value":
            if medians is None:
                raise ValueError("choice='rank_value' needs medians: one number for each wanted gene")
            kernel = kernels.rank_value
            bad = kernel(*arguments, medians, out.genes, out.counts)
        else:
            kernel = kernels.random_expressed if choice == "random_expressed" else kernels.most_expressed
            shuffled = (shuffle,) if choice == "random_expressed" else ()
            bad = kernel(*arguments, out.genes, out.counts, pad, *shuffled)
        self._check(rows, bad)
        return out

    def gather_csr(
        self, rows: np.ndarray, genes: GeneMap, *, exact: bool = False
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """See `CellReader.gather_csr`."""
        from scdataloader.store import kernels

        rows = np.ascontiguousarray(rows, dtype=np.int64)
        cells, places, _keep = self._located(rows)
        ends = np.empty(len(rows) + 1, np.int64)
        room = self._most_values(cells, places)
        columns, counts = np.empty(room, np.int32), np.empty(room, np.uint32 if exact else np.float32)
        self._check(rows, kernels.csr(cells, genes.targets, places, ends, columns, counts))
        return ends, columns[: ends[-1]], counts[: ends[-1]]

    def _check(self, rows: np.ndarray, bad: int) -> None:
        """Raise what is wrong with the row at the place `bad`, if that is not -1."""
        if bad < 0:
            return
        row = int(rows[bad])
        if not 0 <= row < len(self):
            raise IndexError(f"there is no cell {row}: the store holds {len(self)}")
        raise self._fault(row)


class PackedReader(KernelReader):
    """Reads packed records; see ``FORMAT.md``.

    Parameters
    ----------
    shards
        Records and tables of the cells, one entry a part.
    datasets, part_datasets
        See `CellReader`.
    tables
        Number of the gene table of each part.
    """

    def __init__(
        self,
        shards: Sequence[PackedCells],
        datasets: Sequence[str],
        part_datasets: Sequence[int],
        tables: Sequence[int],
    ) -> None:
        super().__init__([shard.cells.num_rows for shard in shards], datasets, part_datasets)
        self.shards, self._tables = list(shards), list(tables)

    def total_counts(self, rows: np.ndarray | None = None) -> np.ndarray:
        """Return the total count of cells (by default all), also of genes that were not stored; float32."""
        return self._column(rows, self._addresses.total, np.float32)

    def n_genes(self, rows: np.ndarray | None = None) -> np.ndarray:
        """Return the number of expressed genes of cells (by default all); int32."""
        return self._column(rows, self._addresses.n_genes, np.int32)

    def obs(self, columns: Sequence[str] | None = None) -> pd.DataFrame:
        """Return the cells' table, or some of its columns, as a data frame in memory; one row a cell.

        Raises
        ------
        KeyError
            When no data set has one of the columns.
        """
        return to_pandas([shard.cells for shard in self.shards], columns)

    def will_need(self, rows: np.ndarray) -> None:
        """Ask the system to read these cells' records from disk in the background: the best for a cold disk.

        Call it with the rows of many batches to come, then gather them in their own order.
        """
        advise(*record_ranges(self._addresses, np.asarray(rows, dtype=np.int64)))

    @cached_property
    def _addresses(self) -> Shards:
        from scdataloader.store.records import Shards

        def places(name: str) -> np.ndarray:
            return np.array([shard.column(name).ctypes.data for shard in self.shards], dtype=np.int64)

        return Shards(
            first_row=np.cumsum([0, *(shard.cells.num_rows for shard in self.shards)], dtype=np.int64),
            counts=np.array([shard.counts.address for shard in self.shards], dtype=np.int64),
            n_units=np.array([shard.counts.size // UNIT for shard in self.shards], dtype=np.int64),
            begin=places(BEGIN),
            total=places(TOTAL),
            n_genes=places(N_GENES),
            table=np.array(self._tables, dtype=np.int64),
        )

    @property
    def part_tables(self) -> np.ndarray:
        """Number of the gene table of each part."""
        return self._addresses.table

    def _cell_tables(self, columns: Sequence[str] | None) -> list[pa.Table]:  # noqa: ARG002 (all are mapped anyway)
        return [shard.cells for shard in self.shards]

    def _located(self, rows: np.ndarray) -> tuple[Shards, np.ndarray, None]:
        return self._addresses, rows, None

    def _most_values(self, cells: Shards, places: np.ndarray) -> int:  # noqa: ARG002 (all are in one place)
        return int(self.n_genes(places).sum(dtype=np.int64))

    def _column(self, rows: np.ndarray | None, where: np.ndarray, kind: type[np.generic]) -> np.ndarray:
        from scdataloader.store.records import read_column

        rows = np.arange(len(self)) if rows is None else np.ascontiguousarray(rows, dtype=np.int64)
        out = np.empty(len(rows), kind)
        bad = read_column(self._addresses, where, rows, out)
        self._check(rows, bad)
        return out


# ---------------------------------------------------------------------------------------------------- reading ahead

_WILL_NEED = 3


def advise(first: np.ndarray, last: np.ndarray) -> None:
    """Announce ranges of mapped memory in order of their place, each page once; does nothing on Windows.

    Parameters
    ----------
    first, last
        Addresses where they begin and end; int64, of one shape.
    """
    call = _madvise()
    if call is None or len(first) == 0:
        return
    first = first - first % mmap.PAGESIZE
    order = np.argsort(first)
    for begin, end in _joined(first[order], np.maximum.accumulate(last[order])):
        call(begin, end - begin, _WILL_NEED)


def record_ranges(shards: Shards, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return where the records of rows begin and end in memory."""
    rows = np.unique(rows)
    numbers = np.searchsorted(shards.first_row, rows, side="right") - 1
    found: list[tuple[np.ndarray, np.ndarray]] = []
    for number in np.unique(numbers):
        n_rows = int(shards.first_row[number + 1] - shards.first_row[number])
        begins = _begins(int(shards.begin[number]), n_rows)
        local = rows[numbers == number] - shards.first_row[number]
        following = np.minimum(local + 1, n_rows - 1)
        ends = np.where(local + 1 < n_rows, begins[following], shards.n_units[number]).astype(np.int64)
        found.append((shards.counts[number] + 2 * begins[local].astype(np.int64), shards.counts[number] + 2 * ends))
    return _all(found)


def chunk_ranges(
    chunks: np.ndarray, size: int, width: int, begins: np.ndarray, ends: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return where the elements ``begins[i]`` to ``ends[i]`` of a chunked array lie in memory.

    Parameters
    ----------
    chunks
        Address of each chunk.
    size, width
        Elements of a chunk, bytes of an element.
    """
    begins, ends = begins[ends > begins], ends[ends > begins]
    pieces = (ends - 1) // size - begins // size + 1
    which = np.repeat(np.arange(len(begins)), pieces)
    chunk = begins[which] // size + np.arange(len(which)) - np.repeat(np.cumsum(pieces) - pieces, pieces)
    inside = np.maximum(begins[which] - chunk * size, 0)
    until = np.minimum(ends[which] - chunk * size, size)
    return chunks[chunk] + width * inside, chunks[chunk] + width * until


def _all(ranges: Sequence[tuple[np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    none = np.empty(0, np.int64)
    first, last = zip(*ranges, strict=True) if ranges else ((none,), (none,))
    return np.concatenate(first), np.concatenate(last)


def _joined(first: np.ndarray, last: np.ndarray) -> list[tuple[int, int]]:
    """Join ranges that touch or share pages; both arrays ascend."""
    apart = np.flatnonzero(first[1:] > last[:-1]) + 1
    begins, ends = first[np.append(0, apart)], last[np.append(apart - 1, len(last) - 1)]
    return list(zip(begins.tolist(), ends.tolist(), strict=True))


def _begins(address: int, n_rows: int) -> np.ndarray:
    return np.ctypeslib.as_array(ctypes.cast(address, ctypes.POINTER(ctypes.c_uint32)), (n_rows,))


@lru_cache(maxsize=1)
def _madvise() -> Any:
    if sys.platform == "win32":
        return None
    call = ctypes.CDLL(None, use_errno=True).madvise
    call.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    return call

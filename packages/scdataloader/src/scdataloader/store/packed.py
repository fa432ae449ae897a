"""Cells as packed records, in mapped files or held in memory: what `CellStore` and `HeldStore` share."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pyarrow as pa

from scdataloader.store.cells_table import BEGIN, N_GENES, TOTAL, to_pandas
from scdataloader.store.kernel_reader import KernelReader
from scdataloader.store.mapped import PackedCells

if TYPE_CHECKING:
    from scdataloader.store.records import Shards

#: Bytes of a unit of a record.
UNIT = 2


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
        from scdataloader.store.readahead import advise, record_ranges

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

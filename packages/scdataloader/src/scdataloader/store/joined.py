"""Several stores read as one: of one kind as one set of records, of two kinds each by its own kernels."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import pandas as pd
import pyarrow as pa

from scdataloader.store.genemap import Gathered, GeneMap, empty_gathered
from scdataloader.store.reader import CellReader


class JoinedStore(CellReader):
    """Cells of several stores, data sets in any order.

    Parameters
    ----------
    stores
        Open stores.
    datasets
        Names of all their data sets, in the order that they shall have; None: that of the stores.

    Raises
    ------
    ValueError
        When two data sets have the same name.
    """

    def __init__(self, stores: Sequence[CellReader], datasets: Sequence[str] | None = None) -> None:
        there = [name for store in stores for name in store.datasets]
        if repeated := sorted({name for name in there if there.count(name) > 1}):
            raise ValueError(f"several data sets have the names {repeated[:5]}: rename them")
        names = list(there if datasets is None else datasets)
        place = {name: number for number, name in enumerate(names)}
        self._stores = list(stores)
        #: (place of its data set, number of the store, number of the part there) of each part, in order.
        self._parts = sorted(
            (place[store.datasets[data_set]], number, part)
            for number, store in enumerate(self._stores)
            for part, data_set in enumerate(store.part_datasets.tolist())
        )
        firsts = [store.first_rows for store in self._stores]
        sizes = [int(np.diff(firsts[store])[part]) for _, store, part in self._parts]
        super().__init__(sizes, names, [data_set for data_set, _, _ in self._parts])
        self._store_of = np.array([store for _, store, _ in self._parts], dtype=np.int64)
        self._begin = np.array([firsts[store][part] for _, store, part in self._parts], dtype=np.int64)
        self._table_ends = np.cumsum([0, *(len(store.gene_tables) for store in self._stores)])
        self._maps: WeakKeyDictionary[GeneMap, list[GeneMap]] = WeakKeyDictionary()

    def __reduce__(self) -> tuple[Any, ...]:
        return JoinedStore, (self._stores, self.datasets)

    def __repr__(self) -> str:
        return f"JoinedStore({len(self):,} cells of {len(self.datasets)} data sets)"

    @property
    def gene_tables(self) -> list[pd.DataFrame]:
        """The gene tables of all stores, one store after the other."""
        return [table for store in self._stores for table in store.gene_tables]

    @property
    def part_tables(self) -> np.ndarray:
        """Number of the gene table of each part."""
        tables = [store.part_tables for store in self._stores]
        return np.array([self._table_ends[store] + tables[store][part] for _, store, part in self._parts], np.int64)

    @property
    def fingerprint(self) -> str:
        """A hash of the stores' fingerprints and of the order."""
        content = [*(store.fingerprint for store in self._stores), *self.datasets]
        return hashlib.sha256("\n".join(content).encode()).hexdigest()[:16]

    def total_counts(self, rows: np.ndarray | None = None) -> np.ndarray:
        """Return the total count of cells (by default all); float32."""
        return self._of_each(rows, np.float32, lambda store, local: store.total_counts(local))

    def n_genes(self, rows: np.ndarray | None = None) -> np.ndarray:
        """Return the number of expressed genes of cells (by default all); int32."""
        return self._of_each(rows, np.int32, lambda store, local: store.n_genes(local))

    def obs(self, columns: Sequence[str] | None = None) -> pd.DataFrame:
        """Return the cells' table, or some of its columns, as a data frame in memory; one row a cell."""
        from scdataloader.store.cells_table import to_pandas

        return to_pandas(self._cell_tables(columns), columns)

    def info(self) -> dict[str, Any]:
        """Return what there is to know at a glance."""
        sizes = dict(zip(self.datasets, self.dataset_sizes.tolist(), strict=True))
        return {"cells": len(self), "datasets": sizes, "stores": [store.info() for store in self._stores]}

    def obsm(self, name: str) -> np.ndarray:
        """Return an entry of ``obsm`` of all cells, float32, shape (n_cells, d)."""
        found = [store.obsm(name) for store in self._stores]
        if len({array.shape[1] for array in found}) != 1:
            raise ValueError(f"obsm {name!r} is of different widths: {[array.shape[1] for array in found]}")
        out = np.empty((len(self), found[0].shape[1]), np.float32)
        for rows, store, local in self._shares(np.arange(len(self))):
            out[rows] = found[store][local]
        return out

    def layer(self, name: str) -> CellReader:
        """Return the same cells with the counts of a layer."""
        return JoinedStore([store.layer(name) for store in self._stores], self.datasets)

    def will_need(self, rows: np.ndarray) -> None:
        """Ask the system to read these cells' records from disk in the background."""
        for _, store, local in self._shares(np.asarray(rows, dtype=np.int64)):
            self._stores[store].will_need(local)

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
        rows = self._existing(rows)
        out = empty_gathered(len(rows), genes, choice=choice, context=context) if out is None else out
        positions = rows if positions is None else positions
        size = None if choice == "all" else out.counts.shape[1]
        options: dict[str, Any] = {"choice": choice, "context": size, "seed": seed, "pad": pad, "shuffle": shuffle}
        for mine, store, local in self._shares(rows):
            part = self._stores[store].gather(
                local, self._map(genes, store), positions=positions[mine], medians=medians, **options
            )
            out.counts[mine] = part.counts
            if out.genes is not None:
                out.genes[mine] = part.genes
        return out

    def gather_csr(
        self, rows: np.ndarray, genes: GeneMap, *, exact: bool = False
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """See `CellReader.gather_csr`."""
        rows = self._existing(rows)
        shares = self._shares(rows)
        found = [
            self._stores[store].gather_csr(local, self._map(genes, store), exact=exact) for _, store, local in shares
        ]
        lengths = np.zeros(len(rows), np.int64)
        for (mine, _, _), (ends, _, _) in zip(shares, found, strict=True):
            lengths[mine] = np.diff(ends)
        all_ends = np.cumsum([0, *lengths])
        columns = np.empty(all_ends[-1], np.int32)
        counts = np.empty(all_ends[-1], np.uint32 if exact else np.float32)
        for (mine, _, _), (ends, some_columns, some_counts) in zip(shares, found, strict=True):
            # where each value of these rows goes
            to = np.repeat(all_ends[:-1][mine] - ends[:-1], np.diff(ends)) + np.arange(ends[-1])
            columns[to], counts[to] = some_columns, some_counts
        return all_ends, columns, counts

    # ------------------------------------------------------------------------------------------------------ inside

    def _cell_tables(self, columns: Sequence[str] | None) -> list[pa.Table]:
        tables = [store._cell_tables(columns) for store in self._stores]
        return [tables[store][part] for _, store, part in self._parts]

    def _map(self, genes: GeneMap, store: int) -> GeneMap:
        if genes not in self._maps:
            ends = self._table_ends
            parts = [genes.tables[ends[i] : ends[i + 1]] for i in range(len(self._stores))]
            self._maps[genes] = [replace(genes, tables=list(tables)) for tables in parts]
        return self._maps[genes][store]

    def _existing(self, rows: np.ndarray) -> np.ndarray:
        rows = np.ascontiguousarray(rows, dtype=np.int64)
        outside = rows[(rows < 0) | (rows >= len(self))]
        if len(outside):
            raise IndexError(f"there is no cell {outside[0]}: the store holds {len(self)}")
        return rows

    def _shares(self, rows: np.ndarray) -> list[tuple[np.ndarray, int, np.ndarray]]:
        """Return (places in `rows`, number of the store, rows there) of each store that has some."""
        parts = self.part_of(rows)
        local = rows - self.first_rows[parts] + self._begin[parts]
        stores = self._store_of[parts]
        return [(mine := np.flatnonzero(stores == store), int(store), local[mine]) for store in np.unique(stores)]

    def _of_each(
        self,
        rows: np.ndarray | None,
        kind: type[np.generic],
        read: Callable[[CellReader, np.ndarray], np.ndarray],
    ) -> np.ndarray:
        rows = np.arange(len(self)) if rows is None else self._existing(rows)
        out = np.empty(len(rows), kind)
        for mine, store, local in self._shares(rows):
            out[mine] = read(self._stores[store], local)
        return out


def joined(stores: Sequence[CellReader], datasets: Sequence[str] | None = None) -> CellReader:
    """Return stores as one, packed ones without a detour; see `JoinedStore`."""
    from scdataloader.store.held import HeldStore
    from scdataloader.store.kernel_reader import PackedReader

    packed = [store for store in stores if isinstance(store, PackedReader)]
    others = [store for store in stores if not isinstance(store, PackedReader)]
    if len(packed) > 1:
        packed = [HeldStore.together(packed, datasets if not others else None)]
    whole = [*packed, *others]
    if len(whole) == 1 and (datasets is None or whole[0].datasets == list(datasets)):
        return whole[0]
    return JoinedStore(whole, datasets)

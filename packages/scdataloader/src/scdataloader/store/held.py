"""Cells held in memory, packed as in a store: a third of the memory of CSR, and read as fast as a store."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from scdataloader.sources import Source
from scdataloader.store.cells_table import to_arrow
from scdataloader.store.convert import checked_genes, encoded
from scdataloader.store.files import PackedCells
from scdataloader.store.kernel_reader import PackedReader
from scdataloader.store.reader import CellReader

#: Units of records in one piece of memory; begins of records are 32-bit numbers.
_PIECE = 1 << 30


class HeldStore(PackedReader):
    """Raw counts of data sets in memory; made by `hold`.

    Parameters
    ----------
    shards, datasets, part_datasets, tables
        See `PackedReader`.
    gene_tables
        See `CellReader.gene_tables`.
    obsm, layers
        Further entries of the cells, by name.
    """

    def __init__(
        self,
        shards: Sequence[PackedCells],
        datasets: Sequence[str],
        part_datasets: Sequence[int],
        tables: Sequence[int],
        *,
        gene_tables: Sequence[pd.DataFrame],
        obsm: dict[str, np.ndarray],
        layers: dict[str, CellReader],
    ) -> None:
        super().__init__(shards, datasets, part_datasets, tables)
        self._gene_tables, self._obsm, self._layers = list(gene_tables), obsm, layers
        self._parents: list[PackedReader] = []

    @classmethod
    def together(cls, stores: Sequence[PackedReader], datasets: Sequence[str] | None = None) -> HeldStore:
        """Return packed stores as one, nothing copied; their data sets in the given order, by default as they come.

        Raises
        ------
        ValueError
            When two data sets have the same name.
        """
        there = [name for store in stores for name in store.datasets]
        if repeated := sorted({name for name in there if there.count(name) > 1}):
            raise ValueError(f"several data sets have the names {repeated[:5]}: rename them")
        place = {name: number for number, name in enumerate(there if datasets is None else datasets)}
        genes: dict[str, pd.DataFrame] = {}
        parts: list[tuple[int, int, int]] = []
        for number, store in enumerate(stores):
            for part, data_set in enumerate(store.part_datasets.tolist()):
                parts.append((place[store.datasets[data_set]], number, part))
            for table in store.gene_tables:
                genes.setdefault(checked_genes(table, "a gene table")[0], table)
        parts.sort()
        numbers = {label: i for i, label in enumerate(genes)}
        known = [[numbers[checked_genes(table, "a gene table")[0]] for table in store.gene_tables] for store in stores]
        shards = [stores[store].shards[part] for _, store, part in parts]
        tables = [known[store][int(stores[store].part_tables[part])] for _, store, part in parts]
        kept = [store for store in stores if isinstance(store, HeldStore)]
        obsm, layers = _common(kept, place) if len(kept) == len(stores) else ({}, {})
        numbers_of_sets = [data_set for data_set, _, _ in parts]
        made = cls(
            shards, list(place), numbers_of_sets, tables, gene_tables=list(genes.values()), obsm=obsm, layers=layers
        )
        made._parents = list(stores)
        return made

    def __reduce__(self) -> tuple[Any, ...]:
        if self._parents:  # stores on disk are opened again, not sent
            return HeldStore.together, (self._parents, self.datasets)
        more = {"gene_tables": self._gene_tables, "obsm": self._obsm, "layers": self._layers}
        return _again, (self.shards, self.datasets, self.part_datasets.tolist(), self._tables, more)

    def __repr__(self) -> str:
        return f"HeldStore({len(self):,} cells of {len(self.datasets)} data sets)"

    @property
    def gene_tables(self) -> list[pd.DataFrame]:
        """The gene tables, indexed by gene id; data sets of the same genes share one."""
        return self._gene_tables

    @cached_property
    def fingerprint(self) -> str:
        """A hash of the cells: their records, names and genes."""
        digest = hashlib.sha256()
        if self._parents:
            digest.update("\n".join([*(store.fingerprint for store in self._parents), *self.datasets]).encode())
            return digest.hexdigest()[:16]
        for number, shard in zip(self.part_datasets.tolist(), self.shards, strict=True):
            digest.update(self.datasets[number].encode())
            digest.update(shard.counts)
            digest.update("\n".join(shard.cells.column("_index").to_pylist()).encode())
        for table in self._gene_tables:
            digest.update("\n".join(map(str, table.index.tolist())).encode())
        return digest.hexdigest()[:16]

    def info(self) -> dict[str, Any]:
        """Return what there is to know at a glance."""
        sizes = dict(zip(self.datasets, self.dataset_sizes.tolist(), strict=True))
        n_bytes = sum(shard.counts.size + shard.cells.nbytes for shard in self.shards)
        return {"cells": len(self), "datasets": sizes, "bytes": n_bytes}

    def obsm(self, name: str) -> np.ndarray:
        """Return an entry of ``obsm`` of all cells, float32, shape (n_cells, d)."""
        return self._obsm[name] if name in self._obsm else super().obsm(name)

    def layer(self, name: str) -> CellReader:
        """Return the same cells with the counts of a layer."""
        return self._layers[name] if name in self._layers else super().layer(name)

    def _fault(self, row: int) -> ValueError:
        name = self.datasets[int(self.dataset_of(np.array([row]))[0])]
        return ValueError(f"cell {row} of data set {name!r} is damaged: make the store again")


def _again(shards: Any, datasets: Any, part_datasets: Any, tables: Any, more: dict[str, Any]) -> HeldStore:
    return HeldStore(shards, datasets, part_datasets, tables, **more)


def hold(name: str, source: Source, *, obsm: Sequence[str] = (), layers: Sequence[str] = ()) -> HeldStore:
    """Read a data set into memory, packed.

    Parameters
    ----------
    name
        Name of the data set.
    source
        Raw counts in ``X``; read in blocks.
    obsm, layers
        Names of further entries to keep.

    Raises
    ------
    ValueError
        When it has no ``X``, no cells, not one of the entries, or values that are not counts.
    """
    embeddings = {key: _entry(name, source, key) for key in obsm}
    kept = {key: _held(name, source, f"layers/{key}", {}, {}) for key in layers}
    return _held(name, source, "X", embeddings, dict(kept))


def _entry(name: str, source: Source, key: str) -> np.ndarray:
    if key not in source.embeddings:
        raise ValueError(f"{name}: obsm has no {key!r}, only {sorted(source.embeddings)}")
    return np.asarray(source.embeddings[key](), dtype=np.float32)


def _held(
    name: str, source: Source, where: str, obsm: dict[str, np.ndarray], layers: dict[str, CellReader]
) -> HeldStore:
    if where not in source.matrices:
        raise ValueError(f"{name} has no matrix {where!r}, only {sorted(source.matrices)}")
    matrix = source.matrices[where]
    if matrix.shape[0] == 0:
        raise ValueError(f"{name} has no cells: leave it out")
    _, genes = checked_genes(matrix.var, name)
    shards: list[PackedCells] = []
    first = 0
    pending: list[tuple[np.ndarray, ...]] = []
    for block in encoded(matrix, 0, name):
        if pending and sum(len(b[0]) for b in pending) + len(block[0]) > _PIECE:
            shards.append(_piece(source.obs, first, pending))
            first, pending = first + shards[-1].cells.num_rows, []
        pending.append(block)
    shards.append(_piece(source.obs, first, pending))
    n = len(shards)
    return HeldStore(shards, [name], [0] * n, [0] * n, gene_tables=[genes], obsm=obsm, layers=layers)


def _piece(obs: pd.DataFrame, first: int, blocks: list[tuple[np.ndarray, ...]]) -> PackedCells:
    records, sizes, n_genes, summed = (np.concatenate(parts) for parts in zip(*blocks, strict=True))
    table = obs.iloc[first : first + len(sizes)]
    total = table["total_counts"].to_numpy(np.float32) if "total_counts" in table else summed
    return PackedCells(
        pa.py_buffer(records), to_arrow(table, np.cumsum(sizes) - sizes, n_genes, total).combine_chunks()
    )


def _common(stores: Sequence[HeldStore], place: dict[str, int]) -> tuple[dict[str, np.ndarray], dict[str, CellReader]]:
    """Return the entries that all stores hold, in the order of their data sets."""
    ordered = sorted(stores, key=lambda store: place[store.datasets[0]])
    obsm = {
        name: np.concatenate([store._obsm[name] for store in ordered])
        for name in ordered[0]._obsm
        if all(name in store._obsm for store in ordered)
    }
    layers: dict[str, CellReader] = {}
    for name in ordered[0]._layers:
        found = [store._layers.get(name) for store in ordered]
        if all(isinstance(one, HeldStore) for one in found):
            layers[name] = HeldStore.together([one for one in found if isinstance(one, HeldStore)], list(place))
    return obsm, layers

"""The chosen genes of any cells of a store, by a collator's rules."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
from scipy import sparse

from scdataloader.collate.collator import Collator
from scdataloader.collate.contexts import NO_GENE, Panel
from scdataloader.collate.gene_choice import LogMoments
from scdataloader.collate.geneformer import GeneformerFormat
from scdataloader.store.genemap import Gathered, GeneMap, empty_gathered
from scdataloader.store.reader import CellReader

#: Cells that are looked at at a time for the ranking of a data set's genes.
_CHUNK = 1 << 13

type Empty = Callable[[tuple[int, ...], Any], np.ndarray]


class Chooser:
    """Chooses genes of cells; all that the data decide was looked at when it was made.

    Parameters
    ----------
    store
        Counts of the cells.
    collator
        Rules of the choice.
    rows
        Rows of the store that count for the rankings of genes; None: all.

    Raises
    ------
    ValueError
        When a data set measures fewer genes than the context asks for, or not all of the given ones.
    """

    def __init__(self, store: CellReader, collator: Collator, rows: np.ndarray | None = None) -> None:
        self._store, self._collator, self._rows = store, collator, rows
        self._all_genes = store.gene_map(collator.vocabulary)
        #: Where genes go that the format knows and that may be chosen.
        self.genes = self._usable_genes(collator.usable)
        self._panels, self._panel_of_part = self._make_panels()
        self._same = self._same_for_all()

    def _usable_genes(self, usable: np.ndarray | None) -> GeneMap:
        if usable is None:
            return self._all_genes
        tables = [np.where((t >= 0) & usable[t], t, -1).astype(np.int32) for t in self._all_genes.tables]
        return GeneMap(tables, self._all_genes.width)

    def _make_panels(self) -> tuple[list[Panel], np.ndarray]:
        """Return the panels, and which is each part's; of equal ones only the first."""
        store, collator = self._store, self._collator
        panels: list[Panel] = []
        known: dict[tuple[int, int], int] = {}
        numbers = []
        for data_set, table in zip(store.part_datasets.tolist(), store.part_tables.tolist(), strict=True):
            key = (table, data_set if collator.needs_ranking else -1)
            if key not in known:
                known[key] = len(panels)
                index = self._all_genes.tables[table].astype(np.int64)
                ranking = self._ranking(data_set, index) if collator.needs_ranking else None
                panels.append(collator.panel(store.datasets[data_set], index, ranking))
            numbers.append(known[key])
        return panels, np.array(numbers, dtype=np.int64)

    def _ranking(self, data_set: int, index: np.ndarray) -> np.ndarray:
        """Return the vocabulary indices of a data set's genes, most variable first."""
        store = self._store
        rows = np.arange(len(store)) if self._rows is None else self._rows
        rows = rows[store.dataset_of(rows) == data_set]
        genes = np.sort(index[index >= 0])
        place = np.zeros(self._all_genes.width, np.int64)
        place[genes] = np.arange(len(genes))
        moments = LogMoments(len(genes))
        for begin in range(0, len(rows), _CHUNK):
            some = rows[begin : begin + _CHUNK]
            ends, columns, counts = store.gather_csr(some, self._all_genes)
            block = sparse.csr_matrix((counts, place[columns], ends), shape=(len(some), len(genes)))
            moments.add(block, store.total_counts(some))
        # the ties it breaks belong to the data set, not to one collator's draws
        return genes[moments.ranking(np.random.default_rng(0))]

    def _same_for_all(self) -> tuple[np.ndarray, GeneMap, np.ndarray | None] | None:
        """Return the genes that all cells show, their map, and which each panel measured; None where they differ."""
        panels = self._panels
        if not self._collator.has_panels or (len(panels) != 1 and self._collator.gene_choice != "given"):
            return None
        fixed = _fixed(panels[0])
        place = np.full(self._all_genes.width + 1, -1, np.int32)  # its last entry is for genes outside
        place[fixed] = np.arange(len(fixed))
        present = None
        if any(panel.present is not None for panel in panels):
            everywhere = np.ones(len(fixed), np.bool_)
            present = np.stack([everywhere if panel.present is None else panel.present for panel in panels])
        return fixed, GeneMap([place[table] for table in self._all_genes.tables], len(fixed)), present

    @cached_property
    def _panel_genes(self) -> Callable[[int], GeneMap]:
        tables_of: dict[int, set[int]] = {}
        for number, table in zip(self._panel_of_part.tolist(), self._store.part_tables.tolist(), strict=True):
            tables_of.setdefault(number, set()).add(table)

        @lru_cache(maxsize=256)
        def made(number: int) -> GeneMap:
            fixed = _fixed(self._panels[number])
            place = np.full(self._all_genes.width + 1, -1, np.int32)  # its last entry is for genes outside
            place[fixed] = np.arange(len(fixed))
            none = np.empty(0, np.int32)  # of tables that no cell of this panel has
            tables = [place[t] if i in tables_of[number] else none for i, t in enumerate(self._all_genes.tables)]
            return GeneMap(tables, len(fixed))

        return made

    def __getstate__(self) -> dict[str, Any]:
        """Leave out what a worker makes itself."""
        return {name: value for name, value in self.__dict__.items() if name != "_panel_genes"}

    # ------------------------------------------------------------------------------------------------------ choose

    def choose(
        self, rows: np.ndarray, *, size: int, seed: np.uint64, positions: np.ndarray, empty: Empty = np.empty
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
        """Return the chosen genes, their counts, and whether there is one (None: everywhere).

        Parameters
        ----------
        rows
            Rows of the store, int64, shape (B,).
        size
            Most genes a cell.
        seed, positions
            Seed, and one number a cell, shape (B,), on which chance depends.
        empty
            Makes the arrays, as ``empty(shape, dtype)``.
        """
        if self._same is not None:
            return self._same_genes(rows, *self._same, size, empty)
        if self._collator.has_panels:
            return self._own_genes(rows, size)
        collator, choice = self._collator, self._collator.gene_choice
        pads = not (collator.variable_context or choice == "rank_value")
        out = empty_gathered(len(rows), self.genes, choice=choice, context=min(size, self.genes.width), empty=empty)
        self._store.gather(
            rows,
            self.genes,
            choice=choice,
            positions=positions,
            seed=int(seed),
            pad=pads,
            shuffle=collator.shuffle,
            medians=self._medians,
            out=out,
        )
        genes, counts = _arrays(out)
        if pads:
            return genes, counts, None
        present = genes != NO_GENE
        width = max(1, int(present.sum(axis=1).max(initial=0)))
        kept = (genes[:, :width], counts[:, :width], present[:, :width])
        return tuple(np.ascontiguousarray(array) for array in kept)  # type: ignore[return-value]

    @property
    def _medians(self) -> np.ndarray | None:
        form = self._collator.format
        return form.medians if isinstance(form, GeneformerFormat) else None

    def _same_genes(
        self, rows: np.ndarray, fixed: np.ndarray, genes: GeneMap, present: np.ndarray | None, size: int, empty: Empty
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
        out = empty_gathered(len(rows), genes, empty=empty)
        self._store.gather(rows, genes, out=out)
        counts = out.counts
        if size < genes.width:
            fixed, counts = fixed[:size], np.ascontiguousarray(counts[:, :size])
        # One row stands for all: the same for each cell. Made by hand, as it costs a tenth of numpy's own function.
        shown = np.ndarray((len(rows), len(fixed)), fixed.dtype, fixed, strides=(0, fixed.itemsize))
        if present is not None:
            present = present[self._panel_of_part[self._store.part_of(rows)], :size]
        return shown, counts, present

    def _own_genes(self, rows: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Gather cells of different panels, each by its own; shorter ones end in no gene."""
        numbers = self._panel_of_part[self._store.part_of(rows)]
        used = np.unique(numbers).tolist()
        width = max([1, *(min(size, len(_fixed(self._panels[n]))) for n in used)])
        genes = np.full((len(rows), width), NO_GENE, np.int64)
        counts, present = np.zeros((len(rows), width), np.float32), np.zeros((len(rows), width), np.bool_)
        for number in used:
            panel, mine = self._panels[number], np.flatnonzero(numbers == number)
            fixed = _fixed(panel)[:size]
            n = len(fixed)
            genes[mine, :n] = fixed
            counts[mine, :n] = self._store.gather(rows[mine], self._panel_genes(number)).counts[:, :n]
            present[mine, :n] = True if panel.present is None else panel.present[:n]
        return genes, counts, present


def _fixed(panel: Panel) -> np.ndarray:
    if panel.fixed is None:
        raise ValueError(f"{panel.name}: its cells do not show the same genes")
    return panel.fixed


def _arrays(out: Gathered) -> tuple[np.ndarray, np.ndarray]:
    if out.genes is None:
        raise ValueError("these cells show all genes in order")
    return out.genes, out.counts

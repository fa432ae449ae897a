"""Gathers of cells by compiled kernels, for readers whose counts lie where these find them."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import numpy as np

from scdataloader.store.context import Context, empty_context, flat
from scdataloader.store.genemap import GeneMap
from scdataloader.store.reader import CellReader


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
        out: Context | None = None,
    ) -> Context:
        """See `CellReader.gather`."""
        from scdataloader.store import kernels

        rows = np.ascontiguousarray(rows, dtype=np.int64)
        out = empty_context(len(rows), genes, choice=choice, context=context) if out is None else out
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

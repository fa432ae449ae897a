"""What every store of cells offers, wherever its counts lie: look-ups, and gathers of any cells by compiled kernels."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa

from scdataloader.store.context import Context, empty_context, flat
from scdataloader.store.genemap import GeneMap

if TYPE_CHECKING:
    from scdataloader.genes import GeneVocabulary
    from scdataloader.labels import LabelSpace


class CellReader(ABC):
    """Raw counts and labels of the cells of several data sets, by their number.

    The cells are in parts: runs of one data set, over one gene table. A reader can be pickled (workers open the files
    themselves) and used from several threads at once.

    Parameters
    ----------
    sizes
        Number of cells of each part.
    datasets
        Names of the data sets; a cell's data set index is a place in this list.
    part_datasets
        Index of each part's data set.
    """

    def __init__(self, sizes: Sequence[int], datasets: Sequence[str], part_datasets: Sequence[int]) -> None:
        self.datasets = list(datasets)
        self._first = np.cumsum([0, *sizes], dtype=np.int64)
        self._part_datasets = np.array(part_datasets, dtype=np.int64)

    # ------------------------------------------------------------------------------------------- each in its own way

    @property
    @abstractmethod
    def gene_tables(self) -> list[pd.DataFrame]:
        """The gene tables, indexed by gene id; data sets of the same genes share one."""

    @property
    @abstractmethod
    def fingerprint(self) -> str:
        """A hash of the cells and their order: the same when the files are moved, another when their data change."""

    @abstractmethod
    def total_counts(self, rows: np.ndarray | None = None) -> np.ndarray:
        """Return the total count of cells (by default all), also of genes that were not stored; float32."""

    @abstractmethod
    def n_genes(self, rows: np.ndarray | None = None) -> np.ndarray:
        """Return the number of expressed genes of cells (by default all); int32."""

    @abstractmethod
    def obs(self, columns: Sequence[str] | None = None) -> pd.DataFrame:
        """Return the cells' table, or some of its columns, as a data frame in memory; one row a cell.

        Raises
        ------
        KeyError
            When no data set has one of the columns.
        """

    @abstractmethod
    def info(self) -> dict[str, Any]:
        """Return what there is to know at a glance."""

    @abstractmethod
    def will_need(self, rows: np.ndarray) -> None:
        """Ask the system to read these cells' records from disk in the background: the best for a cold disk.

        Call it with the rows of many batches to come, then gather them in their own order.
        """

    @property
    @abstractmethod
    def _part_tables(self) -> np.ndarray:
        """Number of the gene table of each part."""

    @abstractmethod
    def _label_tables(self, columns: Sequence[str]) -> list[pa.Table]:
        """Return of each part a table with those of the columns that it has (and maybe others)."""

    @abstractmethod
    def _located(self, rows: np.ndarray) -> tuple[Any, np.ndarray, object]:
        """Return where the kernels find these rows, the rows' numbers there, and what to keep as long as they read."""

    @abstractmethod
    def _most_values(self, cells: Any, places: np.ndarray) -> int:
        """Return how many counts rows have at most; the arguments are the first two of what `_located` returns."""

    @abstractmethod
    def _fault(self, row: int) -> Exception:
        """Return what is wrong with an existing row that could not be read."""

    # -------------------------------------------------------------------------------------------------- look at it

    def __len__(self) -> int:
        return int(self._first[-1])

    @property
    def dataset(self) -> np.ndarray:
        """Index of each cell's data set, int64, shape (n_cells,)."""
        return np.repeat(self._part_datasets, np.diff(self._first))

    @property
    def dataset_sizes(self) -> np.ndarray:
        """Number of cells of each data set, int64, shape (n_datasets,)."""
        sizes = np.zeros(len(self.datasets), np.int64)
        np.add.at(sizes, self._part_datasets, np.diff(self._first))
        return sizes

    def dataset_of(self, rows: np.ndarray) -> np.ndarray:
        """Return the data set index of rows, int64."""
        return self._part_datasets[self.part_of(rows)]

    def part_of(self, rows: np.ndarray) -> np.ndarray:
        """Return the number of the part (of a `CellStore`, the shard) of each row."""
        return np.searchsorted(self._first, rows, side="right") - 1

    def table_of(self, rows: np.ndarray) -> np.ndarray:
        """Return the number of the gene table of each row, a place in `gene_tables`."""
        return self._part_tables[self.part_of(rows)]

    def labels(self, space: LabelSpace, rows: np.ndarray | None = None) -> np.ndarray:
        """Return label codes, -1 unknown; int64, shape (n_cells, n_classes).

        Parameters
        ----------
        rows
            Of these cells; by default of all.
        """
        return self.encoder(space)(np.arange(len(self)) if rows is None else rows)

    def encoder(self, space: LabelSpace) -> Any:
        """Return a function of rows to label codes: see `scdataloader.store.labels.LabelReader`."""
        from scdataloader.labels import SUFFIX
        from scdataloader.store.labels import LabelReader

        columns = [name for kind in {**space.classes, "organism": None} for name in (kind + SUFFIX, kind)]
        return LabelReader(self._label_tables(columns), self._first, self._part_datasets, space)

    # ------------------------------------------------------------------------------------------------------- read

    def gene_map(self, wanted: GeneVocabulary | Sequence[str]) -> GeneMap:
        """Return where the genes of this store's tables are in a vocabulary, or in a list of gene ids."""
        return GeneMap.of(self.gene_tables, wanted)

    def gather(
        self,
        rows: np.ndarray,
        genes: GeneMap,
        *,
        choice: str = "all",
        context: int | None = None,
        positions: np.ndarray | None = None,
        seed: int = 0,
        out: Context | None = None,
    ) -> Context:
        """Return the counts of cells, in the order of `rows`; cells may come more than once.

        Parameters
        ----------
        rows
            int64, shape (B,).
        genes
            From `gene_map`. With ``choice="all"`` a gene that a cell's data set did not measure has the count 0; see
            `measured`.
        choice
            ``"all"``: the wanted genes in their order, shape (B, genes.width). ``"random_expressed"``: `context`
            of the expressed genes at random, in their order; where a cell has fewer, all of them and random measured
            ones. ``"most_expressed"``: the `context` genes of highest count, highest first, ties at random, padded in
            the same way.
        context
            Genes a cell; not for ``"all"``.
        positions
            What random choices depend on besides `seed`, int64, shape (B,): the place of each draw in the whole run, or
            the rows themselves where a cell shall look the same each time. By default the rows.
        seed
            Of the random choices, 0 to 2^64 - 1.
        out
            Arrays to write to, from `scdataloader.store.context.empty_context`.

        Raises
        ------
        IndexError
            When a row is not in the store.
        ValueError
            When a record is damaged or holds no counts (the message names its file), or a data set measures fewer
            wanted genes than the context.
        """
        from scdataloader.store import kernels

        rows = np.ascontiguousarray(rows, dtype=np.int64)
        out = empty_context(len(rows), genes, choice=choice, context=context) if out is None else out
        if len(out.counts) != len(rows):
            raise ValueError(f"the arrays to write to hold {len(out.counts)} cells, but {len(rows)} rows were given")
        if choice != "all":
            self.check_measured(genes, out.counts.shape[1], rows)
        cells, places, _keep = self._located(rows)
        if choice == "all":
            bad = kernels.dense(cells, genes.targets, places, flat(out.counts))
        else:
            where = rows if positions is None else np.ascontiguousarray(positions, dtype=np.int64)
            kernel: Any = kernels.random_expressed if choice == "random_expressed" else kernels.most_expressed
            bad = kernel(cells, genes.targets, places, np.uint64(seed), where, out.genes, out.counts)
        self._check(rows, bad)
        return out

    def gather_csr(
        self, rows: np.ndarray, genes: GeneMap, *, exact: bool = False
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the counts of cells as CSR over the wanted genes: (row pointers int64, genes int32, counts float32).

        The genes of a row are in the order of its gene table. Errors as for `gather`.

        Parameters
        ----------
        exact
            Counts as uint32: float32 rounds those above 2^24.
        """
        from scdataloader.store import kernels

        rows = np.ascontiguousarray(rows, dtype=np.int64)
        cells, places, _keep = self._located(rows)
        ends = np.empty(len(rows) + 1, np.int64)
        room = self._most_values(cells, places)
        columns, counts = np.empty(room, np.int32), np.empty(room, np.uint32 if exact else np.float32)
        self._check(rows, kernels.csr(cells, genes.targets, places, ends, columns, counts))
        return ends, columns[: ends[-1]], counts[: ends[-1]]

    def measured(self, rows: np.ndarray, genes: GeneMap) -> np.ndarray:
        """Return whether each cell's data set measured each wanted gene; bool, shape (B, genes.width)."""
        return genes.measured[self.table_of(rows)]

    def check_measured(self, genes: GeneMap, context: int, rows: np.ndarray | None = None) -> None:
        """Raise ValueError if a data set (of all, or of those in `rows`) measures fewer genes than the context has."""
        short = genes.n_measured < context
        if not short.any():
            return
        parts = np.arange(len(self._part_datasets)) if rows is None else self.part_of(rows)
        for part in np.unique(parts[(parts >= 0) & (parts < len(self._part_datasets))]):
            table = self._part_tables[part]
            if short[table]:
                raise ValueError(
                    f"data set {self.datasets[self._part_datasets[part]]!r} measures {genes.n_measured[table]} of the "
                    f"wanted genes, fewer than the context of {context}: use a smaller context, or leave its cells out"
                )

    def export(self, path: Path | str, rows: np.ndarray | None = None, *, format: str = "h5ad") -> None:  # noqa: A002
        """Write cells back as an AnnData file; see `scdataloader.store.export.export`."""
        from scdataloader.store.export import export

        export(self, Path(path), rows, kind=format)

    def _check(self, rows: np.ndarray, bad: int) -> None:
        """Raise what is wrong with the row at the place `bad`, if that is not -1."""
        if bad < 0:
            return
        row = int(rows[bad])
        if not 0 <= row < len(self):
            raise IndexError(f"there is no cell {row}: the store holds {len(self)}")
        raise self._fault(row)

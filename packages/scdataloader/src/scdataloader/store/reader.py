"""The reads that every store of cells offers, wherever its counts lie: look-ups, and gathers by compiled kernels."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa
from scipy import sparse

from scdataloader._atomic import atomic_path
from scdataloader._provenance import in_uns, read, step
from scdataloader.store.cells_table import BEGIN, INDEX, to_pandas
from scdataloader.store.genemap import Gathered, GeneMap

if TYPE_CHECKING:
    import anndata

    from scdataloader.genes.vocabulary import GeneVocabulary
    from scdataloader.labels.space import LabelSpace


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
        #: First row of each part, and the number of all rows; int64.
        self.first_rows = np.cumsum([0, *sizes], dtype=np.int64)
        self.part_datasets = np.array(part_datasets, dtype=np.int64)

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
    def part_tables(self) -> np.ndarray:
        """Number of the gene table of each part, a place in `gene_tables`; int64."""

    def obsm(self, name: str) -> np.ndarray:
        """Return an entry of ``obsm`` of all cells, float32, shape (n_cells, d).

        Raises
        ------
        ValueError
            When it is not there for all cells.
        """
        raise ValueError(f"obsm has no {name!r}: {self!r} keeps none")

    def layer(self, name: str) -> CellReader:
        """Return the same cells with the counts of a layer.

        Raises
        ------
        ValueError
            When it is not there for all cells.
        """
        raise ValueError(f"there is no layer {name!r}: {self!r} keeps none")

    @abstractmethod
    def _cell_tables(self, columns: Sequence[str] | None) -> list[pa.Table]:
        """Return the table of each part with those of the columns that it has, and maybe others; None: all."""

    # -------------------------------------------------------------------------------------------------- look at it

    def __len__(self) -> int:
        return int(self.first_rows[-1])

    @property
    def dataset(self) -> np.ndarray:
        """Index of each cell's data set, int64, shape (n_cells,)."""
        return np.repeat(self.part_datasets, np.diff(self.first_rows))

    @property
    def dataset_sizes(self) -> np.ndarray:
        """Number of cells of each data set, int64, shape (n_datasets,)."""
        sizes = np.zeros(len(self.datasets), np.int64)
        np.add.at(sizes, self.part_datasets, np.diff(self.first_rows))
        return sizes

    def dataset_of(self, rows: np.ndarray) -> np.ndarray:
        """Return the data set index of rows, int64."""
        return self.part_datasets[self.part_of(rows)]

    def part_of(self, rows: np.ndarray) -> np.ndarray:
        """Return the number of the part (of a `CellStore`, the shard) of each row."""
        return np.searchsorted(self.first_rows, rows, side="right") - 1

    def table_of(self, rows: np.ndarray) -> np.ndarray:
        """Return the number of the gene table of each row, a place in `gene_tables`."""
        return self.part_tables[self.part_of(rows)]

    def labels(self, space: LabelSpace, rows: np.ndarray | None = None) -> np.ndarray:
        """Return label codes, -1 unknown; int64, shape (n_cells, n_classes).

        Parameters
        ----------
        rows
            Numbers of the cells; by default all.
        """
        return self.encoder(space)(np.arange(len(self)) if rows is None else rows)

    @property
    def columns(self) -> list[str]:
        """Names of the columns of the cells' table that some data set has."""
        names = (name for table in self._cell_tables(None) for name in table.column_names)
        return [name for name in dict.fromkeys(names) if name not in (BEGIN, INDEX)]

    def obs_tables(self, columns: Sequence[str] | None = None) -> list[pd.DataFrame]:
        """Return the cells' table of each data set with those of the columns that it has; cells are not named.

        Parameters
        ----------
        columns
            Names of columns; those that a data set lacks are left out of its table. None: all.
        """
        tables = self._cell_tables(columns)
        wanted = self.columns if columns is None else columns
        out = []
        for number in range(len(self.datasets)):
            mine = [tables[part] for part in np.flatnonzero(self.part_datasets == number)]
            here = [name for name in wanted if any(name in table.column_names for table in mine)]
            out.append(to_pandas(mine, here, named=False))
        return out

    def encoder(self, space: LabelSpace) -> Any:
        """Return a function of rows to label codes: see `scdataloader.store.label_reader.LabelReader`."""
        from scdataloader.labels.space import SUFFIX
        from scdataloader.store.label_reader import LabelReader

        columns = [name for kind in {**space.classes, "organism": None} for name in (kind + SUFFIX, kind)]
        return LabelReader(self._cell_tables(columns), self.first_rows, self.part_datasets, space)

    # ------------------------------------------------------------------------------------------------------- read

    def gene_map(self, wanted: GeneVocabulary | Sequence[str]) -> GeneMap:
        """Return where the genes of this store's tables are in a vocabulary, or in a list of gene ids."""
        return GeneMap.of(self.gene_tables, wanted)

    @abstractmethod
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
            the same way. ``"rank_value"``: those of highest count over median, highest first, ties at random; gene -1
            where a cell has fewer.
        context
            Genes a cell; not for ``"all"``.
        positions
            Numbers that random choices depend on besides `seed`, int64, shape (B,): the place of each draw in the whole
            run, or a key of the cell (`scdataloader.cell_keys`) where it shall look the same each time. By default the
            rows. Ties of the most expressed genes and of ranks depend on nothing else but the gene.
        seed
            Seed for the random choices, 0 to 2^64 - 1.
        pad
            Whether cells that express fewer genes than the context are filled up with unexpressed ones. False gives the
            gene -1 instead.
        shuffle
            Whether the genes of ``"random_expressed"`` come in random order, so that the first of them are a random
            choice, too.
        medians
            Number above 0 by which ``"rank_value"`` divides the counts of each wanted gene, float64, shape
            (genes.width,).
        out
            Arrays to write to, from `scdataloader.store.genemap.empty_gathered`.

        Raises
        ------
        IndexError
            When a row is not in the store.
        ValueError
            When a record is damaged or holds no counts (the message names its file), or a data set measures fewer
            wanted genes than the context.
        """

    @abstractmethod
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

    def measured(self, rows: np.ndarray, genes: GeneMap) -> np.ndarray:
        """Return whether each cell's data set measured each wanted gene; bool, shape (B, genes.width)."""
        return genes.measured[self.table_of(rows)]

    def check_measured(self, genes: GeneMap, context: int, rows: np.ndarray | None = None) -> None:
        """Raise ValueError if a data set (of all, or of those in `rows`) measures fewer genes than the context has."""
        short = genes.n_measured < context
        if not short.any():
            return
        parts = np.arange(len(self.part_datasets)) if rows is None else self.part_of(rows)
        for part in np.unique(parts[(parts >= 0) & (parts < len(self.part_datasets))]):
            table = self.part_tables[part]
            if short[table]:
                raise ValueError(
                    f"data set {self.datasets[self.part_datasets[part]]!r} measures {genes.n_measured[table]} of the "
                    f"wanted genes, fewer than the context of {context}: use a smaller context, or leave its cells out"
                )

    # ------------------------------------------------------------------------------------------------- for other tools

    def to_anndata(self, rows: np.ndarray | None = None) -> anndata.AnnData:
        """Return cells as an AnnData in memory.

        Parameters
        ----------
        rows
            Numbers of the cells, in the order wanted; by default all.

        Returns
        -------
        anndata.AnnData
            ``X`` CSR uint32, exact; genes: those that any of the cells' data sets measured, in the order of the
            store's gene tables; ``obs`` with ``dataset``.
        """
        import anndata

        rows = np.arange(len(self)) if rows is None else np.asarray(rows, dtype=np.int64)
        used = np.unique(self.table_of(rows)) if len(rows) else np.arange(len(self.gene_tables))
        tables = [self.gene_tables[number] for number in used]
        ids = list(dict.fromkeys(gene for table in tables for gene in table.index.tolist()))
        ends, columns, counts = self.gather_csr(rows, self.gene_map(ids), exact=True)
        x = sparse.csr_matrix((counts, columns, ends), shape=(len(rows), len(ids)))
        x.sort_indices()
        obs = self.obs().iloc[rows].copy()
        obs["dataset"] = pd.Categorical.from_codes(self.dataset_of(rows), categories=pd.Index(self.datasets))
        var = pd.concat(tables)
        var = var[~var.index.duplicated()].loc[ids] if ids else var
        return anndata.AnnData(x, obs=obs, var=var.rename_axis(None))

    def export(self, path: Path | str, rows: np.ndarray | None = None, *, format: str = "h5ad") -> None:  # noqa: A002
        """Write cells as an AnnData file; a failure leaves what was there.

        Parameters
        ----------
        path
            File or folder to write.
        rows
            Numbers of the cells, in the order wanted; by default all. They are held in memory, 8 bytes a count.
        format
            ``"h5ad"`` or ``"zarr"``.

        Raises
        ------
        FileExistsError
            When a zarr folder of that name is there.
        """
        path = Path(path)
        if format not in ("h5ad", "zarr"):
            raise ValueError(f"format={format!r} is neither 'h5ad' nor 'zarr'")
        if format == "zarr" and path.exists():
            raise FileExistsError(f"{path} is there already: choose another name")
        adata = self.to_anndata(rows)
        folder = getattr(self, "folder", None)  # of a store that was built
        given = {"folder": Path(folder).name} if folder is not None else {}
        told = [given | {"cells": len(self), "fingerprint": self.fingerprint}]
        made = step("scdataloader.CellStore.export", {"rows": rows}, inputs=told)
        adata.uns.update(in_uns([*([] if folder is None else read(folder)), made]))
        if format == "h5ad":
            with atomic_path(path) as temporary:
                adata.write_h5ad(temporary)
            return
        unfinished = path.with_name(f".{path.name}.unfinished")
        adata.write_zarr(unfinished)
        unfinished.replace(path)

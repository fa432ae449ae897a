"""The same reads as of a `CellStore` from AnnData as it is: in memory, h5ad files in place, other files row by row."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa

from scdataloader.sources.find import named_data
from scdataloader.store.anndata_part import joined, open_part, read_to_memory
from scdataloader.store.cells_table import arrow_obs, to_pandas
from scdataloader.store.convert import checked_genes
from scdataloader.store.kernel_reader import KernelReader, advise, chunk_ranges
from scdataloader.store.reader import CellReader

if TYPE_CHECKING:
    from scdataloader.store.csr_rows import CsrParts

logger = logging.getLogger(__name__)

#: Cells whose sums are taken at a time.
_BLOCK = 4096


class AnnDataStore(KernelReader):
    """Cells of AnnData in memory and of files, read where they are, with nothing converted.

    Every read gives the very same as of a `CellStore` that was built from the same data. How fast depends on them:

    - AnnData in memory and uncompressed h5ad files with row-major (CSR) counts are read in place by the compiled
      kernels. Files are mapped, not loaded.
    - Everything else (compressed h5ad, zarr, dense files, other formats) is read row by row through its library, tens
      to thousands of times slower; a message says so. Better convert such files once: ``scdataloader build``.

    Files must stay as they are while it is open. Data in memory that are not in CSR form are copied to it.

    Parameters
    ----------
    data
        One or several of: AnnData; paths, globs and addresses as for `scdataloader.sources.find_sources`; pairs of a
        name and one of these; an artifact or collection of lamindb. Each is a data set.
    matrix
        Place of the raw counts: ``"X"``, ``"raw"``, ``"layers/<name>"``, or ``"auto"`` for the first that holds whole
        numbers.

    Raises
    ------
    FileNotFoundError
        When a file is missing.
    ValueError
        When a file is damaged or lacks the matrix, gene ids are given twice, or names of data sets.

    Notes
    -----
    That the values are whole numbers from 0 to 2^32 - 1 is checked on all that is read; ValueError names the file.
    """

    def __init__(self, data: Any, *, matrix: str = "X") -> None:
        given = named_data(data)
        self._given, self._matrix = given, matrix
        self._tables: dict[str, pd.DataFrame] = {}  # by hash
        self._parts = [open_part(name, one, matrix) for name, one in given]
        self._genes = []
        for part in self._parts:
            genes, table = checked_genes(part.var, part.where)
            self._tables.setdefault(genes, table)
            self._genes.append(genes)
        super().__init__([len(part.obs) for part in self._parts], [name for name, _ in given], range(len(given)))
        self._is_slow = np.array([part.matrix is None for part in self._parts], dtype=np.bool_)
        if self._is_slow.any():
            first = next(part for part in self._parts if part.matrix is None)
            logger.warning(
                "%d of %d data sets, such as %s (%s), are read row by row, tens to thousands of times slower than a "
                "store: convert them once with `scdataloader build`",
                self._is_slow.sum(),
                len(self._parts),
                first.where,
                first.slow,
            )

    def __reduce__(self) -> tuple[Any, ...]:
        return _reopened, (self._given, self._matrix)

    def __repr__(self) -> str:
        return f"AnnDataStore({len(self):,} cells of {len(self.datasets)} data sets)"

    # -------------------------------------------------------------------------------------------------- look at it

    @property
    def gene_tables(self) -> list[pd.DataFrame]:
        """The gene tables, indexed by gene id; data sets of the same genes share one."""
        return list(self._tables.values())

    @cached_property
    def fingerprint(self) -> str:
        """A hash of the cells' names, their numbers of stored values, and the genes: the same for copies of files."""
        digest = hashlib.sha256()
        for name, genes, part in zip(self.datasets, self._genes, self._parts, strict=True):
            digest.update(f"{name}\n{genes}\n{len(part.obs)}\n".encode())
            digest.update("".join(f"{cell}\n" for cell in part.obs.index.tolist()).encode())
            if part.row_ends is not None:
                digest.update(part.row_ends.astype("<i8").tobytes())
        return digest.hexdigest()[:16]

    def total_counts(self, rows: np.ndarray | None = None) -> np.ndarray:
        """Return the total count of cells (by default all), float32: ``obs["total_counts"]`` or the sum of counts."""
        rows = self._existing(rows)
        out = self._totals[rows]
        unknown = np.flatnonzero(np.isnan(out))
        if len(unknown):
            out[unknown] = self._sums(rows[unknown])[0]
            self._totals[rows] = out  # another thread may do the same, with the same result
        return out

    def n_genes(self, rows: np.ndarray | None = None) -> np.ndarray:
        """Return the number of expressed genes of cells (by default all), int32; the cells' counts are read for it."""
        return self._sums(self._existing(rows))[1]

    def obs(self, columns: Sequence[str] | None = None) -> pd.DataFrame:
        """Return the cells' table, or some of its columns, as a data frame in memory; one row a cell.

        Raises
        ------
        KeyError
            When no data set has one of the columns.
        """
        return to_pandas([arrow_obs(part.obs) for part in self._parts], columns)

    def info(self) -> dict[str, Any]:
        """Return what there is to know at a glance: sizes, data sets, and which of them are slow and why."""
        return {
            "cells": len(self),
            "gene_tables": {name: len(table) for name, table in self._tables.items()},
            "datasets": {name: len(part.obs) for name, part in zip(self.datasets, self._parts, strict=True)},
            "slow": {n: p.slow for n, p in zip(self.datasets, self._parts, strict=True) if p.matrix is None},
        }

    def will_need(self, rows: np.ndarray) -> None:
        """Ask the system to read these cells from mapped files in the background; nothing for others."""
        from scdataloader.store.csr_rows import KINDS

        rows = np.unique(rows)
        parts = self.part_of(rows)
        for number in np.unique(parts):
            matrix = self._parts[number].matrix
            if matrix is None or not matrix.values.on_disk:
                continue
            local = rows[parts == number] - self.first_rows[number]
            for array in (matrix.columns, matrix.values):
                width = KINDS[array.kind].itemsize
                ends = matrix.ends
                advise(*chunk_ranges(array.chunks, array.size, width, ends[local], ends[local + 1]))

    # ------------------------------------------------------------------------------------------------------ inside

    @cached_property
    def _addresses(self) -> CsrParts:
        return joined(
            [part.matrix for part in self._parts], self.part_tables.tolist(), np.diff(self.first_rows).tolist()
        )

    @cached_property
    def part_tables(self) -> np.ndarray:
        """Number of the gene table of each part."""
        place = {name: number for number, name in enumerate(self._tables)}
        return np.array([place[genes] for genes in self._genes], dtype=np.int64)

    @cached_property
    def _totals(self) -> np.ndarray:
        """Total counts, float32; NaN where the cell has to be read for it."""
        out = np.full(len(self), np.nan, np.float32)
        for first, part in zip(self.first_rows, self._parts, strict=False):
            if "total_counts" in part.obs:
                out[first : first + len(part.obs)] = part.obs["total_counts"].to_numpy(np.float32)
        return out

    def _cell_tables(self, columns: Sequence[str] | None) -> list[pa.Table]:
        return [
            arrow_obs(part.obs if columns is None else part.obs[[name for name in columns if name in part.obs]])
            for part in self._parts
        ]

    def obsm(self, name: str) -> np.ndarray:
        """Return an entry of ``obsm`` of all cells, float32, shape (n_cells, d)."""
        found = [np.asarray(part.embedding(name), dtype=np.float32) for part in self._parts]
        widths = sorted({array.shape[1:] for array in found})
        if len(widths) != 1:
            raise ValueError(f"obsm {name!r} has rows of shapes {widths} in different data sets: they must be alike")
        return np.concatenate(found)

    def layer(self, name: str) -> CellReader:
        """Return the same cells with the counts of a layer."""
        return AnnDataStore(self._given, matrix=f"layers/{name}")

    def _existing(self, rows: np.ndarray | None) -> np.ndarray:
        rows = np.arange(len(self)) if rows is None else np.ascontiguousarray(rows, dtype=np.int64)
        outside = np.flatnonzero((rows < 0) | (rows >= len(self)))
        self._check(rows, int(outside[0]) if len(outside) else -1)
        return rows

    def _sums(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        from scdataloader.store.csr_rows import sums

        totals, n_genes = np.empty(len(rows), np.int64), np.empty(len(rows), np.int32)
        for begin in range(0, len(rows), _BLOCK):  # of slow data sets, a block is in memory
            block = slice(begin, begin + _BLOCK)
            cells, places, _keep = self._located(rows[block])
            self._check(rows[block], sums(cells, places, totals[block], n_genes[block]))
        return totals.astype(np.float32), n_genes

    def _most_values(self, cells: Any, places: np.ndarray) -> int:
        from scdataloader.store.csr_rows import n_stored

        return int(n_stored(cells, places))

    def _located(self, rows: np.ndarray) -> tuple[Any, np.ndarray, object]:
        if not self._is_slow.any():
            return self._addresses, rows, None
        parts = self.part_of(rows)
        outside = (rows < 0) | (rows >= len(self))
        parts[outside] = 0
        if not (self._is_slow[parts] & ~outside).any():
            return self._addresses, rows, None
        return self._with_slow(rows, np.where(outside, -1, parts))

    def _with_slow(self, rows: np.ndarray, parts: np.ndarray) -> tuple[Any, np.ndarray, object]:
        """Read the rows of slow data sets into memory, where they are further parts behind the others."""
        # rows that do not exist are none of the parts that come behind
        places, behind = np.where(parts < 0, -1, rows), len(self)
        matrices = [part.matrix for part in self._parts]
        tables, sizes = self.part_tables.tolist(), np.diff(self.first_rows).tolist()
        for number in np.unique(parts[parts >= 0]):
            if not self._is_slow[number]:
                continue
            mine = parts == number
            wanted, place = np.unique(rows[mine] - self.first_rows[number], return_inverse=True)
            matrix = read_to_memory(self._parts[number].scattered(wanted))
            matrices.append(matrix)
            tables.append(tables[number])
            sizes.append(len(wanted))
            places[mine] = behind + place
            behind += len(wanted)
        return joined(matrices, tables, sizes), places, matrices

    def _fault(self, row: int) -> ValueError:
        number = int(self.part_of(np.array([row]))[0])
        return self._parts[number].fault(row - int(self.first_rows[number]))


def _reopened(given: Any, matrix: str) -> AnnDataStore:
    return AnnDataStore(given, matrix=matrix)

"""One data set as it is: opened, and told whether the compiled kernels can read it in place."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anndata
import numpy as np
import pandas as pd
from scipy import sparse

from scdataloader.sources import Matrix, Source, open_source
from scdataloader.sources.formats import format_of
from scdataloader.sources.open import local_copy
from scdataloader.store.convert import whole_counts
from scdataloader.store.stored_arrays import StoredMatrix, in_file, in_memory


@dataclass(frozen=True)
class Part:
    """One data set.

    Attributes
    ----------
    where
        The file, or the name of data in memory, for messages.
    obs, var
        Its cells, and the genes of the matrix.
    rows
        Reads any run of rows, slowly.
    row_ends
        As of `scdataloader.sources.Matrix`.
    embedding
        Returns an entry of ``obsm`` by its name; ValueError where it has none.
    matrix
        Where its counts lie in memory or in a mapped file; None where `rows` is the only way.
    slow
        Why that is so.
    """

    where: str
    obs: pd.DataFrame = field(repr=False)
    var: pd.DataFrame = field(repr=False)
    rows: Callable[[int, int], sparse.csr_matrix] = field(repr=False)
    row_ends: np.ndarray | None = field(repr=False)
    embedding: Callable[[str], np.ndarray] = field(repr=False)
    matrix: StoredMatrix | None
    slow: str = ""

    def scattered(self, rows: np.ndarray) -> sparse.csr_matrix:
        """Read ascending rows, neighbours together."""
        breaks = np.flatnonzero(np.diff(rows) != 1) + 1
        runs = [self.rows(int(run[0]), int(run[-1]) + 1) for run in np.split(rows, breaks)]
        return sparse.csr_matrix(sparse.vstack(runs, format="csr"))

    def fault(self, row: int) -> ValueError:
        """Return what is wrong with a row that could not be read."""
        name = f"{self.where}, cell {row:,} ({self.obs.index[row]!r})"
        try:
            stored = sparse.csr_matrix(self.rows(row, row + 1), copy=True)
            whole_counts(stored.data, name)
            stored.sum_duplicates()
            whole_counts(stored.data, name)
        except ValueError as error:
            return error
        return ValueError(f"{name} is damaged, or has changed since it was opened")


def open_part(name: str, given: str | anndata.AnnData, matrix: str) -> Part:
    """Open one data set; see `scdataloader.store.anndata_store.AnnDataStore`."""
    if isinstance(given, anndata.AnnData):
        return _of_anndata(name, given, matrix)
    path = local_copy(given)
    source = open_source(path)

    def embedding(key: str) -> np.ndarray:
        with open_source(path) as again:
            return _embedding(again, key, str(path))

    try:
        found = _matrix(source, matrix, str(path))
        stored = _in_place(path, matrix)
        if isinstance(stored, str):
            return Part(str(path), source.obs, found.var, found.rows, found.row_ends, embedding, None, stored)
    except BaseException:
        source.close()
        raise
    source.close()

    def rows(begin: int, end: int) -> sparse.csr_matrix:
        with open_source(path) as again:
            return again.matrices[matrix].rows(begin, end)

    return Part(str(path), source.obs, found.var, rows, stored.ends[1:], embedding, stored)


def _of_anndata(name: str, adata: anndata.AnnData, matrix: str) -> Part:
    source = open_source(adata)
    found = _matrix(source, matrix, name)

    def embedding(key: str) -> np.ndarray:
        return _embedding(source, key, name)

    values: Any = _values(adata, matrix)
    if _is_in_memory(values):
        csr: Any = values if getattr(values, "format", "") == "csr" else sparse.csr_matrix(values)
        stored = in_memory(csr, name)
        if stored is not None:
            ends = stored.ends[1:]
            return Part(name, source.obs, found.var, lambda begin, end: csr[begin:end], ends, embedding, stored)
    stored_or_why: StoredMatrix | str = "not in memory"
    if adata.isbacked and not adata.is_view and adata.filename is not None:
        stored_or_why = _in_place(Path(adata.filename), matrix)
    if isinstance(stored_or_why, str):
        return Part(name, source.obs, found.var, found.rows, found.row_ends, embedding, None, stored_or_why)
    return Part(name, source.obs, found.var, found.rows, stored_or_why.ends[1:], embedding, stored_or_why)


def _embedding(source: Source, key: str, where: str) -> np.ndarray:
    if key not in source.embeddings:
        raise ValueError(f"{where}: obsm has no {key!r}, only {sorted(source.embeddings)}")
    return source.embeddings[key]()


def _is_in_memory(values: Any) -> bool:
    return isinstance(values, np.ndarray) or bool(sparse.issparse(values))


def _values(adata: anndata.AnnData, matrix: str) -> Any:
    if matrix == "X":
        return adata.X
    if matrix == "raw":
        return None if adata.raw is None else adata.raw.X
    return adata.layers.get(matrix.removeprefix("layers/"))


def _matrix(source: Source, name: str, where: str) -> Matrix:
    if name not in source.matrices:
        raise ValueError(f"{where} has no matrix {name!r}, only {sorted(source.matrices)}: say where the counts are")
    return source.matrices[name]


def _in_place(path: Path, matrix: str) -> StoredMatrix | str:
    kind = format_of(path)
    if kind != "anndata":
        return str(kind)
    return in_file(path, matrix) if path.is_file() and path.suffix != ".zip" else "zarr"


def in_place_or_why(uri: str, matrix: str = "X") -> str | None:
    """Return None where the counts of a file can be read in place, else why they cannot."""
    found = _in_place(local_copy(uri), matrix)
    return found if isinstance(found, str) else None

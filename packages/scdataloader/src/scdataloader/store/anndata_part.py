"""One data set as AnnData: its table, and its counts where compiled code reads them, in memory or in a mapped file."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anndata
import h5py
import numpy as np
import pandas as pd
import pyarrow as pa
from scipy import sparse

from scdataloader.expression.find_counts import find_counts
from scdataloader.sources import Matrix, Source, open_source
from scdataloader.sources.formats import format_of
from scdataloader.sources.open import local_copy
from scdataloader.store.convert import whole_counts
from scdataloader.store.files import map_file

if TYPE_CHECKING:
    from scdataloader.store.csr_rows import CsrParts


@dataclass(frozen=True)
class StoredArray:
    """A one-dimensional array in memory, in one piece or in chunks of `size` numbers.

    Attributes
    ----------
    chunks
        Address of each chunk, int64.
    size
        Numbers of a chunk.
    kind
        Code of their type; see `scdataloader.store.csr_rows.KINDS`.
    owner
        Keeps the memory.
    on_disk
        Whether it is a mapped file.
    """

    chunks: np.ndarray = field(repr=False)
    size: int
    kind: int
    owner: Any = field(repr=False)
    on_disk: bool = False


@dataclass(frozen=True)
class StoredMatrix:
    """A CSR matrix whose parts are in memory: row pointers (int64, n_cells + 1), values and gene numbers."""

    ends: np.ndarray = field(repr=False)
    values: StoredArray
    columns: StoredArray
    n_genes: int


def in_memory(matrix: Any, name: str) -> StoredMatrix | None:
    """Return a CSR matrix of scipy as it lies in memory, or None if its values are of no known type.

    Raises
    ------
    ValueError
        When its row pointers do not fit it: compiled code would follow them anywhere.
    """
    values, columns = _whole_array(matrix.data), _whole_array(matrix.indices)
    if values is None or columns is None:
        return None
    ends = np.ascontiguousarray(matrix.indptr, dtype=np.int64)
    room = min(len(matrix.data), len(matrix.indices))
    if ends.shape != (matrix.shape[0] + 1,) or ends[0] < 0 or ends[-1] > room or (np.diff(ends) < 0).any():
        raise ValueError(f"{name}: the row pointers of the matrix do not rise from 0 to its {room:,} values")
    return StoredMatrix(ends, values, columns, int(matrix.shape[1]))


def read_to_memory(matrix: sparse.csr_matrix) -> StoredMatrix:
    """Return rows that were read from a file, in a type that the kernels know."""
    found = in_memory(matrix, "rows") or in_memory(matrix.astype(np.float64), "rows")
    assert found is not None  # noqa: S101 (float64 is known)
    return found


def in_file(path: Path, name: str) -> StoredMatrix | str:
    """Map the file of an intact h5ad file and return a matrix as it lies there, or else why that is impossible.

    Parameters
    ----------
    name
        Name of the matrix, as `scdataloader.sources.Source` names it.
    """
    with h5py.File(path, "r") as file:
        group = file["raw/X" if name == "raw" else name]
        encoding = str(group.attrs.get("encoding-type", "array"))
        if encoding != "csr_matrix":
            return {"array": "dense", "csc_matrix": "stored by genes"}.get(encoding, encoding)
        if file.userblock_size:
            return "behind a block of another program"
        buffer = map_file(path)
        arrays = [_mapped(group[part], buffer) for part in ("data", "indices")]
        for array in arrays:
            if isinstance(array, str):
                return array
        values, columns = arrays
        ends = group["indptr"][:].astype(np.int64)
        return StoredMatrix(ends, values, columns, int(group.attrs["shape"][1]))  # type: ignore[arg-type]


def _whole_array(array: np.ndarray) -> StoredArray | None:
    from scdataloader.store.csr_rows import KINDS

    if array.dtype not in KINDS:
        return None
    array = np.ascontiguousarray(array)
    return StoredArray(np.array([array.ctypes.data], np.int64), max(1, len(array)), KINDS.index(array.dtype), array)


def _mapped(array: Any, buffer: pa.Buffer) -> StoredArray | str:
    from scdataloader.store.csr_rows import KINDS

    if array.dtype not in KINDS:
        return f"of type {array.dtype}"
    if array.id.get_create_plist().get_nfilters():
        return "compressed"
    if array.chunks is None:
        place, length = array.id.get_offset(), array.shape[0] * array.dtype.itemsize
        if array.external or (place is None and length):
            return "stored inside a header or in another file"
        chunks, size = np.array([place or 0], np.int64), max(1, array.shape[0])
    else:
        size = int(array.chunks[0])
        length = size * array.dtype.itemsize
        chunks = np.full(-(-array.shape[0] // size), -1, np.int64)

        def note(chunk: Any) -> None:
            chunks[chunk.chunk_offset[0] // size] = chunk.byte_offset

        array.id.chunk_iter(note)
    if len(chunks) and (chunks.min() < 0 or chunks.max() + length > buffer.size):
        return "incomplete"
    return StoredArray(chunks + buffer.address, size, KINDS.index(array.dtype), buffer, on_disk=True)


def joined(matrices: Sequence[StoredMatrix | None], tables: Sequence[int], sizes: Sequence[int]) -> CsrParts:
    """Return where matrices lie, as the kernels take it. Keep them alive as long as it is used.

    Parameters
    ----------
    matrices
        None for one that no row is asked of.
    tables, sizes
        Number of each one's gene table; and of its cells.
    """
    from scdataloader.store.csr_rows import CsrParts

    none = StoredArray(np.empty(0, np.int64), 1, 0, None)
    given = [StoredMatrix(np.zeros(1, np.int64), none, none, 0) if m is None else m for m in matrices]

    def numbers(values: Sequence[int]) -> np.ndarray:
        return np.array(values, dtype=np.int64)

    def chunks(arrays: Sequence[StoredArray]) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        addresses = np.concatenate([np.empty(0, np.int64), *(a.chunks for a in arrays)])
        first = np.cumsum([0, *(len(a.chunks) for a in arrays)], dtype=np.int64)[:-1]
        return addresses, first, numbers([a.size for a in arrays]), numbers([a.kind for a in arrays])

    return CsrParts(
        np.cumsum([0, *sizes], dtype=np.int64),
        numbers([m.ends.ctypes.data for m in given]),
        *chunks([m.values for m in given]),
        *chunks([m.columns for m in given]),
        n_genes=numbers([m.n_genes for m in given]),
        table=numbers(tables),
        longest=int(max((int(np.diff(m.ends).max(initial=0)) for m in given), default=0)),
    )


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
        matrix = _place(source, matrix)
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
    matrix = _place(source, matrix)
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


def _place(source: Source, matrix: str) -> str:
    return find_counts(source, undo_log=False).name if matrix == "auto" else matrix


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

"""Numbers that compiled code can read where they lie: arrays in memory, and arrays of a mapped HDF5 file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
import pyarrow as pa
from scipy import sparse

from scdataloader.store.mapped import map_file

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
        Of the matrix, as `scdataloader.sources.Source` names it.
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

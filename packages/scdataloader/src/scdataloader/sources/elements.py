"""Matrices as AnnData, 10x and loom files store them (row-major, column-major, dense), read in blocks of cells.

An element is a group or an array of h5py or of zarr: both give slices of arrays in the same way.
"""

from __future__ import annotations

import math
from typing import Any

import h5py
import numpy as np
import pandas as pd
from scipy import sparse

from scdataloader.sources.source import Matrix

#: Values of a column-major matrix looked at together: about 500 MB with all that is computed from them.
PIECE = 1 << 24


def row_major(element: Any, var: pd.DataFrame, n_cells: int) -> Matrix:
    """Return a group of ``data``, ``indices``, ``indptr`` with one pointer a cell as a matrix.

    Raises
    ------
    ValueError
        When the three do not fit each other, `var` or `n_cells`; on reading, when genes are named that do not exist.
    """
    pointers = _pointers(element, n_cells)
    data, indices = element["data"], element["indices"]
    shape = (n_cells, len(var))
    check_complete(indices, zeros=True)
    incomplete = _missing_chunks(indices) > 0

    def rows(begin: int, end: int) -> sparse.csr_matrix:
        part = slice(int(pointers[begin]), int(pointers[end]))
        columns = np.asarray(indices[part])
        _check_range(columns, shape[1], f"{element.name}: gene numbers of cells {begin:,} to {end:,}")
        ends = pointers[begin : end + 1] - pointers[begin]
        block = _csr(_plain(np.asarray(data[part])), columns, ends, (end - begin, shape[1]))
        if incomplete:  # a missing chunk reads as zeros: gene 0, over and over; but all may really be gene 0
            block.sort_indices()
            if not block.has_canonical_format:
                raise ValueError(f"{element.name} names a gene twice in a cell, and chunks of its indices are missing")
        return block

    return Matrix(shape, var, rows, pointers[1:])


def column_major(element: Any, var: pd.DataFrame, n_cells: int) -> Matrix:
    """Return a group of ``data``, ``indices``, ``indptr`` with one pointer a gene as a matrix.

    Memory is that of the block asked for; the price is that all values are walked for each block.

    Raises
    ------
    ValueError
        When the three do not fit each other, `var` or `n_cells`, or cells are named that do not exist.
    """
    shape = (n_cells, len(var))
    pointers = _pointers(element, shape[1])
    data, indices = element["data"], element["indices"]
    counts = np.zeros(n_cells, dtype=np.int64)
    for start in range(0, indices.shape[0], PIECE):
        cells = np.asarray(indices[start : start + PIECE])
        _check_range(cells, n_cells, f"{element.name}: cell numbers")
        counts += np.bincount(cells, minlength=n_cells)

    def rows(begin: int, end: int) -> sparse.csr_matrix:
        empty = np.empty(0, dtype=np.int64)
        parts = [(empty, empty, _plain(np.asarray(data[:0])))]
        for start in range(0, indices.shape[0], PIECE):
            cells = np.asarray(indices[start : start + PIECE])
            inside = np.flatnonzero((cells >= begin) & (cells < end))
            if len(inside):
                genes = np.searchsorted(pointers, inside + start, side="right") - 1
                values = _plain(np.asarray(data[start : start + PIECE]))[inside]
                parts.append((cells[inside].astype(np.int64) - begin, genes, values))
        row, column, value = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
        return sparse.csr_matrix(sparse.coo_matrix((value, (row, column)), shape=(end - begin, shape[1])))

    return Matrix(shape, var, rows, np.cumsum(counts))


def dense(element: Any, var: pd.DataFrame, n_cells: int, *, genes_first: bool = False) -> Matrix:
    """Return a two-dimensional array as a matrix; `genes_first` says that its rows are genes.

    Raises
    ------
    ValueError
        When its shape is another, or it holds no numbers.
    """
    shape = (n_cells, len(var))
    _check_numbers(element, element.name)
    if element.shape != (shape[::-1] if genes_first else shape):
        raise ValueError(
            f"{element.name} has the shape {element.shape}, there are {n_cells:,} cells, {len(var):,} genes"
        )
    check_complete(element, zeros=True)

    def rows(begin: int, end: int) -> sparse.csr_matrix:
        values = np.asarray(element[:, begin:end]).T if genes_first else np.asarray(element[begin:end])
        return sparse.csr_matrix(_plain(values))

    return Matrix(shape, var, rows)


def check_complete(array: Any, *, zeros: bool = False) -> None:
    """Refuse an array that lacks chunks, or says that it is larger than what is stored: what lacks reads as zeros.

    Parameters
    ----------
    array
        Array of h5py, which stores all chunks; or of zarr, which leaves out those of zeros only.
    zeros
        Whether a zarr array may hold chunks of zeros, so that nothing can be told from those that lack.

    Raises
    ------
    ValueError
        With the number of chunks.
    """
    if missing := _missing_chunks(array, zeros=zeros):
        raise ValueError(
            f"{missing:,} chunks of {array.name}, whose shape is {array.shape}, are missing: copy it again"
        )


def _pointers(element: Any, n: int) -> np.ndarray:
    """Return checked int64 pointers: files hold more than 2^31 values."""
    data, indices = element["data"], element["indices"]
    _check_numbers(data, f"{element.name}/data")
    check_complete(data)
    if indices.dtype.kind not in "iu" or element["indptr"].dtype.kind not in "iu":
        raise ValueError(f"the indices of {element.name} are no whole numbers")
    if element["indptr"].shape != (n + 1,):
        raise ValueError(f"{element.name} has {element['indptr'].shape} pointers, {n + 1:,} are needed")
    pointers = np.asarray(element["indptr"][:]).astype(np.int64)
    if data.shape != indices.shape or len(data.shape) != 1:
        raise ValueError(f"{element.name} has {data.shape} values and {indices.shape} indices")
    if pointers[0] != 0 or pointers[-1] != data.shape[0] or (np.diff(pointers) < 0).any():
        raise ValueError(f"the pointers of {element.name} do not rise from 0 to its {data.shape[0]:,} values")
    return pointers


def _missing_chunks(array: Any, *, zeros: bool = False) -> int:
    if isinstance(array, h5py.Dataset):
        if not array.size:
            return 0
        if array.chunks is None:
            return int(array.id.get_storage_size() == 0)
        expected = math.prod(-(-n // chunk) for n, chunk in zip(array.shape, array.chunks, strict=True))
        return max(0, expected - array.id.get_num_chunks())
    if zeros or not hasattr(array, "nchunks_initialized"):
        return 0
    # of sharded arrays zarr counts shards once and chunks the other time, so more may be there than expected
    return max(0, int(array.nchunks) - int(array.nchunks_initialized))


def _check_numbers(array: Any, name: str) -> None:
    if array.dtype.kind not in "biuf":
        raise ValueError(f"{name} holds {array.dtype} values, numbers are needed")


def _check_range(numbers: np.ndarray, n: int, name: str) -> None:
    if len(numbers) and not 0 <= numbers.min() <= numbers.max() < n:
        raise ValueError(f"{name} run from {numbers.min()} to {numbers.max()}, there are {n:,}")


def _csr(values: np.ndarray, columns: np.ndarray, ends: np.ndarray, shape: tuple[int, int]) -> sparse.csr_matrix:
    # narrow indices where they fit (a block nearly always does): half the memory, and all of scipy takes them
    kind = np.int32 if max(int(ends[-1]), shape[1]) < 2**31 else np.int64
    return sparse.csr_matrix((values, columns.astype(kind, copy=False), ends.astype(kind, copy=False)), shape=shape)


def _plain(values: np.ndarray) -> np.ndarray:
    """Return the values in a type that scipy.sparse takes: no half precision, no foreign byte order."""
    if values.dtype == np.float16:
        return values.astype(np.float32)
    return values.astype(values.dtype.newbyteorder("="), copy=False)

"""The scored pairs of a network, read piece by piece.

A network of 20,000 genes has 400 million scores. Nothing here copies, masks or sorts them as a whole: they
are handed out in pieces that fit the processor's cache, zeros that a sparse matrix does not store are only
counted, and the few self pairs are taken off the counts afterwards.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import ArrayLike, NDArray

#: Scores in a piece, unless more are asked for. Larger pieces leave the cache, smaller ones cost overhead.
PIECE = 1 << 19


@dataclass(frozen=True, eq=False)
class Pairs:
    """A score matrix, regulators x targets, without its self pairs; make it with :func:`as_pairs`.

    Attributes
    ----------
    matrix
        The scores, dense or CSR, (regulators, targets).
    self_rows, self_columns
        Where the self pairs are, (s,) int64 each; at most one in a row and in a column.
    """

    matrix: Any
    self_rows: NDArray[np.int64]
    self_columns: NDArray[np.int64]

    @property
    def shape(self) -> tuple[int, int]:
        """Number of regulators and of targets."""
        n_rows, n_columns = self.matrix.shape
        return int(n_rows), int(n_columns)

    @property
    def n_pairs(self) -> int:
        """Number of scored pairs: all but the self pairs."""
        return self.shape[0] * self.shape[1] - self.self_rows.size

    @property
    def is_sparse(self) -> bool:
        """Whether pairs that are not stored are zeros."""
        is_sparse: bool = sp.issparse(self.matrix)
        return is_sparse

    @property
    def n_unstored(self) -> int:
        """Number of pairs, self pairs included, that are zero because a sparse matrix does not store them."""
        return self.shape[0] * self.shape[1] - self.matrix.nnz if self.is_sparse else 0

    def at(self, rows: NDArray[np.int64], columns: NDArray[np.int64]) -> NDArray[Any]:
        """Return the scores of some pairs, one each, as a new array."""
        if not len(rows):
            return np.zeros(0, dtype=self.matrix.dtype)
        return np.asarray(self.matrix[rows, columns]).ravel()

    def self_scores(self) -> NDArray[Any]:
        """Return the scores of the self pairs, (s,)."""
        return self.at(self.self_rows, self.self_columns)

    def pieces(self, size: int = PIECE) -> Iterator[NDArray[Any]]:
        """All stored scores, self pairs among them, in no fixed order: 1-D pieces of about `size` to overwrite.

        A piece is valid until the next one is asked for.
        """
        if self.is_sparse:
            return copied_pieces(self.matrix.data, size)
        if self.matrix.flags.forc:
            return copied_pieces(self.matrix.ravel(order="K"), size)
        return (np.array(view, order="C").ravel() for view in self.views(size))

    def views(self, size: int = PIECE) -> list[NDArray[Any]]:
        """Return the same scores in the same pieces, uncopied: views of the matrix, of one or two dimensions."""
        if self.is_sparse or self.matrix.flags.forc:
            return views(self.matrix.data if self.is_sparse else self.matrix.ravel(order="K"), size)
        # Rows are taken along the direction in which memory is read with fewer jumps.
        strides = np.abs(self.matrix.strides)
        matrix = self.matrix if strides[0] >= strides[1] else self.matrix.T
        return views(matrix, max(1, size // max(matrix.shape[1], 1)))

    def transposed(self) -> Pairs:
        """Return the same pairs with targets as rows: a view where dense, a copy where sparse."""
        matrix = sp.csr_array(self.matrix.T) if self.is_sparse else self.matrix.T
        return Pairs(matrix, self.self_columns, self.self_rows)

    def refuse_nan(self) -> None:
        """Raise if a score is NaN, telling how many are and where the first is; self pairs may be NaN."""
        if self.matrix.dtype.kind != "f":
            return
        is_self_nan = np.isnan(self.self_scores())
        count = sum(int(np.isnan(piece).sum()) for piece in self.pieces()) - int(is_self_nan.sum())
        if not count:
            return
        own = dict(zip(self.self_rows.tolist(), self.self_columns.tolist(), strict=True))
        for row in range(self.shape[0]):
            columns, scores = self._row(row)
            bad = columns[np.isnan(scores)]
            bad = bad[bad != own.get(row, -1)]
            if bad.size:
                raise ValueError(
                    f"{count:,} of {self.n_pairs:,} scores are NaN, the first in row {row:,}, column {bad.min():,}: "
                    "give every pair a score (0 means no edge)"
                )

    def _row(self, row: int) -> tuple[NDArray[np.int64], NDArray[Any]]:
        if not self.is_sparse:
            return np.arange(self.shape[1]), self.matrix[row]
        part = slice(self.matrix.indptr[row], self.matrix.indptr[row + 1])
        return self.matrix.indices[part].astype(np.int64), self.matrix.data[part]


def views(values: NDArray[Any], size: int = PIECE) -> list[NDArray[Any]]:
    """Cut an array into views of `size` entries of its first axis, the last one shorter."""
    return [values[start : start + size] for start in range(0, len(values), size)]


def copied_pieces(values: NDArray[Any], size: int = PIECE) -> Iterator[NDArray[Any]]:
    """Copy a 1-D array piece by piece into one buffer, which may be overwritten."""
    buffer = np.empty(min(size, values.size), dtype=values.dtype)
    for part in views(values, size):
        piece = buffer[: part.size]
        piece[:] = part
        yield piece


def as_pairs(scores: Any, self_columns: ArrayLike | None = None) -> Pairs:
    """Check a score matrix and its self pairs.

    Parameters
    ----------
    scores
        Dense array or scipy sparse matrix of real numbers, (regulators, targets). Not copied, unless it is
        sparse and not CSR, or has the same entry twice (which is then summed).
    self_columns
        For each row the column that is the row's own gene, -1 where there is none, (regulators,); None where
        no pair is a self pair.

    Raises
    ------
    TypeError
        If the scores are not real numbers.
    ValueError
        If `scores` is not a matrix, or `self_columns` does not fit it.
    """
    matrix = _as_csr(scores) if sp.issparse(scores) else as_scores(scores)
    if matrix.ndim != 2:
        raise ValueError(f"scores have shape {matrix.shape}: give a matrix, regulators x targets")
    n_rows, n_columns = matrix.shape
    own = np.full(n_rows, -1) if self_columns is None else np.asarray(self_columns)
    if own.shape != (n_rows,) or own.dtype.kind not in "iu":
        raise ValueError(
            f"self_columns has shape {own.shape} and type {own.dtype}: give one integer for each of the "
            f"{n_rows:,} rows, -1 where the row's gene is not a column"
        )
    rows = np.flatnonzero(own != -1)
    columns = own[rows].astype(np.int64)
    outside = (columns < 0) | (columns >= n_columns)
    if outside.any():
        raise ValueError(
            f"self_columns names column {columns[outside][0]:,} for row {rows[outside][0]:,}, but there are "
            f"{n_columns:,} columns; use -1 where the row's gene is not a column"
        )
    if np.unique(columns).size < columns.size:
        values, counts = np.unique(columns, return_counts=True)
        raise ValueError(
            f"self_columns names column {values[counts > 1][0]:,} for {counts.max():,} rows: a gene is in one row only"
        )
    return Pairs(matrix, rows.astype(np.int64), columns)


def as_scores(values: ArrayLike) -> NDArray[Any]:
    """Check that an array holds real numbers; bool becomes uint8, all else keeps its type."""
    array = np.asarray(values)
    if array.dtype.kind == "b":
        return array.view(np.uint8)
    if array.dtype.kind not in "fiu":
        raise TypeError(f"scores have type {array.dtype}: only real numbers can be ranked")
    return array


def _as_csr(scores: Any) -> Any:
    matrix = scores if scores.format == "csr" else scores.tocsr()
    if not matrix.has_canonical_format:
        matrix = matrix.copy()
        matrix.sum_duplicates()
    if matrix.dtype.kind == "b":
        return matrix.astype(np.uint8)
    as_scores(matrix.data[:0])
    return matrix


def as_positions(positives: Any, shape: tuple[int, int]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the rows and columns of true edges given as flat positions or as a pair (rows, columns).

    Raises
    ------
    ValueError
        If one lies outside the matrix or is named twice.
    """
    n_rows, n_columns = shape
    if isinstance(positives, tuple) and len(positives) == 2:
        rows, columns = (_integers(part) for part in positives)
        if rows.shape != columns.shape:
            raise ValueError(f"positives name {rows.size:,} rows and {columns.size:,} columns: give one of each a pair")
        outside = (rows < 0) | (rows >= n_rows) | (columns < 0) | (columns >= n_columns)
        flat = rows * n_columns + columns
    else:
        flat = _integers(positives)
        rows, columns = np.divmod(flat, max(n_columns, 1))
        outside = (flat < 0) | (flat >= n_rows * n_columns)
    if outside.any():
        raise ValueError(
            f"{int(outside.sum()):,} of {flat.size:,} positives lie outside the {n_rows:,} x {n_columns:,} pairs, "
            f"the first at row {rows[outside][0]:,}, column {columns[outside][0]:,}"
        )
    n_distinct = np.unique(flat).size
    if n_distinct < flat.size:
        raise ValueError(f"{flat.size - n_distinct:,} of {flat.size:,} positives are named twice: give each pair once")
    return rows, columns


def _integers(values: ArrayLike) -> NDArray[np.int64]:
    array = np.asarray(values)
    if array.ndim != 1 or (array.size and array.dtype.kind not in "iu"):
        raise ValueError(
            f"positives have shape {array.shape} and type {array.dtype}: give flat integer positions, or a pair "
            "(rows, columns); np.flatnonzero(mask) turns a mask into positions"
        )
    return array.astype(np.int64)

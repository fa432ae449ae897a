"""Some cells or some genes of a matrix, or its values rounded; nothing is read before it is asked for."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy import sparse

from scdataloader.sources import Matrix


def of_cells(matrix: Matrix, places: np.ndarray) -> Matrix:
    """Return the cells at the given places, which rise."""
    ends = matrix.row_ends
    if ends is not None:
        ends = np.cumsum(np.diff(ends, prepend=0)[places])

    def rows(begin: int, end: int) -> sparse.csr_matrix:
        wanted = places[begin:end]
        if len(wanted) == 0:
            return matrix.rows(0, 0)
        first = int(wanted[0])
        return sparse.csr_matrix(matrix.rows(first, int(wanted[-1]) + 1)[wanted - first])

    return Matrix((len(places), matrix.shape[1]), matrix.var, rows, ends)


def of_genes(matrix: Matrix, places: np.ndarray) -> Matrix:
    """Return the genes at the given places."""

    def rows(begin: int, end: int) -> sparse.csr_matrix:
        return sparse.csr_matrix(matrix.rows(begin, end)[:, places])

    return Matrix((matrix.shape[0], len(places)), matrix.var.iloc[places], rows)


def rounded(matrix: Matrix) -> Matrix:
    """Return the values rounded to whole numbers, half to even; those that are not numbers stay as they are."""

    def rows(begin: int, end: int) -> sparse.csr_matrix:
        block = matrix.rows(begin, end)
        if block.data.dtype.kind != "f":
            return block
        return sparse.csr_matrix((np.rint(block.data), block.indices, block.indptr), shape=block.shape)

    return replace(matrix, rows=rows)

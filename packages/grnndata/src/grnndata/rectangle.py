"""A matrix of weights whose rows and columns may be different genes, and its place in a square network."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd
import scipy.sparse as sp

from .edges import check_unique


@dataclass(frozen=True, eq=False)
class Rectangle:
    """A matrix of weights, rows × columns, as it lies in a file.

    Attributes
    ----------
    matrix
        float32, shape (rows, columns).
    rows, columns
        Names.
    notes
        What was guessed or left out, in words.
    """

    matrix: sp.csr_matrix
    rows: pd.Index
    columns: pd.Index
    notes: list[str] = field(default_factory=list)

    @property
    def turned(self) -> Rectangle:
        """The same with rows as columns."""
        return replace(self, matrix=self.matrix.T.tocsr(), rows=self.columns, columns=self.rows)


def square(rectangle: Rectangle) -> tuple[sp.csr_matrix, pd.Index]:
    """Put a matrix regulators × targets into a square one whose other rows are empty.

    Parameters
    ----------
    rectangle
        Row = regulator. Arrays are shared where its rows are in the order of the genes.

    Returns
    -------
    tuple
        The network, CSR, shape (genes, genes), and its genes: the columns, then the rows that are not columns.

    Raises
    ------
    ValueError
        When a name repeats among the rows or among the columns.
    """
    rows, columns = check_unique(rectangle.rows), check_unique(rectangle.columns)
    genes = columns.append(rows[~rows.isin(columns)])
    place = genes.get_indexer(rows)
    matrix = rectangle.matrix
    if (np.diff(place) < 0).any():
        order = np.argsort(place)
        matrix, place = matrix[order], place[order]
    counts = np.zeros(len(genes), dtype=matrix.indptr.dtype)
    counts[place] = np.diff(matrix.indptr)
    indptr = np.concatenate([np.zeros(1, matrix.indptr.dtype), np.cumsum(counts, dtype=matrix.indptr.dtype)])
    return sp.csr_matrix((matrix.data, matrix.indices, indptr), shape=(len(genes), len(genes))), genes


def edges_of(rectangle: Rectangle) -> pd.DataFrame:
    """List the weights of a matrix that are not 0 as edges, row by row; `attrs` of the table holds its notes."""
    entries = rectangle.matrix.tocoo()
    edges = pd.DataFrame(
        {
            "source": rectangle.rows.take(entries.row),
            "target": rectangle.columns.take(entries.col),
            "weight": entries.data,
        }
    )
    edges.attrs["notes"] = list(rectangle.notes)
    return edges

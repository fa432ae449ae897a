"""The edges of a network, strongest first, some at a time: a list of all of them may be ten times the network."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp
from numpy.typing import NDArray

from .edges import EDGE_COLUMNS
from .schema import Network

_PART = 2**20


def edge_parts(
    network: Network, genes: pd.Index, *, directed: bool = True, size: int = _PART
) -> Iterator[pd.DataFrame]:
    """Yield the edges of a network in parts, in the order of `GRNAnnData.edges`.

    Parameters
    ----------
    network
        Shape (genes, genes), row = regulator.
    genes
        Names of rows and columns.
    directed
        Whether both directions of a pair are edges; otherwise each pair comes once.
    size
        Number of edges of a part at most.

    Yields
    ------
    pandas.DataFrame
        Columns ``source, target`` (str) and ``weight`` (float32). An empty network gives one empty part.
    """
    matrix = sp.csr_matrix(network)
    if not matrix.has_sorted_indices:
        matrix = matrix.sorted_indices()
    names = pd.Index(genes).astype("str")
    n_parts = 0
    for places in _ordered(np.abs(matrix.data), size):
        rows = np.searchsorted(matrix.indptr, places, side="right") - 1
        columns, weights = matrix.indices[places], matrix.data[places]
        kept = weights != 0 if directed else (weights != 0) & (rows <= columns)
        parts = (names.take(rows[kept]), names.take(columns[kept]), weights[kept])
        n_parts += 1
        yield pd.DataFrame(dict(zip(EDGE_COLUMNS, parts, strict=True)))
    if not n_parts:
        empty: Any = (names[:0], names[:0], np.empty(0, np.float32))
        yield pd.DataFrame(dict(zip(EDGE_COLUMNS, empty, strict=True)))


def _ordered(size: NDArray[np.float32], most: int) -> Iterator[NDArray[np.intp]]:
    """Yield the places of values from the largest on, equal ones by place, so many at a time."""
    if size.size <= most:
        if size.size:
            yield np.argsort(-size, kind="stable")
        return
    # Sorting all would take three times the memory of the network: the values are cut into ranges first.
    cuts = np.unique(np.partition(size, range(size.size % most, size.size, most))[size.size % most :: most])[::-1]
    above = np.inf
    for cut in [*cuts, -np.inf]:
        inside = (size >= cut) & (size < above)
        above = cut
        values = size[inside]
        if values.size and values.min() == values.max():
            for start in range(0, size.size, most):
                if (places := start + np.flatnonzero(inside[start : start + most])).size:
                    yield places
        elif values.size:
            places = np.flatnonzero(inside)[np.argsort(-values, kind="stable")]
            yield from (places[start : start + most] for start in range(0, places.size, most))

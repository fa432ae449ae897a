"""Find the cells with values that are not counts, and tell of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import sparse

from scdataloader._wording import counted, listed
from scdataloader.sources import Matrix

#: Share of the cells that may be left out as a few bad ones.
MOST = 0.1
#: Names of cells that a record keeps.
_KEPT = 1000


@dataclass(frozen=True)
class BadCells:
    """Cells with values that are not counts.

    Attributes
    ----------
    names
        Names of the cells, by what is wrong with their first such value.
    places
        Positions of all of them, rising.
    n_cells
        Number of cells that were looked at.
    """

    names: Mapping[str, list[str]]
    places: np.ndarray
    n_cells: int

    def __str__(self) -> str:
        kinds = [f"{len(some):,} {kind} ({listed(some, 3)})" for kind, some in self.names.items()]
        return f"{counted(len(self.places), 'cell')} of {self.n_cells:,} with values that are no counts: " + ", ".join(
            kinds
        )

    @property
    def are_few(self) -> bool:
        """Whether so few cells are bad that the others can be used without them."""
        return 0 < len(self.places) <= MOST * self.n_cells

    def record(self) -> dict[str, object]:
        """Return the number and the names of the cells, up to 1,000 of each kind, for a record."""
        return {kind: {"cells": len(some), "names": some[:_KEPT]} for kind, some in self.names.items()}


def bad_cells(matrix: Matrix, names: pd.Index, *, values: int | None = None) -> BadCells:
    """Find the cells with NaN, infinite, negative or fractional values; the whole matrix is read.

    Parameters
    ----------
    matrix
        Values that should be counts.
    names
        Names of the cells.
    values
        Number of stored values that are read at a time.
    """
    found: dict[str, list[np.ndarray]] = {"NaN or infinite": [], "negative": [], "fractional": []}
    for begin, _, block in matrix.blocks() if values is None else matrix.blocks(values):
        for kind, places in bad_rows(block).items():
            found[kind].append(places + begin)
    each = {kind: np.concatenate([np.empty(0, np.int64), *parts]) for kind, parts in found.items()}
    every = np.unique(np.concatenate(list(each.values())))
    seen = np.zeros(matrix.shape[0], bool)
    named = {}
    for kind, places in each.items():
        new = places[~seen[places]]
        seen[new] = True
        if len(new):
            named[kind] = [str(name) for name in names[new].tolist()]
    return BadCells(named, every, matrix.shape[0])


def bad_rows(block: sparse.csr_matrix) -> dict[str, np.ndarray]:
    """Return the rows with values that are not counts, by what is wrong."""
    data = block.data
    if data.dtype.kind in "bu":
        return {}
    with np.errstate(invalid="ignore"):
        finite = np.isfinite(data)
        masks = {
            "NaN or infinite": ~finite,
            "negative": finite & (data < 0),
            "fractional": finite & (data >= 0) & (data != np.floor(data)),
        }
    row_of = np.repeat(np.arange(block.shape[0]), np.diff(block.indptr))
    return {kind: np.unique(row_of[mask]) for kind, mask in masks.items() if mask.any()}

"""Strata of cells of like depth and the same batch, within which counts may be dealt anew."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

#: Least cells of a stratum, where the batch has as many.
LEAST_CELLS = 8
#: Most that the log of depth may span in a larger stratum of 300 cells; see `depth_strata`.
WIDTH, WIDTH_CELLS = 0.1, 300


@dataclass(frozen=True, eq=False)
class Strata:
    """Which cells may exchange counts.

    Attributes
    ----------
    of_cell
        Number of each cell's stratum, int64, shape (n_cells,).
    sizes
        Number of cells of each stratum.
    depth_left
        Share of the variance of the log of depth that lies within strata: 0 where they hold cells of one depth, 1 where
        all cells are in one.
    """

    of_cell: NDArray[np.int64]
    sizes: NDArray[np.int64]
    depth_left: float

    def __str__(self) -> str:
        n, sizes = len(self.sizes), self.sizes
        many = "1 stratum" if n == 1 else f"{n:,} strata"
        cells = f"{sizes.min():,}" if sizes.min() == sizes.max() else f"{sizes.min():,} to {sizes.max():,}"
        return f"{many} of {cells} cells, which hold {self.depth_left:.1%} of the variance of log depth"


def depth_strata(depth: ArrayLike, batch: ArrayLike | None = None) -> Strata:
    """Divide cells into strata of like depth and the same batch.

    Cells of a batch are taken in the order of their depth. A stratum is closed as soon as it has `LEAST_CELLS` and the
    next cell would make it span more than `WIDTH` in log depth; what remains in the end joins the last one. What depth
    does to a correlation within a stratum grows with the square of that width, and what can be seen with the root of
    the number of cells: beyond `WIDTH_CELLS` the width shrinks with the fourth root of that number.

    Parameters
    ----------
    depth
        Total count of each cell, shape (n_cells,).
    batch
        Name or number of each cell's batch, shape (n_cells,); None: all are of one.
    """
    logs = np.log(np.maximum(np.asarray(depth, dtype=np.float64), 1.0))
    width = WIDTH * min(1.0, (WIDTH_CELLS / len(logs)) ** 0.25)
    codes = np.zeros(len(logs), dtype=np.int64)
    if batch is not None:
        codes = np.unique(np.asarray(batch), return_inverse=True)[1].reshape(-1)
    of_cell, n = np.empty(len(logs), dtype=np.int64), 0
    for code in range(codes.max(initial=0) + 1):
        cells = np.flatnonzero(codes == code)
        cells = cells[np.argsort(logs[cells], kind="stable")]
        starts = [0]
        for at in range(LEAST_CELLS, len(cells) - LEAST_CELLS + 1):
            if at - starts[-1] >= LEAST_CELLS and logs[cells[at]] - logs[cells[starts[-1]]] > width:
                starts.append(at)
        of_cell[cells] = n + np.searchsorted(starts, np.arange(len(cells)), side="right") - 1
        n += len(starts)
    return Strata(of_cell, np.bincount(of_cell), _left(logs, of_cell))


def one_stratum(depth: ArrayLike) -> Strata:
    """Put all cells into one stratum, whatever their depth."""
    return Strata(np.zeros(np.size(depth), dtype=np.int64), np.array([np.size(depth)]), 1.0)


def _left(logs: NDArray[np.float64], of_cell: NDArray[np.int64]) -> float:
    means = np.bincount(of_cell, logs) / np.bincount(of_cell)
    within = float(((logs - means[of_cell]) ** 2).sum())
    whole = float(((logs - logs.mean()) ** 2).sum())
    return within / whole if whole > 0 else 0.0

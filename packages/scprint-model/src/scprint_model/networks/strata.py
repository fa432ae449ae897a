"""Cells of like depth and the same batch: which ones exchange counts under a null."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, Literal

import numpy as np
import pandas as pd
from anndata import AnnData
from numpy.typing import ArrayLike, NDArray

from scdataloader.counts import obs_table, total_counts
from scprint_model._wording import counted

logger = logging.getLogger(__name__)

#: Null of the p-values of edges.
type Null = Literal["depth", "cells"]
NULLS: dict[str, str] = {
    "depth": (
        "genes vary independently, given a cell's depth and batch: each gene's counts are dealt among cells of like "
        "depth and the same batch, scaled to the depth of the cell that receives them"
    ),
    "cells": (
        "genes vary independently, given a cell's batch, and all cells have one depth: each gene's counts are dealt "
        "among the cells of a batch, whatever their depth"
    ),
}
#: Least cells of a stratum, where the batch has as many.
LEAST_CELLS = 10
#: Most that the log of depth may span in a larger stratum.
WIDTH = 0.2
#: With fewer cells in a stratum there are hardly other ways to deal counts.
FEW_CELLS = 8


@dataclass(frozen=True, eq=False)
class Strata:
    """Groups of cells that exchange counts.

    Attributes
    ----------
    of_cell
        Number of each cell's stratum, int64, shape (n_cells,).
    sizes
        Number of cells of each stratum.
    scaled
        Whether counts are scaled to the depth of the cell that receives them.
    """

    of_cell: NDArray[np.int64]
    sizes: NDArray[np.int64]
    scaled: bool

    def __str__(self) -> str:
        low, high = int(self.sizes.min()), int(self.sizes.max())
        many = "1 stratum" if len(self.sizes) == 1 else f"{len(self.sizes):,} strata"
        return f"{many} of {f'{low:,}' if low == high else f'{low:,} to {high:,}'} cells"


def strata_of_null(null: Null, depth: ArrayLike, batch: ArrayLike | None = None) -> Strata:
    """Divide cells into the strata within which a null deals counts.

    For "cells" these are the batches. For "depth", the cells of a batch are taken in the order of their depth, and a
    stratum is closed as soon as it has `LEAST_CELLS` and the next cell would make it span more than `WIDTH` in log
    depth. What remains in the end, fewer than `LEAST_CELLS`, joins the last stratum of the batch.

    Parameters
    ----------
    null
        Null; see `NULLS`.
    depth
        Total count of each cell, shape (n_cells,).
    batch
        Name or number of each cell's batch, shape (n_cells,); None: all are of one.
    """
    logs = np.log(np.maximum(np.asarray(depth, dtype=np.float64), 1.0))
    codes = np.zeros(len(logs), dtype=np.int64)
    if batch is not None:
        codes = np.unique(np.asarray(batch), return_inverse=True)[1].reshape(-1).astype(np.int64)
    if null == "cells":
        return Strata(codes, np.bincount(codes), scaled=False)
    of_cell, n = np.empty(len(logs), dtype=np.int64), 0
    for code in range(codes.max(initial=0) + 1):
        cells = np.flatnonzero(codes == code)
        cells = cells[np.argsort(logs[cells], kind="stable")]
        starts = [0]
        for at in range(LEAST_CELLS, len(cells) - LEAST_CELLS + 1):
            if at - starts[-1] >= LEAST_CELLS and logs[cells[at]] - logs[cells[starts[-1]]] > WIDTH:
                starts.append(at)
        of_cell[cells] = n + np.searchsorted(starts, np.arange(len(cells)), side="right") - 1
        n += len(starts)
    return Strata(of_cell, np.bincount(of_cell), scaled=True)


def null_strata(
    adata: AnnData,
    groups: Mapping[str, NDArray[np.int64]],
    null: Null,
    batch_key: str | Sequence[str] | None,
    *,
    permutations: int,
) -> dict[str, Strata]:
    """Return the strata of each group's cells, which are positions in the data; none without permutations.

    Raises
    ------
    ValueError
        When there is a `batch_key` and no permutation, a column is missing, or a group's batches are too
        small to deal counts within them.
    """
    if not permutations:
        if batch_key is not None:
            raise ValueError(f"batch_key={batch_key!r} is for permutations=, which is 0: give both or neither")
        return {}
    depth, batch = total_counts(adata), batches_of(obs_table(adata), batch_key)
    found = {
        name: strata_of_null(null, depth[cells], None if batch is None else batch[cells])
        for name, cells in groups.items()
    }
    for name, strata in found.items():
        check_strata(strata, group=name, batches=batch is not None)
    return found


def strata_record(strata: Strata | None, batch_key: str | Sequence[str] | None) -> dict[str, Any]:
    """Return what a network remembers of the strata of its cells; nothing where there are none."""
    if strata is None:
        return {}
    return {"strata": str(strata), "batch_key": [batch_key] if isinstance(batch_key, str) else list(batch_key or ())}


def batches_of(obs: pd.DataFrame, batch_key: str | Sequence[str] | None) -> NDArray[np.int64] | None:
    """Return the number of each cell's batch: of cells that agree in all columns `batch_key`; None for no column.

    Raises
    ------
    ValueError
        When the column does not exist, or cells lack a value.
    """
    if batch_key is None or not len(batch_key):
        return None
    keys = [batch_key] if isinstance(batch_key, str) else list(batch_key)
    for key in keys:
        if key not in obs:
            near = get_close_matches(key, map(str, obs.columns), n=3, cutoff=0.4)
            raise ValueError(
                f"batch_key: obs has no column {key!r}; {f'near ones: {near}' if near else list(obs.columns)}"
            )
        if obs[key].isna().any():
            many = counted(int(obs[key].isna().sum()), "cell has", "cells have")
            raise ValueError(f"batch_key: {many} no {key!r}: name their batch, or leave them out")
    numbers = obs.groupby([obs[key].astype(str) for key in keys], sort=True).ngroup()
    return np.asarray(numbers, dtype=np.int64)


def check_strata(strata: Strata, *, group: str, batches: bool) -> None:
    """Refuse strata that leave nothing to deal, and tell in the log of those that leave little.

    Raises
    ------
    ValueError
        When most cells of a group that is divided into `batches` are in strata of fewer than `FEW_CELLS`.
    """
    n_cells, n_few = int(strata.sizes.sum()), int(strata.sizes[strata.sizes < FEW_CELLS].sum())
    of = f" of {group!r}" if group else ""
    if batches and n_few > n_cells / 2 and n_cells >= FEW_CELLS:
        raise ValueError(
            f"permutations= deals counts among cells of one batch, and {n_few:,} of the {n_cells:,} cells{of} are in "
            f"batches of fewer than {FEW_CELLS}: give a batch_key= of larger ones, or leave it out"
        )
    if n_few:
        logger.warning(
            "%s%s in strata of fewer than %d, with few ways to deal their counts: p-values err on the large side",
            counted(n_few, "cell", "cells"),
            f"{of} {'lies' if n_few == 1 else 'lie'}",
            FEW_CELLS,
        )

"""Cells of a data set, a bounded number at a time, whether it is in memory or in a file."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING, cast

from anndata import AnnData

from scdataloader.counts import csr_counts, obs_table

if TYPE_CHECKING:
    import pandas as pd

#: Cells that are read at a time: some 70 MB of counts at 2,000 expressed genes.
PART_CELLS = 4096


def parts(adata: AnnData, size: int = PART_CELLS) -> Iterator[tuple[int, AnnData]]:
    """Yield (position of the first cell, the cells) of consecutive parts, each in memory with X, obs and var alone.

    Parameters
    ----------
    adata
        In memory, or with an X in a file.
    size
        Cells of a part.
    """
    for start in range(0, adata.n_obs, size):
        view = adata[start : start + size]
        with warnings.catch_warnings():
            # whoever made the data was told
            warnings.filterwarnings("ignore", message="Variable names are not unique")
            part = AnnData(X=csr_counts(view), obs=obs_table(view), var=cast("pd.DataFrame", adata.var))
        yield start, part


def batches(n_cells: int, batch_size: int) -> Iterator[range]:
    """Yield the places of consecutive batches of cells.

    Raises
    ------
    ValueError
        When the size is not positive.
    """
    if batch_size < 1:
        raise ValueError(f"batch_size={batch_size} must be positive")
    for start in range(0, n_cells, batch_size):
        yield range(start, min(start + batch_size, n_cells))

"""Cells named on the command line by a value of obs."""

from __future__ import annotations

import numpy as np
from anndata import AnnData


def cells_where(adata: AnnData, where: str) -> np.ndarray:
    """Return the positions of the cells with ``column=value``.

    Raises
    ------
    ValueError
        When there is no such column, or no cell with that value.
    """
    column, equals, value = where.partition("=")
    if not equals or column not in adata.obs:
        raise ValueError(f"{where!r} must be column=value, with a column of obs, which has {list(adata.obs.columns)}")
    at = np.flatnonzero(adata.obs[column].astype(str).to_numpy() == value)
    if not len(at):
        there = adata.obs[column].astype(str).value_counts().index[:8].tolist()
        raise ValueError(f"no cell has {column} = {value!r}; there are {there}")
    return at

"""Samplers that treat all cells alike: they draw places in a pool, all cells or a subset."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import numpy as np

from scdataloader.sampling.sampler import Sampler, fingerprint_of_array


class PoolSampler(Sampler):
    """A sampler over a pool of cells.

    Parameters
    ----------
    cells
        How many cells there are; or the indices of those to draw from, shape (n,); or a boolean mask of them, shape
        (n_cells,).
    n_draws
        Length of an epoch; by default one draw a cell.
    seed
        Not negative.

    Raises
    ------
    ValueError
        When there are no cells.
    """

    def __init__(self, cells: int | np.ndarray, *, n_draws: int | None = None, seed: int = 0) -> None:
        self._pool = None if isinstance(cells, int | np.integer) else _indices(np.asarray(cells))
        self._n = int(cells) if self._pool is None else len(self._pool)
        if self._n < 1:
            raise ValueError("there are no cells to draw from")
        super().__init__(self._n if n_draws is None else n_draws, seed)

    @abstractmethod
    def _places(self, begin: int, end: int) -> np.ndarray:
        """Return draws `begin` to `end` as places in the pool, int64."""

    def _draw(self, begin: int, end: int) -> np.ndarray:
        places = self._places(begin, end)
        return places if self._pool is None else self._pool[places]

    def _config(self) -> dict[str, Any]:
        return {"cells": self._n, "pool": None if self._pool is None else fingerprint_of_array(self._pool)}


def _indices(cells: np.ndarray) -> np.ndarray:
    if cells.ndim != 1 or cells.dtype.kind not in "iub":
        raise ValueError(f"cells has shape {cells.shape} and type {cells.dtype}: pass indices or a boolean mask, 1-D")
    if cells.dtype.kind == "b":
        return np.flatnonzero(cells)
    if len(cells) and cells.min() < 0:
        raise ValueError(f"cells holds {cells.min()}: indices must not be negative")
    return cells.astype(np.int64, copy=False)

"""Samplers that treat all cells alike: in order, once each, at random, or in blocks of neighbours.

They draw places in a pool: all cells or a subset.
"""

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
        Number of all cells; or the indices of those to draw from, shape (n,); or a boolean mask of them, shape
        (n_cells,).
    n_draws
        Length of an epoch; by default one draw a cell.
    seed
        Seed for the draws, not negative.

    Raises
    ------
    ValueError
        When the pool holds no cells.
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


class SequentialSampler(PoolSampler):
    """Gives each cell once, in the order of the pool; the same in every epoch.

    Parameters
    ----------
    cells
        Number of cells, or indices or a mask of those to draw from; see `PoolSampler`.
    """

    def __init__(self, cells: int | np.ndarray) -> None:
        super().__init__(cells)

    def _places(self, begin: int, end: int) -> np.ndarray:
        return np.arange(begin, end)


class ShuffledSampler(PoolSampler):
    """Gives each cell exactly once an epoch, in an order of the epoch's own that takes no memory.

    Parameters
    ----------
    cells
        Number of cells, or indices or a mask of those to draw from; see `PoolSampler`.
    seed
        Seed for the order; see `scdataloader.sampling.permutation`.
    """

    def __init__(self, cells: int | np.ndarray, *, seed: int = 0) -> None:
        super().__init__(cells, seed=seed)

    def _places(self, begin: int, end: int) -> np.ndarray:
        from scdataloader.sampling.permutation import permuted, round_keys

        out = np.empty(end - begin, np.int64)
        permuted(round_keys(self.seed, self.epoch), self._n, begin, out)
        return out


class UniformSampler(PoolSampler):
    """Draws each cell with the same chance every time, whatever was drawn before.

    Parameters
    ----------
    cells
        Number of cells, or indices or a mask of those to draw from; see `PoolSampler`.
    n_draws
        Cells per epoch; by default as many as there are.
    seed
        Seed for the draws; see `scdataloader.randomness`.
    """

    def _places(self, begin: int, end: int) -> np.ndarray:
        from scdataloader.sampling.drawing import key_of, uniform

        out = np.empty(end - begin, np.int64)
        uniform(key_of(self.seed), self.epoch, begin, self._n, out)
        return out


class BlockSampler(PoolSampler):
    """Gives each cell once an epoch: blocks of neighbours in random order, a window of them mixed at a time.

    Only for cells that lie behind a network or in compressed chunks; memory-mapped cells are read as fast one by one.
    Batches are less random than they look where neighbours are alike: measure it with
    `scdataloader.sampling.design_effect`. Sizes in cells that match the chunks of the storage, and wide windows, are
    best. It takes no memory, whatever the number of blocks.

    Parameters
    ----------
    cells
        Number of cells, or indices or a mask of those to draw from; see `PoolSampler`. Neighbours are
        neighbours in this order.
    block_size
        Cells a block; the last may be smaller.
    window
        Blocks that are mixed: a reader holds ``window * block_size`` cells.
    seed
        Seed for the order of blocks, and of cells in the windows.
    """

    def __init__(self, cells: int | np.ndarray, *, block_size: int = 256, window: int = 64, seed: int = 0) -> None:
        super().__init__(cells, seed=seed)
        for name, value in (("block_size", block_size), ("window", window)):
            if value < 1:
                raise ValueError(f"{name}={value} must be at least 1")
        self.block_size, self.window = block_size, window

    def _places(self, begin: int, end: int) -> np.ndarray:
        from scdataloader.sampling.permutation import mixed_blocks, round_keys

        out = np.empty(end - begin, np.int64)
        mixed_blocks(round_keys(self.seed, self.epoch), self._n, self.block_size, self.window, begin, out)
        return out

    def _config(self) -> dict[str, Any]:
        return {**super()._config(), "block_size": self.block_size, "window": self.window}

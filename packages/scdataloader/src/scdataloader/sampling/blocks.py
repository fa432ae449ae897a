"""Shuffled blocks of neighbouring cells: nearly random, and read from a slow disk in long pieces."""

from __future__ import annotations

from typing import Any

import numpy as np

from scdataloader.sampling.pool import PoolSampler


class BlockSampler(PoolSampler):
    """Gives each cell once an epoch: blocks of neighbours in random order, a window of them mixed at a time.

    Only for cells that lie behind a network or in compressed chunks; memory-mapped cells are read as fast one by one.
    Batches are less random than they look where neighbours are alike: measure it with
    `scdataloader.sampling.design_effect`. Sizes in cells that match the chunks of the storage, and wide windows, are
    best. It takes no memory, whatever the number of blocks.

    Parameters
    ----------
    cells
        How many, or which; see `PoolSampler`. Neighbours are neighbours in this order.
    block_size
        Cells a block; the last may be smaller.
    window
        Blocks that are mixed: a reader holds ``window * block_size`` cells.
    seed
        Of the order of blocks, and of cells in the windows.
    """

    def __init__(self, cells: int | np.ndarray, *, block_size: int = 256, window: int = 64, seed: int = 0) -> None:
        super().__init__(cells, seed=seed)
        for name, value in (("block_size", block_size), ("window", window)):
            if value < 1:
                raise ValueError(f"{name}={value} must be at least 1")
        self.block_size, self.window = block_size, window

    def _places(self, begin: int, end: int) -> np.ndarray:
        from scdataloader.sampling.block_order import mixed_blocks
        from scdataloader.sampling.feistel import round_keys

        out = np.empty(end - begin, np.int64)
        mixed_blocks(round_keys(self.seed, self.epoch), self._n, self.block_size, self.window, begin, out)
        return out

    def _config(self) -> dict[str, Any]:
        return {**super()._config(), "block_size": self.block_size, "window": self.window}

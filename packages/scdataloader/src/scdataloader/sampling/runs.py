"""Draws that come in runs of one data set, for losses that compare the cells of a batch with their like."""

from __future__ import annotations

from typing import Any

import numpy as np

from scdataloader.sampling.sampler import Sampler, fingerprint_of_array
from scdataloader.sampling.weighted import WeightedSampler


class DatasetRuns(Sampler):
    """Draws a data set for each run of consecutive draws, then cells in it as `WeightedSampler` does.

    A batch of 128 cells with runs of 32 holds cells of four data sets. A data set's chance is the sum of its groups'
    weights, so that each cell is drawn as often as by one `WeightedSampler` over all. Ranks and resuming work as for
    all samplers.

    Parameters
    ----------
    labels
        Integer labels, shape (n_cells, n_columns): cells of a data set with the same row form a group.
    dataset
        Number of each cell's data set, shape (n_cells,).
    run
        Number of draws in a run; make it divide the batch size.
    cap
        Most cells that a data set's sum of weights may stand for; None: any.
    scale
        Weight of rare groups; see `scdataloader.sampling.group_weights`.
    n_draws
        Number of cells per epoch.
    seed
        Seed for the draws.
    subset
        Indices of the cells to draw from; None: all.

    Raises
    ------
    ValueError
        When no cell is left to draw from, or a number is too small.
    """

    def __init__(
        self,
        labels: np.ndarray,
        dataset: np.ndarray,
        *,
        run: int,
        cap: int | None = None,
        scale: float = 50,
        n_draws: int,
        seed: int = 0,
        subset: np.ndarray | None = None,
    ) -> None:
        super().__init__(n_draws, seed)
        for name, value in (("run", run), ("cap", cap)):
            if value is not None and value < 1:
                raise ValueError(f"{name}={value} must be at least 1")
        cells = np.arange(len(dataset)) if subset is None else np.asarray(subset)
        if len(cells) == 0:
            raise ValueError("there are no cells to draw from")
        self.run = run
        self._samplers = [
            WeightedSampler(
                labels, scale=scale, n_draws=n_draws + run, seed=seed, subset=cells[dataset[cells] == number]
            )
            for number in np.unique(dataset[cells])
        ]
        weights = np.array([(scale * one.counts / (one.counts + scale)).sum() for one in self._samplers])
        counted = weights if cap is None else np.minimum(weights, cap)
        #: Chance of each data set that has cells.
        self.probabilities = counted / counted.sum()

    def _draw(self, begin: int, end: int) -> np.ndarray:
        parts = []
        for number in range(begin // self.run, -(-end // self.run)):
            first = number * self.run
            rng = np.random.default_rng([self.seed, self.epoch, number])
            sampler = self._samplers[int(rng.choice(len(self._samplers), p=self.probabilities))]
            sampler.set_epoch(self.epoch)
            parts.append(sampler.indices(max(begin, first), min(end, first + self.run)))
        return np.concatenate(parts) if parts else np.empty(0, np.int64)

    def _config(self) -> dict[str, Any]:
        return {
            "run": self.run,
            "probabilities": fingerprint_of_array(self.probabilities),
            "samplers": [sampler.fingerprint for sampler in self._samplers],
        }

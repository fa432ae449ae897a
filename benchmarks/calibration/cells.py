"""Cells drawn with the nuisance of real ones: depths that differ, genes that vary more than by chance, batches."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class SimulatedCells:
    """Counts whose truth is known.

    Attributes
    ----------
    counts
        int64, shape (n_cells, n_genes).
    depth
        Total count of each cell, also of genes that are not in `counts`.
    batch
        Number of each cell's batch.
    planted
        bool, shape (n_genes, n_genes): pairs that vary together beyond depth and batch.
    """

    counts: NDArray[np.int64]
    depth: NDArray[np.int64]
    batch: NDArray[np.int64]
    planted: NDArray[np.bool_]


def simulate_cells(
    rng: np.random.Generator,
    *,
    n_cells: int = 300,
    n_genes: int = 40,
    mean_depth: float = 5000.0,
    depth_sd: float = 0.6,
    dispersion: float = 0.3,
    n_batches: int = 1,
    batch_sd: float = 0.4,
    n_planted: int = 0,
    strength: float = 0.6,
) -> SimulatedCells:
    """Draw counts whose mean is depth × profile of the batch × variation of the gene in that cell.

    Parameters
    ----------
    rng
        Generator of all draws.
    n_cells, n_genes
        Number of cells and genes.
    mean_depth, depth_sd
        Median depth, and standard deviation of its logarithm; batches differ in it by half as much.
    dispersion
        Variance of a gene's relative expression between cells (gamma); 0: counts are Poisson.
    n_batches, batch_sd
        Number of batches of random size, and standard deviation of the log of what one does to a gene.
    n_planted, strength
        Number of pairs of genes (the first ones) that share a factor, and the standard deviation of its logarithm.
    """
    profile = rng.lognormal(0, 1.3, n_genes)
    profile *= 0.3 / profile.sum()  # the other genes have the rest
    batch = np.sort(rng.choice(n_batches, n_cells, p=rng.dirichlet(np.full(n_batches, 5.0))))
    log_depth = rng.normal(0, depth_sd, n_cells) + rng.normal(0, depth_sd / 2, n_batches)[batch] * (n_batches > 1)
    size = mean_depth * np.exp(log_depth)
    relative = np.exp(rng.normal(0, batch_sd * (n_batches > 1), (n_batches, n_genes)))[batch]
    if dispersion:
        relative = relative * rng.gamma(1 / dispersion, dispersion, (n_cells, n_genes))
    planted = np.zeros((n_genes, n_genes), dtype=bool)
    for pair in range(n_planted):
        a, b = 2 * pair, 2 * pair + 1
        relative[:, [a, b]] *= np.exp(rng.normal(0, strength, (n_cells, 1)) - strength**2 / 2)
        planted[a, b] = planted[b, a] = True
    counts = rng.poisson(size[:, None] * profile * relative)
    order = rng.permutation(n_cells)
    return SimulatedCells(counts[order], (counts.sum(axis=1) + rng.poisson(0.7 * size))[order], batch[order], planted)

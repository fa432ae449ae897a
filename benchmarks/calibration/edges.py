"""P-values of edges, where genes vary apart given depth and batch, and where some pairs do not.

A network of correlations takes the place of the model's, which would take minutes a simulation: what is tested, how
counts are dealt and how p-values come of it, is the same code.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from benchmarks.calibration.cells import SimulatedCells, simulate_cells
from benchmarks.calibration.shares import Simulation, by_quartile, p_value_shares
from scprint_model.networks.choose import NetworkCells
from scprint_model.networks.permutation import Exceedances, shuffled_counts
from scprint_model.networks.strata import strata_of_null

type Network = Callable[[NetworkCells], NDArray]


def calibrate(*, quick: bool = False) -> pd.DataFrame:
    """Simulate cells without and with pairs of genes that vary together."""
    n, permutations = (12, 99) if quick else (60, 199)
    cases = {
        "Poisson": {"dispersion": 0.0},
        "overdispersed": {},
        "overdispersed, 3 batches": {"n_batches": 3},
    }
    tables = []
    for case, options in cases.items():
        found = [null_p_values(np.random.default_rng([i, 1]), permutations, **options) for i in range(n)]
        tables.append(p_value_shares(found, case=case, kind="no effect", levels=(0.05,)))
    found = [planted_p_values(np.random.default_rng([i, 2]), permutations) for i in range(n)]
    return pd.concat([*tables, p_value_shares(found, case="planted pairs", kind="planted", levels=(0.05,))])


def normalised_correlation(cells: NetworkCells) -> NDArray:
    """Return the correlation of genes after log(1 + counts per 10,000 of the cell's depth)."""
    values = np.log1p(cells.counts.toarray() / cells.total_counts[:, None] * 1e4)
    return np.nan_to_num(np.corrcoef(values.T))


def network_cells(simulated: SimulatedCells) -> NetworkCells:
    """Return simulated cells in the form in which networks take them."""
    n_cells, n_genes = simulated.counts.shape
    counts = sparse.csr_matrix(simulated.counts.astype(np.float32))
    return NetworkCells(
        counts, simulated.depth.astype(np.float32), np.arange(n_genes), np.arange(n_cells), n_genes, seed=0
    )


def null_p_values(rng: np.random.Generator, permutations: int, **options: float) -> Simulation:
    """Return the p-values of cells whose genes vary apart, also by quartile of expression and of degree."""
    simulated = simulate_cells(rng, **options)
    weights, p = _p_values(simulated, normalised_correlation, permutations, rng)
    pairs = np.triu_indices(len(p), 1)
    mean, degree = np.log(simulated.counts.mean(axis=0) + 1e-9), np.abs(weights).sum(axis=0)
    parts = {"all": p[pairs]}
    for name, numbers in (("expression", mean), ("degree", degree)):
        parts |= by_quartile(p[pairs], numbers[pairs[0]] + numbers[pairs[1]], name)
    return parts


def planted_p_values(rng: np.random.Generator, permutations: int) -> Simulation:
    """Return the p-values of pairs that vary together."""
    simulated = simulate_cells(rng, n_planted=10)
    _, p = _p_values(simulated, normalised_correlation, permutations, rng)
    return {"planted pairs": p[np.triu(simulated.planted)]}


def _p_values(
    simulated: SimulatedCells, network: Network, permutations: int, rng: np.random.Generator
) -> tuple[NDArray, NDArray]:
    cells = network_cells(simulated)
    strata = strata_of_null("depth", simulated.depth, simulated.batch)
    weights = network(cells)
    found = Exceedances(weights)
    for _ in range(permutations):
        found.add(network(shuffled_counts(cells, rng, strata)))
    return weights, found.p_values()

"""Small p-values of edges from 20 pooled permutations, beside those that each edge counts in many of its own."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmarks.calibration.cells import simulate_cells
from benchmarks.calibration.edges import network_cells, normalised_correlation
from benchmarks.calibration.shares import at_least
from scprint_model.networks.choose import NetworkCells
from scprint_model.networks.permutation import permutation_p_values, shuffled_counts
from scprint_model.networks.pooled import BEYOND_OWN
from scprint_model.networks.strata import Strata, strata_of_null

#: 1,035 edges.
N_GENES = 46
#: Smallest p-value of twenty permutations.
SMALLEST = BEYOND_OWN / 20
#: Genes of the 21 edges whose tail is counted.
N_TAIL = 7


def calibrate(*, quick: bool = False) -> pd.DataFrame:
    """Simulate cells, and take weights of known probability for observed ones."""
    simulated = simulate_cells(np.random.default_rng(1), n_genes=N_GENES, n_cells=120)
    cells = network_cells(simulated)
    strata = strata_of_null("depth", simulated.depth)
    return pd.concat(
        [
            moderate(cells, strata, 1_000 if quick else 10_000, absolute=False),
            *([] if quick else [moderate(cells, strata, 10_000, absolute=True)]),
            tail(cells, strata, 20_000 if quick else 1_000_000),
        ],
        ignore_index=True,
    )


def moderate(cells: NetworkCells, strata: Strata, n: int, *, absolute: bool) -> pd.DataFrame:
    """Return how many of 1,035 edges get a p-value within a factor of 2 of that counted in `n` permutations."""

    def network(some: NetworkCells) -> NDArray:
        found = normalised_correlation(some)
        return np.abs(found) if absolute else found

    rng = np.random.default_rng(2)
    upper = np.triu_indices(N_GENES, 1)
    own = np.stack([network(shuffled_counts(cells, rng, strata))[upper].astype(np.float32) for _ in range(n)])
    own = -np.sort(-own, axis=0)
    wanted = np.round(10 ** rng.uniform(-3, -2, own.shape[1]) * n).astype(int)
    right = []
    for repeat in range(3):
        p = _of_weights(cells, strata, network, upper, own[wanted - 1, np.arange(own.shape[1])], seed=repeat)
        right.append(np.abs(np.log2(p * n / wanted)) <= 1)
    case = f"{'|correlation|' if absolute else 'correlation'}, 20 permutations beside {n:,}"
    return at_least(right, case=case, part="p of 0.001 to 0.01 within a factor of 2", level=0.9)


def tail(cells: NetworkCells, strata: Strata, n: int) -> pd.DataFrame:
    """Return how many of 21 edges get a p-value within a factor of 3 of that counted in `n` permutations.

    Twenty permutations give no value below 10⁻⁴, so that of edges far beyond it is asked that they are not far above.
    """
    depth = cells.total_counts

    def network(some: NetworkCells) -> NDArray:
        # by the depth that cells had: so an edge depends on its own two genes alone, and few are to be dealt
        return np.nan_to_num(np.corrcoef(np.log1p(some.counts.toarray() / depth[:, None] * 1e4).T))

    upper = np.triu_indices(N_TAIL, 1)
    largest = np.full((0, len(upper[0])), -np.inf, dtype=np.float32)
    rng = np.random.default_rng(3)
    for _ in range(n // 1000):
        found = _dealt_correlations(cells, strata, rng, 1000)[:, *upper].astype(np.float32)
        largest = -np.sort(-np.concatenate([largest, found]), axis=0)[: n // 1000]
    tables = []
    for wanted in (n // 1000, n // 10_000, n // 100_000):
        if wanted >= 10:
            right = []
            reached = max(wanted / n, SMALLEST)
            for repeat in range(3):
                p = _of_weights(cells, strata, network, upper, largest[wanted - 1], seed=repeat)
                right.append(np.abs(np.log(p / reached)) <= np.log(3))
            beyond = "" if wanted / n >= SMALLEST else f", given as {SMALLEST:g}"
            part = f"p of {wanted / n:g}{beyond} within a factor of 3"
            tables.append(at_least(right, case=f"20 permutations beside {n:,}", part=part, level=0.9))
    return pd.concat(tables)


def _of_weights(
    cells: NetworkCells, strata: Strata, network: object, upper: tuple[NDArray, NDArray], weights: NDArray, *, seed: int
) -> NDArray:
    """Return the p-values of edges that have these weights."""
    observed = network(cells)  # type: ignore[operator]
    observed[upper] = weights
    observed.T[upper] = weights
    p, _ = permutation_p_values(
        cells,
        network,  # type: ignore[arg-type]
        observed,
        ~np.eye(N_GENES, dtype=bool),
        strata=strata,
        n=20,
        pooled=True,
        rng=np.random.default_rng([4, seed]),
    )
    return p[upper]


def _dealt_correlations(cells: NetworkCells, strata: Strata, rng: np.random.Generator, n: int) -> NDArray:
    """Return the correlations of the first genes in `n` permutations, as `shuffled_counts` deals, written apart."""
    counts = cells.counts[:, :N_TAIL].toarray().T.astype(np.float64)
    depth = cells.total_counts.astype(np.float64)
    ordered = np.argsort(strata.of_cell, kind="stable")
    giver = np.argsort(rng.random((n, *counts.shape)) + strata.of_cell, axis=2)
    scaled = np.take_along_axis(counts[None], giver, axis=2) * (depth[ordered] / depth[giver])
    values = np.log1p(np.floor(scaled + rng.random(scaled.shape)) / depth[ordered] * 1e4)
    values -= values.mean(axis=2, keepdims=True)
    values /= np.sqrt((values**2).sum(axis=2, keepdims=True))
    return values @ values.transpose(0, 2, 1)

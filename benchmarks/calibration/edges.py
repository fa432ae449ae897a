"""P-values of edges, where genes vary apart given depth and batch, and where some pairs do not.

A network of correlations takes the place of the model's, which would take minutes a simulation: what is tested, how
counts are dealt and how p-values come of it, is the same code.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from benchmarks.calibration.cells import SimulatedCells, simulate_cells
from benchmarks.calibration.shares import Simulation, by_quartile, p_value_shares
from scdataloader import Preprocessor, datasets
from scprint_model.networks.choose import NetworkCells
from scprint_model.networks.permutation import permutation_p_values, shuffled_counts
from scprint_model.networks.strata import Null, strata_of_null

type Network = Callable[[NetworkCells], NDArray]


def calibrate(*, quick: bool = False) -> pd.DataFrame:
    """Simulate cells without and with pairs of genes that vary together."""
    n = 20 if quick else 50
    cases: dict[str, dict[str, Any]] = {"overdispersed, 3 batches": {"n_batches": 3}}
    if not quick:
        cases |= {
            "overdispersed": {},
            "Poisson": {"dispersion": 0.0},
            "overdispersed, one depth": {"depth_sd": 0.0},
            "overdispersed, 60 cells": {"n_cells": 60},
        }
    tables = []
    for case, options in cases.items():
        found = [null_p_values(np.random.default_rng([i, 1]), **options) for i in range(n)]
        tables.append(p_value_shares(found, case=case, kind="no effect"))
    found = [planted_p_values(np.random.default_rng([i, 2]), n_batches=3) for i in range(n)]
    tables.append(p_value_shares(found, case="planted, 3 batches", kind="planted"))
    if not quick:
        found = [null_p_values(np.random.default_rng([i, 1]), null="cells") for i in range(n)]
        tables.append(p_value_shares(found, case='overdispersed, null="cells"', kind="rival"))
        tables += rods(n)
    return pd.concat(tables, ignore_index=True)


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


def null_p_values(rng: np.random.Generator, *, null: Null = "depth", **options: Any) -> Simulation:
    """Return the p-values of cells whose genes vary apart, also by quartile of expression and of degree."""
    simulated = simulate_cells(rng, **options)
    p, _ = p_values(simulated, normalised_correlation, rng, null=null)
    pairs = np.triu_indices(len(p), 1)
    weights = normalised_correlation(network_cells(simulated))
    mean, degree = np.log(simulated.counts.mean(axis=0) + 1e-9), weights.sum(axis=0)
    parts = {"all": p[pairs]}
    # the degree of an edge's genes without that edge, which would select large weights
    for name, numbers in (("expression", mean[:, None] + mean), ("degree", degree[:, None] + degree - 2 * weights)):
        parts |= by_quartile(p[pairs], numbers[pairs], name)
    return parts


def planted_p_values(rng: np.random.Generator, **options: Any) -> Simulation:
    """Return the p-values of pairs that vary together, strongly or weakly."""
    found = {}
    for name, strength in (("strong", 0.6), ("weak", 0.35)):
        simulated = simulate_cells(rng, n_planted=10, strength=strength, **options)
        p, _ = p_values(simulated, normalised_correlation, rng)
        found[f"{name} pairs"] = p[np.triu(simulated.planted)]
    return found


def rods(n: int) -> list[pd.DataFrame]:
    """Return shares of 318 real rods and 40 genes, as they are and with counts dealt within strata, `n` times."""
    cells, _ = Preprocessor()(datasets.retina_1k())
    some = cells[cells.obs["cell_type"] == "retinal rod cell"]
    depth = np.asarray(some.obs["total_counts"], dtype=float)
    counts = some.X[:, np.asarray(some.X.sum(axis=0)).ravel().argsort()[-40:]].toarray().astype(np.int64)
    batch, unknown = np.zeros(len(depth), dtype=np.int64), np.zeros((40, 40), dtype=bool)
    real = SimulatedCells(counts, depth, batch, unknown)
    strata, pairs = strata_of_null("depth", depth), np.triu_indices(40, 1)
    dealt, observed = [], []
    for i in range(n):
        rng = np.random.default_rng([i, 5])
        shuffled = shuffled_counts(network_cells(real), rng, strata)
        one = SimulatedCells(shuffled.counts.toarray().astype(np.int64), shuffled.total_counts, batch, unknown)
        dealt.append({"all": p_values(one, normalised_correlation, rng)[0][pairs]})
        if i < 3:
            each = {
                name: p_values(real, normalised_correlation, rng, null=name)[0][pairs] for name in ("depth", "cells")
            }
            observed.append({f'as they are, null="{name}"': p for name, p in each.items()})
    return [
        p_value_shares(dealt, case="rods, counts dealt within strata", kind="no effect"),
        p_value_shares(observed, case="rods", kind="real"),
    ]


def p_values(
    simulated: SimulatedCells,
    network: Network,
    rng: np.random.Generator,
    *,
    null: Null = "depth",
    permutations: int = 20,
) -> tuple[NDArray, float]:
    """Return the pooled p-values of a network of simulated cells, and the smallest that there could be.

    Fewer permutations of the correlations than usual, for the time: p-values are a little wider spread around each
    edge's own, and no less right.
    """
    cells = network_cells(simulated)
    return permutation_p_values(
        cells,
        network,
        network(cells),
        ~np.eye(simulated.counts.shape[1], dtype=bool),
        strata=strata_of_null(null, simulated.depth, simulated.batch),
        n=permutations,
        pooled=True,
        rng=rng,
        reference=150,
    )

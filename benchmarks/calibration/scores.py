"""Intervals of scores, and the comparison of two networks, where regulators differ in how well they are predicted."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmarks.calibration.shares import coverage, p_value_shares
from bengrn.metrics import rank_matrix
from bengrn.uncertainty import METRICS, bootstrap, compare_paired

SCORES = ("ap", "ap_ratio", "auroc")


def calibrate(*, quick: bool = False) -> pd.DataFrame:
    """Simulate truths and networks of 6 to 25 regulators."""
    n = 30 if quick else 300
    tables = [coverage_of_intervals(regulators, n) for regulators in ((8,) if quick else (6, 8, 12, 25))]
    for regulators in (8,) if quick else (8, 20):
        tables += [
            equal_and_better(regulators, n, better=0.0),
            equal_and_better(regulators, n, better=0.3),
        ]
    return pd.concat(tables, ignore_index=True)


def simulate(rng: np.random.Generator, n_regulators: int, n_targets: int = 60) -> tuple[NDArray, NDArray]:
    """Return weights and the truth; each regulator is predicted as well as its own skill says."""
    truth = rng.random((n_regulators, n_targets)) < 0.15
    skill = rng.normal(1.0, 1.0, (n_regulators, 1))
    return rng.normal(size=truth.shape) + truth * skill, truth


def coverage_of_intervals(n_regulators: int, n: int) -> pd.DataFrame:
    """Return how often the 95 % interval of each score holds its value over 4,000 regulators."""
    rng = np.random.default_rng(n_regulators)
    weights, truth = simulate(rng, 4000)
    ranking = rank_matrix(weights, np.nonzero(truth))
    population = {name: METRICS[name](ranking) for name in SCORES}
    found = []
    for _ in range(n):
        weights, truth = simulate(rng, n_regulators)
        table = bootstrap(weights, np.nonzero(truth), metrics=SCORES, rng=rng).table
        held = {name: table.loc[name, "low"] <= value <= table.loc[name, "high"] for name, value in population.items()}
        found.append({name: np.array([value]) for name, value in held.items()})
    return coverage(found, case=f"{n_regulators} regulators", level=0.95)


def equal_and_better(n_regulators: int, n: int, *, better: float) -> pd.DataFrame:
    """Return how often two networks are told apart, the first of which sees true edges better by `better`."""
    rng = np.random.default_rng([n_regulators, int(100 * better)])
    found = []
    for _ in range(n):
        truth = rng.random((n_regulators, 50)) < 0.15
        shared = rng.normal(size=truth.shape) + truth * rng.normal(1.0, 1.0, (n_regulators, 1))
        a, b = (shared + 0.5 * rng.normal(size=truth.shape) for _ in range(2))
        test = compare_paired(a + better * truth, b, np.nonzero(truth), n_replicates=150, rng=rng)
        found.append({"one network better" if better else "equal networks": np.array([test.p_value])})
    return p_value_shares(
        found, case=f"{n_regulators} regulators", kind="planted" if better else "no effect", levels=(0.05,)
    )

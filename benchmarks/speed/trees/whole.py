"""Whole networks at the sizes that people run: seconds and memory, each in a process of its own.

Correlations stand beside the matrix product alone that they cannot do without, of the same type and in the same blocks.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.speed.measured import measured

THREADS = 2
N_CORRELATED, N_CELLS = 20_000, 1000
_BLOCK = 1024


def whole_times() -> pd.DataFrame:
    """Return wall and CPU seconds of each whole network, and the memory at most and added."""
    work: dict[str, Callable[[], Callable[[], Any]]] = {
        "shared-forest, 5,000 genes, retina_1k": _shared_forest,
        f"Pearson, {N_CORRELATED:,} genes × {N_CELLS:,} cells": _pearson,
        f"Spearman, {N_CORRELATED:,} genes × {N_CELLS:,} cells": _spearman,
        f"float64 product alone, {N_CORRELATED:,} genes × {N_CELLS:,} cells": _product,
        "GRNBoost2, 11,744 genes × 9,031 cells, 1,390 factors": _grnboost2,
    }
    rows = []
    for name, prepare in work.items():
        told = measured(prepare, threads=THREADS)
        row = {"work": name, "threads": THREADS, "wall s": told["wall s"], "CPU s": told["CPU s"]}
        row |= {
            "peak MB": told["peak"] / 1e6,
            "MB added": told["added"] / 1e6,
            "MB of the result": told["result"] / 1e6,
        }
        rows.append(row)
        print(rows[-1], flush=True)
    return pd.DataFrame(rows)


def _shared_forest() -> Callable[[], Any]:
    from benchmarks.speed.trees.benchmark import _retina
    from bengrn.methods.trees.shared_forest import shared_forest

    counts, _, _ = _retina()
    shared_forest(counts[:100, :50], None, np.random.default_rng(0), n_trees=5)  # compiles
    return lambda: shared_forest(counts, None, np.random.default_rng(0), threads=THREADS)


def _values() -> np.ndarray:
    rng = np.random.default_rng(0)
    return np.log1p(rng.poisson(rng.gamma(0.3, 1, N_CORRELATED), (N_CELLS, N_CORRELATED))).astype(np.float64)


def _pearson() -> Callable[[], Any]:
    from bengrn.methods.correlation import pearson

    values = _values()
    return lambda: pearson(values, None, np.random.default_rng(0))


def _spearman() -> Callable[[], Any]:
    from bengrn.methods.correlation import spearman

    values = _values()
    return lambda: spearman(values, None, np.random.default_rng(0))


def _product() -> Callable[[], Any]:
    values = _values()

    def run() -> None:
        for start in range(0, N_CORRELATED, _BLOCK):
            values[:, start : start + _BLOCK].T @ values

    return run


def _grnboost2() -> Callable[[], Any]:
    from benchmarks.speed.trees.growth import _values as cells_of_growth
    from bengrn.methods.trees.grnboost2 import grnboost2

    values, factors = cells_of_growth()
    grnboost2(values[:200, :100], np.arange(20), np.random.default_rng(0))  # compiles
    return lambda: grnboost2(values, factors, np.random.default_rng(0), threads=THREADS)

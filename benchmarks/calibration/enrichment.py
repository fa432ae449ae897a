"""P-values of gene sets, of co-regulated genes that are ranked as the others are, and of sets that are not."""

from __future__ import annotations

from collections.abc import Mapping

import anndata
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import ttest_ind

from benchmarks.calibration.shares import Simulation, p_value_shares
from grnndata import GRNAnnData, tl

N_PROGRAMS, SIZE, N_CELLS = 20, 15, 300

type Sets = dict[str, list[str]]


def calibrate(*, quick: bool = False) -> pd.DataFrame:
    """Simulate programs of genes, rank the genes by strength or by a comparison of cells, and test sets of them."""
    n = 20 if quick else 60
    found = [of_programs(seed, with_prerank=not quick) for seed in range(n)]
    tables = [
        _shares(found, "camera", kind="discrete", levels=(0.05, 0.001)),
        _shares(found, "rival", kind="rival", levels=(0.05, 0.001)),
    ]
    planted = [of_planted(seed) for seed in range(n)]
    levels = (0.05,) if quick else (0.05, 0.001)  # twenty sets say little of a power at 0.001
    tables.append(p_value_shares(planted, case="planted sets", kind="planted", levels=levels))
    return pd.concat(tables, ignore_index=True)


def simulate(seed: int) -> tuple[GRNAnnData, pd.Series, NDArray[np.int64]]:
    """Draw cells whose genes each follow one of 20 related programs.

    Parameters
    ----------
    seed
        Seed of all draws.

    Returns
    -------
    GRNAnnData, pandas.Series, numpy.ndarray
        Cells with the network of absolute correlations; t-statistic of every gene between random halves of the
        cells; program of every gene.
    """
    rng = np.random.default_rng([seed, 4])
    program = np.repeat(np.arange(N_PROGRAMS), SIZE)
    mean, loading = rng.normal(0, 1, program.size), np.abs(rng.normal(0.6, 0.25, program.size))
    shared = rng.normal(size=(N_CELLS, 4)) @ rng.normal(0, 0.6, (4, N_PROGRAMS)) + rng.normal(
        size=(N_CELLS, N_PROGRAMS)
    )
    rate = np.exp(mean + 0.64 * shared[:, program] * loading)
    depth = 600 * np.exp(rng.normal(0, 0.5, N_CELLS))
    counts = rng.poisson(rate / rate.sum(axis=1, keepdims=True) * depth[:, None])
    logs = np.log1p(counts / counts.sum(axis=1, keepdims=True) * 1e4)
    names = [f"gene {i:03d}" for i in range(program.size)]
    cells = anndata.AnnData(counts.astype(np.float32), var=pd.DataFrame(index=names))
    weights = np.abs(np.nan_to_num(np.corrcoef(logs.T)))
    np.fill_diagonal(weights, 0)
    half = rng.permutation(N_CELLS) < N_CELLS // 2
    t = pd.Series(np.nan_to_num(ttest_ind(logs[half], logs[~half]).statistic), names)
    return GRNAnnData(cells, grn=weights.astype(np.float32), directed=False), t, program


def of_programs(seed: int, *, with_prerank: bool) -> Simulation:
    """Return the p-values of the programs, which are sets of co-regulated genes, by test and ranking."""
    grn, t, program = simulate(seed)
    sets = {f"program {i}": list(grn.var_names[program == i]) for i in range(N_PROGRAMS)}
    found: dict[str, NDArray] = {}
    for name, ranking in (("strength", "out_strength"), ("t of two halves of the cells", t)):
        found[f"camera, {name}"] = _p(tl.camera(grn, sets, ranking=ranking))
        found[f"rival: independent genes, {name}"] = _p(tl.camera(grn, sets, ranking=ranking, correlation=0.0))
        found[f"rival: preset 0.01, {name}"] = _p(tl.camera(grn, sets, ranking=ranking, correlation=0.01))
        if with_prerank:
            found[f"rival: prerank, {name}"] = _p(tl.prerank(grn, sets, ranking=ranking, n_permutations=200, seed=seed))
    found["rival: correlation of expression, strength"] = _p(tl.camera(grn, sets, correlation="expression"))
    return found


def of_planted(seed: int) -> Simulation:
    """Return the p-values of sets of 15 genes that are ranked higher than others."""
    grn, t, _ = simulate(seed)
    rng = np.random.default_rng(seed)
    strength = tl.strength(grn)
    noisy = strength.rank() / len(strength) + rng.normal(0, 0.4, len(strength))
    some = list(rng.choice(grn.var_names, SIZE, replace=False))
    moved = t + np.where(t.index.isin(some), 1.0, 0.0) * t.std()
    return {
        "camera, strength": _p(tl.camera(grn, {"hubs": list(noisy.nlargest(SIZE).index)})),
        "camera, t of two halves of the cells": _p(tl.camera(grn, {"moved": some}, ranking=moved)),
    }


def _p(table: pd.DataFrame) -> NDArray:
    return table["p_value"].to_numpy()


def _shares(found: list[Simulation], prefix: str, *, kind: str, levels: tuple[float, ...]) -> pd.DataFrame:
    parts: list[Mapping[str, NDArray]] = [
        {name.removeprefix("rival: "): p for name, p in one.items() if name.startswith(prefix)} for one in found
    ]
    return p_value_shares(parts, case="programs as sets", kind=kind, levels=levels)

"""How the time of GRNBoost2 grows with cells and regulators, and what the largest run that people report would take.

Cells are those of retina_1k, drawn with replacement and thinned to nine tenths, so that no two are the same. The time
of a network is that of a sample of its targets, times the number of targets, and of putting the values into bins.
"""

from __future__ import annotations

import re
import resource
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import grnndata
from bengrn.methods.trees import targets as engine
from bengrn.methods.trees.grnboost2 import grnboost2
from bengrn.network import find_in
from scdataloader import datasets

N_CELLS, N_GENES, N_REGULATORS = 9031, 11744, 1600
N_TARGETS = 48
CELLS = (1000, 2000, 4000)
REGULATORS = (200, 400, 800)


def growth_times() -> pd.DataFrame:
    """Return CPU milliseconds a target over cells and regulators, with fitted exponents, and the whole network's."""
    values, factors = _values()
    rows = [_one(values[:cells], factors) for cells in CELLS]
    rows += [_one(values[: CELLS[-1]], factors[:: len(factors) // some][:some]) for some in REGULATORS]
    rows.append(_one(values, factors))
    table = pd.DataFrame(rows)
    of_cells = table[table["regulators"] == len(factors)]
    of_regulators = table[table["cells"] == CELLS[-1]]
    exponents = {
        name: np.polyfit(np.log(part[name]), np.log(part["CPU ms a target"]), 1)[0]
        for name, part in (("cells", of_cells), ("regulators", of_regulators))
    }
    print({name: f"time grows as {name} to the {power:.2f}" for name, power in exponents.items()})
    return table.assign(**{f"exponent of {name}": power for name, power in exponents.items()})


def _values() -> tuple[np.ndarray, np.ndarray]:
    cells = datasets.retina_1k()
    counts: Any = cells.X
    seen = np.asarray((counts > 0).sum(axis=0)).ravel()
    is_factor = seen > 0
    is_factor[np.setdiff1d(np.arange(cells.n_vars), find_in(cells, grnndata.transcription_factors("human")).places)] = (
        False
    )
    factors = np.flatnonzero(is_factor)[np.argsort(-seen[is_factor], kind="stable")][:N_REGULATORS]
    others = np.flatnonzero(~is_factor)
    others = others[np.argsort(-seen[others], kind="stable")][: N_GENES - len(factors)]
    genes = np.sort(np.concatenate([factors, others]))
    rng = np.random.default_rng(0)
    drawn = counts[:, genes].toarray().astype(np.int64)[rng.integers(0, cells.n_obs, N_CELLS)]
    return rng.binomial(drawn, 0.9).astype(np.float64), np.searchsorted(genes, np.sort(factors))


def _one(values: np.ndarray, factors: np.ndarray) -> dict[str, object]:
    kept: dict[str, Any] = {}

    def keep(_: Any, shared: Any, blocks: Any, **__: Any) -> Any:
        kept["shared"], kept["targets"] = shared, np.concatenate(blocks)
        return iter(())

    real, engine.each_block = engine.each_block, keep
    started = _cpu()
    grnboost2(values, factors, np.random.default_rng(0))
    fixed = _cpu() - started
    engine.each_block = real
    targets = kept["targets"][:: max(1, len(kept["targets"]) // N_TARGETS)]
    engine.predict_block(kept["shared"], targets[:1])
    started = _cpu()
    engine.predict_block(kept["shared"], targets)
    each = (_cpu() - started) / len(targets)
    memory = 1024 * int(re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[1])  # type: ignore[index]
    row = {
        "cells": len(values),
        "regulators": len(factors),
        "genes": values.shape[1],
        "CPU ms a target": 1e3 * each,
        "bins, CPU s": fixed,
        "network, CPU min": (each * values.shape[1] + fixed) / 60,
        "on 2 cores, min": (each * values.shape[1] / 2 + fixed) / 60,
        "peak MB so far": memory / 1e6,
    }
    print(row, flush=True)
    return row


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    growth_times()

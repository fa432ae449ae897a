"""Edges found in simulated cells, against cells, depth and dropout: ``python -m benchmarks.calibration.power``.

Each replicate simulates cells once, with strengths and rates of its own; settings take some of the cells and add
technical noise. What is found is the share of the true edges among as many best pairs as there are true edges; of
random pairs that is the prevalence. Intervals are those of Student's t over replicates.
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import anndata
import numpy as np
import pandas as pd
from scipy.stats import t as student

import bengrn
from bengrn.simulate import TechnicalNoise, sergio

RESULTS = Path(__file__).parents[1] / "results"
IMAGES = Path(__file__).parents[2] / "docs/images"
#: Methods and their settings; GENIE3 with 20 trees of its own 1,000, for the time.
METHODS: Mapping[str, Mapping[str, Any]] = {
    "pearson": {},
    "partial-correlation": {},
    "clr": {},
    "genie3": {"n_trees": 20, "threads": 1},
    "grnboost2": {"threads": 1},
    "shared-forest": {"threads": 1},
    "random": {},
}
#: A rival that knows no pairs: each target's mean share of the counts, which is the same for all regulators.
EXPRESSION = "expression of the target"
N_REGULATORS, N_GENES, N_TYPES = 10, 60, 9
#: What is asked where another number is varied: 500 cells, 5 counts a gene, no dropouts.
USUAL = {"cells": 500.0, "depth": 5.0, "dropout": 0.0}
VARIED = {
    "cells": (50, 200, 500, 1500),
    "depth": (0.2, 1, 5, np.inf),
    "dropout": (0, 50, 80, 90),
}
NAMES = {
    "cells": "number of cells",
    "depth": "counts of a cell per gene (all: levels, not counted)",
    "dropout": "percentile below which most values drop out",
}


def signed_network(rng: np.random.Generator) -> pd.DataFrame:
    """Return signed edges of OmniPath: of its largest regulators, to genes that are drawn among their targets."""
    edges = bengrn.load_truth("omnipath-demo-tf-target").edges
    edges = edges[(edges["sign"] != 0) & (edges["source"] != edges["target"])][["source", "target", "sign"]]
    edges = edges.drop_duplicates(["source", "target"])
    regulators = edges["source"].value_counts().index[:N_REGULATORS]
    edges = edges[edges["source"].isin(regulators)]
    targets = sorted(set(edges["target"]) - set(regulators))
    genes = {*regulators, *rng.choice(targets, N_GENES - N_REGULATORS, replace=False)}
    return edges[edges["target"].isin(genes)]


def settings() -> Iterator[tuple[str, dict[str, float]]]:
    """Return what is varied, and the numbers of each setting."""
    for name, values in VARIED.items():
        for value in values:
            yield name, USUAL | {name: float(value)}


def by_expression(cells: anndata.AnnData, regulators: list[str]) -> pd.DataFrame:
    """Return edges of all regulators to all other genes, each as strong as the target is expressed."""
    values = np.asarray(cells.X, dtype=np.float64)
    shares = values / np.maximum(values.sum(axis=1, keepdims=True), 1e-12)
    mean = dict(zip(cells.var_names, shares.mean(axis=0), strict=True))
    edges = [(source, target, mean[target]) for source in regulators for target in mean if source != target]
    return pd.DataFrame(edges, columns=["source", "target", "weight"])


def measured(levels: anndata.AnnData, setting: Mapping[str, float], seed: int) -> anndata.AnnData:
    """Return some of the cells after technical noise."""
    rng = np.random.default_rng([seed, 7])
    cells = levels[np.sort(rng.permutation(levels.n_obs)[: int(setting["cells"])])].copy()
    if np.isfinite(setting["depth"]):
        noise = TechnicalNoise(outlier_share=0, depth_per_gene=setting["depth"], dropout_percentile=setting["dropout"])
        cells.X = noise(np.asarray(cells.X)[None], rng)[0]
    return cells


@contextmanager
def without_warnings() -> Iterator[None]:
    """Keep warnings out of the log meanwhile: what simulations and methods take for granted is the same each time."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)


@without_warnings()
def replicate(seed: int, methods: Mapping[str, Mapping[str, Any]]) -> pd.DataFrame:
    """Return the share of edges that each method finds in one simulation, by setting."""
    network = signed_network(np.random.default_rng([seed, 3]))
    most = int(max(VARIED["cells"]))
    levels, truth = sergio(network, n_cells=most, n_types=N_TYPES, technical=None, cycles="break", seed=seed)
    regulators = sorted(set(truth.edges["source"]))
    rows, known = [], {}
    for varied, setting in settings():
        key = tuple(setting.values())
        for name, own in methods.items():
            if (key, name) not in known:
                cells = measured(levels, setting, seed)
                if name == EXPRESSION:
                    grn: Any = by_expression(cells, regulators)
                else:
                    grn = bengrn.infer(cells, name, settings=own, regulators=regulators, seed=seed)
                scores = bengrn.score(grn, truth)
                known[key, name] = (scores.precision_at_k, scores.prevalence)
            found, prevalence = known[key, name]
            row = {"varied": varied, "value": setting[varied], "method": name, "replicate": seed}
            rows.append(row | {"found": found, "prevalence": prevalence})
    return pd.DataFrame(rows)


def summary(rows: pd.DataFrame) -> pd.DataFrame:
    """Return mean and 95 % interval over replicates, by what is varied, its value and method."""
    grouped = rows.groupby(["varied", "value", "method"], sort=False)
    table = grouped.agg(
        found=("found", "mean"), sd=("found", "std"), n=("found", "size"), random=("prevalence", "mean")
    )
    half = student.ppf(0.975, table["n"] - 1) * table["sd"] / np.sqrt(table["n"])
    low, high = (table["found"] - half).clip(lower=0), (table["found"] + half).clip(upper=1)
    return table.assign(low=low, high=high).drop(columns="sd").rename(columns={"n": "replicates"}).reset_index()


def draw(table: pd.DataFrame, path: Path) -> None:
    """Draw the share of edges found against each thing that is varied, with intervals."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 4.2), layout="constrained")
    for axes, varied in zip(figure.subplots(1, 3, sharey=True), VARIED, strict=True):
        part = table[table["varied"] == varied]
        values = list(dict.fromkeys(part["value"]))
        for at, (method, rows) in enumerate(part.groupby("method", sort=False)):
            place = np.array([values.index(value) for value in rows["value"]]) + (at - 3) * 0.05
            errors = np.abs(rows[["low", "high"]].to_numpy().T - rows["found"].to_numpy())
            axes.errorbar(place, rows["found"], errors, label=method, marker="o", markersize=3, linewidth=1)
        axes.plot(
            range(len(values)), part.groupby("value", sort=False)["random"].mean(), "k:", label="expected of random"
        )
        axes.set_xticks(range(len(values)), labels=["all" if np.isinf(v) else f"{v:g}" for v in values])
        axes.set_xlabel(NAMES[varied])
        axes.spines[["top", "right"]].set_visible(False)
    figure.axes[0].set_ylabel("share of the true edges found")
    figure.axes[0].legend(frameon=False, fontsize=8)
    figure.savefig(path, dpi=150)


def main() -> None:
    """Run the study; a quick one is printed and not written."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="two replicates of the fast methods; writes nothing")
    parser.add_argument("--replicates", type=int, default=6, help="number of simulations")
    parser.add_argument("--workers", type=int, default=2, help="number of processes")
    arguments = parser.parse_args()
    methods = {name: own for name, own in METHODS.items() if not arguments.quick or name in ("pearson", "random")}
    methods[EXPRESSION] = {}
    seeds = range(2 if arguments.quick else arguments.replicates)
    with ProcessPoolExecutor(arguments.workers, mp_context=get_context("spawn")) as pool:
        parts = list(pool.map(replicate, seeds, [methods] * len(seeds)))
    table = summary(pd.concat(parts, ignore_index=True))
    print(table.to_string(index=False, float_format="%.3g"))
    if not arguments.quick:
        table.to_csv(RESULTS / "calibration_power.csv", index=False, float_format="%.5g")
        draw(table, IMAGES / "calibration_power.png")


if __name__ == "__main__":
    main()

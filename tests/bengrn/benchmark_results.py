"""A small folder of results, as `bengrn run` writes it, whose numbers are drawn and not measured."""

import hashlib
import json

import numpy as np
import pandas as pd

from bengrn.benchmarking.columns import DEGREES, HELD_OUT, SCORES, as_table

#: Method, label, skill, seconds, whether it is symmetric.
METHODS = [
    ("pearson", "pearson", 1.9, 0.4, True),
    ("clr", "clr", 2.3, 1.8, True),
    ("aracne", "aracne, tolerance=0.15", 2.1, 2.6, True),
    ("genie3", "genie3, n_trees=100", 3.0, 41.0, False),
    ("grnboost2", "grnboost2", 2.7, 28.0, False),
    ("scprint", "scprint", 0.9, 12.0, False),
    ("random", "random", 1.0, 0.1, False),
    (DEGREES, DEGREES, 4.1, np.nan, False),
]
RANDOM = {"ap": 0.0128, "ap_ratio": 1.02, "auprc_paper": 0.0001, "auroc": 0.5, "epr": 1.0, "odds_ratio": 1.004}
GENES = [f"GENE{i}" for i in range(60)]


def make_results(folder, groups=("rod cell", "Müller glia"), truths=("omnipath", "collectri"), seed=0):
    """Write table, run.json and details; one method failed for the first group, another ran out of time."""
    rng = np.random.default_rng(seed)
    details = folder / "details"
    details.mkdir(parents=True)
    rows, written = [], set()
    for group in groups:
        for truth in truths:
            for universe in ("assayed", "truth"):
                for method, label, skill, seconds, symmetric in METHODS:
                    key = {"method": method, "label": label, "group": group, "truth": truth, "regulators": universe}
                    orientations = ("symmetric",) if symmetric else ("as stored", "transposed")
                    rows += [_row(rng, key | {"orientation": one}, skill, seconds) for one in orientations]
        rows += [_gain(rng, group, method, label, skill) for method, label, skill, *_ in METHODS[:6]]
    for number, row in enumerate(rows):
        if row["method"] == "scprint" and row["group"] == groups[0]:
            _fail(row, "failed", "ValueError: 0 of 2,000 genes are known to the model: <b>name</b> them by Ensembl id")
        elif row["method"] == "grnboost2" and row["group"] == groups[-1] and row["truth"] == truths[0]:
            _fail(row, "out of time", "stopped after 600 s")
        elif row["truth"] != HELD_OUT and row["orientation"] != "transposed":
            row["details"] = f"{number:04d}"
            recall = np.linspace(0, 1, 120)
            precision = RANDOM["ap"] * (1 + 6 * row["ap_ratio"] * np.exp(-9 * recall))
            pd.DataFrame({"recall": recall, "precision": precision}).to_parquet(details / f"{number:04d}.curve.parquet")
            scores = pd.DataFrame(
                {
                    "regulator": GENES[:30],
                    "symbol": ["SYMBOL0"] + [""] * 29,
                    "n_positives": np.arange(60, 0, -2),
                    "ap": 0.01,
                    "ap_ratio": rng.lognormal(np.log(row["ap_ratio"]), 0.6, 30),
                }
            )
            scores.to_parquet(details / f"{number:04d}.regulators.parquet")
        name = row.get("network_sha256", "")[:16]
        if name and name not in written and row["method"] not in (DEGREES,):
            written.add(name)
            _edges(rng, row["method"]).to_parquet(details / f"{name}.edges.parquet")
    table = as_table(rows)
    table.to_parquet(folder / "table.parquet")
    table.to_csv(folder / "table.csv", index=False)
    config = {
        "methods": [{"name": method, "label": label, "place": "", "method": None} for method, label, *_ in METHODS[:6]],
        "datasets": [{"name": "retina_1k", "path": "/data/cells.h5ad", "groupby": "cell_type", "groups": list(groups)}],
        "truths": [{"name": name} for name in truths],
        "seeds": [0, 1],
        "bootstrap": 200,
        "out": "/data/results",
    }
    run = {
        "command": ["/usr/bin/bengrn", "run", "--preset", "quick"],
        "config": config,
        "versions": {"bengrn": "3.0.0"},
    }
    (folder / "run.json").write_text(json.dumps(run), encoding="utf-8")
    return folder


def _row(rng, key, skill, seconds):
    method, is_truth = key["method"], key["regulators"] == "truth"
    skill *= 0.8 if is_truth else 1.0
    skill = 1 + (skill - 1) * (0.4 if key["orientation"] == "transposed" else 1) + rng.normal(0, 0.05)
    row = {
        **key,
        "settings": json.dumps({"n_trees": 100} if method == "genie3" else {}),
        "dataset": "retina_1k",
        "organism": "human",
        "seed": 0,
        "status": "ok",
        "p_degree": 0.002 if skill > 2 else 0.4,
        "p_degree_smallest": 0.002,
        "rough": False,
        "n_cells": 318,
        "n_genes": 1000,
        "n_regulators": 87 if is_truth else 187,
        "n_targets": 949,
        "n_positives": 1487,
        "prevalence": RANDOM["ap"] - 0.0003,
        "wall_s": seconds,
        "cpu_s": 2 * seconds,
        "peak_memory_mb": 300 + 20 * seconds,
        "versions": json.dumps({"bengrn": "3.0.0", "numpy": "2.3.1"}),
        "machine": "x86_64, Linux, 2 cores",
        "threads": 2,
        "expression_sha256": "ab" * 32,
        "truth_sha256": "cd" * 32,
        "network_sha256": "" if method == DEGREES else hashlib.sha256(f"{key['group']} {method}".encode()).hexdigest(),
        "date": "2026-11-29T14:00:00Z",
    }
    for name in SCORES:
        value = RANDOM[name] * skill if name != "auroc" else min(0.95, 0.5 + 0.06 * (skill - 1))
        width = 0.14 * value
        row |= {name: value, f"{name}_low": value - width, f"{name}_high": value + 1.2 * width}
        row[f"{name}_random"] = RANDOM[name]
    return row


def _gain(rng, group, method, label, skill):
    gain = 0.02 * (skill - 1) + rng.normal(0, 0.002)
    told = {"gain": gain, "gain_low": gain - 0.008, "gain_high": gain + 0.008, "wall_s": 3.0}
    key = {"method": method, "label": label, "settings": "{}", "dataset": "retina_1k", "group": group, "seed": 0}
    return key | told | {"truth": HELD_OUT, "organism": "human", "orientation": "as stored", "status": "ok"}


def _fail(row, status, message):
    for key in (*SCORES, "gain"):
        for name in (key, f"{key}_low", f"{key}_high", f"{key}_random"):
            row.pop(name, None)
    for name in ("p_degree", "n_regulators", "n_targets", "n_positives", "prevalence", "network_sha256"):
        row.pop(name, None)
    row |= {"status": status, "message": message}


def _edges(rng, method):
    n = 800
    strength = np.outer(np.linspace(1, 0.2, 60), np.linspace(1, 0.2, 60))
    weights = strength * rng.lognormal(0, 1.5 if method == "random" else 0.25, (60, 60))
    np.fill_diagonal(weights, 0)
    order = np.argsort(-weights, axis=None)[:n]
    rows, columns = np.unravel_index(order, weights.shape)
    return pd.DataFrame(
        {"source": np.array(GENES)[rows], "target": np.array(GENES)[columns], "weight": weights[rows, columns]}
    )

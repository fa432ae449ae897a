"""A fine-tuned model on donors and conditions that it never saw, beside simple rivals: scores with paired intervals.

The cells are read from a folder of h5ad files (``SCPRINT_EVALUATION_DATA``): Baron's pancreas (human 1, and two more
donors with 2,000 genes), blood with and without interferon of Kang 2018, and the Lung Cell Atlas subset of Travaglini.
The groups that are held out are those on which the bundled model was not trained, either. With ``quick``, or where
there is no such folder, the bundled retina stands for them, divided cell by cell.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from anndata import AnnData, read_h5ad

from scdataloader import datasets
from scprint_model import finetune

FOLDER = "SCPRINT_EVALUATION_DATA"
USUAL = Path(__file__).parents[3] / "shared" / "data" / "expression"
CONTEXT = 128
#: Name of each case, its files, the column whose groups are held out, and those groups.
CASES = (
    (
        "pancreas, other file",
        ("human_pancreas_baron_h1", "human_pancreas_baron_h2plus_2kgenes"),
        *("dataset", "human_pancreas_baron_h1"),
    ),
    ("lung, third donor", ("human_lung_lca_popv",), "donor_id", "3"),
    ("blood, stimulated", ("human_pbmc_kang_ifnb",), "condition", "STIM"),
)


def scores(
    *,
    quick: bool = False,
    train: Sequence[str] = ("heads", "lora"),
    cases: Sequence[str] | None = None,
    seeds: Sequence[int] = (0, 1, 2),
) -> pd.DataFrame:
    """Fine-tune on some donors and score on others: a row a case (all when None), seed and method."""
    rows = []
    for case, cells, held_out in _cases(quick=quick, named=cases):
        for seed in (0,) if quick else seeds:
            for kind in train[:1] if quick else train:
                made = finetune(
                    "bundled", cells, labels="cell_type", train=kind, context=CONTEXT, seed=seed, **held_out
                )
                rows += [{"case": case, "seed": seed, "train": kind} | row for row in _rows(made.card["finetuned"])]
    return pd.DataFrame(rows)


def _cases(*, quick: bool, named: Sequence[str] | None = None) -> Iterator[tuple[str, dict[str, AnnData], dict]]:
    folder = Path(os.environ.get(FOLDER, USUAL))
    if quick or not (FOLDER in os.environ or folder.is_dir()):
        yield "retina", {"retina": _labelled(datasets.retina_1k()[:256].copy())}, {}
        return
    for case, names, by, group in CASES:
        if named is not None and case not in named:
            continue
        cells = {n: _labelled(read_h5ad(folder / f"{n}.h5ad")) for n in names}
        yield case, cells, {"held_out_by": by, "held_out_groups": group}


def _labelled(adata: AnnData) -> AnnData:
    """Leave out cells whose label no other cell has."""
    labels = adata.obs["cell_type"].astype(str)
    return adata[(labels.map(labels.value_counts()).astype(int) > 1).to_numpy()].copy()


def _rows(report: dict) -> Iterator[dict]:
    (name,) = report["scores"]
    found = report["scores"][name]
    gaps = {row["method"]: row for row in found["differences"]}
    for row in found["held_out"]:
        gap = gaps.get(row["method"], {})
        yield {
            "method": row["method"],
            **{key: row[key] for key in ("accuracy", "accuracy_low", "accuracy_high", "macro_f1")},
            **{f"after_less_this{end}": gap.get(f"difference{end}", np.nan) for end in ("", "_low", "_high")},
            "validation": found["validation"].get(row["method"], np.nan),
            "n_cells": found["n_cells"],
            "groups": found["interval"]["n_groups"],
        }

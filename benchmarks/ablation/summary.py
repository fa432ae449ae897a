"""An ablation summed up: each row's scores, and by how much they are above those of the row that it changes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from benchmarks.student import mean_with_ends
from bengrn.benchmarking.report.page import Part, Text
from bengrn.benchmarking.report.tables import Block, Column, Number, Row, Table

#: Rows that others change one thing of.
BASES = ("paper's recipe", "control")
#: Scores: key, heading, help.
SCORES = (
    ("knn", "kNN", "Share of cells whose ten nearest in the embedding are mostly of their own type."),
    ("depth_share", "Depth", "Share of the embedding's variance that depth explains; lower is better."),
    ("neighbours_kept", "Neighbours kept", "Share of the ten nearest that thinning to an eighth of the counts leaves."),
    ("right", "Named right", "Share of cells named by their own type or one below it, among those that can be."),
    ("macro_f1", "Macro-F1", "F1 of the names, each type alike."),
    ("labels_kept", "Labels kept", "Share of names that thinning to an eighth of the counts leaves."),
    ("denoised", "Denoised", "Spearman correlation of denoised with full counts over the genes that a cell expresses."),
    ("above_noised", "Above noised", "How much higher that is than the noised counts' own correlation."),
)
_SCORES = "Mean over data sets"
_NOTES = (
    "A score is the mean over the data sets, none of whose cells were trained on; lines are 95% intervals over the "
    "seeds of the training, by Student's t. Differences are paired by seed and data set. Of three seeds, intervals are "
    "wide: what does not exclude 0 is not shown to matter. A row of one seed has no interval.",
)


def parts(rows: Sequence[Mapping[str, Any]]) -> list[Part]:
    """Return the parts of the page that sum up an ablation: notes, scores, and differences from the base."""
    table = pd.DataFrame(list(rows))
    shown = [one for one in SCORES if one[0] in table]
    base = next((name for name in BASES if not table.empty and name in set(table["method"])), None)
    if not shown:
        return []
    keys = [key for key, _, _ in shown]
    at = table.set_index(["method", "seed", "data"])[keys]
    columns = [Column(*one, drawn=True, largest_first=one[0] != "depth_share") for one in shown]
    methods = list(dict.fromkeys(table["method"]))
    found: list[Part] = [
        Text(_NOTES),
        Table(_SCORES, "Row", columns, [Block(_SCORES, [_row(name, at.loc[name]) for name in methods])]),
    ]
    if base is not None:
        differences = {name: (at.loc[name] - at.loc[base]).dropna(how="all") for name in methods if name != base}
        changed = [_row(name, one, chance=0.0) for name, one in differences.items() if len(one)]
        of_base = f"Differences from “{base}”, of the same seed and data set"
        found.append(Table(of_base, "Row", columns, [Block(of_base, changed)]))
    return found


def _row(name: str, values: pd.DataFrame, chance: float = math.nan) -> Row:
    """Return the means over data sets, with intervals over seeds, of values by seed and data set."""
    by_seed = values.groupby(level="seed").mean()
    cells = {}
    for key in values:
        if len(seeds := by_seed[key].dropna()):
            mean, low, high = mean_with_ends(seeds)
            cells[str(key)] = Number(mean, f"{mean:,.3g}", low, high, chance)
    n = len(by_seed)
    return Row(f"{name} ({n} {'seed' if n == 1 else 'seeds'})", cells)

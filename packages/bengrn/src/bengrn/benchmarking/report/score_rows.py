"""The leaderboard's table: a block for each question, a row for each network, failures among them."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pandas as pd

from bengrn.benchmarking.columns import HELD_OUT, SCORES
from bengrn.benchmarking.report.questions import Question, is_baseline, orientation_facet, places
from bengrn.benchmarking.report.reading import Results
from bengrn.benchmarking.report.reproduce import reproduction
from bengrn.benchmarking.report.tables import Block, Column, Number, Row, Table, short

#: What people read for each score, in the order of the columns.
LABELS = {
    "ap": "AP",
    "ap_ratio": "AP ÷ prevalence",
    "auprc_paper": "AUPRC*",
    "auroc": "AUROC",
    "epr": "EPR",
    "odds_ratio": "Odds ratio",
}
_PLACE = (
    "Places that the 95% intervals of AP leave open, among methods of the block with the same orientation, replicate "
    "and seed; baselines have none."
)
_COST = {
    "wall_s": Column("wall_s", "Time", "Time that inferring the network took.", largest_first=False),
    "peak_memory_mb": Column("peak_memory_mb", "Memory", "Largest memory while it was inferred.", largest_first=False),
}


def leaderboard(results: Results, asked: Sequence[Question]) -> Table:
    """Return the table of all scored rows.

    Parameters
    ----------
    results
        Results of a benchmark.
    asked
        Its questions, see `questions`.
    """
    table = results.table
    columns = [Column("place", "Place", _PLACE, largest_first=False)]
    columns += [
        Column(key, label, SCORES[key], drawn=key == "ap") for key, label in LABELS.items() if table[key].notna().any()
    ]
    if table["p_degree"].notna().any():
        help_text = "Share of truths rewired at the same degrees that reach the AP (permutation p-value)."
        columns.append(Column("p_degree", "p (degrees)", help_text, largest_first=False))
    columns += [column for key, column in _COST.items() if table[key].notna().any()]
    blocks = []
    for question in asked:
        first = question.rows.iloc[0]
        facets = {name: str(first[name]) for name in ("dataset", "group", "truth", "regulators")}
        found = places(question.rows)
        pairs = zip(question.rows.iterrows(), found.iterrows(), strict=True)
        rows = [_row(results, row, place) for (_, row), (_, place) in pairs]
        blocks.append(Block(question.title, rows, question.note, facets))
    return Table("Scores of every network", "Method", columns, blocks, sorted_by="ap", action="How to reproduce")


def held_out(results: Results) -> Table | None:
    """Return the table of how well regulators predict held-out cells, None where no row tells it."""
    rows = results.table[results.table["truth"] == HELD_OUT]
    if not len(rows):
        return None
    help_text = "Gain in predicting held-out cells over random regulators like them; 0 is none."
    columns = [Column("gain", "Gain", help_text, drawn=True)]
    columns += [column for key, column in _COST.items() if rows[key].notna().any()]
    blocks = []
    for (dataset, group), same in rows.groupby(["dataset", "group"], sort=False):
        title = " · ".join(part for part in (str(dataset), str(group)) if part)
        facets = {"dataset": str(dataset), "group": str(group)}
        blocks.append(Block(title, [_row(results, row) for _, row in same.iterrows()], "", facets))
    caption = "Prediction of held-out cells"
    return Table(caption, "Method", columns, blocks, sorted_by="gain", action="How to reproduce")


def _row(results: Results, row: pd.Series, place: pd.Series | None = None) -> Row:
    facets = row_facets(row)
    notes = [row["orientation"]] * (row["orientation"] != "as stored") + variant(row, results.table)
    badges = ("baseline",) * is_baseline(row["method"]) + ((f"from {row['added']}",) if row["added"] else ())
    details = reproduction(results, row)
    if row["status"] != "ok":
        failure = (row["status"], row["message"] or "no reason was told")
        return Row(row["label"], {}, ", ".join(notes), badges, failure, facets, details)
    cells: dict[str, str | Number] = {key: _score(row, key) for key in (*SCORES, "gain") if math.isfinite(row[key])}
    if place is not None and math.isfinite(place["best"]):
        best, worst = int(place["best"]), int(place["worst"])
        shown = f"{best}" if best == worst else f"{best}–{worst}"
        cells["place"] = Number(best + worst / 1e4, shown, note=f"of {int(place['of'])}")
    if math.isfinite(row["p_degree"]):
        # what so few permutations cannot tell apart from less
        least = row["p_degree"] <= row["p_degree_smallest"]
        cells["p_degree"] = Number(row["p_degree"], f"{'≤ ' * bool(least)}{row['p_degree']:.2g}")
    if math.isfinite(row["wall_s"]):
        cells["wall_s"] = Number(row["wall_s"], duration(row["wall_s"]))
    if math.isfinite(row["peak_memory_mb"]):
        cells["peak_memory_mb"] = Number(row["peak_memory_mb"], memory(row["peak_memory_mb"]))
    return Row(row["label"], cells, ", ".join(notes), badges, None, facets, details)


def _score(row: pd.Series, key: str) -> Number:
    low, high = row[f"{key}_low"], row[f"{key}_high"]
    reference = 0.0 if key == "gain" else row[f"{key}_random"]
    note = "" if math.isfinite(low) and math.isfinite(high) else "no interval"
    return Number(row[key], short(row[key]), low, high, reference, note)


def row_facets(row: pd.Series) -> dict[str, str | list[str]]:
    """Return the values by which a row, or its mark in a plot, is filtered."""
    told: dict[str, str | list[str]] = {name: str(row[name]) for name in ("replicate", "status")}
    told["added"] = str(row["added"] or "this run")
    if row["truth"] != HELD_OUT:
        told["orientation"] = orientation_facet(row["orientation"])
    return told


def variant(row: pd.Series, table: pd.DataFrame) -> list[str]:
    """Return what tells a row from others of the same method: its replicate and, where there are several, its seed."""
    words = [f"replicate {row['replicate']}"] if row["replicate"] else []
    if table["seed"].nunique() > 1:
        words.append(f"seed {row['seed']}")
    return words


def duration(seconds: float) -> str:
    """Return a time as people read it."""
    if seconds < 1:
        return f"{1000 * seconds:.0f} ms"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02} min"


def memory(megabytes: float) -> str:
    """Return an amount of memory as people read it."""
    return f"{megabytes:.0f} MB" if megabytes < 1000 else f"{megabytes / 1000:.1f} GB"

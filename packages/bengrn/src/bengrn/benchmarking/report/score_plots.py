"""The leaderboard's plots: scores, curves, cost, agreement and regulators."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bengrn._wording import counted
from bengrn.benchmarking.columns import HELD_OUT, SCORES
from bengrn.benchmarking.report.overlap import TOP, clustered, order_agreement, shared_edges
from bengrn.benchmarking.report.page import Facets
from bengrn.benchmarking.report.plots import Mark, Measure, Panel, Plot
from bengrn.benchmarking.report.questions import Question, is_baseline
from bengrn.benchmarking.report.reading import Results
from bengrn.benchmarking.report.regulator_map import regulator_map
from bengrn.benchmarking.report.score_rows import LABELS, row_facets, variant

#: Points of a curve on the page: at most and at least, and of all curves together.
_MOST_POINTS, _FEWEST_POINTS, _ALL_POINTS = 100, 30, 20_000


def _panel_facets(rows: pd.DataFrame) -> Facets:
    first = rows.iloc[0]
    return {name: str(first[name]) for name in ("dataset", "group", "truth", "regulators")}


def _measures(table: pd.DataFrame) -> list[Measure]:
    return [Measure(key, LABELS[key], SCORES[key]) for key in LABELS if table[key].notna().any()]


def _values(row: pd.Series) -> dict[str, tuple[float, float, float]]:
    found = {}
    for key in (*SCORES, "gain"):
        if math.isfinite(row[key]):
            found[key] = (row[key], row[f"{key}_low"], row[f"{key}_high"])
    return found


def _mark(row: pd.Series, table: pd.DataFrame, **given: object) -> Mark:
    words = [row["orientation"]] * (row["orientation"] == "transposed") + variant(row, table)
    note = ", ".join(words) if row["status"] == "ok" else ", ".join([row["status"], *words])
    told = {"values": _values(row), "note": note, "facets": row_facets(row), "baseline": is_baseline(row["method"])}
    return Mark(row["label"], other=row["orientation"] == "transposed", **(told | given))  # type: ignore[arg-type]


def _references(rows: pd.DataFrame) -> dict[str, float]:
    """Return what chance reaches: the same for all rows of a question, which have the same pairs."""
    return {key: float(rows[f"{key}_random"].median()) for key in SCORES if rows[f"{key}_random"].notna().any()}


def _panel(question: Question, marks: list[Mark]) -> Panel:
    facets = _panel_facets(question.rows)
    return Panel(question.title, question.note, marks, _references(question.rows), facets=facets)


def score_strips(results: Results, asked: Sequence[Question]) -> Plot:
    """Return points with intervals, a panel for each question."""
    panels = [
        _panel(question, [_mark(row, results.table) for _, row in question.rows.iterrows()]) for question in asked
    ]
    caption = (
        "Each point is a network, its line the 95% interval over regulators drawn with replacement, the dashed line "
        "the exact random expectation on the same pairs. Methods are ordered by the best point; where intervals "
        "overlap, the order may be chance."
    )
    return Plot("strip", caption, panels, _measures(results.table), other="transposed")


def gain_strips(results: Results) -> Plot:
    """Return how well regulators predict held-out cells, a panel for each group of cells."""
    rows = results.table[results.table["truth"] == HELD_OUT]
    panels = []
    for (dataset, group), same in rows.groupby(["dataset", "group"], sort=False):
        marks = [_mark(row, results.table) for _, row in same.iterrows()]
        title = " · ".join(part for part in (str(dataset), str(group)) if part)
        facets = {"dataset": str(dataset), "group": str(group)}
        panels.append(Panel(title, "", marks, {"gain": 0.0}, facets=facets))
    caption = "0 is what random regulators of the same expression and number reach. Lines are 95% intervals."
    return Plot("strip", caption, panels, [Measure("gain", "gain", "Over random regulators like them.")])


def curves(results: Results, asked: Sequence[Question]) -> Plot | None:
    """Return precision-recall curves, a panel for each question; None where there are none."""
    panels = []
    most = min(_MOST_POINTS, max(_FEWEST_POINTS, _ALL_POINTS // max(1, len(results.curves))))
    for question in asked:
        marks = []
        for place, row in question.rows.iterrows():
            curve = results.curves.get(int(str(place)))
            if curve is not None and len(curve):
                marks.append(_mark(row, results.table, points=_thinned(curve, most), values={}))
        if marks:
            prevalence = float(question.rows["prevalence"].median())
            facets = _panel_facets(question.rows)
            panels.append(Panel(question.title, question.note, marks, {"precision": prevalence}, facets=facets))
    if not panels:
        return None
    caption = (
        "Precision among the pairs that are ranked above each recall, of networks as stored. The dashed line is the "
        "prevalence, which a random order has everywhere. The precision's axis is logarithmic."
    )
    return Plot("lines", caption, panels, [Measure("precision", "precision")], x_label="recall")


def _thinned(curve: pd.DataFrame, most: int) -> list[tuple[float, float]]:
    """Return so many points of a curve, closer to each other at its beginning, where curves differ."""
    curve = curve[curve["precision"] > 0]
    if len(curve) > most:
        places = np.unique((np.linspace(0, 1, most) ** 1.5 * (len(curve) - 1)).round().astype(int))
        curve = curve.iloc[places]
    return list(zip(curve["recall"].astype(float), curve["precision"].astype(float), strict=True))


def cost(results: Results, asked: Sequence[Question]) -> Plot | None:
    """Return scores over the time that networks took, a panel for each question; None where no time is known."""
    panels = []
    for question in asked:
        timed = question.rows[question.rows["wall_s"] > 0]
        marks = [_mark(row, results.table, x=float(row["wall_s"])) for _, row in timed.iterrows()]
        if marks:
            panels.append(_panel(question, marks))
    if not panels:
        return None
    caption = "Time that inferring a network took, against its score with the 95% interval: up and left is better."
    return Plot("scatter", caption, panels, _measures(results.table), x_label="seconds", other="")


def network_sets(results: Results) -> Iterator[tuple[pd.Series, pd.DataFrame]]:
    """Yield the networks of the same cells: their first row, and a row for each network."""
    there = results.table[results.table["network_sha256"].isin(list(results.edges))]
    networks = there.drop_duplicates(["network_sha256", "dataset", "group", "replicate", "seed"])
    for _, same in networks.groupby(["dataset", "group", "replicate", "seed"], sort=False, dropna=False):
        if len(same) > 1:
            yield same.iloc[0], same


def agreement_of(results: Results, networks: pd.DataFrame) -> tuple[list[str], dict[str, NDArray[np.float64]]]:
    """Return the labels of networks, those that agree side by side, and two measures of their agreement."""
    edges = [results.edges[name] for name in networks["network_sha256"]]
    shared, order = shared_edges(edges), order_agreement(edges)
    places = clustered(shared)
    labels = [str(networks["label"].iloc[i]) for i in places]
    return labels, {"shared": shared[np.ix_(places, places)], "order": order[np.ix_(places, places)]}


def agreement(results: Results) -> Plot | None:
    """Return how far networks of the same cells agree; None where edges of two are not known."""
    panels = []
    for first, networks in network_sets(results):
        labels, matrices = agreement_of(results, networks)
        title = " · ".join(part for part in (first["dataset"], first["group"], *variant(first, results.table)) if part)
        facets = {name: str(first[name]) for name in ("dataset", "group", "replicate")}
        values = {key: _nullable(matrix) for key, matrix in matrices.items()}
        note = counted(len(labels), "network")
        panels.append(Panel(title, note, rows=labels, columns=labels, values=values, facets=facets))
    if not panels:
        return None
    measures = [
        Measure("shared", "shared edges", f"Common ones among the {TOP:,} strongest edges of each, over all of these."),
        Measure(
            "order", "rank correlation", "Spearman's, of the weights of edges that are among the strongest of both."
        ),
    ]
    caption = "Networks of the same cells, those that agree side by side. Two networks may agree and both be wrong."
    return Plot("heat", caption, panels, measures)


def regulator_maps(results: Results, asked: Sequence[Question]) -> Plot | None:
    """Return the scores of single regulators, a panel for each question; None where there are none."""
    panels = []
    for question in asked:
        drawn = regulator_map(results, question.rows)
        if len(drawn.table):
            panel = Panel(
                question.title,
                question.note,
                rows=drawn.table.index.tolist(),
                columns=drawn.table.columns.tolist(),
                values={"ap_ratio": _nullable(drawn.table.to_numpy())},
                row_tree=drawn.row_tree,
                column_tree=drawn.column_tree,
                facets=_panel_facets(question.rows),
            )
            panels.append(panel)
    if not panels:
        return None
    caption = (
        "AP over prevalence of each regulator's own targets, for networks as stored: blue is above random, brown "
        "below. Behind a regulator stands its number of true edges; those with few of them swing widely by chance. "
        "Regulators and networks that are alike stand side by side; the trees show their clusters."
    )
    return Plot("heat", caption, panels, [Measure("ap_ratio", "AP ÷ prevalence", diverging=True)])


def _nullable(matrix: NDArray[np.float64]) -> list[list[float | None]]:
    return [[float(v) if np.isfinite(v) else None for v in row] for row in matrix]

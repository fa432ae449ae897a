"""The networks' scores as the paper's figures 2 and 3 lay them out: each method against each truth."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

from benchmarks.grn.enrichment import TRUTH
from benchmarks.student import mean_with_ends
from bengrn.benchmarking.report.page import Part, Text
from bengrn.benchmarking.report.plots import Mark, Measure, Panel, Plot
from bengrn.benchmarking.report.tables import Block, Column, Number, Row, Table

#: Scores of the paper's figures, first the one to quote: key, heading, help.
SCORES = (
    ("ap_ratio", "AP / prevalence", "Average precision over the share of true edges; 1 is random."),
    ("auprc_paper", "AUPRC*", "Area under the precision-recall curve above the prevalence line, as in the paper."),
    ("epr", "EPR", "Early precision ratio: precision of as many pairs as there are true edges; 1 is random."),
    ("odds_ratio", "Odds ratio", "Odds ratio of as many pairs as there are true edges, which the paper calls EPR."),
)
TESTS = (
    ("tf", "Factors", "How much higher factors stand among the hubs than other genes, in normal scores; 0 is chance."),
    ("markers", "Markers", "Cell types whose markers stand out among the hubs, at FDR 5 %."),
    ("encode", "ENCODE", "AUROC of factors' ENCODE targets above that of the same targets in other genes' rows."),
)
#: What chance reaches.
CHANCE = {"ap_ratio": 1.0, "epr": 1.0, "odds_ratio": 1.0, "auprc_paper": 0.0, "tf": 0.0, "encode": 0.0}
BASELINES = ("random", "degrees of the truth", "pearson")
_NOTES = (
    "A row is the mean over the networks, one a cell type, with its 95% interval over these by Student's t; of a "
    "single network it is that over regulators. Cell types share factors and true edges, so these intervals are rather "
    "too narrow. The degrees of a truth know how many regulators each target has, and nothing of cells: a method that "
    "does not beat them may have found popular targets. Where a row says that it is of fewer "
    "networks, compare it with others in the table of all rows, network by network.",
)


def parts(rows: Sequence[Mapping[str, Any]]) -> list[Part]:
    """Return the parts of the page that sum up the rows of tables of networks: a plot, and a table a truth."""
    table = pd.DataFrame([row for row in rows if row.get("status", "ok") == "ok"])
    if table.empty:
        return []
    table = table[table["orientation"] != "transposed"]
    blocks: list[Block] = []
    panels: dict[bool, list[Panel]] = {False: [], True: []}
    for truth, of_truth in _by_truth(table):
        scores = TESTS if truth == TRUTH else SCORES
        n = _n_networks(of_truth)
        found, names = {}, {}
        for label, one in of_truth.groupby("label", sort=False):
            fewer = f" ({mine} of {n} networks)" if (mine := _n_networks(one)) < n else ""
            found[str(label)], names[str(label)] = _summed(one, scores), f"{label}{fewer}"
        note = f"{n} {'network' if n == 1 else 'networks'}"
        blocks.append(Block(truth, [_row(label, names[label], one) for label, one in _best_first(found)], note))
        marks = [Mark(names[label], values, baseline=label in BASELINES) for label, values in found.items()]
        panels[truth == TRUTH].append(Panel(truth, note, marks, references=CHANCE))
    shown = [one for one in (*SCORES, *TESTS) if one[0] in table]
    columns = [Column(key, label, told, drawn=True) for key, label, told in shown]
    caption = "Each method against each truth, mean over networks. Lines are 95% intervals; overlaps may be chance."
    plots = [
        Plot("strip", caption, panels[tests], [Measure(*one) for one in shown if (one in TESTS) is tests])
        for tests in (False, True)
        if panels[tests]
    ]
    summary = Table("Methods against truths, mean over networks", "Method", columns, blocks)
    return [Text(_NOTES), *plots, summary]


def _n_networks(rows: pd.DataFrame) -> int:
    return len(rows[["dataset", "group"]].drop_duplicates())


def _by_truth(table: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """Yield the rows of each truth; those of simulated cells have one each."""
    table = table.assign(group=table.get("group", "")).fillna({"group": ""})
    for truth, one in table.groupby("truth", sort=False):
        yield str(truth), one


def _summed(rows: pd.DataFrame, scores: Sequence[tuple[str, str, str]]) -> dict[str, tuple[float, float, float]]:
    """Return the mean of each score with the ends of its interval."""
    found = {}
    for key, _, _ in scores:
        if key not in rows or rows[key].isna().all():
            continue
        one = rows[rows[key].notna()]
        mean, low, high = mean_with_ends(one[key])
        if len(one) == 1:  # of a single network: that over its regulators
            low, high = (
                float(one[f"{key}_{end}"].iloc[0]) if f"{key}_{end}" in one else math.nan for end in ("low", "high")
            )
        found[key] = (mean, low, high)
    return found


def _best_first(
    found: Mapping[str, dict[str, tuple[float, float, float]]],
) -> list[tuple[str, dict[str, tuple[float, float, float]]]]:
    def first(item: tuple[str, dict[str, tuple[float, float, float]]]) -> float:
        return -next(iter(item[1].values()), (-math.inf,))[0]

    return sorted(found.items(), key=first)


def _row(label: str, name: str, values: Mapping[str, tuple[float, float, float]]) -> Row:
    cells = {
        key: Number(value, f"{value:,.3g}", low, high, CHANCE.get(key, math.nan))
        for key, (value, low, high) in values.items()
    }
    return Row(name, cells, badges=("baseline",) if label in BASELINES else ())

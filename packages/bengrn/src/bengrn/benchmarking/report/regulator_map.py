"""The map of single regulators: how each network ranks the targets of each, those that are alike side by side."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bengrn.benchmarking.report.reading import Results
from bengrn.benchmarking.report.score_rows import variant

#: Regulators of a map, those with most true edges.
MOST_REGULATORS = 25

#: Links of a tree of clusters, each by its four corners: place along the map, 0 in the middle of its first row, and
#: height from 0 to 1.
type Tree = list[list[tuple[float, float]]]


@dataclass(frozen=True, eq=False)
class RegulatorMap:
    """Average precision over prevalence of regulators.

    Attributes
    ----------
    table
        A row a regulator, by its symbol where that is known, with its number of true edges behind; a column a network.
    row_tree, column_tree
        How rows and columns were clustered; empty where there are fewer than three.
    """

    table: pd.DataFrame = field(default_factory=pd.DataFrame)
    row_tree: Tree = field(default_factory=list)
    column_tree: Tree = field(default_factory=list)


def regulator_map(results: Results, rows: pd.DataFrame, most: int = MOST_REGULATORS) -> RegulatorMap:
    """Return the map of the `most` regulators with most true edges, for the rows of a table of results."""
    columns: dict[str, pd.Series] = {}
    sizes: dict[str, int] = {}
    symbols: dict[str, str] = {}
    for place, row in rows.iterrows():
        scores = results.regulators.get(int(str(place)))
        if scores is None:
            continue
        words = variant(row, results.table)
        name = f"{row['label']} ({', '.join(words)})" if words else str(row["label"])
        scores = scores.set_index(scores["regulator"].astype(str))
        columns[name] = scores["ap_ratio"].astype(float)
        sizes |= dict(zip(scores.index, scores["n_positives"].astype(int), strict=True))
        if "symbol" in scores:
            symbols |= dict(zip(scores.index, scores["symbol"].fillna("").astype(str), strict=True))
    if not columns:
        return RegulatorMap()
    chosen = sorted(sizes, key=lambda name: (-sizes[name], name))[:most]
    table = pd.DataFrame(columns).reindex(chosen)
    shown = zip(names_shown(chosen, symbols), chosen, strict=True)
    table = table.set_axis([f"{name} ({sizes[own]:,})" for name, own in shown], axis="index")
    logs = log_ratios(table)
    row_order, row_tree = clustered(logs)
    column_order, column_tree = clustered(logs.T)
    return RegulatorMap(table.iloc[row_order, column_order], row_tree, column_tree)


def names_shown(regulators: list[str], symbols: dict[str, str]) -> list[str]:
    """Return the symbol of each regulator; its own name where there is none, both where another has the same symbol."""
    found = [symbols.get(name) or name for name in regulators]
    return [
        one if found.count(one) == 1 or one == name else f"{one} {name}"
        for one, name in zip(found, regulators, strict=True)
    ]


def log_ratios(table: pd.DataFrame) -> NDArray[np.float64]:
    """Return the ratios' base-2 logarithms, a ratio of 0 as low as the furthest other one, NaN where there is none."""
    with np.errstate(divide="ignore"):
        logs = np.log2(table.to_numpy(dtype=np.float64))
    furthest = float(np.abs(logs[np.isfinite(logs)]).max(initial=0.3))
    return np.maximum(logs, -furthest)


def clustered(profiles: NDArray[np.float64]) -> tuple[list[int], Tree]:
    """Order rows so that like ones stand side by side: average linkage of their Euclidean distances.

    Parameters
    ----------
    profiles
        One row each, (n, values); a missing value counts as 0.

    Returns
    -------
    list of int
        Order of the rows.
    list of list of tuple of float
        Links of the tree over the rows in that order; none where there are fewer than three rows.
    """
    if len(profiles) < 3:
        return list(range(len(profiles))), []
    from scipy.cluster.hierarchy import dendrogram, linkage

    links = linkage(np.nan_to_num(profiles), "average", optimal_ordering=True)
    drawn = dendrogram(links, no_plot=True)
    height = max(float(links[-1, 2]), 1e-12)
    # scipy puts the leaves at 5, 15, 25, ...
    tree = [
        [((x - 5) / 10, y / height) for x, y in zip(xs, ys, strict=True)]
        for xs, ys in zip(drawn["icoord"], drawn["dcoord"], strict=True)
    ]
    return [int(i) for i in drawn["leaves"]], tree

"""Intervals of the scores in a table, and how a table with intervals is shown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from bengrn.metrics.pairs import as_pairs
from bengrn.uncertainty.bootstrap import Bootstrap, bootstrap_ranked, check_draws, draw_regulators

#: Replicates of the intervals in a table, and their coverage.
REPLICATES, LEVEL = 200, 0.95


def interval_columns(metrics: Sequence[str]) -> list[str]:
    """Return the columns of the intervals of these metrics: ``<metric>_low`` and ``<metric>_high``, side by side."""
    return [f"{name}_{end}" for name in metrics for end in ("low", "high")]


def score_intervals(scores: Any, metrics: Sequence[str], *, seed: int, n_replicates: int) -> dict[str, float]:
    """Return the 95 % intervals of some scores, over regulators drawn with replacement.

    Parameters
    ----------
    scores
        Scores of a network, as :func:`bengrn.score` gives them.
    metrics
        Names from :data:`bengrn.uncertainty.METRICS`.
    seed
        Seed of the draws, which go by the names of the regulators: networks of one table meet the same draws.
    n_replicates
        Number of draws; with 0 the intervals are NaN.
    """
    if not n_replicates:
        return no_intervals(metrics)
    return ends(bootstrap_scores(scores, metrics, seed=seed, n_replicates=n_replicates), metrics)


def bootstrap_scores(scores: Any, metrics: Sequence[str], *, seed: int, n_replicates: int = REPLICATES) -> Bootstrap:
    """Return :func:`bengrn.uncertainty.bootstrap` of a network that is ranked already.

    Parameters
    ----------
    scores, metrics, seed, n_replicates
        See :func:`score_intervals`.
    """
    universe = scores.universe
    check_draws(n_replicates, LEVEL)
    pairs = as_pairs(universe.scores, universe.self_columns)
    weights = draw_regulators(pairs.shape[0], n_replicates, seed, names=universe.regulators)
    return bootstrap_ranked(pairs, universe.positives, scores.ranking, weights, level=LEVEL, metrics=metrics)


def ends(found: Bootstrap, metrics: Sequence[str]) -> dict[str, float]:
    """Return the ends of intervals by the names of :func:`interval_columns`."""
    table: Any = found.table
    return {f"{name}_{end}": float(table.loc[name, end]) for name in metrics for end in ("low", "high")}


def no_intervals(metrics: Sequence[str]) -> dict[str, float]:
    """Return NaN for the intervals of these metrics: of scores that are means over all networks, such as chance."""
    return dict.fromkeys(interval_columns(metrics), np.nan)


def with_intervals(table: pd.DataFrame, metrics: Sequence[str]) -> pd.DataFrame:
    """Return a table to read, in which each score is text with its interval, such as ``0.031 [0.024, 0.041]``."""

    def text(row: dict[str, Any], name: str) -> str:
        low, high = (row[f"{name}_{end}"] for end in ("low", "high"))
        return f"{row[name]:.3g}" if np.isnan(low) else f"{row[name]:.3g} [{low:.3g}, {high:.3g}]"

    rows: list[Any] = table.to_dict("records")
    shown = table.drop(columns=interval_columns(metrics))
    return shown.assign(**{name: [text(row, name) for row in rows] for name in metrics})

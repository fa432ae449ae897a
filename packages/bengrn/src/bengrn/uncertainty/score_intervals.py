"""Intervals of the scores in a table, and how a table with intervals is shown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from bengrn.uncertainty.bootstrap import bootstrap

#: Replicates of the intervals in a table.
REPLICATES = 200


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
    universe = scores.universe
    found: Any = bootstrap(
        universe.scores,
        universe.positives,
        self_columns=universe.self_columns,
        names=universe.regulators,
        n_replicates=n_replicates,
        rng=seed,
        metrics=metrics,
    ).table
    return {f"{name}_{end}": float(found.loc[name, end]) for name in metrics for end in ("low", "high")}


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

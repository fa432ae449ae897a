"""Intervals of scores, from regulators drawn with replacement."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from bengrn.metrics import Ranking, rank_matrix
from bengrn.metrics.pairs import Pairs, as_pairs, as_positions
from bengrn.uncertainty.named_metrics import named_metrics
from bengrn.uncertainty.replicates import replicate_metrics

logger = logging.getLogger(__name__)

#: With fewer regulators that have a true edge there is no interval: so few draws say nothing of others.
MIN_REGULATORS = 5
#: With fewer regulators that have a true edge an interval is rough, and says so.
ROUGH_REGULATORS = 10


@dataclass(frozen=True, eq=False)
class Bootstrap:
    """Scores with their uncertainty over regulators.

    Attributes
    ----------
    table
        One row a metric: ``estimate`` (the score itself), ``low`` and ``high`` (the expanded percentile
        interval), ``se`` (standard deviation over replicates). All but the estimate are NaN with fewer than
        :data:`MIN_REGULATORS` regulators that have a true edge, and where every replicate gives the same
        value: an early precision of 0, say, is 0 in all of them, however few regulators there are.
    replicates
        The metrics (columns) in each replicate that could be scored; the index is the number of the replicate, under
        which networks of the same regulators and seed have the same draw.
    level
        Coverage that the interval aims at.
    n_regulators
        Regulators with at least one true edge: the real sample size.
    n_dropped
        Replicates left out because they drew no positive, or no negative, pair.
    notes
        What a reader of these intervals should know, one sentence each.
    """

    table: pd.DataFrame
    replicates: pd.DataFrame
    level: float
    n_regulators: int
    n_dropped: int
    notes: tuple[str, ...] = ()


def bootstrap(
    scores: Any,
    positives: Any,
    *,
    self_columns: ArrayLike | None = None,
    names: ArrayLike | None = None,
    n_replicates: int = 200,
    level: float = 0.95,
    rng: int | np.random.Generator = 0,
    metrics: Sequence[str] = ("ap", "ap_ratio", "auroc", "epr", "odds_ratio", "prevalence"),
) -> Bootstrap:
    """Estimate how far scores would change with other regulators of the same kind.

    A replicate draws as many regulators (rows) as there are, with replacement, each with all its pairs, true
    and false; metrics are taken on those pairs as they are on the original ones, ties exact (cluster
    bootstrap: Davison and Hinkley 1997, Bootstrap Methods and Their Application, section 3.8). Drawing pairs
    instead would treat the edges of one regulator as independent, and give intervals that are several times
    too narrow. The interval lies between two percentiles of the replicates, further out than those of the
    level by as much as Student's t with one degree of freedom less than regulators is wider than the normal
    distribution, and as the spread of a small sample is too small (expanded percentile interval: Hesterberg
    2015, The American Statistician 69:371-386, section 5.3). Plain percentiles cover 85 % instead of 95 with
    6 regulators.

    The interval is about these regulators against others of their kind, with the targets and the truth given.
    With fewer than :data:`ROUGH_REGULATORS` regulators it is rough, and for ratios such as the odds ratio
    skewed. Prevalence varies over replicates too, and with it `ap`; ``ap_ratio`` is less affected.

    Parameters
    ----------
    scores
        Dense array or scipy sparse matrix, (regulators, targets); as for :func:`bengrn.metrics.rank_matrix`.
    positives
        The true edges: flat positions, (P,) int, or a tuple (rows, columns).
    self_columns
        For each row the column that is the row's own gene, -1 where there is none; None: no self pairs.
    names
        Names of the regulators, (regulators,), which the draws go by: the same rows in another order then give the same
        intervals. None: draws go by the order of the rows.
    n_replicates
        Number of replicates, at least 2.
    level
        Coverage of the interval, above 0 and below 1.
    rng
        Generator to draw with, or a seed for one.
    metrics
        Names from :data:`bengrn.uncertainty.METRICS`.

    Returns
    -------
    Bootstrap
        The scores are read once to rank and once to count. Beside them it takes 8 MiB or a quarter of their
        size for counts, whichever is more, and 4 bytes for each replicate and distinct score of a positive:
        1.5 times the scores for 200 replicates of 1,000 x 5,000 float32, less for larger ones.

    Raises
    ------
    TypeError
        If the scores are not real numbers.
    ValueError
        If the input is not one that :func:`bengrn.metrics.rank_matrix` takes, a metric is not known, or
        `n_replicates` or `level` is out of range.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> scores, truth = rng.random((30, 50)), rng.random((30, 50)) < 0.1
    >>> result = bootstrap(scores + truth, np.flatnonzero(truth), metrics=["auroc"])
    >>> result.table.loc["auroc"].round(3).to_dict()
    {'estimate': 1.0, 'low': nan, 'high': nan, 'se': nan}
    >>> result.notes
    ('every replicate gives the same auroc: it has no interval',)
    >>> table = bootstrap(scores + truth / 2, np.flatnonzero(truth), metrics=["auroc"]).table
    >>> bool(table.loc["auroc", "low"] < table.loc["auroc", "estimate"] < table.loc["auroc", "high"])
    True
    """
    named_metrics(metrics)
    check_draws(n_replicates, level)
    ranking = rank_matrix(scores, positives, self_columns=self_columns)
    pairs = as_pairs(scores, self_columns)
    at = as_positions(positives, pairs.shape)
    weights = draw_regulators(pairs.shape[0], n_replicates, rng, names=names)
    return bootstrap_ranked(pairs, at, ranking, weights, level=level, metrics=metrics)


def bootstrap_ranked(
    pairs: Pairs,
    positives: tuple[NDArray[np.int64], NDArray[np.int64]],
    ranking: Ranking,
    weights: NDArray[np.int64],
    *,
    level: float,
    metrics: Sequence[str],
) -> Bootstrap:
    """Do the same for pairs that are checked, ranked and drawn already; see :func:`replicate_metrics`."""
    functions = named_metrics(metrics)
    values = replicate_metrics(pairs, positives, ranking, weights, functions)
    could_be = ~np.isnan(values).any(axis=1)
    scored = values[could_be]
    n_regulators, n_replicates = int(np.unique(positives[0]).size), len(weights)
    n_dropped = n_replicates - len(scored)
    if n_dropped:
        logger.warning("%d of %d replicates have no positive or no negative pair", n_dropped, n_replicates)
    low, high = interval(scored, level, n_regulators)
    enough = n_regulators >= MIN_REGULATORS and len(scored) > 1
    spread = scored.std(axis=0, ddof=1) if enough else np.full(len(metrics), np.nan)
    constant = np.ptp(scored, axis=0) == 0 if enough else np.zeros(len(metrics), dtype=bool)
    notes = few_regulators(n_regulators)
    if constant.any():
        same = ", ".join(name for name, one in zip(metrics, constant, strict=True) if one)
        notes += (f"every replicate gives the same {same}: it has no interval",)
    table = pd.DataFrame(
        {
            "estimate": [function(ranking) for function in functions],
            "low": np.where(constant, np.nan, low),
            "high": np.where(constant, np.nan, high),
            "se": np.where(constant, np.nan, spread),
        },
        index=pd.Index(metrics, name="metric"),
    )
    replicates = pd.DataFrame(scored, columns=list(metrics), index=np.flatnonzero(could_be))
    return Bootstrap(table, replicates, level, n_regulators, n_dropped, notes)


def draw_regulators(
    n_regulators: int, n_replicates: int, rng: int | np.random.Generator, *, names: ArrayLike | None = None
) -> NDArray[np.int64]:
    """Draw as many regulators as there are, with replacement: how often each comes, (replicates, regulators)."""
    drawn = np.random.default_rng(rng).integers(n_regulators, size=(n_replicates, n_regulators))
    drawn += np.arange(n_replicates)[:, None] * n_regulators
    flat = np.bincount(drawn.ravel(), minlength=n_replicates * n_regulators)
    counts = flat.reshape(n_replicates, n_regulators)
    return counts if names is None else counts[:, places_by_name(names, n_regulators)]


def places_by_name(names: ArrayLike, n: int) -> NDArray[np.int64]:
    """Return the place that each of `n` names has when they are sorted.

    Raises
    ------
    ValueError
        If there are more or fewer names.
    """
    given = np.asarray(names, dtype=str)
    if given.shape != (n,):
        raise ValueError(f"names have shape {given.shape}, but there are {n:,} of them to draw: give a name for each")
    places = np.empty(n, dtype=np.int64)
    places[np.argsort(given, kind="stable")] = np.arange(n)
    return places


def interval(
    values: NDArray[np.float64], level: float, n_regulators: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the expanded percentile interval over the first axis; NaN where regulators are too few to have one."""
    if n_regulators < MIN_REGULATORS or not len(values):
        logger.warning("no interval: only %d regulators have a true edge, fewer than %d", n_regulators, MIN_REGULATORS)
        unknown = np.full(values.shape[1:], np.nan)
        return unknown, unknown.copy()
    tail = expanded_tail(level, n_regulators)
    low, high = np.quantile(values, [tail, 1 - tail], axis=0)
    return low, high


def expanded_tail(level: float, n: int) -> float:
    """Return the share of replicates to leave out at either end, of `n` regulators (Hesterberg 2015, section 5.3)."""
    from scipy.stats import norm, t  # takes a second to import

    return float(norm.cdf(t.ppf((1 - level) / 2, n - 1) * np.sqrt(n / (n - 1))))


def few_regulators(n_regulators: int) -> tuple[str, ...]:
    """Say that an interval is rough or missing for want of regulators; nothing where there are enough."""
    if n_regulators >= ROUGH_REGULATORS:
        return ()
    if n_regulators < MIN_REGULATORS:
        return (f"only {n_regulators} regulators have a true edge: an interval takes {MIN_REGULATORS}",)
    return (f"only {n_regulators} regulators have a true edge: intervals are rough below {ROUGH_REGULATORS}",)


def check_draws(n_replicates: int, level: float) -> None:
    """Raise if there are too few replicates, or the level is not a share."""
    if n_replicates < 2:
        raise ValueError(f"n_replicates = {n_replicates} is below 2: an interval takes hundreds")
    if not 0 < level < 1:
        raise ValueError(f"level = {level} is not between 0 and 1: 0.95 gives a 95 % interval")

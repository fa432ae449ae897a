"""Compare two networks on the same truth."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import wilcoxon

from bengrn.metrics import per_regulator
from bengrn.metrics.pairs import as_pairs, as_positions
from bengrn.metrics.ranking import rank_pairs, refuse_self_pairs
from bengrn.uncertainty.bootstrap import MIN_REGULATORS, check_draws, draw_regulators, few_regulators, interval
from bengrn.uncertainty.exchange import exchange_p
from bengrn.uncertainty.named_metrics import named_metrics
from bengrn.uncertainty.replicates import replicate_metrics

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class PairedComparison:
    """Two networks on the same truth, the same regulators drawn for both.

    Attributes
    ----------
    metric
        Name of the metric.
    a, b, difference
        Both scores and a - b.
    low, high
        Expanded percentile interval of the difference; NaN with fewer than
        :data:`bengrn.uncertainty.MIN_REGULATORS` regulators that have a true edge.
    p_value
        Chance of a difference as large, either way, if both networks were equally good at each regulator:
        see :func:`compare_paired`. NaN where the interval is.
    smallest_p
        Smallest p-value that these regulators can give: 2 / 2^n, or 1 / (1 + replicates) where not all ways to
        exchange them are tried.
    level
        Coverage that the interval aims at.
    n_regulators
        Regulators with at least one true edge: the real sample size.
    n_dropped
        Replicates left out because they drew no positive, or no negative, pair.
    notes
        What a reader of these numbers should know, one sentence each.
    """

    metric: str
    a: float
    b: float
    difference: float
    low: float
    high: float
    p_value: float
    smallest_p: float
    level: float
    n_regulators: int
    n_dropped: int
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class RegulatorComparison:
    """Two networks compared regulator by regulator.

    Attributes
    ----------
    metric
        Name of the metric, taken of each regulator's own targets.
    mean_difference
        Mean of a - b over regulators, each weighing the same.
    n_a_better, n_b_better, n_equal
        Regulators by who scores higher.
    p_value
        Wilcoxon signed-rank test, two-sided; 1 where all are equal.
    """

    metric: str
    mean_difference: float
    n_a_better: int
    n_b_better: int
    n_equal: int
    p_value: float


def compare_paired(
    scores_a: Any,
    scores_b: Any,
    positives: Any,
    *,
    self_columns: ArrayLike | None = None,
    names: ArrayLike | None = None,
    n_replicates: int = 1000,
    level: float = 0.95,
    rng: int | np.random.Generator = 0,
    metric: str = "ap",
) -> PairedComparison:
    """Compare two networks' scores on the same pairs.

    The interval is that of :func:`bengrn.uncertainty.bootstrap`: each replicate draws regulators once and scores
    both networks on them, so that what makes a regulator hard for both cancels. Two separate intervals that
    overlap say little about the difference.

    The p-value asks how often a difference as large comes about if it does not matter which network a
    regulator's weights come from: the two networks' rows are exchanged for each regulator by a coin, or in all
    ways where these are at most `n_replicates`, and both mixtures are scored. Networks have scales of
    their own, so each weight first becomes its place in its network, counted from the top (for negative
    weights from the bottom), and 0 stays 0; neither network's score changes by that. Replicates of the
    bootstrap are not a null: with 8 regulators they reject equally good networks twice as often as they should.

    Parameters
    ----------
    scores_a, scores_b
        Dense arrays or scipy sparse matrices, (regulators, targets), the same regulators and targets in the
        same order. Their types and scales may differ.
    positives
        The true edges: flat positions, (P,) int, or a tuple (rows, columns).
    self_columns
        For each row the column that is the row's own gene, -1 where there is none; None: no self pairs.
    names
        Names of the regulators, (regulators,), which the draws go by, as for :func:`bengrn.uncertainty.bootstrap`.
    n_replicates
        Number of replicates, at least 2.
    level
        Coverage of the interval, above 0 and below 1.
    rng
        Generator to draw with, or a seed for one.
    metric
        A name from :data:`bengrn.uncertainty.METRICS`.

    Raises
    ------
    TypeError
        If scores are not real numbers.
    ValueError
        If the two shapes differ, the input is not one that :func:`bengrn.metrics.rank_matrix` takes, the
        metric is not known, or `n_replicates` or `level` is out of range.
    """
    (function,) = named_metrics([metric])
    check_draws(n_replicates, level)
    all_pairs = as_pairs(scores_a, self_columns), as_pairs(scores_b, self_columns)
    shape = _common_shape(*(pairs.shape for pairs in all_pairs))
    rows, columns = as_positions(positives, shape)
    refuse_self_pairs(all_pairs[0], rows, columns)
    weights = draw_regulators(shape[0], n_replicates, rng, names=names)
    estimates, replicates = [], []
    for pairs in all_pairs:
        ranking = rank_pairs(pairs, rows, columns)
        estimates.append(function(ranking))
        replicates.append(replicate_metrics(pairs, (rows, columns), ranking, weights, [function])[:, 0])
    difference = replicates[0] - replicates[1]
    difference = difference[~np.isnan(difference)]
    n_regulators = int(np.unique(rows).size)
    low, high = interval(difference, level, n_regulators)
    p_value = smallest = float("nan")
    if n_regulators >= MIN_REGULATORS:
        p_value, smallest = exchange_p(
            *all_pairs, (rows, columns), function, names=names, n_draws=n_replicates, rng=rng
        )
    return PairedComparison(
        metric=metric,
        a=estimates[0],
        b=estimates[1],
        difference=estimates[0] - estimates[1],
        low=float(low),
        high=float(high),
        p_value=p_value,
        smallest_p=smallest,
        level=level,
        n_regulators=n_regulators,
        n_dropped=n_replicates - difference.size,
        notes=few_regulators(n_regulators),
    )


def compare_regulators(
    scores_a: Any,
    scores_b: Any,
    positives: Any,
    *,
    self_columns: ArrayLike | None = None,
    metric: Literal["ap", "auroc", "epr"] = "ap",
) -> RegulatorComparison:
    """Compare two networks regulator by regulator (Wilcoxon 1945, Biometrics Bulletin 1:80).

    Asks how often and how clearly one network ranks a regulator's targets better, a small regulator counting
    as much as a large one: not the same question as the pooled difference of :func:`compare_paired`. With
    fewer than six regulators p cannot fall below 0.05.

    Parameters
    ----------
    scores_a, scores_b, positives, self_columns
        See :func:`compare_paired`.
    metric
        A column of :func:`bengrn.metrics.per_regulator`: "ap", "auroc" or "epr".

    Raises
    ------
    TypeError
        If scores are not real numbers.
    ValueError
        If the two shapes differ, the input is not one that :func:`bengrn.metrics.per_regulator` takes, the
        metric is not known, or no regulator has both a true and a false edge.
    """
    if metric not in ("ap", "auroc", "epr"):
        raise ValueError(f"metric = {metric!r} is not taken of single regulators: use 'ap', 'auroc' or 'epr'")
    _common_shape(*(as_pairs(scores, self_columns).shape for scores in (scores_a, scores_b)))
    a, b = (
        per_regulator(scores, positives, self_columns=self_columns)[metric].to_numpy()
        for scores in (scores_a, scores_b)
    )
    difference = (a - b)[~np.isnan(a)]
    if not difference.size:
        raise ValueError(f"none of {a.size:,} regulators has both a true and a false edge: there is nothing to compare")
    # Equal precision sums can differ in the last digit by the order of their terms.
    difference[np.abs(difference) < 1e-12] = 0.0
    p_value = float(wilcoxon(difference).pvalue) if difference.any() else 1.0
    return RegulatorComparison(
        metric=metric,
        mean_difference=float(difference.mean()),
        n_a_better=int((difference > 0).sum()),
        n_b_better=int((difference < 0).sum()),
        n_equal=int((difference == 0).sum()),
        p_value=p_value,
    )


def holm(p_values: ArrayLike) -> NDArray[np.float64]:
    """Adjust p-values of several tests so that the chance of any false finding is controlled (Holm 1979).

    Parameters
    ----------
    p_values
        One a test, (n,). NaN is a test that was not made: it stays NaN and does not count.

    Returns
    -------
    numpy.ndarray
        Adjusted values in the same order: the k-th smallest of n times n - k + 1, at least the one before,
        at most 1.

    Raises
    ------
    ValueError
        If a value is below 0 or above 1.

    Examples
    --------
    >>> holm([0.01, 0.04, 0.03]).round(3).tolist()
    [0.03, 0.06, 0.06]
    """
    values = np.asarray(p_values, dtype=np.float64)
    outside = (values < 0) | (values > 1)
    if values.ndim != 1 or outside.any():
        raise ValueError(
            f"p_values have shape {values.shape} and {int(outside.sum()):,} of them are outside 0 to 1: give one "
            "p-value a test"
        )
    adjusted = np.full(values.shape, np.nan)
    made = np.flatnonzero(~np.isnan(values))
    order = made[np.argsort(values[made], kind="stable")]
    adjusted[order] = np.maximum.accumulate(values[order] * np.arange(order.size, 0, -1)).clip(max=1.0)
    return adjusted


def _common_shape(first: tuple[int, int], second: tuple[int, int]) -> tuple[int, int]:
    if first != second:
        raise ValueError(
            f"scores_a {first} and scores_b {second} have different shapes: bring both networks onto the same "
            "regulators and targets first"
        )
    return first

"""Scores of the top of the ranking: both quantities that go by the name EPR.

Both look at the K best pairs, with K the number of positives. Where K falls inside a block of equal scores,
the block's pairs are drawn at random: the true positives are their expected number, so input order never
matters.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.special import ndtri

from bengrn.metrics.ranking import Ranking


def true_positives_at_k(ranking: Ranking, k: int | None = None) -> float:
    """Count the positives among the `k` best pairs; an expectation where ties reach across the cut.

    Parameters
    ----------
    ranking
        Places of the positives in the ranking of all pairs.
    k
        Number of predictions; by default the number of positives.

    Raises
    ------
    ValueError
        If `k` is not between 1 and the number of pairs.
    """
    k = ranking.n_positives if k is None else k
    if not 1 <= k <= ranking.n_pairs:
        raise ValueError(f"k = {k:,} is not between 1 and the {ranking.n_pairs:,} ranked pairs")
    share = ((k - ranking.n_above) / ranking.n_tied).clip(0.0, 1.0)
    return float(ranking.p_tied @ share)


def early_precision_ratio(ranking: Ranking) -> float:
    """Divide the precision of the K best pairs by the prevalence, K = number of positives (BEELINE's EPR).

    1 is random, 1 / prevalence is perfect. Pratapa et al. 2020, Nature Methods 17:147. BEELINE itself selects
    every pair tied with the K-th, and divides by that number; here ties across the cut are drawn at random.
    """
    return true_positives_at_k(ranking) / ranking.n_positives / ranking.prevalence


def odds_ratio_at_k(ranking: Ranking, k: int | None = None) -> float:
    """Compute the diagnostic odds ratio (TP · TN) / (FP · FN) of the K best pairs (the scPRINT paper's EPR).

    Kalfon et al. 2025, Methods, "BenGRN and gene network metrics", with K = number of positives, so that FP =
    FN. 1 is random, below 1 the inverted ranking would do better. Where FP or FN is 0 (a perfect top K) the
    ratio is infinite or 0/0; only there, 0.5 is added to all four cells (Haldane 1956, Anscombe 1956), which
    keeps it finite. A top K without any positive is a plain 0.

    Parameters
    ----------
    ranking
        Places of the positives in the ranking of all pairs.
    k
        Number of predictions; by default the number of positives.

    Raises
    ------
    ValueError
        If `k` is not between 1 and the number of pairs.
    """
    tp, fp, fn, tn = _cells(ranking, k)
    if fp <= 0 or fn <= 0:
        return (tp + 0.5) * (tn + 0.5) / ((fp + 0.5) * (fn + 0.5))
    return tp * tn / (fp * fn)


class LogOddsRatio(NamedTuple):
    """Natural logarithm of the odds ratio at K, with its interval; 0 is random."""

    log_odds_ratio: float
    standard_error: float
    low: float
    high: float


def log_odds_ratio(ranking: Ranking, k: int | None = None, *, confidence: float = 0.95) -> LogOddsRatio:
    r"""Compute the log odds ratio of the K best pairs, with Woolf's interval.

    :math:`\log\frac{ad}{bc} \pm z \sqrt{1/a + 1/b + 1/c + 1/d}` (Woolf 1955), where a, b, c, d are TP, FP, FN
    and TN, each with 0.5 added whatever it is (Haldane 1956, Anscombe 1956), so that perfect and empty cells
    give a finite interval; its centre is therefore not quite the logarithm of :func:`odds_ratio_at_k`.

    The interval takes pairs as independent. Pairs of one regulator are not: it is too narrow for few
    regulators, where a bootstrap clustered by regulator should be quoted instead.

    Parameters
    ----------
    ranking
        Places of the positives in the ranking of all pairs.
    k
        Number of predictions; by default the number of positives.
    confidence
        Coverage of the interval, above 0 and below 1.

    Raises
    ------
    ValueError
        If `k` is not between 1 and the number of pairs, or `confidence` is not between 0 and 1.
    """
    if not 0 < confidence < 1:
        raise ValueError(f"confidence = {confidence} is not between 0 and 1: 0.95 gives a 95 % interval")
    cells = np.array(_cells(ranking, k)) + 0.5
    tp, fp, fn, tn = cells
    centre = float(np.log(tp * tn / (fp * fn)))
    error = float(np.sqrt((1 / cells).sum()))
    reach = float(ndtri((1 + confidence) / 2)) * error
    return LogOddsRatio(centre, error, centre - reach, centre + reach)


def _cells(ranking: Ranking, k: int | None) -> tuple[float, float, float, float]:
    # TP, FP, FN, TN when the k best pairs are predicted.
    k = ranking.n_positives if k is None else k
    tp = true_positives_at_k(ranking, k)
    return tp, k - tp, ranking.n_positives - tp, ranking.n_negatives - (k - tp)

"""How good the top of the ranking is: both quantities that go by the name EPR.

Both look at the K best pairs, with K the number of positives. Where K falls inside a block of equal scores,
the block's pairs are drawn at random: the true positives are their expected number, so input order never
matters.
"""

from __future__ import annotations

from bengrn.metrics.ranking import Ranking


def true_positives_at_k(ranking: Ranking, k: int | None = None) -> float:
    """Count the positives among the `k` best pairs; an expectation where ties reach across the cut.

    Parameters
    ----------
    ranking
        Where the positives stand.
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
    """Precision of the K best pairs over the prevalence, K = number of positives (BEELINE's EPR).

    1 is random, 1 / prevalence is perfect. Pratapa et al. 2020, Nature Methods 17:147. BEELINE itself selects
    every pair tied with the K-th, and divides by that number; here ties across the cut are drawn at random.
    """
    return true_positives_at_k(ranking) / ranking.n_positives / ranking.prevalence


def odds_ratio_at_k(ranking: Ranking) -> float:
    """Diagnostic odds ratio (TP · TN) / (FP · FN) of the K best pairs (the scPRINT paper's EPR).

    Kalfon et al. 2025, Methods, "BenGRN and gene network metrics", with K = number of positives, so that FP =
    FN. 1 is random, below 1 the inverted ranking would do better. Where FP and FN are 0 (a perfect top K) the
    ratio is infinite or 0/0; only there, 0.5 is added to all four cells (Haldane 1956, Anscombe 1956), which
    keeps it finite. A top K without any positive is a plain 0.
    """
    tp = true_positives_at_k(ranking)
    missed = ranking.n_positives - tp
    tn = ranking.n_negatives - missed
    if missed <= 0:
        return (tp + 0.5) * (tn + 0.5) / 0.25
    return tp * tn / missed**2

"""The best K pairs, and the predicted edges, taken as a set.

Where K falls inside a block of equal scores, the block's pairs are drawn at random: precision, recall and F
are then expectations, exactly, because all three are linear in the true positives once K is fixed.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from bengrn.metrics.early import true_positives_at_k
from bengrn.metrics.pairs import PIECE, Pairs
from bengrn.metrics.ranking import Ranking


def precision_at_k(ranking: Ranking, k: int | None = None) -> float:
    """Return the share of positives among the `k` best pairs; by default K = number of positives.

    Raises
    ------
    ValueError
        If `k` is not between 1 and the number of pairs.
    """
    return true_positives_at_k(ranking, k) / (ranking.n_positives if k is None else k)


def recall_at_k(ranking: Ranking, k: int | None = None) -> float:
    """Return the share of the positives that are among the `k` best pairs; by default K = number of positives.

    Raises
    ------
    ValueError
        If `k` is not between 1 and the number of pairs.
    """
    return true_positives_at_k(ranking, k) / ranking.n_positives


def f_score_at_k(ranking: Ranking, k: int | None = None, *, beta: float = 1.0) -> float:
    r"""Compute the F score of the `k` best pairs: :math:`(1 + \beta^2)\,TP / (\beta^2 P + K)`.

    Parameters
    ----------
    ranking
        Places of the positives in the ranking of all pairs.
    k
        Number of predictions; by default the number of positives P, where precision, recall and F are equal.
        McCalla et al. 2023 (G3 13:jkad004) take the top 5,000 edges.
    beta
        Weight of recall against precision (van Rijsbergen 1979): 1 weighs them alike, 0.1 counts almost only
        precision.

    Raises
    ------
    ValueError
        If `k` is not between 1 and the number of pairs, or `beta` is not above 0.
    """
    if not beta > 0:
        raise ValueError(f"beta = {beta} is not above 0: 1 weighs precision and recall alike")
    n_chosen = ranking.n_positives if k is None else k
    tp = true_positives_at_k(ranking, k)
    return (1 + beta**2) * tp / (beta**2 * ranking.n_positives + n_chosen)


def precision_of_predicted(ranking: Ranking) -> float:
    """Return the share of positives among the predicted edges, the pairs with a score above zero; NaN without any."""
    return _predicted_positives(ranking) / ranking.n_predicted if ranking.n_predicted else float("nan")


def recall_of_predicted(ranking: Ranking) -> float:
    """Return the share of the positives that are predicted edges, pairs with a score above zero."""
    return _predicted_positives(ranking) / ranking.n_positives


def overlap_p_value(ranking: Ranking, k: int | None = None) -> float:
    """Return the chance that K pairs drawn at random hold at least as many positives as the K best (hypergeometric).

    Where ties reach across the cut, the mean of that chance over all ways to draw the tied pairs; it is then
    above 0.5 for a constant score. Pairs count as independent, which pairs of one regulator are not: with many
    pairs the smallest advantage is significant.

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
    first, chance = _hypergeometric(ranking.n_pairs, ranking.n_positives, k)
    tail = _tail(chance)
    block = int(np.searchsorted(ranking.n_above + ranking.n_tied, k))
    if block == ranking.value.size or ranking.n_above[block] >= k:
        found = int(true_positives_at_k(ranking, k))
        return float(tail[found - first])
    drawn_first, drawn = _hypergeometric(
        int(ranking.n_tied[block]), int(ranking.p_tied[block]), k - int(ranking.n_above[block])
    )
    start = int(ranking.p_above[block]) + drawn_first - first
    return float(drawn @ tail[start : start + drawn.size])


def overlap_chance(n_pairs: int, n_positives: int, n_drawn: int, n_found: int) -> float:
    """Return the chance of at least `n_found` positives among `n_drawn` of `n_pairs` pairs that hold `n_positives`."""
    first, chance = _hypergeometric(n_pairs, n_positives, n_drawn)
    return float(_tail(chance)[n_found - first]) if n_found > first else 1.0


def lowest_chosen(pairs: Pairs, k: int) -> Any:
    """Return the lowest score above zero that the `k` best pairs reach; None where no pair scores above zero.

    With fewer than `k` pairs above zero it is the lowest score above zero: no other pair is ever chosen. Pairs
    tied with the lowest are all chosen. NaN is not looked for.
    """
    own = pairs.self_scores()
    own = np.sort(own[own > 0])
    # Self pairs are among the pieces: as many more are kept, and taken off the counts afterwards.
    keep = k + own.size
    best = np.zeros(0, dtype=pairs.matrix.dtype)
    better, bar = [best], best.dtype.type(0)
    for piece in pairs.pieces():
        better.append(piece[piece > bar])
        if sum(map(len, better)) > 2 * keep + PIECE:
            best = np.partition(np.concatenate(better), -keep)[-keep:]
            better, bar = [best], best.min()
    values, counts = np.unique(np.concatenate(better), return_counts=True)
    reached = np.cumsum(counts[::-1])[::-1] - (own.size - np.searchsorted(own, values))
    if not values.size or reached[0] == 0:
        return None
    return values[np.flatnonzero(reached >= min(k, reached[0]))[-1]]


def _predicted_positives(ranking: Ranking) -> int:
    return int(ranking.p_tied[ranking.value > 0].sum())


def _hypergeometric(n_pairs: int, n_positives: int, n_drawn: int) -> tuple[int, NDArray[np.float64]]:
    # The smallest possible number of positives, and the chance of it and each larger one. Chances come from
    # the ratios of neighbours: differences of log-gammas lose digits where there are hundreds of millions of
    # pairs.
    first = max(0, n_drawn + n_positives - n_pairs)
    last = min(n_positives, n_drawn)
    x = np.arange(first, last, dtype=np.float64)
    ratio = np.log((n_positives - x) * (n_drawn - x)) - np.log((x + 1) * (n_pairs - n_positives - n_drawn + x + 1))
    logs = np.concatenate([[0.0], np.cumsum(ratio)])
    chance = np.exp(logs - logs.max())
    return first, chance / chance.sum()


def _tail(chance: NDArray[np.float64]) -> NDArray[np.float64]:
    # Smallest first, so that small chances are not lost beside large ones.
    tail: NDArray[np.float64] = np.minimum(np.cumsum(chance[::-1])[::-1], 1.0)
    return tail

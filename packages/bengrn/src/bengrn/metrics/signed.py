"""Whether the network tells activation from repression, where the truth states signs.

Unsigned scores ask whether an edge is there. Here a weight above zero says activation and one below zero
repression: activating edges are ranked by the weight w, repressing ones by -w.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bengrn.metrics.early import early_precision_ratio
from bengrn.metrics.pairs import Pairs, as_pairs, as_positions
from bengrn.metrics.ranking import Ranking, average_precision, rank_pairs, refuse_self_pairs

_NAN = float("nan")


@dataclass(frozen=True)
class SignedScores:
    """Scores of a signed network against a signed truth.

    Attributes
    ----------
    sign_accuracy
        Share of the true edges of known sign and non-zero weight whose weight has that sign. What calling
        every edge an activation would reach is ``n_activating / (n_activating + n_repressing)``, or one less
        that. NaN where all those weights are zero.
    n_signed_found
        How many edges `sign_accuracy` is taken over.
    n_activating, n_repressing, n_unsigned
        True edges of sign 1, -1 and 0.
    ap_activation, epr_activation, prevalence_activation
        Average precision and early precision ratio of the ranking by w, with the activating edges as
        positives, and their share among all pairs. Repressing and unsigned edges count as no edge, so ranking
        them high costs. NaN where no edge activates.
    ap_repression, epr_repression, prevalence_repression
        The same for the ranking by -w, with the repressing edges as positives.
    """

    sign_accuracy: float
    n_signed_found: int
    n_activating: int
    n_repressing: int
    n_unsigned: int
    ap_activation: float
    epr_activation: float
    prevalence_activation: float
    ap_repression: float
    epr_repression: float
    prevalence_repression: float


def score_signs(
    scores: Any, positives: Any, signs: ArrayLike, *, self_columns: ArrayLike | None = None
) -> SignedScores:
    """Score the signs of a network's weights.

    The early precision ratio of each sign follows BEELINE (Pratapa et al. 2020, Nature Methods 17:147, "early
    precision of signed edges"): K = number of true edges of that sign. BEELINE ranks by absolute weight, so
    that the network's own sign plays no part, leaves true edges of the other sign out of the list, and selects
    all ties; here the sign must be right, no pair is left out, and ties are drawn at random.

    Parameters
    ----------
    scores
        Signed weights, dense or scipy sparse, (regulators, targets); as for
        :func:`bengrn.metrics.rank_matrix`.
    positives
        The true edges: flat positions, (P,), or a tuple (rows, columns).
    signs
        For each true edge 1 (activation), -1 (repression) or 0 (not known), (P,).
    self_columns
        For each row the column that is the row's own gene, -1 where there is none; None: no self pairs.

    Raises
    ------
    TypeError
        If the scores are not real numbers.
    ValueError
        If no true edge has a sign; if no scored weight is below zero, because such a network says nothing
        about signs and a number for it would mislead; if `signs` holds anything but 1, -1 and 0 or is not as
        long as `positives`; or for what :func:`bengrn.metrics.rank_matrix` refuses.

    Examples
    --------
    >>> weights = [[0, 0.9, -0.8], [-0.1, 0, 0.2]]
    >>> signed = score_signs(weights, [1, 2, 5], [1, -1, -1], self_columns=[0, 1])
    >>> round(signed.sign_accuracy, 3), signed.ap_activation, round(signed.ap_repression, 3)
    (0.667, 1.0, 0.833)
    """
    pairs = as_pairs(scores, self_columns)
    rows, columns = as_positions(positives, pairs.shape)
    refuse_self_pairs(pairs, rows, columns)
    sign = _check_signs(signs, rows.size)
    pairs.refuse_nan()
    n_below = _count_below_zero(pairs)
    if not n_below:
        raise ValueError(
            f"none of the {pairs.n_pairs:,} scored weights is below 0, so the network does not tell activation "
            "from repression: give signed weights (not absolute ones), or leave the signed scores out"
        )
    activates, represses = sign > 0, sign < 0
    weights = pairs.at(rows, columns)
    is_found = (sign != 0) & (weights != 0)
    n_found = int(is_found.sum())
    n_right = int((np.sign(weights[is_found]) == sign[is_found]).sum())
    up = down = (_NAN, _NAN, _NAN)
    if activates.any():
        up = _summary(rank_pairs(pairs, rows[activates], columns[activates]))
    if represses.any():
        down = _summary(_reversed(rank_pairs(pairs, rows[represses], columns[represses]), n_below))
    return SignedScores(
        sign_accuracy=n_right / n_found if n_found else _NAN,
        n_signed_found=n_found,
        n_activating=int(activates.sum()),
        n_repressing=int(represses.sum()),
        n_unsigned=int((sign == 0).sum()),
        ap_activation=up[0],
        epr_activation=up[1],
        prevalence_activation=up[2],
        ap_repression=down[0],
        epr_repression=down[1],
        prevalence_repression=down[2],
    )


def _check_signs(signs: ArrayLike, n_positives: int) -> NDArray[Any]:
    sign = np.asarray(signs)
    if sign.shape != (n_positives,):
        raise ValueError(f"signs has shape {sign.shape} for {n_positives:,} positives: give one sign each")
    other = np.unique(sign[~np.isin(sign, (-1, 0, 1))])
    if other.size:
        raise ValueError(f"signs holds {other[:3].tolist()}: use 1 (activation), -1 (repression) and 0 (not known)")
    if not sign.any():
        raise ValueError(
            f"none of the {n_positives:,} true edges in the universe has a sign: use a truth that states signs, "
            "or leave the signed scores out"
        )
    return sign


def _count_below_zero(pairs: Pairs) -> int:
    own = int(np.count_nonzero(pairs.self_scores() < 0))
    return sum(int(np.count_nonzero(piece < 0)) for piece in pairs.pieces()) - own


def _reversed(ranking: Ranking, n_predicted: int) -> Ranking:
    # The ranking by the negated score, from counts alone.
    return replace(
        ranking,
        n_predicted=n_predicted,
        value=-ranking.value[::-1],
        n_above=(ranking.n_pairs - ranking.n_above - ranking.n_tied)[::-1],
        n_tied=ranking.n_tied[::-1],
        p_above=(ranking.n_positives - ranking.p_above - ranking.p_tied)[::-1],
        p_tied=ranking.p_tied[::-1],
    )


def _summary(ranking: Ranking) -> tuple[float, float, float]:
    return average_precision(ranking), early_precision_ratio(ranking), ranking.prevalence

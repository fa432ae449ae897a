"""The left end of the ROC curve: partial AUROC."""

from __future__ import annotations

import numpy as np

from bengrn.metrics.ranking import Ranking


def partial_auroc(ranking: Ranking, max_fpr: float = 0.1, *, standardized: bool = True) -> float:
    r"""Compute the area under the ROC curve up to a false positive rate.

    True edges are rare, so only the curve's left end says anything about the edges one would look at. Ties
    are a straight line across their block, as in :func:`bengrn.metrics.auroc`.

    Parameters
    ----------
    ranking
        Places of the positives in the ranking of all pairs.
    max_fpr
        Largest false positive rate, above 0 and up to 1.
    standardized
        Map the area so that a random ranking has 0.5 and a perfect one 1:
        :math:`\frac12\left(1 + \frac{A - f^2/2}{f - f^2/2}\right)` for the area A up to rate f (McClish 1989,
        Medical Decision Making 9:190; what scikit-learn's ``roc_auc_score(max_fpr=f)`` returns). False: the
        area itself, f² / 2 for a random ranking and f for a perfect one.

    Raises
    ------
    ValueError
        If `max_fpr` is not above 0 and up to 1.

    Examples
    --------
    >>> from bengrn.metrics import rank_positives
    >>> ranking = rank_positives([4, 3, 2, 1], [1, 0, 1, 0])
    >>> partial_auroc(ranking, 0.5, standardized=False)
    0.25
    """
    if not 0 < max_fpr <= 1:
        raise ValueError(f"max_fpr = {max_fpr} is not above 0 and up to 1")
    n_tied = ranking.n_tied - ranking.p_tied
    # Negatives that fit left of max_fpr once the block begins. Over the block the true positives rise on a
    # straight line, past it they all count.
    room = max_fpr * ranking.n_negatives - (ranking.n_above - ranking.p_above)
    across = np.clip(room, 0, n_tied)
    seen = across**2 / (2 * np.maximum(n_tied, 1)) + np.maximum(room - n_tied, 0)
    area = float(ranking.p_tied @ seen) / (ranking.n_positives * ranking.n_negatives)
    if not standardized:
        return area
    lowest = max_fpr**2 / 2
    return 0.5 * (1 + (area - lowest) / (max_fpr - lowest))

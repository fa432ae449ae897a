"""Scores under other publications' definitions, to set numbers beside theirs.

Each definition has quirks that make it the wrong one to choose today; what they are stands with each. To
score a network use :func:`bengrn.score`.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import scipy.sparse as sp
from numpy.typing import ArrayLike, NDArray

from bengrn.metrics.early import odds_ratio_at_k, true_positives_at_k
from bengrn.metrics.pairs import Pairs, as_pairs
from bengrn.metrics.ranking import Ranking, auroc, expected_average_precision, paper_auprc, rank_pairs, trapezoid_auprc
from bengrn.metrics.topk import lowest_chosen

type Compat = Literal["paper", "bengrn-1.3.2", "beeline"]

#: Cut-offs of bengrn 1.3.2: these quantiles of all scores, after the cut-off "not zero".
_QUANTILES = np.concatenate([np.arange(1, 99) / 100, np.linspace(0.99, 1, 30)])


def published_scores(
    scores: Any, truth: Any, *, compat: Compat, self_columns: ArrayLike | None = None
) -> dict[str, float]:
    """Score a matrix as one publication does.

    Parameters
    ----------
    scores
        Weights, dense or scipy sparse (taken as dense), (regulators, targets): the universe of that
        publication, which the caller cuts out.
    truth
        Whether the pair is a true edge, (regulators, targets) bool.
    compat
        - ``"paper"``: Kalfon et al. 2025, Methods, "BenGRN and gene network metrics"; see :func:`paper_scores`.
        - ``"bengrn-1.3.2"``: the tool of that name; see :func:`bengrn_1_3_2_scores`.
        - ``"beeline"``: Pratapa et al. 2020; see :func:`beeline_scores`.
    self_columns
        For each row the column that is the row's own gene, -1 where there is none. "paper" and "beeline" leave
        these pairs out, true or not. "bengrn-1.3.2" ranks them, and takes no `self_columns`.

    Returns
    -------
    dict
        Plain floats; which ones depends on `compat`.

    Raises
    ------
    TypeError
        If the scores are not real numbers.
    ValueError
        If shapes differ, a score is NaN (bengrn 1.3.2 ranks NaN at an arbitrary place), positive or negative pairs
        are lacking, or `compat` is none of the three.

    Examples
    --------
    >>> scores, truth = [[0, 0.9, 0.1], [0.5, 0, 0.3]], [[0, 1, 0], [0, 0, 1]]
    >>> published_scores(scores, truth, compat="beeline", self_columns=[0, 1])["epr"]
    1.0
    """
    if compat not in _DEFINITIONS:
        raise ValueError(f"compat = {compat!r} is not known: use one of {', '.join(map(repr, _DEFINITIONS))}")
    if compat == "bengrn-1.3.2" and self_columns is not None:
        raise ValueError("bengrn 1.3.2 ranks self pairs as any other: leave self_columns out for compat='bengrn-1.3.2'")
    matrix, is_true = _dense(scores), _dense(truth).astype(np.bool_)
    pairs = as_pairs(matrix, self_columns)
    if is_true.shape != pairs.shape:
        raise ValueError(f"scores {pairs.shape} and truth {is_true.shape} must have the same shape")
    pairs.refuse_nan()
    is_true[pairs.self_rows, pairs.self_columns] = False
    return _DEFINITIONS[compat](pairs, is_true)


def paper_scores(pairs: Pairs, truth: NDArray[np.bool_]) -> dict[str, float]:
    """Score as the scPRINT paper words it (Kalfon et al. 2025), self pairs left out.

    ``auprc``: area between the precision-recall curve and the prevalence line, :func:`bengrn.metrics.paper_auprc`.
    ``epr``: the diagnostic odds ratio (TP · TN) / (FP · FN) of the K best pairs, K = number of positives;
    infinite for a perfect top K, as the paper says. ``rand_precision``: the prevalence, which the paper gives
    beside them. Ties are exact.
    """
    ranking = _rank(pairs, truth)
    is_perfect = true_positives_at_k(ranking) >= ranking.n_positives
    return {
        "auprc": paper_auprc(ranking),
        "epr": float("inf") if is_perfect else odds_ratio_at_k(ranking),
        "rand_precision": ranking.prevalence,
    }


def bengrn_1_3_2_scores(pairs: Pairs, truth: NDArray[np.bool_]) -> dict[str, float]:
    """Score as bengrn 1.3.2 does, quirks included; n x m pairs, P of them positive, all ranked, self pairs too.

    - ``rand_precision``: P / (n m - n). The n taken off are the self pairs, which are ranked nevertheless; n is
      the number of rows whether or not there are self pairs.
    - ``precision``, ``recall``: of the pairs with a score that is not 0, negative ones included. Precision is
      NaN where there is none.
    - ``auprc``: trapezoid rule over the cut-offs "not 0", then "above q" for q the quantiles .01, .02, ..., .98
      of all scores, then 30 quantiles from .99 to 1. The last predicts nothing and is put at (0, 0), so the top
      of the curve is a triangle. Where no cut-off has recall 1, the stretch from the first recall to 1 is filled
      at `rand_precision`: a network without any edge gets `rand_precision`. Not affected by ties.
    - ``ap``: pairs sorted by falling score, ties in the order in which ``numpy.argsort`` leaves them; the first
      pair is dropped, so a true edge on top costs 1 / P.
    - ``epr``, ``odd_ratio``: of the K = P pairs that ``numpy.argpartition`` puts last: the ratio of precision to
      `rand_precision`, and (TP · TN) / (FP · FN) with TN out of n m - n pairs. (The tool's ``epr`` was the odds
      ratio until August 2025: its older and newer columns do not compare.) With a perfect top K the tool fails;
      here ``odd_ratio`` is infinite and ``epr`` is by its formula.

    With tied scores ``ap``, ``epr`` and ``odd_ratio`` depend on the order of the input and on numpy's sorting
    code, which differs between processors: a network of zeros, which says nothing, gets an epr of 1.28 on a
    truth of 145 edges among 50 genes. They are computed all the same, to reproduce published values, and
    beside each stands what it is on average over all orders, the value to read where scores tie:
    ``ap_tie_exact``, ``epr_tie_exact``, ``odd_ratio_tie_exact`` (the odds ratio at the average number of true
    positives).
    """
    ranking = _rank(pairs, truth)
    flat, is_true = pairs.matrix.ravel(), truth.ravel()
    n_positives = ranking.n_positives
    n_counted = flat.size - len(truth)
    rand_precision = n_positives / n_counted
    predicted = flat != 0
    n_predicted, n_found = int(predicted.sum()), int((predicted & is_true).sum())
    precision, recall = n_found / n_predicted if n_predicted else float("nan"), n_found / n_positives
    order = np.argsort(-_signed(flat))
    found = np.cumsum(is_true[order])
    ap = float((found[1:] / np.arange(2, flat.size + 1) * is_true[order][1:]).sum()) / n_positives
    first_is_true = float(ranking.p_tied[0] / ranking.n_tied[0]) if ranking.n_above[0] == 0 else 0.0
    top = np.argpartition(flat, -n_positives)[-n_positives:]

    def early(tp: float) -> tuple[float, float]:
        missed = n_positives - tp
        tn = n_counted - n_positives - missed
        return tp / n_positives / rand_precision, tp * tn / missed**2 if missed > 0 else float("inf")

    epr, odds_ratio = early(int(is_true[top].sum()))
    epr_exact, odds_ratio_exact = early(true_positives_at_k(ranking))
    return {
        "precision": precision,
        "recall": recall,
        "rand_precision": rand_precision,
        "auprc": _quantile_auprc(flat, is_true, (recall, precision if n_predicted else 0.0), rand_precision),
        "ap": ap,
        "epr": epr,
        "odd_ratio": odds_ratio,
        "ap_tie_exact": expected_average_precision(ranking) - first_is_true / n_positives,
        "epr_tie_exact": epr_exact,
        "odd_ratio_tie_exact": odds_ratio_exact,
    }


def beeline_scores(pairs: Pairs, truth: NDArray[np.bool_]) -> dict[str, float]:
    """Score as BEELINE does (Pratapa et al. 2020, Nature Methods 17:147), self pairs left out.

    Its universe is all ordered pairs of the truth's genes, or with "TF edges" those that begin at one of its
    sources. Pairs are ranked by absolute weight. ``auprc``: trapezoid rule over scikit-learn's
    precision-recall curve, too kind where scores tie (a network of zeros gets (1 + prevalence) / 2). ``auroc``.
    ``epr``: early precision over prevalence, where the early pairs are all that reach the K-th absolute weight
    or, where that is 0, the smallest that is not: ``n_selected`` pairs, more than K where the K-th is tied,
    fewer where fewer weights are not 0. ``early_precision`` divides by that number. A network without any
    weight selects nothing and gets 0. ``prevalence``. BEELINE also rounds weights to six decimals before it
    selects, which is not done here.
    """
    absolute = Pairs(np.abs(_signed(pairs.matrix)), pairs.self_rows, pairs.self_columns)
    ranking = _rank(absolute, truth)
    cut = lowest_chosen(absolute, ranking.n_positives)
    n_selected = n_found = 0
    if cut is not None:
        n_selected = int((absolute.matrix >= cut).sum() - (absolute.self_scores() >= cut).sum())
        n_found = int(ranking.p_tied[ranking.value >= cut].sum())
    early_precision = n_found / n_selected if n_selected else 0.0
    return {
        "auprc": trapezoid_auprc(ranking),
        "auroc": auroc(ranking),
        "epr": early_precision / ranking.prevalence,
        "early_precision": early_precision,
        "n_selected": n_selected,
        "prevalence": ranking.prevalence,
    }


#: Pairs of a sparse network beyond which it is not spread out: 1 GB.
_MOST_PAIRS = 2**28

_DEFINITIONS = {"paper": paper_scores, "bengrn-1.3.2": bengrn_1_3_2_scores, "beeline": beeline_scores}


def _dense(values: Any) -> NDArray[Any]:
    is_sparse: bool = sp.issparse(values)
    if is_sparse and (n_pairs := values.shape[0] * values.shape[1]) > _MOST_PAIRS:
        raise ValueError(
            f"this definition takes quantiles of the weights of all pairs, and {values.shape[0]:,} regulators × "
            f"{values.shape[1]:,} targets take {4 * n_pairs / 1e9:,.1f} GB: score fewer regulators, "
            "regulators='truth' or 'tf', or leave out compat"
        )
    return np.asarray(values.toarray() if is_sparse else values)


def _rank(pairs: Pairs, truth: NDArray[np.bool_]) -> Ranking:
    rows, columns = np.nonzero(truth)
    return rank_pairs(pairs, rows, columns)


def _signed(values: NDArray[Any]) -> NDArray[Any]:
    # Unsigned integers have no negative, and the lowest signed one has none either.
    return values if values.dtype.kind == "f" else values.astype(np.float64)


def _quantile_auprc(
    scores: NDArray[Any], is_true: NDArray[np.bool_], first: tuple[float, float], rand_precision: float
) -> float:
    # Between infinite scores a quantile is NaN; nothing lies above it.
    with np.errstate(invalid="ignore"):
        cuts = np.quantile(scores, _QUANTILES)
    # How many pairs, and how many true ones, lie above each cut.
    n_above = scores.size - np.searchsorted(np.sort(scores), cuts, side="right")
    p_above = is_true.sum() - np.searchsorted(np.sort(scores[is_true]), cuts, side="right")
    recall = np.concatenate([first[:1], np.where(n_above > 0, p_above / is_true.sum(), 0.0)])
    precision = np.concatenate([first[1:], p_above / np.maximum(n_above, 1)])
    area = -float(np.trapezoid(precision, recall))
    return area if (recall == 1).any() else area + rand_precision * (1 - float(recall[0]))

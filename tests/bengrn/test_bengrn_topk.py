"""The best K pairs and the partial AUROC: by hand, by enumeration, against scikit-learn and scipy."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import hypergeom
from sklearn.metrics import auc, fbeta_score, roc_auc_score, roc_curve

from bengrn.metrics import (
    f_score_at_k,
    overlap_p_value,
    partial_auroc,
    precision_at_k,
    precision_of_predicted,
    rank_positives,
    recall_at_k,
    recall_of_predicted,
)
from bengrn.metrics.pairs import as_pairs
from bengrn.metrics.topk import lowest_chosen, overlap_chance


@st.composite
def tied_rankings(draw: st.DrawFn, max_size: int = 12) -> tuple[np.ndarray, np.ndarray]:
    size = draw(st.integers(2, max_size))
    scores = draw(st.lists(st.integers(-2, 3), min_size=size, max_size=size))
    positive = draw(st.lists(st.booleans(), min_size=size, max_size=size).filter(lambda p: 0 < sum(p) < len(p)))
    return np.array(scores, dtype=float), np.array(positive)


def chosen_sets(scores: np.ndarray, k: int):
    """Every set of the k best, ties broken in every way."""
    cut = np.sort(scores)[-k]
    above, tied = np.flatnonzero(scores > cut), np.flatnonzero(scores == cut)
    for part in combinations(tied.tolist(), k - above.size):
        predicted = np.zeros(scores.size, dtype=bool)
        predicted[above], predicted[list(part)] = True, True
        yield predicted


@given(tied_rankings(max_size=9), st.data())
def test_all_are_means_over_every_way_to_break_the_ties(case, data):
    scores, positive = case
    k = data.draw(st.integers(1, scores.size))
    beta = data.draw(st.sampled_from([0.1, 1.0, 2.0]))
    found = [int((positive & chosen).sum()) for chosen in chosen_sets(scores, k)]
    ranking = rank_positives(scores, positive)
    precision, recall = np.array(found) / k, np.array(found) / positive.sum()
    weighted = beta**2 * precision + recall
    f_score = np.divide((1 + beta**2) * precision * recall, weighted, out=np.zeros(len(found)), where=weighted > 0)
    p_values = hypergeom.sf(np.array(found) - 1, scores.size, positive.sum(), k)
    assert precision_at_k(ranking, k) == pytest.approx(precision.mean(), abs=1e-12)
    assert recall_at_k(ranking, k) == pytest.approx(recall.mean(), abs=1e-12)
    assert f_score_at_k(ranking, k, beta=beta) == pytest.approx(f_score.mean(), abs=1e-12)
    assert overlap_p_value(ranking, k) == pytest.approx(p_values.mean(), abs=1e-12)


def test_by_hand():
    # Two of the best four are among the three positives.
    ranking = rank_positives([9, 8, 7, 6, 5, 4, 3, 2, 1, 0], [1, 0, 1, 0, 0, 1, 0, 0, 0, 0])
    assert precision_at_k(ranking, 4) == 0.5
    assert recall_at_k(ranking, 4) == pytest.approx(2 / 3)
    predicted = np.arange(10) < 4
    for beta in (0.1, 1.0, 3.0):
        expected = fbeta_score([1, 0, 1, 0, 0, 1, 0, 0, 0, 0], predicted, beta=beta)
        assert f_score_at_k(ranking, 4, beta=beta) == pytest.approx(expected)
    # (C(4,2) C(6,1) + C(4,3)) / C(10,3): the four best hold two or three of three positives.
    assert overlap_p_value(ranking, 4) == pytest.approx((6 * 6 + 4) / 120)
    assert precision_at_k(ranking) == recall_at_k(ranking) == f_score_at_k(ranking) == pytest.approx(2 / 3)


def test_predicted_edges_are_those_above_zero():
    ranking = rank_positives([3.0, 2.0, 0.0, -1.0, 0.5], [1, 0, 1, 1, 1])
    assert precision_of_predicted(ranking) == pytest.approx(2 / 3)
    assert recall_of_predicted(ranking) == pytest.approx(2 / 4)
    empty = rank_positives([0.0, -2.0, 0.0], [1, 0, 0])
    assert np.isnan(precision_of_predicted(empty))
    assert recall_of_predicted(empty) == 0


@pytest.mark.parametrize(
    ("n", "positives", "drawn", "found"),
    [(50, 7, 9, 3), (50, 45, 40, 36), (50, 45, 40, 35), (4_000, 120, 300, 25), (10, 10, 3, 3), (10, 0, 3, 0)],
)
def test_chance_of_an_overlap_is_scipys(n, positives, drawn, found):
    expected = hypergeom.sf(found - 1, n, positives, drawn)
    assert overlap_chance(n, positives, drawn, found) == pytest.approx(expected, rel=1e-10)


def test_chance_of_an_overlap_stays_exact_among_many_pairs():
    from fractions import Fraction
    from math import comb

    n, positives, drawn, found = 25_000_000, 60, 40, 3
    exact = sum(
        Fraction(comb(positives, x) * comb(n - positives, drawn - x), comb(n, drawn)) for x in range(found, drawn + 1)
    )
    assert overlap_chance(n, positives, drawn, found) == pytest.approx(float(exact), rel=1e-12)


@given(tied_rankings(max_size=30), st.floats(0.01, 1.0))
def test_partial_auroc_is_scikit_learns(case, max_fpr):
    scores, positive = case
    ranking = rank_positives(scores, positive)
    expected = roc_auc_score(positive, scores, max_fpr=max_fpr)
    assert partial_auroc(ranking, max_fpr) == pytest.approx(expected, abs=1e-12)
    fpr, tpr, _ = roc_curve(positive, scores)
    inside = fpr <= max_fpr
    x, y = np.append(fpr[inside], max_fpr), np.append(tpr[inside], np.interp(max_fpr, fpr, tpr))
    assert partial_auroc(ranking, max_fpr, standardized=False) == pytest.approx(auc(x, y), abs=1e-12)


def test_partial_auroc_by_hand():
    # Five negatives; up to 2 of them: one positive before, half of the next lies across the second negative.
    ranking = rank_positives([5, 4, 3, 3, 2, 1, 0], [1, 0, 1, 0, 0, 0, 0])
    area = (0.5 * 0.2) + (0.5 + 1.0) / 2 * 0.2
    assert partial_auroc(ranking, 0.4, standardized=False) == pytest.approx(area)
    assert partial_auroc(ranking, 0.4) == pytest.approx(0.5 * (1 + (area - 0.08) / (0.4 - 0.08)))
    assert partial_auroc(rank_positives(np.ones(50), np.arange(50) < 5)) == pytest.approx(0.5)


@pytest.mark.parametrize("kind", ["dense", "csr"])
@given(data=st.data())
def test_lowest_chosen_score_is_that_of_a_full_sort(kind, data):
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    scores = rng.integers(-1, data.draw(st.integers(1, 9)), (4, 5)).astype(np.float32)
    own = np.array([2, -1, 0, 4]) if data.draw(st.booleans()) else np.full(4, -1)
    k = data.draw(st.integers(1, 25))
    scored = np.ones(scores.shape, dtype=bool)
    scored[np.flatnonzero(own >= 0), own[own >= 0]] = False
    candidates = np.sort(scores[scored & (scores > 0)])[::-1]
    expected = candidates[min(k, candidates.size) - 1] if candidates.size else None
    pairs = as_pairs(sp.csr_array(scores) if kind == "csr" else scores, own)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("bengrn.metrics.topk.PIECE", data.draw(st.sampled_from([0, 1 << 19])))
        patch.setattr(type(pairs), "pieces", lambda self: pieces_of_three(self))
        assert lowest_chosen(pairs, k) == expected


def pieces_of_three(pairs):
    from bengrn.metrics.pairs import copied_pieces

    return copied_pieces(pairs.matrix.data if pairs.is_sparse else pairs.matrix.ravel(), 3)


@pytest.mark.parametrize("function", [precision_at_k, recall_at_k, f_score_at_k, overlap_p_value])
@pytest.mark.parametrize("k", [0, 5])
def test_k_out_of_range(function, k):
    with pytest.raises(ValueError, match=f"k = {k} is not between 1 and the 4 ranked pairs"):
        function(rank_positives([4, 3, 2, 1], [0, 0, 0, 1]), k)


def test_other_arguments_out_of_range():
    ranking = rank_positives([4, 3, 2, 1], [0, 0, 0, 1])
    with pytest.raises(ValueError, match="beta = 0 is not above 0"):
        f_score_at_k(ranking, beta=0)
    for bad in (0.0, 1.5, float("nan")):
        with pytest.raises(ValueError, match=r"max_fpr = .* is not above 0 and up to 1"):
            partial_auroc(ranking, bad)

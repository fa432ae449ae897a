"""Average precision, both AUPRCs and AUROC: by hand, by enumeration, and against scikit-learn."""

from __future__ import annotations

from itertools import pairwise, permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import auc, average_precision_score, roc_auc_score
from sklearn.metrics import precision_recall_curve as sklearn_curve

from bengrn.metrics import (
    auroc,
    average_precision,
    expected_average_precision,
    paper_auprc,
    precision_recall_curve,
    rank_positives,
    trapezoid_auprc,
)


@st.composite
def tied_rankings(draw: st.DrawFn, max_size: int = 40) -> tuple[np.ndarray, np.ndarray]:
    size = draw(st.integers(2, max_size))
    scores = draw(st.lists(st.integers(-2, 4), min_size=size, max_size=size))
    positive = draw(st.lists(st.booleans(), min_size=size, max_size=size).filter(lambda p: 0 < sum(p) < len(p)))
    return np.array(scores, dtype=float), np.array(positive)


@given(tied_rankings())
def test_agrees_with_scikit_learn_with_and_without_ties(case):
    scores, positive = case
    ranking = rank_positives(scores, positive)
    precision, recall, _ = sklearn_curve(positive, scores)
    assert average_precision(ranking) == pytest.approx(average_precision_score(positive, scores), abs=1e-12)
    assert auroc(ranking) == pytest.approx(roc_auc_score(positive, scores), abs=1e-12)
    assert trapezoid_auprc(ranking) == pytest.approx(auc(recall, precision), abs=1e-12)


@given(tied_rankings(), st.randoms(use_true_random=False))
def test_input_order_never_matters(case, shuffler):
    scores, positive = case
    order = list(range(len(scores)))
    shuffler.shuffle(order)
    first, second = rank_positives(scores, positive), rank_positives(scores[order], positive[order])
    for metric in (average_precision, expected_average_precision, trapezoid_auprc, paper_auprc, auroc):
        assert metric(first) == metric(second)


@pytest.mark.parametrize(
    ("scores", "positive"),
    [
        ([1, 1, 1], [1, 0, 0]),
        ([1, 1, 1, 0], [1, 1, 0, 0]),
        ([3, 2, 2, 2, 1, 1], [0, 1, 0, 1, 1, 0]),
        ([0, 0, 0, 0, 0, 5], [0, 1, 0, 1, 1, 1]),
        ([2, 2, 1, 1, 1, 0, 0], [1, 0, 0, 1, 0, 1, 0]),
    ],
)
def test_expected_average_precision_is_the_mean_over_all_tie_breaks(scores, positive):
    # Every order of all pairs that does not go against the scores, each as likely as the others.
    values = []
    for order in permutations(range(len(scores))):
        if all(scores[a] >= scores[b] for a, b in pairwise(order)):
            hits = np.array(positive)[list(order)]
            values.append((np.cumsum(hits) / np.arange(1, len(hits) + 1))[hits == 1].mean())
    assert expected_average_precision(rank_positives(scores, positive)) == pytest.approx(np.mean(values), abs=1e-12)


def test_expected_average_precision_keeps_its_digits_far_down_a_long_list():
    # One tied pair of a positive and a negative below 2,000,000 negatives: (1/(N+1) + 1/(N+2)) / 2.
    n = 2_000_000
    scores = np.concatenate([np.linspace(1, 2, n), [0.5, 0.5]])
    positive = np.zeros(n + 2, dtype=bool)
    positive[-1] = True
    expected = (1 / (n + 1) + 1 / (n + 2)) / 2
    assert expected_average_precision(rank_positives(scores, positive)) == pytest.approx(expected, rel=1e-12)


def test_without_ties_the_expectation_is_the_average_precision():
    rng = np.random.default_rng(0)
    ranking = rank_positives(rng.permutation(5_000), rng.random(5_000) < 0.1)
    assert expected_average_precision(ranking) == pytest.approx(average_precision(ranking), rel=1e-12)


@pytest.mark.parametrize(
    ("scores", "positive", "expected", "why"),
    [
        ([0.9, 0.8, 0.7, 0, 0, 0], [1, 0, 1, 1, 0, 0], 7 / 36, "the docstring's case: stops at recall 2/3"),
        ([4, 3, 2, 1], [1, 1, 0, 0], 0.5, "perfect: 1 - prevalence"),
        ([1, 1, 0, 0], [1, 1, 0, 0], 0.5, "perfect and binary"),
        ([0, 0, 0, 0], [1, 1, 0, 0], 0.0, "nothing predicted"),
        ([7, 7, 7, 7], [1, 0, 0, 0], 0.0, "everything predicted alike: on the prevalence line"),
        # (0, 0) to (1/2, 1/3) to (1, 1/2): 1/12 + 5/24 = 7/24, less 1/2.
        ([4, 3, 2, 1], [0, 0, 1, 1], 7 / 24 - 1 / 2, "inverted: below the line, negative"),
        # Two of four tied on top with one positive, then a positive: flat 1/2 to recall 1/2, then 1/2 to 2/3.
        ([2, 2, 1, 0], [1, 0, 1, 0], 1 / 4 + 7 / 24 - 1 / 2, "ties on top start flat"),
        ([1, 0, 0, 0], [0, 1, 1, 0], 0.0, "only a wrong prediction: no recall, no area"),
    ],
)
def test_paper_auprc_by_hand(scores, positive, expected, why):
    assert paper_auprc(rank_positives(scores, positive)) == pytest.approx(expected, abs=1e-15), why


def test_paper_auprc_is_the_area_above_the_prevalence_line_of_the_cut_curve():
    rng = np.random.default_rng(3)
    scores = rng.random(400) * (rng.random(400) < 0.6)
    positive = rng.random(400) < 0.1 + 0.2 * (scores > 0.5)
    precision, recall, thresholds = sklearn_curve(positive, scores)
    predicted = thresholds > 0
    # scikit-learn lists cut-offs from low to high; no tie is on top, so where the curve starts has no area.
    area = auc(recall[:-1][predicted], precision[:-1][predicted]) + recall[:-1][-1] * precision[:-1][-1]
    expected = area - positive.mean() * recall[:-1][predicted][0]
    assert paper_auprc(rank_positives(scores, positive)) == pytest.approx(expected, abs=1e-12)


@given(tied_rankings())
def test_curve_is_the_one_scikit_learn_draws(case):
    scores, positive = case
    ranking = rank_positives(scores, positive)
    curve = precision_recall_curve(ranking)
    precision, recall, _ = sklearn_curve(positive, scores)
    assert np.trapezoid(curve.precision, curve.recall) == pytest.approx(trapezoid_auprc(ranking), abs=1e-12)
    points = {(round(float(r), 9), round(float(p), 9)) for r, p in zip(recall, precision, strict=True)}
    assert {(round(float(r), 9), round(float(p), 9)) for r, p in zip(*curve, strict=True)} <= points
    assert (np.diff(curve.recall) >= 0).all()


def test_a_constant_score_is_random():
    ranking = rank_positives(np.ones(100), np.arange(100) < 10)
    assert average_precision(ranking) == pytest.approx(0.1)
    assert auroc(ranking) == 0.5
    assert trapezoid_auprc(ranking) == pytest.approx(0.55)


def test_infinite_scores_rank_first_and_last():
    assert auroc(rank_positives([np.inf, 3, -np.inf], [1, 0, 0])) == 1.0
    assert auroc(rank_positives([np.inf, 3, -np.inf], [0, 0, 1])) == 0.0


@pytest.mark.parametrize(
    ("scores", "positive", "message"),
    [
        ([1.0, np.nan, np.nan], [1, 0, 0], "2 of 3 scores are NaN"),
        ([1.0, 2.0], [0, 0], "0 of 2 pairs are positive"),
        ([1.0, 2.0], [1, 1], "2 of 2 pairs are positive"),
        ([], [], "0 of 0 pairs are positive"),
        ([[1.0, 2.0]], [[1, 0]], "must be one-dimensional"),
        ([1.0, 2.0], [1, 0, 0], "equally long"),
    ],
)
def test_what_cannot_be_ranked_is_refused(scores, positive, message):
    with pytest.raises(ValueError, match=message):
        rank_positives(scores, positive)

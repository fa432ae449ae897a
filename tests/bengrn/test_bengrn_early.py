"""Both EPRs and the odds ratio's interval, by hand: plain, tied, perfect, empty."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats.contingency import odds_ratio

from bengrn.metrics import (
    early_precision_ratio,
    log_odds_ratio,
    odds_ratio_at_k,
    rank_positives,
    true_positives_at_k,
)


def test_both_ratios_by_hand():
    # K = 3 of 10 pairs; the top three hold two positives: TP 2, FP 1, FN 1, TN 6.
    ranking = rank_positives([9, 8, 7, 6, 5, 4, 3, 2, 1, 0], [1, 0, 1, 0, 0, 1, 0, 0, 0, 0])
    assert true_positives_at_k(ranking) == 2
    assert early_precision_ratio(ranking) == pytest.approx((2 / 3) / 0.3)
    assert odds_ratio_at_k(ranking) == pytest.approx(2 * 6 / (1 * 1))


def test_ties_across_the_cut_count_by_expectation():
    # K = 2: one pair above the cut (no positive), then four tied pairs with two positives share one place: TP
    # 1/2.
    ranking = rank_positives([5, 3, 3, 3, 3, 1], [0, 1, 1, 0, 0, 0])
    assert true_positives_at_k(ranking) == pytest.approx(0.5)
    assert early_precision_ratio(ranking) == pytest.approx((0.5 / 2) / (2 / 6))
    assert odds_ratio_at_k(ranking) == pytest.approx(0.5 * 2.5 / (1.5 * 1.5))


def test_a_cut_inside_a_block_of_negatives():
    ranking = rank_positives([5, 3, 3, 3, 1, 1], [1, 0, 0, 0, 1, 0])
    assert [true_positives_at_k(ranking, k) for k in range(1, 7)] == [1, 1, 1, 1, 1.5, 2]


def test_perfect_is_finite_by_the_half_added_to_each_cell():
    # TP 2, TN 6, FP 0, FN 0: (2.5 · 6.5) / (0.5 · 0.5).
    ranking = rank_positives([1, 1, 0, 0, 0, 0, 0, 0], [1, 1, 0, 0, 0, 0, 0, 0])
    assert early_precision_ratio(ranking) == pytest.approx(4.0)
    assert odds_ratio_at_k(ranking) == pytest.approx(2.5 * 6.5 / 0.25)


def test_an_empty_or_constant_network_is_random():
    for scores in (np.zeros(40), np.ones(40)):
        ranking = rank_positives(scores, np.arange(40) < 4)
        assert early_precision_ratio(ranking) == pytest.approx(1.0)
        assert odds_ratio_at_k(ranking) == pytest.approx(1.0)


def test_all_wrong_on_top_is_zero():
    ranking = rank_positives([4, 3, 2, 1], [0, 0, 0, 1])
    assert early_precision_ratio(ranking) == 0
    assert odds_ratio_at_k(ranking) == 0


@pytest.mark.parametrize("k", [0, 5])
def test_k_out_of_range(k):
    with pytest.raises(ValueError, match=f"k = {k} is not between 1 and the 4 ranked pairs"):
        true_positives_at_k(rank_positives([4, 3, 2, 1], [0, 0, 0, 1]), k)


def test_odds_ratio_at_another_k():
    # The best five of ten hold two of the three positives: TP 2, FP 3, FN 1, TN 4.
    ranking = rank_positives([9, 8, 7, 6, 5, 4, 3, 2, 1, 0], [1, 0, 1, 0, 0, 0, 1, 0, 0, 0])
    assert odds_ratio_at_k(ranking, 5) == pytest.approx(2 * 4 / (3 * 1))
    # The best eight hold all: FN 0, so 0.5 is added. TP 3, FP 5, TN 2.
    assert odds_ratio_at_k(ranking, 8) == pytest.approx(3.5 * 2.5 / (5.5 * 0.5))


def test_log_odds_ratio_and_woolfs_interval_by_hand():
    ranking = rank_positives([9, 8, 7, 6, 5, 4, 3, 2, 1, 0], [1, 0, 1, 0, 0, 1, 0, 0, 0, 0])
    result = log_odds_ratio(ranking)
    centre = np.log(2.5 * 6.5 / (1.5 * 1.5))
    error = np.sqrt(1 / 2.5 + 1 / 1.5 + 1 / 1.5 + 1 / 6.5)
    assert result.log_odds_ratio == pytest.approx(centre)
    assert result.standard_error == pytest.approx(error)
    assert (result.low, result.high) == pytest.approx((centre - 1.959964 * error, centre + 1.959964 * error), abs=1e-6)
    wide = log_odds_ratio(ranking, confidence=0.99)
    assert wide.high - wide.low == pytest.approx(2 * 2.575829 * error, abs=1e-6)


def test_odds_ratios_are_scipys_for_the_same_table():
    # scipy takes whole numbers: twice the cells plus 1 is twice the cells with 0.5 added.
    rng = np.random.default_rng(2)
    positive = rng.random(400) < 0.1
    ranking = rank_positives(rng.random(400) + 0.3 * positive, positive)
    tp = true_positives_at_k(ranking, 50)
    table = np.array([[tp, 50 - tp], [positive.sum() - tp, 400 - 50 - positive.sum() + tp]])
    expected = odds_ratio((2 * table + 1).astype(int), kind="sample").statistic
    assert log_odds_ratio(ranking, 50).log_odds_ratio == pytest.approx(np.log(expected))
    assert odds_ratio_at_k(ranking, 50) == pytest.approx(odds_ratio(table.astype(int), kind="sample").statistic)


def test_log_odds_ratio_is_finite_for_perfect_and_empty_tops():
    for scores in ([2, 2, 1, 1, 1], [1, 1, 2, 2, 1]):
        result = log_odds_ratio(rank_positives(scores, [1, 1, 0, 0, 0]))
        assert np.isfinite(result).all()
        assert result.low < result.log_odds_ratio < result.high


def test_the_interval_covers_as_often_as_it_says():
    # 1,000 random rankings: the true log odds ratio is 0.
    rng = np.random.default_rng(0)
    positive = np.arange(400) < 60
    inside = 0
    for _ in range(1_000):
        result = log_odds_ratio(rank_positives(rng.random(400), positive))
        inside += result.low <= 0 <= result.high
    assert 925 <= inside <= 985


@pytest.mark.parametrize("confidence", [0, 1, 95])
def test_confidence_out_of_range(confidence):
    with pytest.raises(ValueError, match=f"confidence = {confidence} is not between 0 and 1"):
        log_odds_ratio(rank_positives([4, 3, 2, 1], [0, 0, 0, 1]), confidence=confidence)

"""Both EPRs, by hand: plain, tied, perfect, empty."""

from __future__ import annotations

import numpy as np
import pytest

from bengrn.metrics import early_precision_ratio, odds_ratio_at_k, rank_positives, true_positives_at_k


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

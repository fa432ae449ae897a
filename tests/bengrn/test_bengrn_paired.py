"""Two networks on one truth: against replicates written out, under the null, and by hand."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import scipy.sparse as sp
from scipy.stats import norm, rankdata, t, wilcoxon
from sklearn.metrics import average_precision_score, roc_auc_score

from bengrn.uncertainty import compare_paired, compare_regulators, holm
from bengrn.uncertainty.bootstrap import draw_regulators


def two_networks(rng, better=0.0, n_regulators=30, n_targets=50):
    """Both see the same regulators well or badly; `a` sees true edges better by `better`."""
    truth = rng.random((n_regulators, n_targets)) < 0.15
    shared = rng.normal(size=truth.shape) + truth * rng.normal(1.0, 1.0, (n_regulators, 1))
    a, b = (shared + 0.5 * rng.normal(size=truth.shape) for _ in range(2))
    return a + better * truth, b, truth


def test_difference_and_interval_are_those_of_written_out_replicates():
    a, b, truth = two_networks(np.random.default_rng(0), better=0.1)
    result = compare_paired(a, b, np.nonzero(truth), n_replicates=80, level=0.9, rng=3, metric="auroc")
    differences = []
    for weights in draw_regulators(len(a), 80, 3):
        drawn = np.repeat(np.arange(len(a)), weights)
        labels = truth[drawn].ravel()
        differences.append(roc_auc_score(labels, a[drawn].ravel()) - roc_auc_score(labels, b[drawn].ravel()))
    assert result.a == pytest.approx(roc_auc_score(truth.ravel(), a.ravel()))
    assert result.difference == pytest.approx(result.a - roc_auc_score(truth.ravel(), b.ravel()))
    assert result.n_regulators == int(truth.any(axis=1).sum())
    # Student's t and the normal distribution, of as many regulators.
    tail = norm.cdf(t.ppf(0.05, result.n_regulators - 1) * np.sqrt(result.n_regulators / (result.n_regulators - 1)))
    assert tail < 0.05
    assert (result.low, result.high) == pytest.approx(tuple(np.quantile(differences, [tail, 1 - tail])))


@pytest.mark.parametrize("form", ["dense", "sparse", "one of each", "whole numbers"])
def test_p_value_is_that_of_rows_exchanged_in_all_ways(form):
    rng = np.random.default_rng(9)
    a, b, truth = two_networks(rng, better=0.3, n_regulators=7)
    a[a < 0.3], b[b < -0.5] = 0, 0  # ties, and negative weights in b alone
    if form == "whole numbers":
        a, b = (3 * a).astype(np.int8), (np.abs(5 * b)).astype(np.uint16)
    own = np.arange(7) * 2
    truth[np.arange(7), own] = False
    kept = np.ones(truth.shape, dtype=bool)
    kept[np.arange(7), own] = False
    places = []
    for one in (a, b):
        place = np.zeros(one.shape)
        for sign in (1, -1):
            sizes = sign * one.astype(float)
            here = kept & (sizes > 0)
            # The best of each network is first on the common scale; average places where tied.
            place[here] = sign * (1e4 - rankdata(-sizes[here]))
        places.append(place)
    differences = []
    for exchanged in itertools.product([False, True], repeat=7):
        mask = np.array(exchanged)[:, None]
        mixed = np.where(mask, places[1], places[0]), np.where(mask, places[0], places[1])
        differences.append(np.subtract(*(average_precision_score(truth[kept], one[kept]) for one in mixed)))
    expected = np.mean(np.abs(differences) >= abs(differences[0]) - 1e-9)
    given = {
        "dense": (a, b),
        "sparse": (sp.csr_array(a), sp.csr_array(b)),
        "one of each": (sp.csr_array(a), b),
        "whole numbers": (a, b),
    }[form]
    result = compare_paired(*given, np.nonzero(truth), self_columns=own, n_replicates=100)
    assert result.difference == pytest.approx(differences[0])
    assert result.p_value == pytest.approx(expected)
    assert result.smallest_p == pytest.approx(2 / 2**7)


def test_scales_of_the_networks_do_not_matter_to_the_test():
    a, b, truth = two_networks(np.random.default_rng(10), better=0.2)
    first = compare_paired(a, b, np.nonzero(truth), n_replicates=50)
    again = compare_paired(np.sign(a) * a**2, b / 1000, np.nonzero(truth), n_replicates=50)
    assert first.p_value == again.p_value
    assert first.smallest_p == pytest.approx(1 / 51)


def test_a_network_does_not_differ_from_itself_on_another_scale():
    a, _, truth = two_networks(np.random.default_rng(1))
    result = compare_paired(a, sp.csr_array(3 * a), np.flatnonzero(truth))
    assert (result.difference, result.low, result.high, result.p_value) == (0, 0, 0, 1)


def test_exchanging_the_networks_turns_the_sign():
    a, b, truth = two_networks(np.random.default_rng(2), better=0.2)
    one, two = (compare_paired(*pair, np.nonzero(truth), n_replicates=200) for pair in ((a, b), (b, a)))
    assert (two.difference, two.low, two.high) == pytest.approx((-one.difference, -one.high, -one.low))
    assert one.p_value == two.p_value


def test_a_clearly_better_network_is_found_although_separate_intervals_overlap():
    a, b, truth = two_networks(np.random.default_rng(3), better=0.5)
    result = compare_paired(a, b, np.nonzero(truth))
    assert result.low > 0
    # None of 1,000 exchanges gives as large a difference.
    assert result.p_value == pytest.approx(1 / 1001)


@pytest.mark.slow
@pytest.mark.parametrize("n_regulators", [8, 20])
def test_equally_good_networks_are_told_apart_no_more_often_than_stated(n_regulators):
    rng = np.random.default_rng(4)
    p_values = []
    for number in range(150):
        a, b, truth = two_networks(rng, n_regulators=n_regulators)
        b = np.exp(b) if number % 2 else b
        p_values.append(compare_paired(a, b, np.nonzero(truth), n_replicates=150, rng=rng).p_value)
    # 7.5 expected at 0.05 with standard deviation 2.7, 15 at 0.1 with 3.7; the bootstrap's own share was 0.1 and 0.075.
    assert 2 <= np.sum(np.array(p_values) <= 0.05) <= 14
    assert 6 <= np.sum(np.array(p_values) <= 0.1) <= 25
    assert 0.42 < np.mean(p_values) < 0.58


def test_a_better_network_is_found():
    rng = np.random.default_rng(12)
    found = {}
    for n_regulators in (8, 20):
        p_values = []
        for _ in range(40):
            a, b, truth = two_networks(rng, better=0.3, n_regulators=n_regulators)
            p_values.append(compare_paired(a, b, np.nonzero(truth), n_replicates=150, rng=rng).p_value)
        found[n_regulators] = np.mean(np.array(p_values) <= 0.05)
    # 0.46 and 0.89 of 200.
    assert found[8] > 0.2
    assert found[20] > 0.7


def test_few_regulators_get_no_p_value_and_lost_replicates_are_counted():
    rng = np.random.default_rng(5)
    a, b = rng.random((2, 6, 10))
    truth = np.zeros((6, 10), dtype=bool)
    truth[:2, :3] = True
    result = compare_paired(a, b, np.nonzero(truth), n_replicates=100, rng=1)
    assert result.n_regulators == 2
    assert np.isnan([result.low, result.high, result.p_value]).all()
    assert result.notes == ("only 2 regulators have a true edge: an interval takes 5",)
    assert result.n_dropped == (draw_regulators(6, 100, 1)[:, :2].sum(axis=1) == 0).sum() > 0


def test_regulator_by_regulator_by_hand():
    # Eight regulators, each with one true target of four: first in a, last in b.
    truth = np.tile([True, False, False, False], (8, 1))
    a, b = np.tile([4.0, 3, 2, 1], (8, 1)), np.tile([1.0, 2, 3, 4], (8, 1))
    result = compare_regulators(a, b, np.nonzero(truth))
    assert result.mean_difference == pytest.approx(1 - 1 / 4)
    assert (result.n_a_better, result.n_b_better, result.n_equal) == (8, 0, 0)
    # All eight on one side, either side: 2 / 2^8.
    assert result.p_value == pytest.approx(2 / 256)
    same = compare_regulators(a, a + 1, np.nonzero(truth))
    assert (same.n_equal, same.p_value, same.mean_difference) == (8, 1, 0)


def test_regulator_by_regulator_against_scikit_learn_and_scipy():
    a, b, truth = two_networks(np.random.default_rng(6), better=0.2)
    scored = truth.any(axis=1)
    difference = [
        average_precision_score(labels, one) - average_precision_score(labels, two)
        for labels, one, two in zip(truth[scored], a[scored], b[scored], strict=True)
    ]
    result = compare_regulators(a, b, np.nonzero(truth))
    assert result.mean_difference == pytest.approx(np.mean(difference))
    assert result.p_value == pytest.approx(wilcoxon(np.round(difference, 12)).pvalue)


def test_holm_by_hand():
    # Sorted .01 .02 .02 .04 times 4 3 2 1: .04 .06 .04 .04, then never falling.
    np.testing.assert_allclose(holm([0.02, 0.01, 0.04, 0.02]), [0.06, 0.04, 0.06, 0.06])
    np.testing.assert_allclose(holm([0.5, 0.9, 0.6]), [1, 1, 1])
    np.testing.assert_allclose(holm([0.03, np.nan, 0.01]), [0.03, np.nan, 0.02])
    assert holm([]).size == 0
    with pytest.raises(ValueError, match="1 of them are outside"):
        holm([0.1, 1.5])


def test_holm_controls_the_chance_of_any_false_finding():
    rng = np.random.default_rng(7)
    found = np.mean([(holm(rng.random(8)) <= 0.1).any() for _ in range(2000)])
    assert 0.07 < found < 0.12


def test_bad_requests_are_refused():
    a, b, truth = two_networks(np.random.default_rng(8))
    with pytest.raises(ValueError, match=r"\(30, 50\) and scores_b \(30, 49\)"):
        compare_paired(a, b[:, 1:], np.nonzero(truth))
    with pytest.raises(ValueError, match=r"\(30, 50\) and scores_b \(29, 50\)"):
        compare_regulators(a, b[1:], np.nonzero(truth))
    own = np.arange(30)
    with pytest.raises(ValueError, match="1 of 1 positives are self pairs, the first at row 3, column 3"):
        compare_paired(a, b, (np.array([3]), np.array([3])), self_columns=own)
    with pytest.raises(ValueError, match="'odds_ratio'"):
        compare_regulators(a, b, np.nonzero(truth), metric="odds_ratio")
    with pytest.raises(ValueError, match="none of 30 regulators"):
        compare_regulators(a, b, np.zeros(0, dtype=int))
    with pytest.raises(ValueError, match="n_replicates = 0"):
        compare_paired(a, b, np.nonzero(truth), n_replicates=0)

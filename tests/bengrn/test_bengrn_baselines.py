"""Baselines: by hand, by enumeration, and on truths that are all hubs or none."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
import scipy.sparse as sp

from bengrn.baselines import degree_only, network_degree, random_expectation, random_scores
from bengrn.metrics import auroc, average_precision, per_regulator, rank_matrix, rank_positives
from bengrn.uncertainty import METRICS

EDGES = np.array([0, 0, 0, 1, 2]), np.array([1, 2, 3, 2, 2])


@pytest.mark.parametrize(
    ("degrees", "leave_one_out", "expected"),
    [
        ("product", False, [[0, 3, 9, 3], [0, 1, 3, 1], [0, 1, 3, 1]]),
        ("product", True, [[0, 0, 4, 0], [0, 1, 0, 1], [0, 1, 0, 1]]),
        ("source", False, [[3, 3, 3, 3], [1, 1, 1, 1], [1, 1, 1, 1]]),
        ("source", True, [[3, 2, 2, 2], [1, 1, 0, 1], [1, 1, 0, 1]]),
        ("target", False, [[0, 1, 3, 1], [0, 1, 3, 1], [0, 1, 3, 1]]),
        ("target", True, [[0, 0, 2, 0], [0, 1, 2, 1], [0, 1, 2, 1]]),
    ],
)
def test_degree_only_by_hand(degrees, leave_one_out, expected):
    scores = degree_only(EDGES, (3, 4), degrees=degrees, leave_one_out=leave_one_out)
    assert scores.tolist() == expected
    flat = EDGES[0] * 4 + EDGES[1]
    np.testing.assert_array_equal(
        degree_only(flat[::-1], (3, 4), degrees=degrees, leave_one_out=leave_one_out), expected
    )


def test_leaving_a_true_edge_out_is_the_truth_without_it():
    truth = np.random.default_rng(0).random((8, 12)) < 0.3
    scores = degree_only(np.nonzero(truth), truth.shape, leave_one_out=True)
    for row, column in np.ndindex(*truth.shape):
        without = truth.copy()
        without[row, column] = False
        assert scores[row, column] == without.sum(axis=1)[row] * without.sum(axis=0)[column]


def test_other_regulators_popularity_says_nothing_where_targets_are_drawn_at_random():
    rng = np.random.default_rng(1)
    truth = rng.random((400, 60)) < 0.15
    edges = np.nonzero(truth)
    circular = per_regulator(degree_only(edges, truth.shape, degrees="target"), edges)["auroc"].mean()
    fair = per_regulator(degree_only(edges, truth.shape, degrees="target", leave_one_out=True), edges)["auroc"].mean()
    assert fair == pytest.approx(0.5, abs=0.02)
    assert circular > fair + 0.02

    popular = rng.random((400, 60)) < np.linspace(0.01, 0.4, 60)
    edges = np.nonzero(popular)
    known = per_regulator(degree_only(edges, popular.shape, degrees="target", leave_one_out=True), edges)
    assert known["auroc"].mean() > 0.65


def test_network_degree_by_hand_dense_sparse_and_with_negative_and_self_scores():
    scores = np.array([[np.nan, 3.0, 1.0, -5.0], [1.0, 7.0, 0.0, 0.0]])
    expected = np.array([[4.0, 12.0, 4.0, 0.0], [1.0, 3.0, 1.0, 0.0]]) / 12
    np.testing.assert_allclose(network_degree(scores, self_columns=[0, 1]), expected, rtol=1e-6)
    sparse = network_degree(sp.csr_array(scores), self_columns=[0, 1])
    np.testing.assert_allclose(sparse, expected, rtol=1e-6)
    np.testing.assert_allclose(
        network_degree(scores, self_columns=[0, 1], degrees="source"), [[1] * 4, [0.25] * 4], rtol=1e-6
    )
    np.testing.assert_allclose(
        network_degree(scores, self_columns=[0, 1], degrees="target"), [[1 / 3, 1, 1 / 3, 0]] * 2, rtol=1e-6
    )
    assert not network_degree(np.full((2, 3), -1.0)).any()


def test_network_degree_in_many_pieces_is_that_of_the_whole():
    scores = np.random.default_rng(0).random((1500, 900))
    expected = np.outer(scores.sum(axis=1), scores.sum(axis=0))
    found = network_degree(scores)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected / expected.max(), rtol=1e-6)


def test_hubs_explain_a_network_of_hubs_and_not_one_of_edges():
    rng = np.random.default_rng(2)
    out, into = rng.pareto(1.0, 80) + 0.2, rng.pareto(1.0, 120) + 0.2
    chance = np.outer(out, into)
    truth = rng.random(chance.shape) < np.minimum(800 * chance / chance.sum(), 0.9)
    hubs = chance * rng.lognormal(0, 0.3, chance.shape)
    by_hubs = average_precision(rank_matrix(network_degree(hubs), np.nonzero(truth)))
    assert by_hubs > 0.95 * average_precision(rank_matrix(hubs, np.nonzero(truth)))

    regular = np.zeros((80, 120), dtype=bool)
    for row in range(80):
        regular[row, (3 * row + np.arange(6)) % 120] = True
    knowing = regular + 0.5 * rng.random(regular.shape)
    assert auroc(rank_matrix(knowing, np.nonzero(regular))) == 1
    assert auroc(rank_matrix(network_degree(knowing), np.nonzero(regular))) == pytest.approx(0.5, abs=0.1)


@pytest.mark.parametrize(("n_pairs", "n_positives"), [(2, 1), (5, 4), (7, 3), (9, 4), (10, 1)])
def test_random_expectation_is_the_mean_over_all_orders(n_pairs, n_positives):
    scores = np.arange(n_pairs, 0, -1)
    rankings = []
    for chosen in combinations(range(n_pairs), n_positives):
        positive = np.zeros(n_pairs, dtype=bool)
        positive[list(chosen)] = True
        rankings.append(rank_positives(scores, positive))
    expected = random_expectation(n_pairs, n_positives)
    assert set(expected) <= set(METRICS)
    for name, value in expected.items():
        assert value == pytest.approx(np.mean([METRICS[name](ranking) for ranking in rankings]), rel=1e-12), name


def test_random_scores_get_about_the_expectation():
    scores = random_scores((300, 400), seed=0)
    assert scores.shape == (300, 400)
    np.testing.assert_array_equal(scores, random_scores((300, 400), seed=0))
    assert not np.array_equal(scores, random_scores((300, 400), seed=1))
    positives = np.random.default_rng(5).choice(scores.size, 6000, replace=False)
    ranking, expected = rank_matrix(scores, positives), random_expectation(scores.size, 6000)
    # Standard errors: about 1.6 % for the precision of the top 6,000, and 0.004 for AUROC.
    for name in ("ap", "auprc", "auroc", "prevalence"):
        assert METRICS[name](ranking) == pytest.approx(expected[name], rel=0.03), name
    assert METRICS["epr"](ranking) == pytest.approx(1, abs=0.2)


def test_expectation_of_a_whole_genome_is_quick_and_close_to_its_limits():
    expected = random_expectation(400_000_000, 200_000)
    assert expected["ap_ratio"] == pytest.approx(1, abs=1e-3)
    assert expected["odds_ratio"] == pytest.approx(1, abs=1e-3)
    assert expected["odds_ratio"] > 1


def test_bad_requests_are_refused():
    with pytest.raises(ValueError, match="'both'"):
        degree_only(EDGES, (3, 4), degrees="both")
    with pytest.raises(ValueError, match="outside the 2 x 4 pairs"):
        degree_only(EDGES, (2, 4))
    with pytest.raises(ValueError, match="1 scores in rows 0 to 1 are NaN"):
        network_degree([[0.0, np.nan], [1.0, 2.0]])
    with pytest.raises(ValueError, match="4 of 4 pairs are positive"):
        random_expectation(4, 4)

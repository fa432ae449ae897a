"""Rewiring and the degree-preserving test: by enumeration, by simulation, and on networks that know or don't."""

from __future__ import annotations

from collections import Counter
from itertools import combinations, product

import numpy as np
import pytest
import scipy.sparse as sp
from scipy.optimize import brentq
from scipy.stats import chisquare

from bengrn.baselines import degree_only
from bengrn.metrics import average_precision, rank_matrix
from bengrn.metrics.pairs import as_pairs
from bengrn.uncertainty import METRICS, degree_preserving_p, permutation, rewire


def hub_truth(seed, n_rows=60, n_columns=200, n_edges=900, squares=True):
    """Edges drawn by degree alone: their odds are products, so that all truths of equal degrees are equally likely."""
    rng = np.random.default_rng(seed)
    odds = np.multiply.outer(rng.pareto(1.0, n_rows) + 0.1, rng.pareto(1.5, n_columns) + 0.2)
    factor = np.exp(brentq(lambda log: (1 / (1 + 1 / (np.exp(log) * odds))).sum() - n_edges, -30, 30))
    self_columns = np.arange(n_rows) if squares else np.full(n_rows, -1)
    truth = rng.random(odds.shape) < 1 / (1 + 1 / (factor * odds))
    truth[np.arange(n_rows)[self_columns >= 0], self_columns[self_columns >= 0]] = False
    return truth, self_columns


@pytest.mark.parametrize("squares", [True, False])
def test_rewiring_keeps_degrees_and_makes_no_self_pair_or_double_edge(squares):
    truth, self_columns = hub_truth(0, squares=squares)
    rows, columns = np.nonzero(truth)
    before = rows.copy(), columns.copy()
    rng = np.random.default_rng(0)
    for n_rounds in (1, 2, 30):
        new_rows, new_columns = rewire(rows, columns, self_columns, truth.shape[1], n_rounds=n_rounds, rng=rng)
        again = np.zeros_like(truth)
        again[new_rows, new_columns] = True
        assert again.sum() == rows.size
        np.testing.assert_array_equal(again.sum(axis=0), truth.sum(axis=0))
        np.testing.assert_array_equal(again.sum(axis=1), truth.sum(axis=1))
        assert not (self_columns[new_rows] == new_columns).any()
    assert (again & truth).sum() < 0.6 * rows.size
    np.testing.assert_array_equal(before, (rows, columns))


def all_truths(out, into, self_columns):
    """Every 0/1 matrix with these row and column sums and no self pair, as a set of its edges."""
    options = [
        [set(chosen) for chosen in combinations([c for c in range(len(into)) if c != own], degree)]
        for degree, own in zip(out, self_columns, strict=True)
    ]
    return [
        frozenset((r, c) for r, row in enumerate(rows) for c in row)
        for rows in product(*options)
        if all(sum(column in row for row in rows) == degree for column, degree in enumerate(into))
    ]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("edges", "self_columns", "n_columns"),
    [
        ([(0, 1), (0, 2), (0, 4), (1, 0), (1, 2), (2, 3)], [0, 1, 2], 5),
        ([(0, 0), (0, 1), (1, 1), (1, 2), (2, 3), (3, 0), (3, 3)], [-1, 0, -1, 2], 4),
        ([(0, 1), (1, 2), (2, 3), (3, 0), (0, 2)], [0, 1, 2, 3], 4),
    ],
)
def test_every_truth_with_these_degrees_is_equally_likely(edges, self_columns, n_columns):
    rows, columns = (np.array(part) for part in zip(*edges, strict=True))
    own = np.array(self_columns)
    out = np.bincount(rows, minlength=own.size)
    possible = all_truths(out, np.bincount(columns, minlength=n_columns), self_columns)
    assert frozenset(edges) in possible
    assert len(possible) >= 5
    rng = np.random.default_rng(0)
    seen: Counter = Counter()
    here = rows, columns
    for _ in range(6000):
        here = rewire(*here, own, n_columns, n_rounds=6, rng=rng)
        seen[frozenset(zip(here[0].tolist(), here[1].tolist(), strict=True))] += 1
    assert set(seen) == set(possible)
    assert chisquare([seen[truth] for truth in possible]).pvalue > 1e-3


def test_hubs_are_rewired_as_fast_as_the_rest():
    # One regulator has half of 400 targets, 40 others three each: passing on three targets a round it would
    # keep its own for long.
    rng = np.random.default_rng(0)
    truth = np.zeros((41, 400), dtype=bool)
    truth[0, :200] = True
    for row in range(1, 41):
        truth[row, rng.choice(400, 3, replace=False)] = True
    rows, columns = np.nonzero(truth)
    rows, columns = rewire(rows, columns, np.full(41, -1), 400, n_rounds=20, rng=rng)
    # The hub's targets are among those which have an edge at all: about 200 + 200 (1 - exp(-0.3)).
    reachable = truth.any(axis=0).sum()
    expected = 200 * 200 / reachable
    assert (columns[rows == 0] < 200).sum() < expected + 15


@pytest.mark.parametrize(("sparse", "zeros"), [(False, 0.4), (True, 0.1), (True, 0.4), (True, 0.8)])
@pytest.mark.parametrize("decimals", [0, 1, 8])
def test_looked_up_ranks_are_those_of_rank_matrix(sparse, zeros, decimals):
    rng = np.random.default_rng(decimals)
    scores = np.round(rng.normal(size=(30, 80)), decimals)
    scores[rng.random(scores.shape) < zeros] = 0
    self_columns = np.where(np.arange(30) < 20, np.arange(30) + 3, -1)
    given = sp.csr_array(scores) if sparse else np.asfortranarray(scores)
    rank = permutation._ranker(as_pairs(given, self_columns), n_predicted=-1)
    for seed in range(5):
        truth = np.random.default_rng(seed).random(scores.shape) < 0.2
        truth[np.arange(20), self_columns[:20]] = False
        found, expected = rank(*np.nonzero(truth)), rank_matrix(scores, np.nonzero(truth), self_columns=self_columns)
        assert (found.n_pairs, found.n_positives) == (expected.n_pairs, expected.n_positives)
        for field in ("value", "n_above", "n_tied", "p_above", "p_tied"):
            np.testing.assert_array_equal(getattr(found, field), getattr(expected, field))


def test_popular_genes_alone_are_not_significant_and_knowing_edges_is():
    truth, self_columns = hub_truth(3)
    edges = np.nonzero(truth)
    popular = degree_only(edges, truth.shape).astype(np.float64)
    prevalence = truth.sum() / (truth.size - len(self_columns))
    result = degree_preserving_p(popular, edges, self_columns=self_columns, n_permutations=99)
    assert result.observed > 4 * prevalence
    assert 0.05 < result.p_value < 0.95
    assert abs(result.z) < 2

    noise = np.random.default_rng(0).random(truth.shape)
    knowing = degree_preserving_p(
        noise + 0.5 * truth, edges, self_columns=self_columns, n_permutations=99, metric="auroc"
    )
    assert knowing.p_value == 0.01
    assert knowing.z > 5
    assert knowing.observed == METRICS["auroc"](rank_matrix(noise + 0.5 * truth, edges, self_columns=self_columns))


def test_p_values_are_uniform_where_only_degrees_matter():
    # One round between permutations: they are much alike, and the p-value is right all the same. A walk that
    # only starts from the truth would put it at either end of the null in every third case instead of every
    # fifth.
    values = []
    for seed in range(300):
        truth, self_columns = hub_truth(seed, n_rows=30, n_columns=60, n_edges=200)
        scores = degree_only(np.nonzero(truth), truth.shape) * np.random.default_rng(seed).random(truth.shape)
        test = degree_preserving_p(
            scores, np.nonzero(truth), self_columns=self_columns, n_permutations=9, n_rounds=1, rng=seed
        )
        values.append(test.p_value)
    assert 0.5 < np.mean(values) < 0.6
    # Of ten equally likely values, the two outermost: 60 times, standard deviation 6.9.
    assert 40 <= np.isin(values, [0.1, 1.0]).sum() <= 78
    assert chisquare(np.bincount(np.rint(np.array(values) * 10).astype(int), minlength=11)[1:]).pvalue > 1e-3


def test_null_summary_and_seed():
    truth, self_columns = hub_truth(1)
    scores = np.random.default_rng(1).random(truth.shape)
    one, two = (
        degree_preserving_p(scores, np.flatnonzero(truth), self_columns=self_columns, n_permutations=20, rng=4)
        for _ in range(2)
    )
    np.testing.assert_array_equal(one.null, two.null)
    assert one.null_mean == pytest.approx(one.null.mean())
    assert one.z == pytest.approx((one.observed - one.null.mean()) / one.null.std(ddof=1))
    assert one.p_value == (1 + (one.null >= one.observed).sum()) / 21
    assert one.observed == average_precision(rank_matrix(scores, np.flatnonzero(truth), self_columns=self_columns))
    other = degree_preserving_p(scores, np.flatnonzero(truth), self_columns=self_columns, n_permutations=20, rng=5)
    assert not np.array_equal(one.null, other.null)


def test_a_single_regulator_leaves_nothing_to_rewire():
    scores = np.random.default_rng(0).random((1, 20))
    result = degree_preserving_p(scores, np.arange(6), n_permutations=9)
    assert result.kept == 1
    assert result.p_value == 1
    assert result.null_sd == 0
    assert np.isnan(result.z)


def test_bad_requests_are_refused():
    scores = np.random.default_rng(0).random((4, 20))
    with pytest.raises(ValueError, match="n_permutations = 0"):
        degree_preserving_p(scores, np.arange(6), n_permutations=0)
    with pytest.raises(ValueError, match="'f1'"):
        degree_preserving_p(scores, np.arange(6), metric="f1")
    with pytest.raises(ValueError, match="self pairs"):
        degree_preserving_p(scores, np.arange(6), self_columns=np.arange(4))

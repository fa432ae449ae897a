"""The arithmetic of the denoising benchmark, on cases worked out by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from benchmarks.denoising.knn_smoothing import knn_smoothing
from benchmarks.denoising.measures import log_likelihood, over_all_genes
from benchmarks.denoising.scores import halved, rows_of, scored_cells
from scipy import sparse, stats


def test_knn_smoothing_adds_up_the_cells_of_each_of_two_kinds():
    rng = np.random.default_rng(0)
    rates = np.repeat([[50.0] * 10 + [1.0] * 10, [1.0] * 10 + [50.0] * 10], 4, axis=0)
    counts = sparse.csr_matrix(rng.poisson(rates).astype(float))
    found = knn_smoothing(counts, 3, n_components=2).toarray()
    for kind in (slice(0, 4), slice(4, 8)):
        np.testing.assert_array_equal(found[kind], np.tile(counts[kind].toarray().sum(axis=0), (4, 1)))


def test_knn_smoothing_of_no_neighbour_more_than_one_adds_a_cell_to_itself():
    counts = sparse.csr_matrix(np.random.default_rng(1).poisson(5.0, (6, 30)).astype(float))
    added = knn_smoothing(counts, 1).toarray() - counts.toarray()
    for row in added:  # what was added is another cell
        assert (row == counts.toarray()).all(axis=1).sum() == 1


def test_likelihood_of_removed_counts_by_hand():
    mean = np.array([1.0, 1.0])
    found, _ = log_likelihood(np.array([[1.0, 1.0]]), np.array([[7.0, 7.0]]), np.array([2.0]), mean)
    assert found[0] == pytest.approx(-1.0)  # rates 1 and 1: log 1 - 1 - log 1! each, over two counts
    three, _ = log_likelihood(np.array([[3.0, 1.0]]), np.array([[3.0, 1.0]]), np.array([4.0]), np.array([3.0, 1.0]))
    assert three[0] == pytest.approx(stats.poisson.logpmf([3, 1], [3.0, 1.0]).sum() / 4)


def test_a_profile_that_makes_cells_impossible_is_mixed_with_the_mean_as_much_as_suits_it():
    removed, mean = np.array([[2.0, 2.0], [2.0, 2.0]]), np.array([1.0, 1.0])
    depth = np.array([4.0, 4.0])
    wrong, share = log_likelihood(removed, np.array([[1.0, 0.0], [0.0, 1.0]]), depth, mean)
    assert share == 1.0
    flat, _ = log_likelihood(removed, np.zeros((2, 2)), depth, mean)
    np.testing.assert_allclose(wrong, flat)
    skewed = np.array([[4.0, 0.0], [0.0, 4.0]])
    better, share = log_likelihood(skewed, np.array([[1.0, 0.0], [0.0, 1.0]]), depth, mean)
    assert share == 0.003
    assert (better > log_likelihood(skewed, np.zeros((2, 2)), depth, mean)[0]).all()


def test_correlation_over_all_genes_is_scipys_and_zero_for_a_flat_profile():
    rng = np.random.default_rng(0)
    truth, values = rng.poisson(1.0, (3, 40)), rng.random((3, 40))
    expected = [stats.spearmanr(t, v).statistic for t, v in zip(truth, values, strict=True)]
    np.testing.assert_allclose(over_all_genes(truth, values), expected)
    assert over_all_genes(truth, np.ones((3, 40))).tolist() == [0, 0, 0]


def test_half_of_the_counts_is_kept_and_the_matrix_is_not_changed():
    counts = sparse.csr_matrix(np.full((50, 50), 8.0, dtype=np.float32))
    kept = halved(counts, seed=0).toarray()
    assert ((kept >= 0) & (kept <= 8)).all()
    assert kept.mean() == pytest.approx(4.0, abs=4 * np.sqrt(2 / 2500))  # standard error of 2,500 draws of variance 2
    assert counts.sum() == 8 * 2500


def test_gains_are_of_the_same_cells():
    values = {"noised profile": np.array([0.1, 0.6, np.nan]), "other": np.array([0.3, 0.8, 0.9])}
    noised, other = rows_of(values, "spearman")
    assert "gain_spearman" not in noised
    assert other["n_cells"] == 2
    assert other["gain_spearman"] == pytest.approx(0.2)
    assert other["gain_spearman_high"] - other["gain_spearman_low"] < 1e-12  # both cells gain the same
    assert other["spearman_high"] - other["spearman_low"] > 0.1


def test_rare_cells_are_of_types_below_a_twentieth():
    types = pd.Series(["common"] * 97 + ["rare"] * 3)
    found = scored_cells(types, 10, seed=0)
    assert found["rare"].tolist() == [97, 98, 99]
    assert len(np.unique(found["whole"])) == 10
    assert set(scored_cells(types[:97], 10, seed=0)) == {"whole"}

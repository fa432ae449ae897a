"""GENIE3, GRNBoost2 and the shared forest against scikit-learn, the published GENIE3, and cases by hand."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from scipy.stats import spearmanr
from sklearn.ensemble import GradientBoostingRegressor
from sklearn.tree import DecisionTreeRegressor

import bengrn
from bengrn.methods.trees.bins import binned
from bengrn.methods.trees.genie3 import genie3, number_tried
from bengrn.methods.trees.grnboost2 import grnboost2
from bengrn.methods.trees.kernels import boost, grow_forest
from bengrn.methods.trees.order import own_order
from bengrn.methods.trees.shared_forest import shared_forest
from bengrn.methods.trees.shared_kernels import add_gains, grow_at_random

FIXTURES = Path(__file__).parents[3] / "shared" / "fixtures" / "genie3"
NONE_GIVEN = np.zeros((0, 0), dtype=np.int64)


@pytest.fixture
def values() -> np.ndarray:
    """Sparse counts of 12 genes in 200 cells; gene 0 follows genes 3 and 5."""
    rng = np.random.default_rng(0)
    counts = rng.poisson(rng.gamma(0.5, 2, (200, 12))).astype(float)
    counts[:, 0] = 3 * counts[:, 3] + (counts[:, 5] > 0) * 5 + rng.poisson(0.5, 200)
    return counts


def forest(bins, y, allowed, *, n_trees=1, n_tried=None, seed=1, given=NONE_GIVEN):
    importance = np.zeros(len(bins.values))
    tried = len(allowed) if n_tried is None else n_tried
    grow_forest(
        *(
            bins.values,
            bins.above,
            bins.is_sparse,
            y,
            np.array(allowed),
            n_trees,
            tried,
            np.uint64(seed),
            given,
            importance,
        )
    )
    return importance


def boosted(bins, y, allowed, *, n_trees=20, n_tried=None, n_in=None, across=False, seed=1):
    importance = np.zeros(len(bins.values))
    tried = len(allowed) if n_tried is None else n_tried
    inside = len(y) if n_in is None else n_in
    grown = boost(
        *(bins.values, bins.above, bins.is_sparse, y, np.array(allowed), 0.1, n_trees, tried, inside, 25, across),
        *(np.uint64(seed), importance),
    )
    return importance, grown


# ------------------------------------------------------------------------------------------------------------ bins


def test_bins_keep_the_order_of_values():
    values = np.array([[0.0, 5], [2, -1], [0, 7], [9, 7]])
    bins = binned(values)
    assert bins.values.tolist() == [[0, 1, 0, 2], [1, 0, 2, 2]]
    assert bins.above[:, 0].tolist() == [0b1010, 0b1101]
    assert bins.is_sparse.tolist() == [False, False]
    assert bins.inexact.size == 0


def test_more_values_than_bins_are_put_together_by_rank():
    values = np.random.default_rng(0).normal(size=(1_000, 1))
    bins = binned(values)
    assert bins.inexact.tolist() == [0]
    order = np.argsort(values[:, 0])
    assert (np.diff(bins.values[0][order].astype(int)) >= 0).all()
    sizes = np.bincount(bins.values[0])
    assert len(sizes) == 256
    assert sizes.min() >= 3
    assert sizes.max() <= 5
    # Places choose and order cells and genes.
    cells = np.random.default_rng(1).permutation(1_000)
    np.testing.assert_array_equal(binned(values, cells, np.array([0, 0])).values, bins.values[[0, 0]][:, cells])
    # A value that most cells share has a bin of its own.
    mixed = np.where(np.arange(1_000)[:, None] < 600, 0.0, values + 10)
    assert (binned(mixed).values[0, :600] == 0).all()
    assert (binned(mixed).values[0, 600:] > 0).all()


# --------------------------------------------------------------------------------------------------- trees by oracle


@pytest.mark.parametrize("n_cells", [40, 200, 900])
@pytest.mark.parametrize("zeros", [0.0, 0.9])
def test_one_tree_is_scikit_learn_s(n_cells, zeros):
    # Without a draw of genes or cells and without ties a tree is the same for everyone.
    rng = np.random.default_rng(n_cells)
    X = rng.integers(1, 200, (n_cells, 9)) * (rng.random((n_cells, 9)) >= zeros)
    y = X[:, 0] * 0.1 + np.sqrt(X[:, 1]) + rng.normal(size=n_cells)
    everyone = np.arange(n_cells)[None]
    found = forest(binned(X.astype(float)), y, range(9), given=everyone)
    tree = DecisionTreeRegressor(min_impurity_decrease=0).fit(X, y).tree_
    expected = tree.compute_feature_importances(normalize=False)
    # At nodes of few cells several genes part them alike, and who is tried first is chosen.
    assert found.sum() == pytest.approx(expected.sum(), rel=1e-9)
    np.testing.assert_allclose(found, expected, atol=0.02 * expected.sum())


def test_a_tree_by_hand():
    # y = 0, 0, 6, 6: the first gene parts them; the second only 3 from 1.
    X = np.array([[0.0, 0], [0, 0], [1, 0], [1, 1]])
    y = np.array([0.0, 0, 6, 6])
    assert forest(binned(X), y, [0, 1], given=np.arange(4)[None]).tolist() == pytest.approx([9, 0])
    # By the second alone: means 2 and 6 instead of 3, 3 * 1 + 1 * 9 off 36, over 4 cells.
    assert forest(binned(X), y, [1], given=np.arange(4)[None]).tolist() == pytest.approx([0, 3])
    # A sample with repeats: cells 0, 0, 3, 3 have a variance of 9.
    assert forest(binned(X), y, [1], given=np.array([[0, 0, 3, 3]])).tolist() == pytest.approx([0, 9])


def test_boosting_without_chance_is_scikit_learn_s():
    rng = np.random.default_rng(0)
    X = rng.integers(0, 200, (600, 6)).astype(float)  # so that no two genes part the cells alike
    y = X[:, 0] + 0.5 * np.abs(X[:, 1] - 100) + 20 * (X[:, 2] > 50) + rng.normal(scale=5, size=600)
    found, grown = boosted(binned(X), y, range(6))
    model = GradientBoostingRegressor(learning_rate=0.1, n_estimators=20, max_depth=3)
    assert grown == 20
    np.testing.assert_allclose(found / found.sum(), model.fit(X, y).feature_importances_, atol=1e-6)


def test_boosting_stops_as_scikit_learn_with_that_monitor(values):
    # The number of trees is random: compare its mean over seeds and targets without signal.
    rng = np.random.default_rng(0)
    X = values[:, 1:]
    bins = binned(X)
    ys = rng.normal(size=(40, len(X)))

    def stop(i, model, _):
        return i >= 24 and model.oob_improvement_[i - 24 : i + 1].mean() < 0

    theirs = [
        len(
            GradientBoostingRegressor(
                learning_rate=0.1, n_estimators=500, max_features=3, subsample=0.9, random_state=i
            )
            .fit(X, y, monitor=stop)
            .estimators_
        )
        for i, y in enumerate(ys)
    ]
    ours = [
        boosted(bins, y, range(11), n_trees=500, n_tried=3, n_in=180, across=True, seed=i)[1] for i, y in enumerate(ys)
    ]
    assert min(ours) >= 25
    error = np.hypot(np.std(theirs), np.std(ours)) / np.sqrt(40)
    assert abs(np.mean(theirs) - np.mean(ours)) < 4 * error + 0.5


@pytest.mark.parametrize("seed", [0, 1])
def test_column_sums_are_those_of_the_published_tool(seed):
    # Trees that are grown to the end take away all variance of their sample: with its samples, its sums.
    if not FIXTURES.is_dir():
        pytest.skip("the published networks lie in ../shared")
    given = np.load(FIXTURES / "genie3_input.npz")
    counts, allowed = given["counts"], np.flatnonzero(given["isTF"])
    expected = np.load(FIXTURES / "genie3_upstream_tf.npz")[f"seed{seed}"].sum(axis=0)
    rng = np.random.RandomState(seed)
    bins = binned(counts)
    for target in range(3):
        drawn = [np.random.RandomState(rng.randint(2**31 - 1)) for _ in range(100)]
        samples = np.array([one.randint(0, len(counts), len(counts), dtype=np.int32) for one in drawn], dtype=np.int64)
        y = counts[:, target] / counts[:, target].std()
        found = forest(bins, y, allowed[allowed != target], n_trees=100, n_tried=6, given=samples)
        assert found.sum() == pytest.approx(expected[target], abs=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["tf", "all"])
def test_importances_agree_with_the_published_as_its_own_seeds_do(kind):
    if not FIXTURES.is_dir():
        pytest.skip("the published networks lie in ../shared")
    given = np.load(FIXTURES / "genie3_input.npz")
    rows = np.flatnonzero(given["isTF"]) if kind == "tf" else np.arange(500)
    theirs = np.load(FIXTURES / f"genie3_upstream_{kind}.npz")
    other = ~np.eye(500, dtype=bool)[rows]

    def agreement(a, b):
        return spearmanr(a[other], b[other]).statistic

    floor = agreement(theirs["seed0"][rows], theirs["seed1"][rows])
    ours = genie3(given["counts"], rows if kind == "tf" else None, np.random.default_rng(0), n_trees=100)
    for seed in (0, 1):
        assert agreement(ours, theirs[f"seed{seed}"][rows]) > floor - 0.005


# ------------------------------------------------------------------------------------------------------- as methods


@pytest.mark.parametrize("method", [genie3, grnboost2, shared_forest])
def test_regulators_of_a_simulated_target_come_first(values, method):
    options = {"n_trees": 100} if method is genie3 else {}
    found = method(values, None, np.random.default_rng(0), **options)
    assert set(np.argsort(-found[:, 0])[:2]) == {3, 5}
    assert (np.diag(found) == 0).all()
    assert (found >= 0).all()


@pytest.mark.parametrize("method", [genie3, grnboost2, shared_forest])
def test_a_network_follows_from_values_seed_and_nothing_else(values, method):
    options = {"n_trees": 30}
    whole = method(values, None, np.random.default_rng(0), threads=1, **options)
    np.testing.assert_array_equal(method(values, None, np.random.default_rng(0), threads=2, **options), whole)
    assert (method(values, None, np.random.default_rng(1), **options) != whole).any()
    cells, genes = np.random.default_rng(2).permutation(200), np.random.default_rng(3).permutation(12)
    shuffled = method(values[np.ix_(cells, genes)], None, np.random.default_rng(0), **options)
    np.testing.assert_allclose(shuffled, whole[np.ix_(genes, genes)], atol=1e-6)
    rows = np.array([1, 3, 5, 8])
    some = method(values, rows, np.random.default_rng(0), **options)
    assert some.shape == (4, 12)
    at = np.argsort(genes)[rows]
    turned = method(values[np.ix_(cells, genes)], np.sort(at), np.random.default_rng(0), **options)
    np.testing.assert_allclose(turned, some[np.argsort(at)][:, genes], atol=1e-6)


def test_genes_that_do_not_vary_take_no_part(values):
    values[:, 7] = 4.0
    for method in (genie3, grnboost2, shared_forest):
        found = method(values, None, np.random.default_rng(0), n_trees=20)
        assert (found[7] == 0).all()
        assert (found[:, 7] == 0).all()
        assert np.isfinite(found).all()


@pytest.mark.parametrize("method", [genie3, shared_forest])
def test_values_that_are_taken_together_are_told(method, caplog):
    values = np.random.default_rng(0).normal(size=(300, 3))
    values[:, 2] = np.rint(values[:, 2])
    method(values, None, np.random.default_rng(0), n_trees=2)
    assert "2 genes have more than 256 distinct values: those nearest in rank are taken together" in caplog.text


def test_few_cells(values):
    for method in (genie3, grnboost2, shared_forest):
        for n in (2, 3, 5):
            assert np.isfinite(method(values[:n], None, np.random.default_rng(0), n_trees=10)).all()


def test_sums_of_targets(values):
    rng = np.random.default_rng
    shares = genie3(values, None, rng(0), n_trees=10, sums="share")
    np.testing.assert_allclose(shares.sum(axis=0), 1, rtol=1e-6)
    published = genie3(values, None, rng(0), n_trees=10)
    np.testing.assert_allclose(published / published.sum(axis=0), shares, rtol=1e-5)
    # GRNBoost2's sum to the number of trees.
    number = grnboost2(values, None, rng(0)).sum(axis=0)
    np.testing.assert_allclose(number, np.rint(number), atol=1e-4)
    assert number.min() >= 25
    # Compared on the same cells growth goes on where there is something to learn.
    paired = grnboost2(values, None, rng(0), improvement="paired").sum(axis=0)
    assert paired[0] > 2 * number[0]


def test_gains_of_a_shared_forest_by_hand():
    # One gene with values 0, 0, 1, 1: every tree splits there once, and y = 0, 0, 6, 6 loses all of its 36.
    order, nodes, n_nodes = grow_at_random(binned(np.array([[0.0], [0], [1], [1]])).values, 3, 1, np.uint64(0))
    assert n_nodes.tolist() == [1, 1, 1]
    gains = np.zeros((1, 2))
    y = np.array([[0.0, 1], [0, -1], [6, 1], [6, -1]])
    add_gains(y - y.mean(axis=0), order, nodes, n_nodes, gains)
    np.testing.assert_allclose(gains, [[3 * 36, 0]], atol=1e-12)


def test_gains_of_a_shared_forest_are_those_of_its_splits(values):
    order, nodes, n_nodes = grow_at_random(binned(values).values, 5, 3, np.uint64(1))
    y = values - values.mean(axis=0)
    expected = np.zeros((12, 12))
    for tree in range(5):
        for start, middle, end, gene in nodes[tree, : n_nodes[tree]]:
            lower, upper = y[order[tree, start:middle]], y[order[tree, middle:end]]
            assert min(len(lower), len(upper)) >= 3
            assert values[order[tree, start:middle], gene].max() < values[order[tree, middle:end], gene].min()
            both = np.vstack([lower, upper])
            expected[gene] += sum(
                ((one - one.mean(axis=0)) ** 2).sum(axis=0) * sign
                for one, sign in [(both, 1), (lower, -1), (upper, -1)]
            )
    gains = np.zeros((12, 12))
    add_gains(y, order, nodes, n_nodes, gains)
    np.testing.assert_allclose(gains, expected, rtol=1e-9, atol=1e-9)


def test_an_order_of_its_own(values):
    cells, genes, numbers = own_order(values)
    shuffled = np.random.default_rng(0).permutation(200)
    turned = np.random.default_rng(1).permutation(12)
    again = values[np.ix_(shuffled, turned)]
    other_cells, other_genes, other_numbers = own_order(again)
    np.testing.assert_array_equal(again[np.ix_(other_cells, other_genes)], values[np.ix_(cells, genes)])
    np.testing.assert_array_equal(other_numbers, numbers[turned])


@pytest.mark.parametrize(
    ("method", "options", "message"),
    [
        (genie3, {"n_trees": 0}, "at least 1, got 0"),
        (genie3, {"sums": "one"}, "sums is 'published' or 'share'"),
        (genie3, {"n_tried": "log"}, "'sqrt' or 'all', not 'log'"),
        (genie3, {"n_tried": 0}, "at least 1, got 0"),
        (genie3, {"threads": 0}, "threads is the number of threads, at least 1, got 0"),
        (grnboost2, {"features": 0.0}, "features is a share, above 0 and at most 1, got 0"),
        (grnboost2, {"n_trees": 0}, "at least 1, got 0"),
        (grnboost2, {"improvement": "other"}, "'across' or 'paired'"),
        (shared_forest, {"least_cells": 0}, "least_cells is at least 1, got 0"),
    ],
)
def test_bad_settings(values, method, options, message):
    with pytest.raises(ValueError, match=message):
        method(values, None, np.random.default_rng(0), **options)


def test_one_regulator_cannot_predict_itself(values):
    for method in (genie3, grnboost2):
        with pytest.raises(ValueError, match="1 regulator: a target needs at least one that is not itself"):
            method(values, np.array([3]), np.random.default_rng(0))
    assert [number_tried(n, 100) for n in ("sqrt", "all", 7, 200)] == [10, 100, 7, 100]


def test_through_the_frame(values):
    cells = AnnData(values, var=pd.DataFrame(index=[f"g{i}" for i in range(12)]))
    network = bengrn.infer(cells, "grnboost2", regulators=["g3", "g5", "g7"])
    assert set(network.regulators) <= {"g3", "g5", "g7"}
    assert network.uns["grn"]["parameters"]["learning_rate"] == 0.01
    assert network.uns["grn"]["parameters"]["transform"] == "values as given"
    best = network.edges()
    assert set(best[best["target"] == "g0"].head(2)["source"]) == {"g3", "g5"}


def test_without_the_compiler(values, monkeypatch):
    monkeypatch.setitem(sys.modules, "numba", None)
    for method in (genie3, grnboost2, shared_forest):
        with pytest.raises(ImportError, match=r"pip install bengrn\[trees\]"):
            method(values, None, np.random.default_rng(0))

"""CAMERA: against its formula, regression with correlated errors, and simulations with known correlation."""

import anndata
import numpy as np
import pandas as pd
import pytest
from scipy import sparse, special, stats

import grnndata
from grnndata.tools import camera, prerank
from grnndata.tools.camera import camera_test, normal_scores

COLUMNS = ["term", "difference", "correlation", "t", "p_value", "q_value", "n_genes"]


def make(matrix, **options):
    return grnndata.from_matrix(matrix, [f"g{i}" for i in range(matrix.shape[0])], **options)


def test_the_statistic_by_hand():
    scores = np.array([3.0, 5.0, 1.0, 2.0, 0.0, 1.0])
    # Set of the first two: means 4 and 1, sums of squares 2 and 2, pooled variance 4 / 4 = 1. With r = 0.5 the
    # variance of the difference is 1 × (1.5 / 2 + 1 / 4) = 1.
    difference, t, p_value = camera_test(scores, np.array([0, 1]), 0.5)
    assert (difference, t) == (3, 3)
    assert p_value == pytest.approx(2 * stats.t.sf(3, 4))
    assert camera_test(scores, np.array([0, 1]), 0.5, df=2)[2] == pytest.approx(2 * stats.t.sf(3, 2))
    # Without correlation this is Student's t-test.
    student = stats.ttest_ind(scores[:2], scores[2:])
    np.testing.assert_allclose(camera_test(scores, np.array([0, 1]), 0.0)[1:], (student.statistic, student.pvalue))


def test_the_variance_is_that_of_the_mean_of_correlated_values():
    rng = np.random.default_rng(0)
    m, n, r = 12, 200, 0.3
    inside = np.sqrt(r) * rng.normal(size=(2000, 1)) + np.sqrt(1 - r) * rng.normal(size=(2000, m))
    scores = np.hstack([inside, rng.normal(size=(2000, n - m))])
    found = np.array([camera_test(row, np.arange(m), r)[1:] for row in scores])
    assert found[:, 0].std() == pytest.approx(1, abs=0.05)
    for level in (0.05, 0.2, 0.5):
        share = (found[:, 1] <= level).mean()
        assert share == pytest.approx(level, abs=3.5 * np.sqrt(level * (1 - level) / 2000))
    naive = np.array([camera_test(row, np.arange(m), 0.0)[2] for row in scores])
    assert (naive <= 0.05).mean() > 0.2


def test_correlation_of_expression_is_the_mean_of_all_pairs():
    rng = np.random.default_rng(1)
    counts = rng.poisson(3 + 2 * rng.random((60, 1)) * np.arange(8), size=(60, 8)).astype(np.float32)
    adata = anndata.AnnData(counts, var=pd.DataFrame(index=[f"g{i}" for i in range(8)]))
    adata.obs["half"] = ["a"] * 30 + ["b"] * 30
    adata.X[30:, 2:5] += 9
    grn = grnndata.GRNAnnData(adata, grn=rng.random((8, 8)).astype(np.float32))
    t = pd.Series(rng.normal(size=8), adata.var_names)
    sets = {"s": ["g2", "g3", "g4"]}
    logs = np.log1p(adata.X / adata.X.sum(axis=1, keepdims=True) * 1e4)[:, 2:5]
    found = camera(grn, sets, ranking=t, min_size=3)
    expected = np.corrcoef(logs.T)[np.triu_indices(3, 1)].mean()
    assert found["correlation"][0] == pytest.approx(expected, rel=1e-5)
    residuals = logs - np.repeat([logs[:30].mean(axis=0), logs[30:].mean(axis=0)], 30, axis=0)
    within = camera(grn, sets, ranking=t, groupby="half", min_size=3)
    expected = np.corrcoef(residuals.T)[np.triu_indices(3, 1)].mean()
    assert within["correlation"][0] == pytest.approx(max(0, expected), rel=1e-4, abs=1e-6)
    assert found.attrs["test"].endswith("correlated as their expression is in 60 cells")
    thin = grnndata.GRNAnnData(anndata.AnnData(sparse.csr_matrix(adata.X), var=adata.var), grn=grn.grn)
    pd.testing.assert_frame_equal(camera(thin, sets, ranking=t, min_size=3), found)
    scores = special.ndtri((stats.rankdata(t) - 0.5) / 8)
    np.testing.assert_allclose(normal_scores(t.to_numpy()), scores)
    assert found["difference"][0] == pytest.approx(scores[2:5].mean() - np.delete(scores, [2, 3, 4]).mean())


@pytest.mark.parametrize("kind", [np.asarray, sparse.csr_matrix])
@pytest.mark.parametrize("ranking", ["out_strength", "in_strength"])
def test_correlation_of_strengths_is_that_of_weights_over_partners(kind, ranking):
    rng = np.random.default_rng(2)
    matrix = rng.normal(size=(30, 30)) * (rng.random((30, 30)) < 0.6)
    np.fill_diagonal(matrix, 5)
    found = camera(make(kind(matrix)), {"s": [f"g{i}" for i in range(6)]}, ranking=ranking)
    weights = np.abs(matrix if ranking == "out_strength" else matrix.T)
    np.fill_diagonal(weights, np.nan)
    profiles = np.nan_to_num(weights - np.nanmean(weights, axis=0))[:6]
    expected = np.corrcoef(profiles)[np.triu_indices(6, 1)].mean()
    assert found["correlation"][0] == pytest.approx(max(0, expected), abs=1e-6)
    assert list(found.columns) == COLUMNS


def test_the_output_says_where_the_correlation_comes_from_and_prerank_that_it_has_none():
    rng = np.random.default_rng(3)
    grn = make(rng.random((40, 40)))
    sets = {"s": [f"g{i}" for i in range(10)], "t": [f"g{i}" for i in range(10, 20)]}
    assert "as their outgoing weights are over all genes" in camera(grn, sets).attrs["test"]
    values = pd.Series(rng.normal(size=40), grn.var_names)
    preset = camera(grn, sets, ranking=values)
    assert preset["correlation"].tolist() == [0.01, 0.01]
    assert "by a preset 0.01, which says nothing of these genes" in preset.attrs["test"]
    np.testing.assert_allclose(preset["q_value"], stats.false_discovery_control(preset["p_value"]))
    assert camera(grn, sets, ranking=values, correlation=0.2)["p_value"].min() > preset["p_value"].min()
    pytest.importorskip("gseapy")
    assert prerank(grn, sets, n_permutations=20).attrs["test"].startswith("prerank: against random genes, as if")


def test_camera_errors():
    grn = make(np.random.default_rng(4).random((20, 20)))
    sets = {"s": [f"g{i}" for i in range(6)]}
    with pytest.raises(ValueError, match="correlation='expression' takes 10 cells with values in X, got 0"):
        camera(grn, sets, correlation="expression")
    for wrong in ("rows", -0.1, 1.5, True):
        with pytest.raises(ValueError, match="correlation must be 'auto', 'network', 'expression' or a number from 0"):
            camera(grn, sets, correlation=wrong)
    with pytest.raises(ValueError, match="none of 1 sets has 5 to 1,000 of the 20 genes"):
        camera(grn, {"s": ["SOX2"]})
    with pytest.raises(ValueError, match="ranking must be one of"):
        camera(grn, sets, ranking="degree")


def simulated(rng, n_programs=30, size=8):
    """Network of |correlation| of cells in which every gene follows one of several related programs."""
    program = np.repeat(np.arange(n_programs), size)
    shared = rng.normal(size=(200, 3)) @ rng.normal(0, 0.6, (n_programs, 3)).T + rng.normal(size=(200, n_programs))
    loading = np.abs(rng.normal(0.6, 0.25, program.size))
    values = shared[:, program] * loading + rng.normal(size=(200, program.size))
    return values, np.abs(np.corrcoef(values.T)), program


def test_null_sets_of_co_regulated_genes_are_seldom_significant_and_planted_hubs_are():
    rng = np.random.default_rng(5)
    null, naive, of_t, planted = [], [], [], []
    for _ in range(50):
        values, weights, program = simulated(rng)
        grn = make(weights)
        sets = {f"program {i}": [f"g{j}" for j in np.flatnonzero(program == i)] for i in range(10)}
        null.append(camera(grn, sets)["p_value"])
        naive.append(camera(grn, sets, correlation=0.0)["p_value"])
        half = rng.random(200) < 0.5
        cells = anndata.AnnData(values, var=pd.DataFrame(index=grn.var_names))
        t = pd.Series(stats.ttest_ind(values[half], values[~half]).statistic, grn.var_names)
        of_t.append(camera(grnndata.GRNAnnData(cells, grn=weights.astype(np.float32)), sets, ranking=t)["p_value"])
        order = np.argsort(-weights.sum(axis=1) * np.exp(rng.normal(0, 0.3, program.size)))
        planted.append(camera(grn, {"hubs": [f"g{i}" for i in order[:10]]})["p_value"])
    for level in (0.05, 0.001):
        for found in (null, of_t):
            shares = np.array([(p <= level).mean() for p in found])
            error = max(shares.std(ddof=1), np.sqrt(level / 10)) / np.sqrt(50)
            assert shares.mean() <= level + 3 * error
    assert np.mean([(p <= 0.05).mean() for p in naive]) > 0.2
    assert np.mean([(p <= 0.05).mean() for p in of_t]) > 0.01
    assert np.mean([(p <= 0.05).mean() for p in planted]) > 0.6

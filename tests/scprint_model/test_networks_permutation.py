"""What chance gives: networks of shuffled counts, and of genes under each other's names."""

import anndata
import numpy as np
import pytest
from scipy import sparse
from scipy.stats import false_discovery_control
from sklearn.metrics import average_precision_score

from grnndata import tl
from scdataloader import datasets
from scprint_model import ScPrint, infer
from scprint_model.genes import match_genes, shared_genes
from scprint_model.networks.choose import CellContents, NetworkCells
from scprint_model.networks.permutation import Exceedances, shuffled_counts


@pytest.fixture
def cells(retina, small_model):
    some = retina[:10].copy()
    known = match_genes(small_model.vocabulary, some)
    some = some[CellContents.read(some, known).rank.argsort()].copy()  # the order in which counts are dealt
    return some, tl.most_variable_genes(some[:, shared_genes(small_model.vocabulary, some)], 40).tolist()


def as_network_cells(adata, genes=None):
    n_cells, n_genes = adata.shape
    totals = adata.obs["total_counts"].to_numpy(np.float32)
    genes = np.arange(n_genes) if genes is None else genes
    return NetworkCells(sparse.csr_matrix(adata.X), totals, genes, np.arange(n_cells), n_genes, 0)


def test_shuffling_keeps_each_genes_counts_and_the_rest_of_a_cells_total(cells):
    some, genes = cells
    before = as_network_cells(some[:, genes])
    after = shuffled_counts(before, np.random.default_rng(0))
    dense, shuffled = before.counts.toarray(), after.counts.toarray()
    np.testing.assert_array_equal(np.sort(dense, axis=0), np.sort(shuffled, axis=0))
    np.testing.assert_allclose(after.total_counts - shuffled.sum(1), before.total_counts - dense.sum(1), rtol=1e-5)
    np.testing.assert_array_equal(before.counts.toarray(), dense)  # not changed in place


def test_shuffling_parts_genes_that_vary_together():
    counts = sparse.csr_matrix(np.repeat(np.arange(60.0)[:, None], 20, axis=1))
    cells = NetworkCells(counts, np.full(60, 2000.0), np.arange(20), np.arange(60), 20, 0)
    shuffled = shuffled_counts(cells, np.random.default_rng(0))
    between = np.corrcoef(shuffled.counts.toarray().T)[np.triu_indices(20, 1)]
    assert abs(between.mean()) < 0.05
    assert abs(between).max() < 0.6
    assert abs(between.std() - 59**-0.5) < 0.03  # that of independent orders


STEPS = [(), ("apc",), ("symmetrise",), ("apc", "symmetrise"), ("maximum_spanning_tree",), ("tmfg",)]


@pytest.mark.parametrize("steps", STEPS)
def test_p_values_by_networks_inferred_one_by_one(cells, small_model, steps):
    some, genes = cells
    network = infer(small_model, some, genes=genes, permutations=4, null="cells", seed=3, steps=steps)
    dense = sparse.csr_matrix(network.grn).toarray()
    expected, rng = np.ones((40, 40)), np.random.default_rng([3, 1])
    ordered = some[:, network.var_names]
    others = [name for name in some.var_names if name not in set(genes)]
    for _ in range(4):
        shuffled = shuffled_counts(as_network_cells(ordered, small_model.vocabulary.index(network.var_names)), rng)
        again = some.copy()
        joined = sparse.hstack([shuffled.counts, some[:, others].X]).tocsr()
        again = again[:, [*network.var_names, *others]].copy()
        again.X, again.obs["total_counts"] = joined, shuffled.total_counts
        found = infer(small_model, again, genes=network.var_names.tolist(), steps=steps).grn
        expected += sparse.csr_matrix(found).toarray() >= dense
    off = ~np.eye(40, dtype=bool)
    assert np.unique(expected[off]).size == 5
    np.testing.assert_allclose(network.varp["GRN_p_value"][off], expected[off] / 5, atol=1e-6)
    assert np.isnan(np.diag(network.varp["GRN_p_value"])).all()
    assert network.uns["grn"]["parameters"]["permutations"] == 4
    assert "went through the same steps" in network.uns["grn"]["parameters"]["edge_numbers"]


def test_equal_cells_are_never_surprising_and_forbidden_edges_are_not_tested(cells, small_model):
    some, genes = cells
    off = ~np.eye(40, dtype=bool)
    equal = anndata.concat([some[[0]]] * 6, index_unique="-")
    network = infer(small_model, equal, genes=genes, permutations=3)
    assert (network.varp["GRN_p_value"][off] == 1).all()
    limited = infer(small_model, some, genes=genes, permutations=3, regulators=genes[:2], stability=2)
    allowed = limited.var_names.isin(genes[:2])[:, None] & off
    assert allowed.sum() == 2 * 39
    for key in ("GRN_p_value", "GRN_standard_error"):
        np.testing.assert_array_equal(np.isnan(limited.varp[key]), ~allowed)
    assert np.nanmin(limited.varp["GRN_p_value"]) == 0.25
    # Benjamini and Hochberg's bound counts the 78 edges that were tested, not the 1,600 pairs.
    p = np.sort(limited.varp["GRN_p_value"][allowed])
    by_hand = np.minimum.accumulate((p * 78 / np.arange(1, 79))[::-1])[::-1]
    kept = limited.varp["GRN_p_value"]
    np.testing.assert_allclose(np.sort(false_discovery_control(kept[~np.isnan(kept)])), by_hand, rtol=1e-5)
    # Without direction an edge is tested if either of its genes may be the regulator.
    merged = infer(small_model, some, genes=genes, permutations=3, regulators=genes[:2], steps=["symmetrise"])
    np.testing.assert_array_equal(np.isnan(merged.varp["GRN_p_value"]), ~(allowed | allowed.T))


def test_p_values_of_noise_are_uniform():
    rng = np.random.default_rng(0)
    found = Exceedances(rng.random((60, 60)))
    for _ in range(9):
        found.add(rng.random((60, 60)))
    shares = np.bincount((found.p_values().ravel() * 10).round().astype(int), minlength=11)[1:] / 3600
    np.testing.assert_allclose(shares, 0.1, atol=0.02)


@pytest.mark.slow
def test_real_cells_surprise_and_shuffled_ones_do_not(small_model):
    model = small_model  # raw counts go in, so that depth, which this null does not keep, decides
    options = {"genes": "variable", "n_genes": 80, "n_cells": 40, "permutations": 19, "null": "cells"}
    real = infer(model, datasets.retina_1k(), groupby="cell_type", group="retinal rod cell", **options)
    off = ~np.eye(real.n_vars, dtype=bool)
    assert (real.varp["GRN_p_value"][off] <= 0.05).mean() > 0.12  # 16 %
    shares = []
    for seed in range(3):
        shuffled = shuffled_counts(as_network_cells(real), np.random.default_rng([seed, 2]))
        null = anndata.AnnData(shuffled.counts, obs=real.obs[[]].copy(), var=real.var[[]].copy())
        null.obs["total_counts"] = shuffled.total_counts
        found = infer(model, null, **(options | {"genes": real.var_names.tolist()}))
        shares.append((found.varp["GRN_p_value"][off] <= 0.05).mean())
    assert 0.02 < np.mean(shares) < 0.1


def test_groups_have_p_values_of_their_own(retina, small_model):
    names = ["retinal rod cell", "Mueller cell"]
    joint = infer(small_model, retina, groupby="cell_type", group=names, n_genes=30, n_cells=5, permutations=2)
    for name in names:
        values = joint.varp[f"GRN_p_value.{name}"]
        assert {round(3 * float(value), 4) for value in np.unique(values[~np.isnan(values)])} <= {1, 2, 3}
    ours, theirs = (joint.varp[f"GRN_p_value.{name}"] for name in names)
    tested = ~np.isnan(ours) & ~np.isnan(theirs)
    assert tested.sum() == 30 * 29
    assert (ours[tested] != theirs[tested]).any()


def test_p_values_that_cannot_be_had(cells, small_model):
    some, genes = cells
    with pytest.raises(ValueError, match="keep a dense number for every edge of one network"):
        infer(small_model, some, genes=genes, permutations=2, top_k=3)
    with pytest.raises(ValueError, match="permutations=2 needs all 40 genes in every cell, the context is 20"):
        infer(small_model, some, genes=genes, permutations=2, context=20)
    with pytest.raises(ValueError, match="shuffles counts among cells, here is one of"):
        infer(small_model, some, genes=genes, permutations=2, groupby="obs_names", group=some.obs_names[0])
    with pytest.raises(ValueError, match="permutations=-1 are numbers, 0 for none"):
        infer(small_model, some, genes=genes, permutations=-1)


def test_genes_under_each_others_names_score_at_random():
    model = ScPrint.from_pretrained("bundled")
    retina = datasets.retina_1k()[:80].copy()
    retina.obs["total_counts"] = np.asarray(retina.X.sum(axis=1)).ravel()
    genes = tl.most_variable_genes(retina[:, shared_genes(model.vocabulary, retina)], 150).tolist()
    retina = retina[:, genes].copy()
    # in place of a truth: the strongest edges that the model finds in half of the cells
    other = infer(model, retina[40:], genes=genes)[:, genes].grn
    off = ~np.eye(150, dtype=bool)
    truth = other > np.quantile(other[off], 0.95)
    prevalence = truth[off].mean()
    network = infer(model, retina[:40], genes=genes)[:, genes].grn
    assert average_precision_score(truth[off], network[off]) > 10 * prevalence
    order = np.random.default_rng(0).permutation(150)
    relabelled = network[np.ix_(order, order)]
    assert 0.6 < average_precision_score(truth[off], relabelled[off]) / prevalence < 1.5
    # the model is told the wrong gene for every column: column i is called genes[order[i]]
    misnamed = retina[:40].copy()
    misnamed.var_names = np.array(genes)[order]
    found = infer(model, misnamed, genes=misnamed.var_names.tolist())[:, misnamed.var_names].grn
    assert 0.6 < average_precision_score(truth[off], found[off]) / prevalence < 1.5

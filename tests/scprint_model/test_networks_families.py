"""Networks of models with other layouts, and of single cells, by naive loops in float64."""

import logging

import numpy as np
import pytest
import torch

from grnndata import tl
from scdataloader import GeneVocabulary
from scprint_model import ModelConfig, ScPrint, infer
from scprint_model.genes import shared_genes
from scprint_model.tasks.files import open_cells


@pytest.fixture(scope="module")
def grouped(small_model):
    """Cell tokens in a transformer of their own, 4 heads that share 2 keys, depth at the decoder."""
    torch.manual_seed(1)
    vocabulary: GeneVocabulary = small_model.vocabulary
    config = ModelConfig(
        n_genes=len(vocabulary), d_model=16, n_layers=2, n_heads=4, n_kv_heads=2, class_sizes={"cell_type": 3},
        cell_transformer=1, depth="decoder", metacell_token=True, normalization="sum", dropout=0.0,
    )  # fmt: skip
    model = ScPrint(config, gene_positions=torch.tensor(vocabulary.locations)).eval()
    torch.nn.init.normal_(model.gene_encoder.table.weight)
    for block in model.blocks:
        if hasattr(block.attention, "qkv"):
            torch.nn.init.normal_(block.attention.qkv.weight, std=0.5)
    model.vocabulary, model.label_space = vocabulary, small_model.label_space
    return model


def softmax(rows):
    weights = np.exp(rows - rows.max(axis=1, keepdims=True))
    return weights / weights.sum(axis=1, keepdims=True)


def naive(model, cells, genes, attention):
    """Mean over heads of (target, regulator) attention, a cell and head at a time, in float64."""
    index = torch.from_numpy(model.vocabulary.index(genes))[None].expand(cells.n_obs, -1)
    counts = torch.from_numpy(cells[:, genes].X.toarray())
    with torch.inference_mode():
        output = model(index, counts, torch.tensor(cells.obs["total_counts"].to_numpy(np.float32)), capture_qk=True)
    first, n_heads = len(model.captured_tokens), model.config.n_heads
    total, n_maps = 0, 0
    for q, k in output.queries_keys:
        q, k = np.asarray(q.double()), np.asarray(k.double())
        for head in range(n_heads):
            scale = q.shape[-1] ** 0.5
            if attention == "mean_qk":
                maps = [softmax(q[:, :, head].mean(0) @ k[:, :, head].mean(0).T / scale)]
            else:
                maps = [softmax(q[cell, :, head] @ k[cell, :, head].T / scale) for cell in range(len(q))]
            total, n_maps = total + np.mean(maps, axis=0), n_maps + 1
    return (total / n_maps)[first:, first:]


@pytest.mark.parametrize("attention", ["mean_qk", "mean_attention"])
@pytest.mark.parametrize("name", ["small_model", "grouped"])
def test_networks_equal_loops_over_cells_and_heads(name, attention, retina, request):
    model = request.getfixturevalue(name)
    assert bool(model.captured_tokens) == (name == "small_model")
    some = retina[:7]
    genes = tl.most_variable_genes(some[:, shared_genes(model.vocabulary, some)], 45).tolist()
    network = infer(model, some, genes=genes, attention=attention, batch_size=3)
    expected = naive(model, some, genes, attention).T
    np.fill_diagonal(expected, 0)
    np.testing.assert_allclose(network[:, genes].grn, expected, atol=1e-6)
    assert network.uns["grn"]["parameters"]["model_heads"] == model.config.n_heads
    if name == "grouped":
        # without cell tokens all of a target's attention goes to genes, the diagonal is what is missing
        own = np.diag(naive(model, some, genes, attention))
        np.testing.assert_allclose(network[:, genes].grn.sum(0), 1 - own, atol=1e-5)


def test_a_network_for_each_cell(small_model, retina):
    some = retina[:5].copy()
    joint = infer(small_model, some, groupby="obs_names", n_genes=30)
    assert list(joint.networks) == some.obs_names.tolist()
    genes = joint.var_names.tolist()
    expected = naive(small_model, some[[3]], genes, "mean_qk").T
    np.fill_diagonal(expected, 0)
    np.testing.assert_allclose(joint.networks[some.obs_names[3]].grn, expected, atol=1e-6)
    one = infer(small_model, some, groupby="obs_names", group=some.obs_names[3], genes=genes)
    assert one.n_obs == 1
    np.testing.assert_allclose(one.grn, expected, atol=1e-6)
    # the attention of one cell is the mean of its attention
    true = infer(small_model, some, groupby="obs_names", group=some.obs_names[3], genes=genes,
                 attention="mean_attention")  # fmt: skip
    np.testing.assert_allclose(true.grn, expected, atol=1e-6)
    near = f"near ones: .*{some.obs_names[3]}"
    with pytest.raises(ValueError, match=near):
        infer(small_model, some, groupby="obs_names", group=some.obs_names[3] + "x")
    with pytest.raises(ValueError, match="genes do not vary in one cell"):
        infer(small_model, some, groupby="obs_names", group=some.obs_names[3])
    with pytest.raises(ValueError, match="networks of single cells are groupby='obs_names'"):
        infer(small_model, some[:1])
    some.obs_names = ["a", "b", "c", "d", "a"]
    with pytest.raises(ValueError, match="names of cells repeat"):
        infer(small_model, some, groupby="obs_names")


def test_single_cells_without_counts_are_left_out(small_model, retina, caplog):
    some = retina[:3].copy()
    some.X = some.X.multiply([[1], [0], [1]]).tocsr()
    with caplog.at_level(logging.WARNING):
        joint = infer(small_model, some, groupby="obs_names", genes="expressed", n_genes=20)
    assert list(joint.networks) == some.obs_names[[0, 2]].tolist()
    assert "1 cell has no count" in caplog.text


def test_only_the_cells_that_are_used_are_read_from_a_file(small_model, retina, tmp_path):
    retina[:40].copy().write_h5ad(tmp_path / "cells.h5ad")
    options = {"groupby": "cell_type", "n_genes": 40, "n_cells": 4, "seed": 2}
    expected = infer(small_model, retina[:40].copy(), **options)
    found = infer(small_model, open_cells(tmp_path / "cells.h5ad"), **options)
    assert found.obs_names.tolist() == expected.obs_names.tolist()
    assert found.n_obs < 40
    np.testing.assert_array_equal(found.X.toarray(), expected.X.toarray())
    for name in expected.networks:
        np.testing.assert_array_equal(found.networks[name].grn, expected.networks[name].grn)
    # what a cell shows of the genome depends on its place in the data, not on which cells are read with it
    whole = {"genes": "all", "context": 200, "groupby": "cell_type", "group": "retinal rod cell"}
    one = infer(small_model, open_cells(tmp_path / "cells.h5ad"), **whole)
    other = infer(small_model, retina[:40].copy(), **(whole | {"group": ["retinal rod cell", "Mueller cell"]}))
    places = [other.var_names.get_loc(name) for name in one.var_names]
    np.testing.assert_array_equal(one.var["n_cells_seen"], other.varm["n_cells_seen.retinal rod cell"][places].ravel())
    np.testing.assert_allclose(one.grn, other.networks["retinal rod cell"].grn[np.ix_(places, places)], atol=1e-6)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_cells": 1}, "n_cells=1 is too few"),
        ({"n_genes": 1}, "n_genes=1 and context=None must be at least 2"),
        ({"context": 0}, "context=0 must be at least 2"),
        ({"groupby": "cell_type", "group": []}, "names no group"),
        ({"batch_size": 0}, "batch_size=0"),
        ({"groupby": "cell_type", "stability": 9}, r"stability=9 parts cannot be made of \d cells of '.*'"),
    ],
)
def test_numbers_that_make_no_network(small_model, retina, monkeypatch, options, message):
    monkeypatch.setattr(small_model, "encode", None)  # refused before the model begins
    with pytest.raises(ValueError, match=message):
        infer(small_model, retina[:60].copy(), **options)

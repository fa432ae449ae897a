"""Networks from attention."""

import numpy as np
import pytest
import torch

from scprint_model import ScPrintMethod
from scprint_model.genes import most_variable, shared_genes
from scprint_model.networks import infer
from scprint_model.networks.attention import MeanQueriesKeys


def test_mean_attention_by_a_slow_loop():
    rng = torch.Generator().manual_seed(0)
    layers, cells, tokens, heads, width = 3, 7, 5, 2, 4
    q, k = (torch.randn(layers, cells, tokens, heads, width, generator=rng) for _ in range(2))
    means = MeanQueriesKeys()
    for part in (slice(0, 3), slice(3, 7)):
        means.add(tuple((q[i, part], k[i, part]) for i in range(layers)))
    expected = np.zeros((tokens, tokens))
    for layer in range(layers):
        for head in range(heads):
            a = np.asarray(q[layer, :, :, head].mean(0).double())
            b = np.asarray(k[layer, :, :, head].mean(0).double())
            for i in range(tokens):
                weights = np.exp([a[i] @ b[j] / 2 for j in range(tokens)])  # 2 = sqrt(width)
                expected[i] += weights / weights.sum()
    np.testing.assert_allclose(means.attention(), expected / (layers * heads), atol=1e-6)
    assert means.n_cells == cells
    with pytest.raises(ValueError, match="no cell was added"):
        MeanQueriesKeys().attention()


def test_mean_attention_equals_the_published_network(shared):
    data = np.load(shared / "fixtures/published_format/tiny_v1_gninfer.npz")
    mean = torch.from_numpy(data["attn_mean_qk"])  # layer, slot, q or k, head, width
    seen = torch.from_numpy(data["attn_div"]).reshape(-1) > 0
    means = MeanQueriesKeys()
    means.add(tuple((layer[seen, 0][None], layer[seen, 1][None]) for layer in mean))
    np.testing.assert_allclose(means.attention()[8:, 8:], data["mean_none"], atol=1e-6)


def test_rows_are_regulators_and_cells_and_genes_are_kept(small_model, retina):
    known = retina[:, shared_genes(small_model.vocabulary, retina)]
    genes = most_variable(known, 60)
    rods = retina.obs["cell_type"] == "retinal rod cell"
    network = infer(small_model, retina, groupby="cell_type", group="retinal rod cell", n_genes=60, batch_size=7)
    assert network.n_obs == rods.sum()
    assert network.var_names.tolist() == most_variable(known[rods], 60).tolist()
    assert network.uns["grn"]["method"] == "scPRINT"
    assert network.uns["grn"]["parameters"]["n_cells"] == rods.sum()

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


def test_batches_and_the_order_of_genes_change_nothing(small_model, retina):
    some = retina[:9]
    genes = most_variable(some[:, shared_genes(small_model.vocabulary, some)], 50).tolist()
    one = infer(small_model, some, genes=genes, batch_size=9)
    other = infer(small_model, some, genes=genes[::-1], batch_size=2)
    np.testing.assert_allclose(one.varp["GRN"], other[:, one.var_names].varp["GRN"], atol=1e-6)


def test_number_of_cells_is_a_seeded_draw(small_model, retina):
    options = {"n_genes": 50, "n_cells": 5}
    one, again, other = (infer(small_model, retina, seed=seed, **options) for seed in (0, 0, 1))
    assert one.n_obs == 5
    assert one.obs_names.tolist() == again.obs_names.tolist() != other.obs_names.tolist()


def test_bad_requests_are_refused_with_near_names(small_model, retina):
    with pytest.raises(ValueError, match=r"no cell has cell_type = 'rod cell'; near ones: \[.*'retinal rod cell'"):
        infer(small_model, retina, groupby="cell_type", group="rod cell")
    with pytest.raises(ValueError, match="obs has no column 'cluster'"):
        infer(small_model, retina, groupby="cluster", group="1")
    with pytest.raises(ValueError, match="give both or none"):
        infer(small_model, retina, group="retinal rod cell")
    with pytest.raises(ValueError, match="at least 2 cells, this group has 1"):
        infer(small_model, retina[:1])
    with pytest.raises(ValueError, match=r"1 of 1 genes are not in the data or not known to the model.*\['x'\]"):
        infer(small_model, retina, genes=["x"])
    with pytest.raises(ValueError, match="genes='expressed' must be 'variable' or a list"):
        infer(small_model, retina, genes="expressed")


def test_plugin_is_found_and_keeps_regulators_only(retina):
    from importlib.metadata import entry_points

    found = {point.name: point for point in entry_points(group="bengrn.methods")}["scprint"].load()
    assert found is ScPrintMethod
    known = retina[:6, most_variable(retina, 400)].copy()
    method = found()
    network = method.infer(known)
    chosen = network.var_names[[3, 8]]
    limited = method.infer(known, regulators=[*chosen, "not measured"])
    assert limited.regulators.tolist() == chosen.tolist()
    np.testing.assert_array_equal(limited[:, chosen].varp["GRN"], network[:, chosen].varp["GRN"])
    assert ScPrintMethod(n_genes=50).infer(known).n_vars == 50
    with pytest.raises(ValueError, match=r"none of the 1 regulators, such as \['TP53'\]"):
        method.infer(known, regulators=["TP53"])

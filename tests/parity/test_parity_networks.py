"""Networks against those of the published code: ``tiny_v1_gninfer.npz`` and the timing network.

Not compared: ``mean_apc`` (its correction does nothing there, grnndata's does), ``mean_sinkhorn40`` (no network:
its last axis is not heads), ``mean_topk10`` (cell tokens compete for the ten places there), ``mean_denoise`` (the
cells are told another depth), ``mean_sym`` (a later step, for grnndata).
"""

from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest
import torch

from grnndata import GRNAnnData
from scprint_model import ScPrint, infer
from scprint_model.networks.accumulate import MeanTokens
from scprint_model.networks.capture import capturing, self_attentions
from scprint_model.networks.to_network import attention_rows


@pytest.fixture(scope="module")
def told(published: Path) -> dict[str, np.ndarray]:
    return dict(np.load(published / "tiny_v1_gninfer.npz"))


@pytest.fixture(scope="module")
def model(published: Path) -> ScPrint:
    return ScPrint.from_pretrained(published / "tiny_v1.ckpt")


@pytest.fixture(scope="module")
def cells(told) -> anndata.AnnData:
    """The 20 cells, in the order of their depth."""
    obs = pd.DataFrame({"total_counts": told["cell_order_depth"]}, index=[f"c{i}" for i in range(20)])
    genes = told["genes"][told["cell_order_gene_pos"][0]]
    return anndata.AnnData(X=told["cell_order_expression"], obs=obs, var=pd.DataFrame(index=genes))


def turned(attention: np.ndarray) -> np.ndarray:
    """Published rows are targets; without self edges."""
    network = attention.swapaxes(0, 1).copy()
    network[np.arange(len(network)), np.arange(len(network))] = 0
    return network


def weights(network: GRNAnnData, genes: np.ndarray) -> np.ndarray:
    return network[:, genes].varp["GRN"]


@pytest.mark.parametrize(
    ("key", "options"),
    [
        ("mean_none", {}),
        ("max_none", {"heads": "max"}),
        ("none_softmax", {"heads": "all"}),
        ("none_raw", {"heads": "all", "normalize": "none"}),
        ("mean_raw", {"normalize": "none"}),
        ("mean_layers12", {"layers": [1, 2]}),
    ],
)
def test_networks_equal_the_published_ones(model, cells, told, key, options):
    genes = told[f"{key}_var_names"]
    network = infer(model, cells, genes=genes.tolist(), batch_size=7, **options)
    atol = 1e-5 if "raw" in key else 1e-6
    np.testing.assert_allclose(weights(network, genes), turned(told[key]), atol=atol)


def test_the_deepest_cells_alone(model, cells, told):
    network = infer(model, cells[:12], genes=told["mean_maxcells12_var_names"].tolist())
    np.testing.assert_allclose(network.varp["GRN"], turned(told["mean_maxcells12"]), atol=1e-6)


def test_without_the_gene_that_no_cell_expresses(model, cells, told):
    genes = told["mean_dropunexpr_var_names"]
    network = infer(model, cells, genes="expressed")
    assert network.var_names.tolist() == genes.tolist()  # 199 of 200
    np.testing.assert_allclose(network.varp["GRN"], turned(told["mean_dropunexpr"]), atol=1e-6)


@torch.inference_mode()
def test_mean_queries_and_keys_equal_the_published_ones(tiny_v1, told):
    means = MeanTokens(308, self_attentions(tiny_v1))
    genes = torch.from_numpy(told["cell_order_gene_pos"]).long()
    counts, depth = torch.from_numpy(told["cell_order_expression"]), torch.from_numpy(told["cell_order_depth"])
    for part in (slice(0, 9), slice(9, 20)):
        places = torch.cat((torch.arange(8).expand(len(depth[part]), -1), genes[part] + 8), dim=1)

        def receive(layer, x, places=places):
            means.add(layer, x, places)

        with capturing(tiny_v1, range(3), receive, tokens=True) as run:
            run(genes[part], counts[part], depth[part])
        means.count(len(places), places)
    np.testing.assert_array_equal(means.n_seen, told["attn_div"].ravel())
    seen = np.flatnonzero(means.n_seen)
    in_the_file = seen.copy()
    in_the_file[[0, 1]] = 1, 0  # depth before base there
    for layer in range(3):
        for mean, published in zip(means.means(layer), told["attn_mean_qk"][layer].swapaxes(0, 1), strict=True):
            np.testing.assert_allclose(mean, published[in_the_file], atol=1e-5)
    heads = [(layer, head) for layer in range(3) for head in range(4)]
    rows = torch.cat([block for _, block in attention_rows(means, heads, n_cell_tokens=0)])
    order = [1, 0, *range(2, 208)]
    np.testing.assert_allclose(rows[order][:, order], told["mean_none_with_cell_tokens"], atol=1e-6)


@torch.inference_mode()
def test_genes_averaged_over_the_cells_that_drew_them(tiny_v1, told):
    means = MeanTokens(308, self_attentions(tiny_v1))
    genes = torch.from_numpy(told["random_in_gene_pos"]).long()
    places = torch.cat((torch.arange(8).expand(20, -1), genes + 8), dim=1)
    with capturing(tiny_v1, range(3), lambda layer, x: means.add(layer, x, places), tokens=True) as run:
        run(genes, torch.from_numpy(told["random_in_expression"]), torch.from_numpy(told["random_in_depth"]))
    means.count(20, places)
    np.testing.assert_array_equal(means.n_seen, told["random_attn_div"].ravel())
    heads = [(layer, head) for layer in range(3) for head in range(4)]
    rows = torch.cat([block for _, block in attention_rows(means, heads, n_cell_tokens=8)])
    np.testing.assert_allclose(rows, told["random_mean"], atol=1e-6)


@pytest.mark.parametrize("attention", ["mean_qk", "mean_attention"])
def test_published_checkpoint_with_a_cell_transformer_and_shared_keys(published, tiny_v23_forward, attention):
    """Single cells, each with genes of its own, against the published queries and keys in float64."""
    model = ScPrint.from_pretrained(published / "tiny_v23.ckpt")
    assert model.captured_tokens == ()
    assert model.config.kv_heads < model.config.n_heads
    inputs = tiny_v23_forward
    for cell in (0, 5):
        genes = [model.vocabulary.ids[i] for i in inputs["in_gene_pos"][cell]]
        obs = pd.DataFrame({"total_counts": inputs["in_depth"][[cell]]}, index=["c"])
        cells = anndata.AnnData(X=inputs["in_expression"][[cell]], obs=obs, var=pd.DataFrame(index=genes))
        stack = infer(model, cells, groupby="obs_names", group="c", genes=genes, heads="all", attention=attention)
        for layer in range(3):
            q, k, _ = inputs[f"qkv_block{layer}"][cell].astype(np.float64).transpose(1, 2, 0, 3)
            for head in range(4):
                attended = np.exp(q[head] @ k[head].T / q.shape[-1] ** 0.5)
                attended /= attended.sum(axis=1, keepdims=True)
                found = stack.networks[f"layer {layer} head {head}"]
                np.testing.assert_allclose(found[:, genes].grn, turned(attended), atol=1e-6)


def test_the_timed_network(shared):
    folder = shared / "fixtures/timing"
    model = ScPrint.from_pretrained(folder / "timing_d128_l4_h4_g1200.ckpt")
    inputs, result = np.load(folder / "timing_inputs.npz"), np.load(folder / "timing_grn_mean.npz")
    genes = [model.vocabulary.ids[i] for i in inputs["gene_pos"][0]]
    obs = pd.DataFrame({"total_counts": inputs["depth"]}, index=[f"c{i}" for i in range(100)])
    cells = anndata.AnnData(X=inputs["expression"], obs=obs, var=pd.DataFrame(index=genes))
    network = infer(model, cells, genes=genes)
    np.testing.assert_allclose(weights(network, result["var_names"]), turned(result["GRN"]), atol=1e-6)

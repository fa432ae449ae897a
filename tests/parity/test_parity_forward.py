"""The network gives the published model's numbers from the published model's weights."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from scprint_model.layers.position_encoder import sinusoid
from scprint_model.losses.counts import zinb_loss
from scprint_model.losses.embeddings import embedding_dissimilarity
from scprint_model.losses.hierarchical import hierarchical_loss
from scprint_model.model import CellEncoding, ScPrint, ScPrintOutput

Arrays = dict[str, np.ndarray]
# The published order of the cell tokens is depth, base, classes; ours is base, depth, classes.
ORDER = [1, 0, 2, 3, 4, 5, 6, 7]


def inputs(arrays: Arrays, case: str) -> tuple[Tensor, Tensor, Tensor]:
    genes, counts, depth = (arrays[f"{case}_in_{name}"] for name in ("gene_pos", "expression", "depth"))
    return torch.from_numpy(genes), torch.from_numpy(counts), torch.from_numpy(depth)


def assert_counts_match(output: ScPrintOutput, arrays: Arrays, prefix: str) -> None:
    np.testing.assert_allclose(output.mean, arrays[f"{prefix}_mean"], rtol=2e-5, atol=1e-6)
    np.testing.assert_allclose(output.dispersion, arrays[f"{prefix}_disp"], rtol=2e-5)
    np.testing.assert_allclose(output.zero_logits, arrays[f"{prefix}_zero_logits"], atol=1e-5)


def assert_cells_match(output: CellEncoding, arrays: Arrays, prefix: str) -> None:
    np.testing.assert_allclose(output.cell_embeddings, arrays[f"{prefix}_cell_embs"][:, ORDER], atol=1e-5)
    np.testing.assert_allclose(output.cell_embedding, arrays[f"{prefix}_cell_embs"].mean(axis=1), atol=1e-5)


def assert_classes_match(output: CellEncoding, arrays: Arrays, prefix: str) -> None:
    assert list(output.class_logits) == list(arrays["classes"])
    for name, logits in output.class_logits.items():
        np.testing.assert_allclose(logits, arrays[f"{prefix}_cls_output_{name}"], atol=1e-5)


@pytest.mark.parametrize("case", ["A", "B", "C", "D"])
@torch.no_grad()
def test_forward(tiny_v1: ScPrint, tiny_v1_forward: Arrays, case: str) -> None:
    output = tiny_v1(*inputs(tiny_v1_forward, case))
    assert_counts_match(output, tiny_v1_forward, f"{case}_out")
    assert_cells_match(output, tiny_v1_forward, f"{case}_out")
    assert_classes_match(output, tiny_v1_forward, f"{case}_out")
    np.testing.assert_allclose(output.cell_embedding, tiny_v1_forward[f"{case}_out_cell_emb"], atol=1e-5)


@torch.no_grad()
def test_forward_with_the_tokens_in_the_published_order(tiny_v1: ScPrint, tiny_v1_forward: Arrays) -> None:
    config = replace(tiny_v1.config, token_order="depth_first")
    model = ScPrint(config, gene_positions=tiny_v1.position_encoder.table).eval()
    model.load_state_dict(tiny_v1.state_dict())
    output = model(*inputs(tiny_v1_forward, "A"))
    assert output.token_names[:2] == ("depth", "base")
    np.testing.assert_allclose(output.cell_embeddings, tiny_v1_forward["A_out_cell_embs"], atol=1e-5)
    assert_counts_match(output, tiny_v1_forward, "A_out")
    assert_classes_match(output, tiny_v1_forward, "A_out")


@pytest.mark.parametrize("case", ["A", "B"])
@torch.no_grad()
def test_masked(tiny_v1: ScPrint, tiny_v1_forward: Arrays, case: str) -> None:
    mask = torch.from_numpy(tiny_v1_forward[f"{case}_mask"])
    output = tiny_v1(*inputs(tiny_v1_forward, case), mask=mask)
    assert_counts_match(output, tiny_v1_forward, f"{case}_masked")
    assert_cells_match(output, tiny_v1_forward, f"{case}_masked")


@pytest.mark.parametrize("case", ["A", "B"])
@torch.no_grad()
def test_depth_multiplier(tiny_v1: ScPrint, tiny_v1_forward: Arrays, case: str) -> None:
    output = tiny_v1(*inputs(tiny_v1_forward, case), depth_multiplier=3)
    assert_counts_match(output, tiny_v1_forward, f"{case}_denoise3")
    assert_cells_match(output, tiny_v1_forward, f"{case}_denoise3")


@pytest.mark.parametrize("case", ["A", "B"])
@torch.no_grad()
def test_generate(tiny_v1: ScPrint, tiny_v1_forward: Arrays, case: str) -> None:
    genes, counts, _ = inputs(tiny_v1_forward, case)
    cells = torch.from_numpy(tiny_v1_forward[f"{case}_out_cell_embs"][:, ORDER])
    output = tiny_v1.generate(genes, cells, counts.sum(dim=1))
    assert_counts_match(output, tiny_v1_forward, f"{case}_gen")
    assert_cells_match(output, tiny_v1_forward, f"{case}_gen")
    assert_classes_match(output, tiny_v1_forward, f"{case}_gen")


@pytest.mark.parametrize("case", ["A", "B"])
@torch.no_grad()
def test_queries_and_keys(tiny_v1: ScPrint, tiny_v1_forward: Arrays, case: str) -> None:
    output = tiny_v1(*inputs(tiny_v1_forward, case), capture_qk=True)
    published = tiny_v1_forward[f"{case}_qkv"]
    order = [*ORDER, *range(len(ORDER), published.shape[2])]
    assert output.queries_keys is not None
    assert len(output.queries_keys) == len(published) == 3
    for (queries, keys), layer in zip(output.queries_keys, published, strict=True):
        np.testing.assert_allclose(queries, layer[:, order, 0], atol=1e-5)
        np.testing.assert_allclose(keys, layer[:, order, 1], atol=1e-5)


@torch.no_grad()
def test_encode(tiny_v1: ScPrint, tiny_v1_forward: Arrays) -> None:
    output = tiny_v1.encode(*inputs(tiny_v1_forward, "A"))
    assert_cells_match(output, tiny_v1_forward, "A_out")
    assert_classes_match(output, tiny_v1_forward, "A_out")


def test_sinusoid_is_the_published_table(tiny_v1: ScPrint, tiny_v1_forward: Arrays) -> None:
    locations = torch.from_numpy(tiny_v1_forward["gene_pos_enc"])
    # The published table's angles were rounded to float32, at up to 35,000 radians.
    np.testing.assert_allclose(sinusoid(locations, 64), tiny_v1.position_encoder.table, atol=4e-3)


def test_training_step_losses(tiny_v1: ScPrint, tiny_v1_forward: Arrays, tiny_v1_losses: Arrays) -> None:
    """Full, denoising and bottleneck passes, as the published trainer ran them on noised counts."""
    genes, counts, depth = inputs(tiny_v1_forward, "A")
    noised, sums = torch.from_numpy(tiny_v1_losses["train_noisy_0.6"]), counts.sum(dim=1)
    denoised = tiny_v1(genes, noised, depth, expected_total=sums)
    expression = zinb_loss(counts, denoised.mean, denoised.dispersion, denoised.zero_logits)
    assert expression.item() == pytest.approx(float(tiny_v1_losses["train_denoise_60%_expr"]), rel=1e-5)
    full = tiny_v1.encode(genes, counts, depth)
    generated = tiny_v1.generate(genes, full.cell_embeddings, sums)
    bottleneck = zinb_loss(counts, generated.mean, generated.dispersion, generated.zero_logits)
    assert bottleneck.item() == pytest.approx(float(tiny_v1_losses["train_gen_expr"]), rel=1e-5)
    for name, output in {"full_forward": full, "denoise_60%": denoised, "gen": generated}.items():
        apart = embedding_dissimilarity(output.cell_embeddings, kind="cosine_and_distance")
        assert apart.item() == pytest.approx(float(tiny_v1_losses[f"train_{name}_emb_independence"]), rel=1e-5)
    labels = torch.from_numpy(tiny_v1_losses["train_labels"])
    classification = torch.zeros(())
    for column, (name, logits) in enumerate(full.class_logits.items()):
        flat = np.zeros((0, logits.shape[1]), dtype=bool)
        descendants = torch.from_numpy(tiny_v1_losses.get(f"hier_mat_{name}", flat))
        classification = classification + hierarchical_loss(logits, labels[:, column], descendants)
    assert classification.item() == pytest.approx(float(tiny_v1_losses["train_full_forward_cls"]), rel=1e-5)

"""Losses and noise give the published values and gradients."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from scprint_model.losses.counts import log_count_error, zinb_log_likelihood, zinb_loss
from scprint_model.losses.embeddings import cell_similarity, embedding_dissimilarity, info_nce
from scprint_model.losses.hierarchical import hierarchical_loss
from scprint_model.noise import downsample

Arrays = dict[str, np.ndarray]


def test_zinb_loss_and_gradients(tiny_v1_forward: Arrays, tiny_v1_losses: Arrays) -> None:
    counts = torch.from_numpy(tiny_v1_forward["A_in_expression"])
    parameters = [
        torch.from_numpy(tiny_v1_forward[f"A_out_{n}"]).requires_grad_() for n in ("mean", "disp", "zero_logits")
    ]
    loss = zinb_loss(counts, *parameters)
    assert loss.item() == pytest.approx(float(tiny_v1_losses["zinb_A"]), rel=1e-6)
    loss.backward()
    for parameter, name in zip(parameters, ("mean", "disp", "zero"), strict=True):
        np.testing.assert_allclose(parameter.grad, tiny_v1_losses[f"zinb_A_d{name}"], rtol=1e-3, atol=1e-7)


def test_zinb_grid(tiny_v1_losses: Arrays) -> None:
    grid = tiny_v1_losses["zinb_grid"]
    losses = -zinb_log_likelihood(*torch.from_numpy(grid).unbind(1))
    # Beyond, the published float32 lgamma cancels.
    trusted = grid[:, 2] <= 1e3
    assert trusted.sum() > 500
    np.testing.assert_allclose(losses[trusted], tiny_v1_losses["zinb_grid_loss"][trusted], rtol=1e-6, atol=7e-3)


@pytest.mark.parametrize("case", ["leaf", "parent", "mixed", "unknown", "leaf_unknown", "mixed_unknown"])
def test_hierarchical_loss_and_gradients(tiny_v1_losses: Arrays, case: str) -> None:
    logits = torch.from_numpy(tiny_v1_losses["cls_pred"]).requires_grad_()
    descendants = torch.from_numpy(tiny_v1_losses["hier_mat_cell_type_ontology_term_id"])
    labels = torch.from_numpy(tiny_v1_losses[f"cls_{case}_labels"])
    loss = hierarchical_loss(logits, labels, descendants)
    assert loss.item() == pytest.approx(float(tiny_v1_losses[f"cls_{case}_loss"]), rel=1e-6)
    loss.backward()
    np.testing.assert_allclose(logits.grad, tiny_v1_losses[f"cls_{case}_dpred"], atol=1e-7)


@pytest.mark.parametrize("label", range(16))
def test_hierarchical_single_cell(tiny_v1_losses: Arrays, label: int) -> None:
    logits = torch.from_numpy(tiny_v1_losses["cls_pred"][:1])
    descendants = torch.from_numpy(tiny_v1_losses["hier_mat_cell_type_ontology_term_id"])
    loss = hierarchical_loss(logits, torch.tensor([label]), descendants)
    assert loss.item() == pytest.approx(float(tiny_v1_losses[f"cls_single_{label}"]), rel=1e-6)


@pytest.mark.parametrize(("kind", "name"), [("cosine", "v16"), ("cosine_and_distance", "v23")])
def test_dissimilarity_and_gradients(tiny_v1_forward: Arrays, tiny_v1_losses: Arrays, kind: str, name: str) -> None:
    embeddings = torch.from_numpy(tiny_v1_forward["A_out_cell_embs"]).requires_grad_()
    loss = embedding_dissimilarity(embeddings, kind=kind)  # type: ignore[arg-type]
    assert loss.item() == pytest.approx(float(tiny_v1_losses[f"emb_indep_{name}"]), rel=1e-5)
    loss.backward()
    np.testing.assert_allclose(embeddings.grad, tiny_v1_losses[f"emb_indep_{name}_dcell_embs"], rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("threshold", [0.3, 0.4, 0.6])
def test_cell_similarity_and_gradients(tiny_v1_forward: Arrays, tiny_v1_losses: Arrays, threshold: float) -> None:
    embedding = torch.from_numpy(tiny_v1_forward["A_out_cell_emb"]).requires_grad_()
    loss = cell_similarity(embedding, threshold=threshold)
    assert loss.item() == pytest.approx(float(tiny_v1_losses[f"ecs_{threshold}"]), rel=1e-6)
    loss.backward()
    np.testing.assert_allclose(embedding.grad, tiny_v1_losses[f"ecs_{threshold}_dcell_emb"], rtol=1e-4, atol=1e-7)


def test_info_nce(tiny_v1_losses: Arrays) -> None:
    first, second = (torch.from_numpy(tiny_v1_losses[name]) for name in ("cce_x", "cce_y"))
    loss = info_nce(first, second, temperature=0.2)
    assert loss.item() == pytest.approx(float(tiny_v1_losses["cce_v23_t0.2"]), rel=1e-6)


def test_log_error(tiny_v1_forward: Arrays, tiny_v1_losses: Arrays) -> None:
    counts = torch.from_numpy(tiny_v1_forward["A_in_expression"])
    mean, zero_logits = (torch.from_numpy(tiny_v1_forward[f"A_out_{name}"]) for name in ("mean", "zero_logits"))
    loss = log_count_error(counts, mean, zero_logits)
    assert loss.item() == pytest.approx(float(tiny_v1_losses["mse_A"]), rel=1e-6)


def test_downsampled_with_the_same_random_numbers(published: Path) -> None:
    stats = dict(np.load(published / "downsample_stats.npz"))
    noised = downsample(torch.from_numpy(stats["exact_in"]), 0.6, generator=torch.Generator().manual_seed(77))
    np.testing.assert_array_equal(noised, stats["exact_new_0.6_seed77"])


@pytest.mark.parametrize(("name", "rate"), [("0.3", 0.3), ("0.6", 0.6), ("0.7", 0.7), ("randsamp0.5", 0.5)])
def test_downsample_statistics(published: Path, name: str, rate: float) -> None:
    stats = dict(np.load(published / "downsample_stats.npz"))
    n, values = int(stats["n"]), torch.from_numpy(stats["values"])
    generator = torch.Generator().manual_seed(0)
    noised = downsample(values.expand(n, -1), rate, each=name.startswith("randsamp"), generator=generator).double()
    # Both sides are estimates from n draws: five standard errors of their difference.
    mean, var, zeros = (stats[f"new_{name}_{moment}"].astype(float) for moment in ("mean", "var", "p0"))
    error = 5 * np.sqrt(2 / n)
    assert (np.abs(noised.mean(0).numpy() - mean) <= error * np.sqrt(var) + 1e-6).all()
    share = (noised == 0).double().mean(0).numpy()
    assert (np.abs(share - zeros) <= error * np.sqrt(zeros * (1 - zeros)) + 1e-6).all()
    np.testing.assert_allclose(noised.var(0), var, rtol=0.05, atol=1e-6)

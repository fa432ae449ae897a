"""Whole training steps give the published losses, and the published gradient of every parameter."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy import sparse

from scdataloader import LabelSpace
from scdataloader.labels import LabelClass
from scprint_model.model import ScPrint
from scprint_model.training import passes
from scprint_model.training.objective import LossWeights, Objective, Recipe

Arrays = dict[str, np.ndarray]


@pytest.fixture(scope="module")
def labels(tiny_v1: ScPrint, tiny_v1_losses: Arrays) -> LabelSpace:
    classes = {}
    for name, n in tiny_v1.config.class_sizes.items():
        below = tiny_v1_losses.get(f"hier_mat_{name}", np.zeros((0, n), dtype=bool))
        leaves, parents = (tuple(f"{kind} {i}" for i in range(m)) for kind, m in (("leaf", n), ("up", len(below))))
        classes[name] = LabelClass(leaves, parents, sparse.csr_array(below), {})
    return LabelSpace(classes)


@pytest.fixture(scope="module")
def batch(tiny_v1_forward: Arrays, tiny_v1_losses: Arrays) -> dict[str, torch.Tensor]:
    return {
        "genes": torch.from_numpy(tiny_v1_forward["A_in_gene_pos"]).long(),
        "counts": torch.from_numpy(tiny_v1_forward["A_in_expression"]).float(),
        "total_counts": torch.from_numpy(tiny_v1_forward["A_in_depth"]).float(),
        "labels": torch.from_numpy(tiny_v1_losses["train_labels"]).long(),
        "dataset": torch.zeros(8, dtype=torch.long),
    }


def recipe_of(fixture: Arrays, *, adversarial: float = 0.0, contrastive: float | None = None, **options: Any) -> Recipe:
    """The settings that the fixture says it was made with."""
    weights = LossWeights(
        classification=float(fixture["scale_class_scale"]),
        dissimilarity=float(fixture["scale_class_embd_diss_scale"]),
        cell_similarity=float(fixture["scale_ecs_scale"]),
        contrastive=float(fixture["scale_cce_scale"]) if contrastive is None else contrastive,
        adversarial_classes=adversarial,
        bottleneck=float(options.get("generated_embeddings", True)),
    )
    settings: dict[str, Any] = {"full_pass": True, "generated_embeddings": True} | options
    return Recipe(
        weights=weights,
        noise=0.6,
        label_loss="binary",
        dissimilarity="cosine_and_distance",
        similarity_threshold=float(fixture["scale_ecs_threshold"]),
        **settings,
    )


def step(
    recipe: Recipe, noisy: np.ndarray, labels: LabelSpace, model: ScPrint, batch: Any, patch: pytest.MonkeyPatch
) -> dict[str, torch.Tensor]:
    """One step under the very noise that the published one drew."""
    patch.setattr(passes, "downsample", lambda *_args, **_options: torch.from_numpy(noisy))
    model.zero_grad()
    terms: dict[str, torch.Tensor] = Objective(labels, recipe).eval()(model, batch)
    return terms


def assert_close(terms: dict[str, torch.Tensor], expected: dict[str, Any]) -> None:
    ours = {name: value.item() for name, value in terms.items()}
    assert ours == pytest.approx({name: float(value) for name, value in expected.items()}, rel=1e-5)


def same_values(model: ScPrint, published: torch.Tensor) -> str:
    """Our name of a published parameter: the one with its values, which are random."""
    (name,) = (n for n, p in model.named_parameters() if p.shape == published.shape and torch.equal(p, published))
    return name


def test_losses_and_gradients_of_a_step(
    published: Path,
    tiny_v1: ScPrint,
    tiny_v1_losses: Arrays,
    labels: LabelSpace,
    batch: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fixture = tiny_v1_losses
    checkpoint = torch.load(published / "tiny_v1.ckpt", weights_only=True)["state_dict"]
    checkpoint["gene_encoder.embeddings.weight"] = checkpoint["gene_encoder.embedding.weight"]  # its later name
    terms = step(recipe_of(fixture), fixture["train_noisy_0.6"], labels, tiny_v1, batch, monkeypatch)
    names = ("full_forward", "denoise_60%", "gen")
    expected = {
        "loss": fixture["train_total"],
        "denoising": fixture["train_denoise_60%_expr"],
        "bottleneck": fixture["train_gen_expr"],
        "classification": fixture["train_full_forward_cls"],
        "dissimilarity": sum(fixture[f"train_{name}_emb_independence"] for name in names),
        "cell_similarity": sum(fixture[f"train_{name}_ecs"] for name in names),
        "contrastive": fixture["train_cce"],
    }
    assert_close(terms, expected)

    terms["loss"].backward()
    ours = {name: parameter.grad for name, parameter in tiny_v1.named_parameters()}
    from_published = {str(name): same_values(tiny_v1, checkpoint[name]) for name in fixture["train_grad_names"]}
    assert set(from_published.values()) == {name for name, gradient in ours.items() if gradient is not None}
    for name, norm in zip(fixture["train_grad_names"], fixture["train_grad_norms"], strict=True):
        assert float(ours[from_published[str(name)]].norm()) == pytest.approx(norm, rel=1e-4, abs=1e-6), name
    full = [key.removeprefix("train_grad::") for key in fixture if key.startswith("train_grad::")]
    assert len(full) == 4
    for name in full:
        gradient = ours[from_published[name]]
        largest = np.abs(fixture[f"train_grad::{name}"]).max()
        np.testing.assert_allclose(gradient, fixture[f"train_grad::{name}"], atol=2e-4 * largest)


def test_step_without_full_pass_and_bottleneck(
    tiny_v1: ScPrint, tiny_v1_losses: Arrays, labels: LabelSpace, batch: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    fixture = tiny_v1_losses
    recipe = recipe_of(fixture, contrastive=0, full_pass=False, generated_embeddings=False)
    terms = step(recipe, fixture["train2_noisy_0.6"], labels, tiny_v1, batch, monkeypatch)
    expected = {
        # theirs has a decoder of gene times cell embedding besides, at weight 1
        "loss": fixture["train2_total"] - fixture["scale_mvc_scale"] * fixture["train2_denoise_60%_expr_mvc"],
        "denoising": fixture["train2_denoise_60%_expr"],
        "classification": fixture["train2_denoise_60%_cls"],
        "dissimilarity": fixture["train2_denoise_60%_emb_independence"],
        "cell_similarity": fixture["train2_denoise_60%_ecs"],
    }
    assert_close(terms, expected)


def test_step_with_adversarial_classes(
    tiny_v1: ScPrint, tiny_v1_losses: Arrays, labels: LabelSpace, batch: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    fixture = tiny_v1_losses
    recipe = recipe_of(fixture, adversarial=float(fixture["scale_adv_class_scale"]))
    terms = step(recipe, fixture["train3_noisy_0.6"], labels, tiny_v1, batch, monkeypatch)
    assert terms["adversarial_classes"].item() == pytest.approx(float(fixture["train3_full_forward_adv_cls"]), rel=1e-5)
    assert terms["loss"].item() == pytest.approx(float(fixture["train3_total"]), rel=1e-5)

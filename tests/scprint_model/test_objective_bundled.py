"""The bundled model's recipe: whole profiles, two views, depth that is drawn; on made-up cells."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from scipy import sparse

from scdataloader import LabelSpace
from scdataloader.labels import LabelClass
from scprint_model.config import ModelConfig
from scprint_model.losses.embeddings import info_nce
from scprint_model.losses.hierarchical import hierarchical_cross_entropy, hierarchical_loss
from scprint_model.model import ScPrint
from scprint_model.training.objective import LossWeights, Objective, Recipe
from scprint_model.training.passes import context_of, noised, thinned
from scprint_model.training.recipes import RECIPES
from scprint_model.training.validation import Validation

N_GENES, N_CELLS = 40, 6
#: The outputs are a, b and ab, the label above both.
LABELS = LabelSpace({"cell_type": LabelClass(("a", "b", "ab"), ("ab",), sparse.csr_array([[True, True, True]]), {})})
BUNDLED = replace(RECIPES["bundled"], min_context=4)


def network() -> ScPrint:
    torch.manual_seed(0)
    config = ModelConfig(
        n_genes=N_GENES,
        d_model=16,
        n_layers=2,
        n_heads=2,
        class_sizes=LABELS.sizes,
        dropout=0.0,
        normalization="cp10k",
        depth="decoder",
        position_scale=0.1,
        gene_features=5,
        profile_tokens=("base", "cell_type"),
    )
    model = ScPrint(config, gene_positions=torch.arange(N_GENES))
    model.gene_encoder.features.normal_()
    model.profile_encoder.weight.fill_(1.0)
    return model


def cells() -> Any:
    """Each cell expresses 30 of 40 genes; the batch shows 16 of all."""
    rng = np.random.default_rng(0)
    counts = rng.poisson(4, (N_CELLS, N_GENES)) * (rng.random((N_CELLS, N_GENES)) < 0.75)
    rows = sparse.csr_matrix(counts.astype(np.float32))
    genes = np.stack([rng.permutation(N_GENES)[:16] for _ in range(N_CELLS)])
    batch = {
        "genes": genes,
        "counts": np.take_along_axis(counts, genes, axis=1).astype(np.float32),
        "total_counts": counts.sum(axis=1).astype(np.float32) + 20,
        "labels": np.array([[0], [1], [3], [-1], [0], [3]]),
        "dataset": np.array([0, 0, 0, 1, 1, 1]),
        "profile_genes": rows.indices.astype(np.int64),
        "profile_counts": rows.data,
        "profile_starts": rows.indptr.astype(np.int64),
    }
    return {name: torch.from_numpy(np.asarray(value)) for name, value in batch.items()}


def test_every_term_is_there_and_reaches_the_network() -> None:
    torch.manual_seed(0)
    model, objective = network(), Objective(LABELS, BUNDLED)
    objective.centres = torch.zeros(2, 5)
    terms = objective(model, cells())
    expected = ("denoising", "bottleneck", "classification", "label_sigmoids", "dissimilarity", "contrastive")
    assert set(terms) == {"loss", *expected}
    torch.testing.assert_close(terms["loss"], sum(objective.weight(name) * terms[name] for name in expected))
    terms["loss"].backward()
    gradients = {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
    assert all(bool(g.isfinite().all()) for g in gradients.values())
    assert {"gene_encoder.map.weight", "profile_encoder.out.weight"} <= gradients.keys()


def test_noise_is_the_same_in_the_context_and_in_the_profile() -> None:
    context = context_of(cells())
    for made in (
        noised(context, 0.8, N_GENES, drawn=True, generator=torch.Generator().manual_seed(1)),
        thinned(context, 8.0, N_GENES, generator=torch.Generator().manual_seed(1)),
    ):
        whole = torch.zeros(N_CELLS, N_GENES)
        whole[made.profile.cells, made.profile.genes] = made.profile.counts
        torch.testing.assert_close(made.counts, whole.gather(1, context.genes))
        assert (made.counts <= context.counts).all()
        assert (made.counts < context.counts).any()


def test_shown_totals_fall_with_the_noise_and_totals_with_the_thinning() -> None:
    context = context_of(cells())
    noisy = noised(context, 0.8, N_GENES, drawn=True, generator=torch.Generator().manual_seed(1))
    before, after = context.profile.totals(), noisy.profile.totals()
    torch.testing.assert_close(noisy.shown_total, context.total_counts * after / before)
    many = replace(context, **{name: getattr(context, name).repeat_interleave(300, 0) for name in ("genes", "counts",
                   "total_counts", "context_total")}, profile=None)  # fmt: skip
    shallow = thinned(many, 8.0, N_GENES, generator=torch.Generator().manual_seed(1))
    factor = many.total_counts / shallow.total_counts
    assert float((factor == 1).float().mean()) == pytest.approx(0.5, abs=0.05)
    assert 1 <= float(factor.min()) < float(factor.max()) <= 8.001
    logs = factor[factor > 1].log() / np.log(8)
    assert float(logs.mean()) == pytest.approx(0.5, abs=0.03)  # uniform in the logarithm
    ratio = shallow.counts.sum(1) / many.counts.sum(1).clamp(min=1) * factor
    assert float(ratio[many.counts.sum(1) > 0].mean()) == pytest.approx(1, abs=0.05)


def test_the_second_view_is_of_the_genes_behind_those_of_the_first() -> None:
    model, batch = network().eval(), cells()
    weights = LossWeights(denoising=0, bottleneck=0, classification=0, dissimilarity=0, contrastive=1)
    recipe = Recipe(weights=weights, noise=0.0, second_view=True, contrast_within=True, min_context=8, short_share=1e-9)
    objective = Objective(LABELS, recipe).train()
    found = objective(model, batch)["contrastive"]
    shown = {"shown_total": batch["total_counts"]}
    one, other = (
        model.encode(batch["genes"][:, part], batch["counts"][:, part], batch["total_counts"], **shown,
                     profile=context_of(batch).profile).cell_embedding
        for part in (slice(8), slice(8, 16))
    )  # fmt: skip
    torch.testing.assert_close(found, info_nce(one, other, temperature=0.2, groups=batch["dataset"]))


def test_label_terms_are_those_of_the_losses() -> None:
    model, batch, objective = network().eval(), cells(), Objective(LABELS, BUNDLED).eval()
    logits = model.encode(batch["genes"], batch["counts"], batch["total_counts"]).class_logits
    below, own, labels = torch.tensor([[True, True, True]]), torch.tensor([2]), batch["labels"][:, 0]
    by_hand = hierarchical_cross_entropy(logits["cell_type"], labels, below)
    torch.testing.assert_close(objective.classification(logits, batch["labels"]), by_hand)
    sigmoids = hierarchical_loss(logits["cell_type"], labels, below, own=own, per_labelled_cell=True)
    torch.testing.assert_close(objective.label_sigmoids(logits, batch["labels"]), sigmoids)


def test_after_a_short_training_genes_that_vary_together_lie_together() -> None:
    """The features know half of the cells; the tokens follow the correlations in the other half."""
    rng = np.random.default_rng(0)
    module = rng.integers(0, 4, N_GENES)
    activity = rng.gamma(1.0, 1.0, (400, 4))
    counts = rng.poisson(6 * activity[:, module])
    logs = np.log1p(counts * 1e4 / counts.sum(axis=1, keepdims=True))
    seen, held_out = np.corrcoef(logs[:200].T), np.corrcoef(logs[200:].T)
    values, axes = np.linalg.eigh(seen)
    model = network()
    features = torch.from_numpy((axes * np.sqrt(values.clip(0)))[:, -5:].astype(np.float32))
    model.gene_encoder.features.copy_(features)
    torch.nn.init.normal_(model.gene_encoder.map.weight, std=0.3)
    torch.nn.init.zeros_(model.gene_encoder.table.weight)
    objective = Objective(LABELS, BUNDLED)
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3, weight_decay=0.05)
    for step in range(40):
        mine = rng.integers(0, 200, 32)
        rows = sparse.csr_matrix(counts[mine].astype(np.float32))
        genes = np.stack([rng.permutation(N_GENES) for _ in mine])
        batch: Any = {
            "genes": torch.from_numpy(genes),
            "counts": torch.from_numpy(np.take_along_axis(counts[mine], genes, axis=1).astype(np.float32)),
            "total_counts": torch.from_numpy(counts[mine].sum(axis=1).astype(np.float32)),
            "labels": torch.full((32, 1), -1),
            "dataset": torch.zeros(32, dtype=torch.long),
            "profile_genes": torch.from_numpy(rows.indices.astype(np.int64)),
            "profile_counts": torch.from_numpy(rows.data),
            "profile_starts": torch.from_numpy(rows.indptr.astype(np.int64)),
        }
        optimizer.zero_grad()
        torch.manual_seed(step)
        objective(model, batch)["loss"].backward()
        optimizer.step()
    tokens = torch.nn.functional.normalize(model.gene_encoder(torch.arange(N_GENES)[None])[0].detach(), dim=1)
    pairs = np.triu_indices(N_GENES, 1)
    agreement = np.corrcoef((tokens @ tokens.T).numpy()[pairs], held_out[pairs])[0, 1]
    assert agreement > 0.3


def test_validation_shows_the_network_whole_profiles_and_which_genes_were_measured(monkeypatch) -> None:
    torch.manual_seed(0)
    model, objective, batch = network().eval(), Objective(LABELS, BUNDLED), cells()
    objective.centres = torch.randn(2, 5)
    told: dict[str, Any] = {}
    encode, forward = model.encode, model.forward

    def spy(name: str, call: Any) -> Any:
        def spied(*given: Any, **options: Any) -> Any:
            told[name] = options["profile"]
            return call(*given, **options)

        return spied

    monkeypatch.setattr(model, "encode", spy("encode", encode))
    monkeypatch.setattr(model, "forward", spy("forward", forward))
    validation = Validation(model, objective, n_cells=4)
    validation.add(batch, {"loss": torch.tensor(1.0)})
    torch.testing.assert_close(told["encode"].counts, batch["profile_counts"], rtol=0, atol=0)
    torch.testing.assert_close(told["encode"].centre, objective.centres[batch["dataset"]], rtol=0, atol=0)
    noisy, end = told["forward"], int(batch["profile_starts"][4])  # of the four cells that are denoised
    assert noisy.counts.shape == (end,)
    assert (noisy.counts <= batch["profile_counts"][:end]).all()
    assert 0.15 < float(noisy.counts.sum() / batch["profile_counts"][:end].sum()) < 0.6  # (1 - 0.55 · 0.8)² is 0.31
    assert noisy.centre.shape == (4, 5)
    scores = validation.finish(lambda total: total)
    assert scores["cells_denoising_gain"] == 4
    assert scores["cells_embedding"] == 4

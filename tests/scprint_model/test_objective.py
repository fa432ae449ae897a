"""A training step: its passes, terms and weights, on a small network and made-up cells."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from scipy import sparse
from torch import Tensor
from torch._subclasses.fake_tensor import DataDependentOutputException, FakeTensorMode

from scdataloader import GeneVocabulary, LabelSpace
from scdataloader.labels import LabelClass
from scprint_model.config import ModelConfig
from scprint_model.losses.counts import count_loss
from scprint_model.losses.hierarchical import hierarchical_loss
from scprint_model.model import ScPrint
from scprint_model.training import objective as module
from scprint_model.training.objective import (
    LossWeights,
    Objective,
    ObjectiveConfig,
    Recipe,
    build_objective,
    read_regulators,
)
from scprint_model.training.passes import context_of, draw_length, hidden_genes, thinned_total
from scprint_model.training.recipes import RECIPES

N_GENES = 30
LABELS = LabelSpace(
    {
        "cell_type": LabelClass(("a", "b", "c"), ("ab",), sparse.csr_array([[True, True, False]]), {}),
        "sex": LabelClass(("f", "m"), (), sparse.csr_array((0, 2), dtype=bool), {}),
    }
)
REGULATORS = torch.arange(N_GENES) < 5


def network(labels: LabelSpace = LABELS, **options: Any) -> ScPrint:
    torch.manual_seed(0)
    config = ModelConfig(
        n_genes=N_GENES, d_model=16, n_layers=2, n_heads=2, class_sizes=labels.sizes, dropout=0.0, **options
    )
    model = ScPrint(config, gene_positions=torch.arange(N_GENES)).eval()
    for parameter in model.parameters():
        if parameter.ndim > 1:  # far from the small first weights, so that everything matters
            torch.nn.init.normal_(parameter, std=0.3)
    return model


def cells(n: int = 6, n_genes: int = 12, labels: Tensor | None = None) -> Any:
    generator = torch.Generator().manual_seed(1)
    genes = torch.stack([torch.randperm(N_GENES, generator=generator)[:n_genes] for _ in range(n)])
    counts = torch.randint(0, 9, (n, n_genes), generator=generator).float()
    if labels is None:
        labels = torch.tensor([[0, 1], [3, -1], [2, 0], [-1, -1], [1, 1], [0, 0]])[:n]
    return {
        "genes": genes,
        "counts": counts,
        "total_counts": counts.sum(dim=1) + 50,
        "labels": labels,
        "dataset": torch.arange(n) % 3,
    }


def seeded() -> torch.Generator:
    return torch.Generator().manual_seed(5)


def calls(model: ScPrint, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The list which the names of the network's passes are written to."""
    made: list[str] = []

    def note(name: str) -> None:
        passed = getattr(model, name)

        def noted(*args: Any, **options: Any) -> Any:
            made.append(name)
            return passed(*args, **options)

        monkeypatch.setattr(model, name, noted)

    for name in ("forward", "encode", "generate"):
        note(name)
    return made


@pytest.mark.parametrize("likelihood", ["zinb", "nb"])
def test_every_term_adds_its_weight_and_reaches_the_network(likelihood: str) -> None:
    weights = LossWeights(
        denoising=0.5,
        masking=0.6,
        bottleneck=0.7,
        classification=0.8,
        dissimilarity=0.9,
        cell_similarity=1.1,
        contrastive=1.2,
        adversarial_classes=1.3,
        adversarial_datasets=1.4,
        log_error=1.5,
        label_sigmoids=1.6,
    )
    recipe = Recipe(weights=weights, full_pass=True, mask_ratios=(0.2, 0.6), generated_embeddings=True)
    objective = Objective(LABELS, recipe, d_model=16, n_datasets=3)
    model = network(likelihood=likelihood)
    terms = objective(model, cells(), generator=seeded())
    assert set(terms) == {"loss", *vars(weights)}
    total = sum(weight * terms[name] for name, weight in vars(weights).items())
    torch.testing.assert_close(terms["loss"], total)
    for name in vars(weights):
        model.zero_grad()
        terms[name].backward(retain_graph=True)
        gradients = [p.grad for p in model.parameters() if p.grad is not None]
        assert any(bool(g.any()) for g in gradients), name
        assert all(bool(g.isfinite().all()) for g in gradients), name
    assert all(p.grad is not None for p in objective.dataset_classifier.parameters())


@pytest.mark.parametrize(
    ("recipe", "expected"),
    [
        (RECIPES["paper"], ["forward", "generate"]),
        (Recipe(weights=LossWeights(bottleneck=0)), ["forward"]),
        (Recipe(weights=LossWeights(denoising=0)), ["encode", "generate"]),
        (Recipe(weights=LossWeights(denoising=0), mask_ratios=(0.3,)), ["forward", "generate"]),
        (Recipe(full_pass=True, mask_ratios=(0.3, 0.5)), ["encode", "forward", "forward", "forward", "generate"]),
    ],
)
def test_no_pass_is_made_for_nothing(recipe: Recipe, expected: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    model = network()
    made = calls(model, monkeypatch)
    terms = Objective(LABELS, recipe)(model, cells())
    assert made == expected
    wanted = {name for name, weight in vars(recipe.weights).items() if weight}
    assert set(terms) - {"loss"} == wanted - (set() if recipe.mask_ratios else {"masking"})


def test_full_pass_gives_the_labels_and_the_bottleneck() -> None:
    model, batch = network(), cells()
    terms = Objective(LABELS, Recipe(full_pass=True, label_loss="binary"))(model, batch, generator=seeded())
    clean = model.encode(batch["genes"], batch["counts"], batch["total_counts"])
    below = torch.tensor([[True, True, False]])
    losses = [
        hierarchical_loss(clean.class_logits["cell_type"], batch["labels"][:, 0], below),
        hierarchical_loss(clean.class_logits["sex"], batch["labels"][:, 1], below[:0, :2]),
    ]
    torch.testing.assert_close(terms["classification"], losses[0] + losses[1])
    rebuilt = model.generate(
        batch["genes"], clean.cell_embeddings, batch["total_counts"], expected_total=batch["counts"].sum(dim=1)
    )
    torch.testing.assert_close(
        terms["bottleneck"], count_loss(batch["counts"], rebuilt.mean, rebuilt.dispersion, rebuilt.zero_logits)
    )


@pytest.mark.parametrize(
    "options",
    [
        {"likelihood": "mse"},
        {"likelihood": "nb"},
        {"depth": "decoder"},
        {"cell_transformer": 1},
        {"bottleneck_sizes": {"sex": 3}, "metacell_token": True},
    ],
)
def test_every_kind_of_network_learns(options: dict[str, Any]) -> None:
    model, objective = network(**options), Objective(LABELS, RECIPES["published"])
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    first = objective(model, cells(), generator=seeded())
    for _ in range(20):
        optimizer.zero_grad()
        objective(model, cells(), generator=seeded())["loss"].backward()
        optimizer.step()
    last = objective(model, cells(), generator=seeded())
    assert last["loss"] < first["loss"]
    assert last["denoising"] < first["denoising"]


def test_cells_of_different_lengths_are_as_if_alone() -> None:
    """A gene that was not measured has no place in the passes, wherever it stands, and no loss."""
    model, batch = network(), cells(2, 9, torch.tensor([[0, 1], [2, 0]]))
    mask = torch.ones(2, 9, dtype=torch.bool)
    mask[0, [1, 4, 8]] = False
    padded = batch | {"mask": mask, "genes": batch["genes"].masked_fill(~mask, -1)}
    padded["counts"] = batch["counts"].masked_fill(~mask, 0)
    recipe = Recipe(noise=0.0, full_pass=True, weights=LossWeights(log_error=1e-6))
    objective = Objective(LABELS, recipe)
    together = objective(model, padded)
    alone = []
    for row in range(2):
        one = {key: value[row : row + 1] for key, value in batch.items()}
        one |= {key: one[key][:, mask[row]] for key in ("genes", "counts")}
        alone.append(objective(model, one))
    for name in ("denoising", "bottleneck", "log_error"):
        torch.testing.assert_close(together[name], (6 * alone[0][name] + 9 * alone[1][name]) / 15, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(together["dissimilarity"], (alone[0]["dissimilarity"] + alone[1]["dissimilarity"]) / 2)


def test_same_seed_same_step() -> None:
    model = network()
    recipe = Recipe(mask_ratios=(0.3,), mask_genes="regulators", mask_noise=0.5)
    objective = Objective(LABELS, recipe, regulators=REGULATORS)
    first, second, other = (
        objective(model, cells(), generator=torch.Generator().manual_seed(seed)) for seed in (1, 1, 2)
    )
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert first["denoising"] != other["denoising"]
    assert first["masking"] != other["masking"]


def test_hidden_counts_do_not_matter() -> None:
    model, batch = network(normalization="log"), cells()
    recipe = Recipe(weights=LossWeights(denoising=0, bottleneck=0, masking=1), mask_ratios=(1.0,))
    objective = Objective(LABELS, recipe)
    embedded = objective(model, batch)["classification"]
    others = batch | {"counts": batch["counts"].flip(1)}
    torch.testing.assert_close(objective(model, others)["classification"], embedded)
    seen = Objective(LABELS, Recipe(weights=recipe.weights, mask_ratios=(0.01,)))
    assert (seen(model, others)["classification"] - seen(model, batch)["classification"]).abs() > 1e-4


def test_masks_hit_regulators_more_often() -> None:
    genes = torch.arange(N_GENES).expand(20_000, -1)
    all_alike = hidden_genes(genes, 0.3, regulators=None, others=0.05, generator=seeded()).double().mean(dim=0)
    assert (all_alike - 0.3).abs().max() < 0.02
    share = hidden_genes(genes, 0.3, regulators=REGULATORS, others=0.05, generator=seeded()).double().mean(dim=0)
    assert (share[:5] - 0.3).abs().max() < 0.02
    assert (share[5:] - 0.015).abs().max() < 0.006


def test_thinned_total_by_hand() -> None:
    batch = cells(2, 3) | {
        "counts": torch.tensor([[4.0, 4.0, 2.0], [0.0, 0.0, 0.0]]),
        "total_counts": torch.tensor([100.0, 7.0]),
    }
    noisy = torch.tensor([[1.0, 4.0, 0.0], [0.0, 0.0, 0.0]])
    assert thinned_total(context_of(batch), noisy).tolist() == [50, 7]


def test_context_lengths() -> None:
    drawn = [draw_length(20, 8, 0.25, generator=None) for _ in range(2000)]
    cut = [n for n in drawn if n is not None]
    assert len(cut) == pytest.approx(500, abs=100)
    assert (min(cut), max(cut)) == (8, 20)
    assert draw_length(20, 0, 1.0, generator=None) is None
    assert draw_length(20, 20, 1.0, generator=None) is None
    short = context_of(cells(2, 9), 4)
    assert short.genes.shape == short.counts.shape == (2, 4)
    torch.testing.assert_close(short.context_total, cells(2, 9)["counts"][:, :4].sum(dim=1))


def test_the_host_never_waits_for_the_device() -> None:
    """Fake tensors on a device have no values: whatever asks for one, as ``.item()`` or a boolean index, raises."""
    model, batch = network(), cells()
    batch["mask"] = torch.ones(6, 12, dtype=torch.bool)
    weights = replace(RECIPES["published_2"].weights, adversarial_classes=0.1, adversarial_datasets=0.1)
    recipe = replace(RECIPES["published_2"], weights=weights)
    objective = Objective(LABELS, recipe, regulators=REGULATORS, d_model=16, n_datasets=3).eval()
    with FakeTensorMode() as mode:
        for part in (*model.modules(), *objective.modules()):
            for tensors in (part._parameters, part._buffers):
                tensors |= {name: fake(mode, value) for name, value in tensors.items() if value is not None}
        terms = objective(model, {name: fake(mode, value) for name, value in batch.items()})
        assert terms["loss"].device.type == "cuda"
        with pytest.raises(DataDependentOutputException):
            terms["loss"].item()


def fake(mode: FakeTensorMode, value: Tensor) -> Tensor:
    return mode.from_tensor(value).to("cuda").detach().requires_grad_(value.requires_grad)


@pytest.mark.parametrize("value", [float("nan"), -3.0, float("inf")])
def test_a_bad_batch_names_its_cells_or_where_nobody_looked_is_nan(
    value: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, batch, objective = network(), cells(), Objective(LABELS, RECIPES["paper"])
    batch["counts"][4, 2] = value
    with pytest.raises(ValueError, match=r"cells 4 of the batch \(data sets 1\) have counts"):
        objective(model, batch)
    monkeypatch.setattr(module, "check_batch", lambda *_args, **_options: None)  # as on a GPU
    assert objective(model, batch)["loss"].isnan()


def test_unknown_data_sets_and_labels_where_nobody_looked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "check_batch", lambda *_args, **_options: None)
    objective = Objective(LABELS, weights=LossWeights(adversarial_datasets=1), d_model=16, n_datasets=2)
    terms = objective(network(), cells())
    assert terms["adversarial_datasets"].isnan()
    assert terms["loss"].isnan()
    assert terms["classification"].isfinite()


def test_single_cell_no_class_and_nothing_expressed() -> None:
    weights = LossWeights(cell_similarity=1, contrastive=1, adversarial_datasets=1)
    recipe = Recipe(weights=weights, full_pass=True)
    none = LabelSpace({})
    objective = Objective(none, recipe, d_model=16, n_datasets=1)
    model = network(none)
    batch = cells(1, labels=torch.zeros(1, 0, dtype=torch.long))
    batch["counts"] = torch.zeros_like(batch["counts"])
    terms = objective(model, batch)
    assert terms["classification"] == 0
    assert all(value.isfinite() for value in terms.values())
    terms["loss"].backward()
    assert all(p.grad.isfinite().all() for p in model.parameters() if p.grad is not None)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("likelihood", ["zinb", "nb", "mse"])
def test_extreme_counts_under_autocast(dtype: torch.dtype, likelihood: str) -> None:
    model, batch = network(likelihood=likelihood), cells()
    batch["counts"] = torch.tensor([0.0, 1.0, 1e5, 0.0]).repeat(6, 3)
    batch["counts"][0] = 0
    batch["total_counts"] = batch["counts"].sum(dim=1)
    with torch.autocast("cpu", dtype):
        terms = Objective(LABELS, RECIPES["published"])(model, batch, generator=seeded())
    exact = Objective(LABELS, RECIPES["published"])(model, batch, generator=seeded())
    (terms["loss"] * (1e-4 if likelihood == "mse" else 1)).backward()  # its size is that of 1e4², see there
    assert all(value.isfinite() and value.dtype == torch.float32 for value in terms.values())
    assert all(p.grad.isfinite().all() for p in model.parameters() if p.grad is not None)
    assert terms["classification"].item() == pytest.approx(exact["classification"].item(), rel=0.05)


def test_regulators_from_a_file(tmp_path: Any) -> None:
    vocabulary = GeneVocabulary.for_organisms(["human"])
    path = tmp_path / "regulators.txt"
    path.write_text(f"# two of ours and one unknown\n{vocabulary.ids[3]}\n\nENSG0\n{vocabulary.ids[7]}  # the last\n")
    assert read_regulators(path, vocabulary).nonzero()[:, 0].tolist() == [3, 7]
    config = ObjectiveConfig(recipe="published_2", regulators=str(path))
    objective = build_objective(config, LABELS, vocabulary=vocabulary, d_model=16, n_datasets=2)
    assert objective.regulators.sum() == 2
    assert objective.recipe == RECIPES["published_2"]
    path.write_text("TP53\n")
    with pytest.raises(ValueError, match=r"none of the 1 ids in .*regulators.txt is in the vocabulary.*'TP53'"):
        read_regulators(path, vocabulary)


def test_what_the_recipe_needs_is_asked_for() -> None:
    with pytest.raises(ValueError, match=r"adversarial_datasets=0\.1 needs d_model and n_datasets"):
        Objective(LABELS, weights=LossWeights(adversarial_datasets=0.1))
    with pytest.raises(ValueError, match=r"mask_genes='regulators' needs regulators"):
        Objective(LABELS, RECIPES["published_2"])
    one = LabelSpace({"sex": LABELS.classes["sex"]})
    with pytest.raises(ValueError, match=r"adversarial_classes=1 needs two classes.*\['sex'\]"):
        Objective(one, weights=LossWeights(adversarial_classes=1))
    objective = Objective(LABELS, weights=LossWeights(log_error=1))
    with pytest.raises(ValueError, match=r"log_error=1 .* likelihood is 'mse'"):
        objective(network(likelihood="mse"), cells())
    generated = Recipe(weights=LossWeights(contrastive=1), generated_embeddings=True)
    with pytest.raises(ValueError, match=r"contrastive=1 compares passes.*cell transformer"):
        Objective(LABELS, generated)(network(cell_transformer=1), cells())

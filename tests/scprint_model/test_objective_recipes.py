"""Named recipes, changes to them, and what contradicts itself."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

import jsonargparse
import pytest

from scprint_model.training.recipes import RECIPES, LossWeights, ObjectiveConfig, Recipe


def settings(objective: ObjectiveConfig = ObjectiveConfig(), seed: int = 0) -> ObjectiveConfig:  # noqa: B008
    """As the command line reads them."""
    return objective


def test_published_numbers() -> None:
    paper, first, second = (RECIPES[name] for name in ("paper", "published", "published_2"))
    assert (paper.noise, first.noise, second.noise) == (0.6, 0.6, 0.6)
    assert set(vars(paper.weights).values()) == {0, 1}
    assert (first.weights.classification, first.weights.dissimilarity) == (1.5, 0.2)
    assert (second.weights.classification, second.weights.dissimilarity) == (1.0, 0.1)
    assert (second.similarity_threshold, second.temperature) == (0.4, 0.2)
    assert not first.full_pass
    assert second.full_pass


def test_a_config_can_change_every_field_of_a_recipe() -> None:
    ours = {f.name for f in fields(ObjectiveConfig)} - {"recipe", "regulators"}
    assert ours == {f.name for f in fields(Recipe)}
    for name, recipe in RECIPES.items():
        regulators = "tf.txt" if recipe.mask_genes == "regulators" else None
        assert ObjectiveConfig(recipe=name, regulators=regulators).resolve() == recipe
    changed = ObjectiveConfig(noise=0.3, full_pass=True, weights={"contrastive": 0.1}, min_context=400).resolve()
    weights = LossWeights(contrastive=0.1)
    assert changed == Recipe(noise=0.3, full_pass=True, weights=weights, min_context=400)
    off = ObjectiveConfig(recipe="published", generated_embeddings=False).resolve()
    assert not off.generated_embeddings


def test_yaml_and_options_change_single_fields(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(
        "objective: { recipe: published, noise: 0.3, mask_ratios: [0.2], weights: { classification: 2.0 } }\n"
    )
    arguments = ["--config", str(path), "--objective.full_pass", "true", "--objective.weights.contrastive", "0.1"]
    config = jsonargparse.auto_cli(settings, args=arguments)
    recipe = config.resolve()
    assert recipe.weights == LossWeights(classification=2.0, dissimilarity=0.2, contrastive=0.1)
    assert (recipe.noise, recipe.full_pass, recipe.mask_ratios, recipe.generated_embeddings) == (
        0.3,
        True,
        (0.2,),
        True,
    )
    assert jsonargparse.auto_cli(settings, args=[]).resolve() == RECIPES["paper"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"recipe": "nature"}, r"recipe='nature' must be one of \('paper', 'published', 'published_2', 'bundled'\)"),
        ({"weights": {"mvc": 1.0}}, r"weights has \['mvc'\]"),
        ({"weights": {"bottleneck": -1}}, r"must not be negative: \{'bottleneck': -1\}"),
        ({"weights": {"bottleneck": float("nan")}}, r"must not be negative: \{'bottleneck': nan\}"),
        ({"noise": 60.0}, r"\{'noise': 60\.0\} must be shares"),
        ({"mask_ratios": (0.0,)}, r"mask_ratios=\(0\.0,\)"),
        ({"temperature": 0.0}, r"temperature=0\.0"),
        ({"similarity_threshold": 2.0}, r"similarity_threshold=2\.0"),
        ({"min_context": -1}, r"min_context=-1"),
        ({"dissimilarity": "euclid"}, r"dissimilarity='euclid'"),
        ({"mask_noise": 0.5}, r"mask_noise=0\.5 .* mask_ratios is empty"),
        ({"weights": {"contrastive": 0.1}}, r"weights\.contrastive=0\.1 .* full_pass=False, mask_ratios=\(\)"),
        (
            {"recipe": "published", "weights": {"bottleneck": 0}},
            r"generated_embeddings=True .* weights\.bottleneck=0",
        ),
        ({"recipe": "published_2"}, r"recipe='published_2' with mask_genes='regulators'.* set regulators"),
        ({"regulators": "tf.txt"}, r"regulators='tf\.txt' has no use with mask_genes='all'"),
        (
            {"weights": dict.fromkeys(("denoising", "bottleneck", "classification", "dissimilarity"), 0.0)},
            "all weights are 0",
        ),
    ],
)
def test_contradictions_name_their_fields(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ObjectiveConfig(**options)


def test_labels_as_the_paper_writes_them_and_as_the_published_code_has_them() -> None:
    assert {name: recipe.label_loss for name, recipe in RECIPES.items()} == {
        "paper": "cross_entropy",
        "published": "binary",
        "published_2": "binary",
        "bundled": "cross_entropy",
    }
    with pytest.raises(ValueError, match=r"second_view=True .* min_context=0"):
        Recipe(second_view=True)
    with pytest.raises(ValueError, match=r"thinning=0\.5 is a factor"):
        Recipe(thinning=0.5)

"""The paper's ablations: each changes one thing of the base, and is a training that can be made."""

from __future__ import annotations

from dataclasses import fields

import pytest
from benchmarks.ablation.paper import CELLS, CHANGES, FEATURES, STORE, given

from scprint_model.training.module import PretrainingModule
from scprint_model.training.recipes import ObjectiveConfig


def test_each_row_changes_one_thing_and_can_be_made():
    (base, *others) = CHANGES.values()
    for change in others:
        of_row = [one.name for one in fields(base.row) if getattr(base.row, one.name) != getattr(change.row, one.name)]
        of_rest = [name for name in ("n_heads", "weighted") if getattr(base, name) != getattr(change, name)]
        assert len(of_row + of_rest) == 1, change
    for change in CHANGES.values():
        module = PretrainingModule(
            d_model=64,
            n_layers=2,
            n_heads=change.n_heads,
            normalization=change.row.normalization,
            architecture=change.row.architecture,
            objective=ObjectiveConfig(**change.row.objective),
        )
        recipe = module.objective_config.resolve()
        assert bool(recipe.mask_ratios) == (change is CHANGES["masking instead of denoising"])
        assert (recipe.weights.denoising == 0) == bool(recipe.mask_ratios)


def test_what_the_training_needs_is_asked_for(monkeypatch):
    monkeypatch.setenv(STORE, "store")
    for name in (FEATURES, CELLS):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(FileNotFoundError, match=f"set {FEATURES}, {CELLS}: "):
        given()

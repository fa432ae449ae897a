"""The paper's ablations: each changes one thing of the base, and is a training that can be made."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest
import torch
from benchmarks.ablation import summary
from benchmarks.ablation.gene_product import GeneProduct, ProductTraining
from benchmarks.ablation.paper import CELLS, CHANGES, FEATURES, N_CELLS, STORE, denoising, given, noised_cells
from benchmarks.denoising.scores import drawn_cells

from scdataloader import CellDataModule, datasets
from scdataloader.options import Holdout
from scprint_model import ScPrint
from scprint_model.training.recipes import ObjectiveConfig


def test_each_row_changes_one_thing_and_can_be_made():
    (base, *others) = CHANGES.values()
    for change in others:
        of_row = [one.name for one in fields(base.row) if getattr(base.row, one.name) != getattr(change.row, one.name)]
        of_rest = [name for name in ("n_heads", "weighted", "training") if getattr(base, name) != getattr(change, name)]
        assert len(of_row + of_rest) == 1, change
    for change in CHANGES.values():
        module = change.training(
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


def test_a_product_by_hand_gives_means_that_follow_gene_and_cell():
    product = GeneProduct(2, 3)
    with torch.no_grad():
        for layer in (product.query[0], product.query[2]):
            layer.weight.copy_(torch.eye(2))
            layer.bias.zero_()
        product.cell.weight.copy_(torch.cat([torch.eye(2), 2 * torch.eye(2), 0 * torch.eye(2)]))
        product.cell.bias.zero_()
    genes = torch.tensor([[[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]]])
    cells, root = torch.tensor([[3.0, 1.0]]), 2**0.5
    told = product(genes, cells, torch.tensor([10.0]), torch.tensor([[True, True, False]]))
    exact = np.exp(np.array([3.0, 1.0]) / root)
    np.testing.assert_allclose(told.mean[0, :2].detach(), 10 * exact / exact.sum(), rtol=1e-5)
    assert told.mean[0, 2] == 0  # padding
    np.testing.assert_allclose(told.dispersion[0].detach(), np.exp(np.array([6.0, 2.0, 8.0]) / root), rtol=1e-5)
    assert not told.zero_logits.any()


def test_the_product_stands_in_the_bottlenecks_place_and_is_trained(tmp_path):
    path = tmp_path / "retina.h5ad"
    datasets.retina_1k()[:128].copy().write_h5ad(path)
    options = {"classes": ["cell_type"], "organisms": ["human"], "context": 48, "batch_size": 32}
    data = CellDataModule([str(path)], **options, holdout=Holdout(val_fraction=0.1))
    data.setup("fit")
    torch.manual_seed(0)
    module = ProductTraining(d_model=16, n_layers=1, n_heads=2, dropout=0.0)
    network = module.build(data)
    assert any(name.startswith("objective.product.") for name, _ in module.named_parameters())
    optimizer = torch.optim.Adam(module.parameters(), lr=0.01)
    batch, losses = next(iter(data.train_dataloader())), []
    for _ in range(40):
        terms = module.objective(network, batch, generator=torch.Generator().manual_seed(0))
        assert "bottleneck" not in terms
        rest = sum(module.objective.weight(name) * value for name, value in terms.items() if name != "loss")
        torch.testing.assert_close(terms["loss"], rest)
        optimizer.zero_grad()
        terms["product"].backward()
        optimizer.step()
        losses.append(float(terms["product"].detach()))
    assert module.objective.weight("product") == ObjectiveConfig().resolve().weights.bottleneck > 0
    assert losses[-1] < 0.9 * losses[0]


def test_a_trained_network_denoises_above_its_noise():
    model = ScPrint.from_pretrained("bundled")
    found = denoising(model, noised_cells(drawn_cells(datasets.retina_1k(), N_CELLS, 0), model.vocabulary))
    assert 0.1 < found["above_noised"] < found["denoised"] < 1


def test_differences_are_paired_by_seed_and_set_and_intervals_are_over_seeds():
    rows = [
        {"method": method, "seed": seed, "data": data, "knn": 0.5 + 0.1 * seed + (0.2 if data == "a" else 0) + better}
        for method, better_of in {"paper's recipe": (0, 0, 0), "changed": (0.01, 0.03, 0.05)}.items()
        for seed, better in enumerate(better_of)
        for data in "ab"
    ]
    rows.append({"method": "rival", "seed": 0, "data": "a", "knn": 0.9})
    _, scores, differences = summary.parts(rows)
    base, changed, rival = (row.cells["knn"] for row in scores.blocks[0].rows)
    assert (base.value, changed.value, rival.value) == pytest.approx((0.7, 0.73, 0.9))
    assert np.isnan(rival.low)
    told = {row.name: row.cells["knn"] for row in differences.blocks[0].rows}
    assert list(told) == ["changed (3 seeds)", "rival (1 seed)"]
    # Student's t with 2 degrees of freedom: 4.3027; standard error of 0.01, 0.03, 0.05: 0.02 / sqrt(3)
    half = 4.302653 * 0.02 / 3**0.5
    one = told["changed (3 seeds)"]
    assert (one.value, one.low, one.high) == pytest.approx((0.03, 0.03 - half, 0.03 + half))
    assert told["rival (1 seed)"].value == pytest.approx(0.2)
    assert summary.parts([]) == []

"""The objective, the schedule, and training on real cells."""

import json
import math
from types import SimpleNamespace

import lightning
import numpy as np
import pytest
import torch

from scdataloader import CellDataModule, LabelSpace, datasets
from scprint_model import ModelConfig, ScPrint
from scprint_model.losses.zinb import zinb_loss
from scprint_model.training.callbacks import SavePretrained
from scprint_model.training.module import PretrainingModule
from scprint_model.training.objective import LossWeights, Objective
from scprint_model.training.schedule import warmup_cosine


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    path = tmp_path_factory.mktemp("corpus") / "retina.h5ad"
    datasets.retina_1k()[:256].copy().write_h5ad(path)
    module = CellDataModule(
        [str(path)], classes=["cell_type"], organisms=["human"], context=48, batch_size=32, val_fraction=0.1
    )
    module.setup("fit")
    return module


@pytest.fixture
def labels(data):
    return data.label_space


def build(data, **options):
    torch.manual_seed(0)
    settings = {"d_model": 16, "n_layers": 2, "n_heads": 2, "dropout": 0.0, "warmup_steps": 5} | options
    module = PretrainingModule(**settings)
    module.build(data)
    return module


def test_loss_falls_in_50_steps_on_256_real_cells(data):
    module = build(data, learning_rate=3e-3)
    optimizer = torch.optim.AdamW(module.network.parameters(), lr=3e-3)
    torch.manual_seed(1)
    history = []
    while len(history) < 50:
        for batch in data.train_dataloader():
            terms = module.objective(module.network, batch)
            optimizer.zero_grad()
            terms["loss"].backward()
            optimizer.step()
            history.append({name: float(value.detach()) for name, value in terms.items()})
    first, last = ({k: np.mean([h[k] for h in part]) for k in history[0]} for part in (history[:5], history[45:50]))
    assert all(math.isfinite(value) for h in history for value in h.values())
    for term in ("loss", "denoising", "bottleneck", "classification"):
        assert last[term] < 0.9 * first[term], (term, first[term], last[term])


def test_loss_is_the_weighted_sum_of_its_terms(data, labels):
    network = build(data).network
    weights = LossWeights(denoising=0.5, bottleneck=2.0, classification=3.0, dissimilarity=0.25)
    batch = next(iter(data.val_dataloader()))
    terms = Objective(labels, weights=weights, noise=0.6)(network, batch, generator=torch.Generator().manual_seed(3))
    total = sum(getattr(weights, name) * terms[name] for name in vars(weights))
    torch.testing.assert_close(terms["loss"], total)
    with pytest.raises(ValueError, match=r"must not be negative: \{'bottleneck': -1\}"):
        LossWeights(bottleneck=-1)


def test_objective_without_noise_is_plain_reconstruction(data, labels):
    network = build(data).network
    batch = next(iter(data.val_dataloader()))
    terms = Objective(labels, weights=LossWeights(), noise=0.0)(network, batch)
    genes, counts = batch["genes"], batch["counts"]
    output = network(genes, counts, batch["total_counts"])
    torch.testing.assert_close(
        terms["denoising"], zinb_loss(counts, output.mean, output.dispersion, output.zero_logits)
    )
    rebuilt = network.generate(genes, output.cell_embeddings, counts.sum(dim=1))
    torch.testing.assert_close(
        terms["bottleneck"], zinb_loss(counts, rebuilt.mean, rebuilt.dispersion, rebuilt.zero_logits)
    )


def test_bottleneck_sees_the_counts_through_the_embedding_only(data, labels):
    # without a way from the counts to the cell tokens, the bottleneck loss has no gradient in the expression encoder
    network = build(data).network
    batch = next(iter(data.val_dataloader()))
    weights = LossWeights(denoising=0, classification=0, dissimilarity=0)
    Objective(labels, weights=weights, noise=0.6)(network, batch)["loss"].backward()
    through = network.expression_encoder.layers[0].weight.grad
    assert through is not None
    assert through.abs().sum() > 0
    for block in network.blocks:
        torch.nn.init.zeros_(block.attention.out.weight)  # tokens cannot look at each other any more
    network.zero_grad()
    Objective(labels, weights=weights, noise=0.6)(network, batch)["loss"].backward()
    assert network.expression_encoder.layers[0].weight.grad.abs().sum() == 0


def test_unknown_labels_do_not_train_the_classifier(data, labels):
    network = build(data).network
    batch = dict(next(iter(data.val_dataloader())))
    batch["labels"] = torch.full_like(batch["labels"], -1)
    terms = Objective(labels, weights=LossWeights(), noise=0.6)(network, batch)
    assert terms["classification"] == 0


def test_short_contexts_are_for_training_only(data, labels):
    network = build(data).network
    batch = next(iter(data.val_dataloader()))
    seen = []
    network.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    objective = Objective(labels, weights=LossWeights(), noise=0.6, min_context=8)
    objective.train()
    for _ in range(12):
        objective(network, batch)
    lengths = {genes.shape[1] for genes in seen}
    assert min(lengths) >= 8
    assert max(lengths) <= 48
    assert len(lengths) > 3
    assert all(torch.equal(genes, batch["genes"][:, : genes.shape[1]]) for genes in seen)
    seen.clear()
    objective.eval()
    objective(network, batch)
    assert torch.equal(seen[0], batch["genes"])


def test_schedule_by_hand():
    factor = warmup_cosine(4, 12)
    assert [factor(i) for i in range(4)] == [0.25, 0.5, 0.75, 1.0]
    assert factor(8) == pytest.approx(0.5)
    assert factor(12) == pytest.approx(0.0)
    with pytest.raises(ValueError, match="warmup_steps=12 must be smaller than the 12 steps"):
        warmup_cosine(12, 12)


def test_module_options_reach_the_network(data):
    from scdataloader import GeneVocabulary

    network = build(data, drop_path=0.2, normalization="sum", gene_embedding_std=0.1).network
    assert network.config.normalization == "sum"
    assert network.blocks[1].drop_path == pytest.approx(0.2)
    assert network.gene_encoder.table.weight.std().item() == pytest.approx(0.1, rel=0.02)
    both = GeneVocabulary.for_organisms(["human", "mouse"])
    two_organisms = SimpleNamespace(vocabulary=both, label_space=data.label_space)
    shared, apart = (PretrainingModule(shared_rows=on).build(two_organisms) for on in (True, False))
    assert apart.gene_encoder.table.weight.shape[0] == len(both)
    assert shared.gene_encoder.table.weight.shape[0] == len({symbol.upper() for symbol in both.symbols})


@pytest.mark.parametrize("half", [False, True])
def test_fit_saves_a_model_that_opens(data, tmp_path, half):
    module = PretrainingModule(d_model=16, n_layers=1, n_heads=2, warmup_steps=2, dropout=0.0)
    trainer = lightning.Trainer(
        max_epochs=1,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[SavePretrained(str(tmp_path / "model"), half=half)],
    )
    trainer.fit(module, data)
    model = ScPrint.from_pretrained(tmp_path / "model")
    for name, value in module.network.state_dict().items():
        stored = value.half().float() if half and value.is_floating_point() else value
        torch.testing.assert_close(model.state_dict()[name], stored, rtol=0, atol=0)
    assert model.vocabulary == data.vocabulary
    card = json.loads((tmp_path / "model/card.json").read_text())
    assert card["data_sets"] == ["retina"]
    assert card["steps"] == len(data.train_dataloader())
    assert 0 <= card["validation"]["val/accuracy_cell_type"] <= 1
    seen = set(np.load(tmp_path / "model/training_cells.npy"))
    assert seen == set(data.cells.fingerprints[data.train_cells])
    assert not seen & set(data.cells.fingerprints[data.val_cells])
    assert card["held_out_cells"] == len(data.val_cells)
    assert card["held_out_data_sets"] == []


def test_decay_spares_biases_norms_and_embeddings(data):
    module = build(data, weight_decay=0.1)
    module.trainer = lightning.Trainer(max_steps=10, logger=False, accelerator="cpu", enable_checkpointing=False)
    groups = module.configure_optimizers()["optimizer"].param_groups
    decayed = {id(p) for g in groups if g["weight_decay"] for p in g["params"]}
    names = {name for name, p in module.network.named_parameters() if id(p) in decayed}
    assert "blocks.0.mlp.fc1.weight" in names
    assert "gene_encoder.table.weight" not in names
    assert "class_tokens.weight" not in names
    assert not any("norm" in name or name.endswith("bias") for name in names)
    assert sum(len(g["params"]) for g in groups) == len(list(module.network.parameters()))


def test_a_schedule_without_end_is_refused(data):
    module = build(data)
    module.trainer = SimpleNamespace(estimated_stepping_batches=float("inf"))
    with pytest.raises(ValueError, match=r"needs an end: set trainer\.max_epochs or trainer\.max_steps"):
        module.configure_optimizers()


def test_network_needs_data_first():
    with pytest.raises(RuntimeError, match="built from the data"):
        _ = PretrainingModule().network


def test_label_order_is_the_class_order(data):
    # codes of the second class must not reach the head of the first
    obs = data.cells
    space = LabelSpace(
        {"cell_type": obs.label_space.classes["cell_type"], "again": obs.label_space.classes["cell_type"]}
    )
    objective = Objective(space, weights=LossWeights(), noise=0.6)
    config = ModelConfig(n_genes=10, d_model=16, n_layers=1, n_heads=2, class_sizes=space.sizes)
    n = config.class_sizes["cell_type"]
    sure = torch.full((1, n), -20.0)
    sure[0, 2] = 20.0
    wrong = torch.full((1, n), -20.0)
    wrong[0, 5] = 20.0
    logits = {"cell_type": sure, "again": wrong}
    assert objective.classification(logits, torch.tensor([[2, 5]])) < 1e-6
    assert objective.classification(logits, torch.tensor([[5, 2]])) > 1

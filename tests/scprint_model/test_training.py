"""The objective, the schedule, and training on real cells."""

import functools
import json
import math
from pathlib import Path
from types import SimpleNamespace

import lightning
import numpy as np
import pandas as pd
import pytest
import torch
from lightning.pytorch.plugins.precision import MixedPrecision

from scdataloader import CellDataModule, LabelSpace, datasets
from scdataloader.options import GeneChoice, Holdout
from scprint_model import ModelConfig, ScPrint
from scprint_model.checkpoints import save_folder
from scprint_model.gene_embeddings.table import start_from_table
from scprint_model.losses.counts import zinb_loss
from scprint_model.training.module import PretrainingModule
from scprint_model.training.objective import LossWeights, Objective, ObjectiveConfig
from scprint_model.training.optimizer import WarmupPlateau, adamw, parameter_groups, warmup_cosine
from scprint_model.training.resume import seed_step
from scprint_model.training.saving import SavePretrained
from scprint_model.training.throughput import Throughput


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    path = tmp_path_factory.mktemp("corpus") / "retina.h5ad"
    datasets.retina_1k()[:256].copy().write_h5ad(path)
    module = CellDataModule(
        [str(path)],
        classes=["cell_type"],
        organisms=["human"],
        context=48,
        batch_size=32,
        holdout=Holdout(val_fraction=0.1),
    )
    module.setup("fit")
    return module


@pytest.fixture
def labels(data):
    return data.label_space


NO_NOISE = ObjectiveConfig(noise=0.0)


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


def test_compiled_passes_give_the_same_loss_and_gradients(data, monkeypatch):
    batch, graphs = next(iter(data.val_dataloader())), []

    def backend(graph, _):
        graphs.append(graph)
        return graph.forward

    monkeypatch.setattr(torch, "compile", functools.partial(torch.compile, backend=backend))
    results = []
    for compiled in (False, True):
        module = build(data, compiled=compiled)
        loss = module.objective(module.network, batch, generator=torch.Generator().manual_seed(3))["loss"]
        loss.backward()
        results.append((loss.detach(), module.network.gene_encoder.table.weight.grad))
        assert len(graphs) == (2 if compiled else 0)  # the noised pass and the bottleneck
        assert not any("orig_mod" in name for name in module.state_dict())
    torch.testing.assert_close(results[1], results[0])


def test_loss_is_the_weighted_sum_of_its_terms(data, labels):
    network = build(data).network
    weights = LossWeights(denoising=0.5, bottleneck=2.0, classification=3.0, dissimilarity=0.25)
    batch = next(iter(data.val_dataloader()))
    terms = Objective(labels, weights=weights, noise=0.6)(network, batch, generator=torch.Generator().manual_seed(3))
    total = sum(getattr(weights, name) * value for name, value in terms.items() if name != "loss")
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


def test_processes_cut_a_step_to_one_length(data, monkeypatch):
    batch, rank = next(iter(data.val_dataloader())), 0
    module = build(data, objective=ObjectiveConfig(min_context=8))
    module.train()
    monkeypatch.setattr(PretrainingModule, "global_rank", property(lambda _: rank))
    for name in ("log", "log_dict"):
        monkeypatch.setattr(module, name, lambda *_, **__: None)

    def steps(n, *, begin=0):
        """Genes that a process shows in some steps, and losses."""
        seen, losses = [], []
        hook = module.network.register_forward_pre_hook(lambda _, args: seen.append(args[0].shape[1]))
        for step in range(begin, n):
            module.on_train_batch_start(batch, step)
            losses.append(float(module.training_step(batch, step).detach()))
        hook.remove()
        return seen, losses

    lengths, losses = steps(8)
    rank = 1
    assert steps(8)[0] == lengths
    assert steps(8)[1] != losses  # noise is each one's own
    assert steps(8, begin=5)[0] == lengths[5:]  # whatever was drawn before
    assert len(set(lengths)) > 4
    # one process alone draws as ever: its length is the first number of the step
    rank = 0
    seed_step(module.seed, epoch=0, batch=3, rank=0)
    alone = float(module.objective(module.network, batch)["loss"].detach())
    assert alone == losses[3]


def test_schedule_by_hand():
    factor = warmup_cosine(4, 12)
    assert [factor(i) for i in range(4)] == [0.25, 0.5, 0.75, 1.0]
    assert factor(8) == pytest.approx(0.5)
    assert factor(12) == pytest.approx(0.0)
    with pytest.raises(ValueError, match="warmup_steps=12 must be smaller than the 12 steps"):
        warmup_cosine(12, 12)


def test_plateau_by_hand():
    factor = WarmupPlateau(2, cut=0.5, patience=1)
    assert [factor(i) for i in range(3)] == [0.5, 1.0, 1.0]
    seen = []
    for loss in (3.0, 2.0, 2.5, 2.1, 2.2, float("nan"), 1.9, 2.0, 1.8):
        factor.observe(loss)
        seen.append(factor(10))
    # two in a row that are not the lowest cut; then the waiting begins anew
    assert seen == [1, 1, 1, 0.5, 0.5, 0.25, 0.25, 0.25, 0.25]
    assert factor(0) == 0.125


def test_plateau_keeps_its_state_with_the_optimiser():
    def made():
        optimizer = torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], lr=1.0)
        factor = WarmupPlateau(0, cut=0.5, patience=0)
        return factor, torch.optim.lr_scheduler.LambdaLR(optimizer, factor)

    factor, scheduler = made()
    factor.observe(1.0)
    factor.observe(2.0)
    again, scheduler_again = made()
    scheduler_again.load_state_dict(scheduler.state_dict())
    again.observe(0.9)
    assert (again.factor, again.lowest) == (0.5, 0.9)


class Rates(lightning.Callback):
    def __init__(self):
        self.rates = []

    def on_train_batch_start(self, trainer, *_):
        self.rates.append(trainer.optimizers[0].param_groups[0]["lr"])


def fit(data, *callbacks, max_epochs=3, options=None, **model):
    torch.manual_seed(0)
    settings = {"d_model": 16, "n_layers": 1, "n_heads": 2, "warmup_steps": 2, "dropout": 0.0} | model
    module = PretrainingModule(**settings)
    quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False,
             "enable_model_summary": False}  # fmt: skip
    trainer = lightning.Trainer(
        max_epochs=max_epochs, accelerator="cpu", callbacks=list(callbacks), **quiet, **(options or {})
    )
    trainer.fit(module, data)
    return module, trainer


def test_plateau_lowers_the_rate_after_validations_that_are_not_better(data):
    # so small a rate that the loss does not move visibly, and validations that are the same
    rates = Rates()
    _, trainer = fit(data, rates, schedule="plateau", plateau_patience=0, plateau_cut=0.5, learning_rate=1e-12)
    n = len(rates.rates) // 3
    assert rates.rates[:3] == pytest.approx([0.5e-12, 1e-12, 1e-12])
    assert rates.rates[n - 1 : n + 1] == pytest.approx([1e-12, 1e-12])
    assert rates.rates[2 * n + 1] == pytest.approx(0.5e-12)
    assert trainer.callback_metrics["val/loss"] > 0


def test_constant_schedule_needs_no_end(data):
    rates = Rates()
    fit(data, rates, schedule="constant", max_epochs=-1, options={"max_steps": 5}, learning_rate=0.1)
    assert rates.rates == pytest.approx([0.05, 0.1, 0.1, 0.1, 0.1])


@pytest.mark.filterwarnings("ignore:Detected call of .lr_scheduler.step")
@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed", "16-mixed"])
def test_clipping_works_with_the_fused_optimiser(data, precision):
    class Norms(lightning.Callback):
        def __init__(self):
            self.clipped = []

        def on_before_zero_grad(self, _, pl_module, *__):
            found = [p.grad.norm() for p in pl_module.parameters() if p.grad is not None]
            if found:
                self.clipped.append(float(torch.stack(found).norm()))

    norms = Norms()
    # Lightning has no fp16 on the CPU unless it is given as a plugin
    options = {"plugins": [MixedPrecision(precision, "cpu")]} if precision == "16-mixed" else {"precision": precision}
    _, trainer = fit(data, norms, max_epochs=1, options={"gradient_clip_val": 0.01, **options})
    # the fused kernel unscales fp16 gradients after the clipping: not for those
    assert bool(trainer.optimizers[0].param_groups[0]["fused"]) is (precision != "16-mixed")
    if precision != "16-mixed":
        assert float(trainer.callback_metrics["train/gradient_norm"]) > 0.1
    # the first scale of fp16 gradients is too large: such steps are left out, and the scale is halved
    finite = [norm for norm in norms.clipped if math.isfinite(norm)]
    assert len(finite) == len(norms.clipped) or precision == "16-mixed"
    assert math.isfinite(norms.clipped[-1])
    assert max(finite) == pytest.approx(0.01, rel=1e-3)


def test_accumulated_batches_are_one_large_batch(data):
    class Weights(lightning.Callback):
        def on_train_batch_end(self, trainer, *_):
            if trainer.global_step == 1 and not hasattr(self, "first"):
                self.first = trainer.optimizers[0].state_dict()["state"]

    steps = {}
    for size, accumulate in ((32, 1), (16, 2)):
        other = CellDataModule(data.files, classes=["cell_type"], organisms=["human"], context=48, batch_size=size,
                               holdout=Holdout(val_fraction=0.1),
                               genes=GeneChoice(choice="most_expressed"))  # fmt: skip
        weights = Weights()
        fit(
            other,
            weights,
            objective=NO_NOISE,
            warmup_steps=0,
            options={"accumulate_grad_batches": accumulate, "max_steps": 1},
        )
        steps[size] = weights.first
    largest = max(float(state["exp_avg"].abs().max()) for state in steps[32].values())
    for i, state in steps[32].items():
        torch.testing.assert_close(steps[16][i]["exp_avg"], state["exp_avg"], rtol=1e-4, atol=1e-6 * largest)


def test_fused_steps_are_those_of_the_plain_optimiser():
    weights = []
    for fused in (False, True):
        torch.manual_seed(0)
        layer = torch.nn.Sequential(torch.nn.Linear(5, 4), torch.nn.LayerNorm(4), torch.nn.Embedding(3, 4))
        groups = parameter_groups(layer, weight_decay=0.1, decay_all=False)
        optimizer = adamw(groups, learning_rate=0.01, betas=(0.9, 0.95), fused=fused)
        for _ in range(5):
            optimizer.zero_grad()
            (layer[1](layer[0](torch.ones(2, 5))).square().sum() + layer[2].weight.square().sum()).backward()
            optimizer.step()
        weights.append(torch.cat([p.detach().flatten() for p in layer.parameters()]))
    torch.testing.assert_close(*weights)


def test_decay_of_everything_is_an_option(data):
    network = build(data).network
    (group,) = parameter_groups(network, weight_decay=0.1, decay_all=True)
    assert len(group["params"]) == len(list(network.parameters()))
    assert group["weight_decay"] == 0.1


def test_validation_scores_are_logged(data):
    _, trainer = fit(data, max_epochs=1)
    scores = {name: float(value) for name, value in trainer.callback_metrics.items() if name.startswith("val/")}
    assert scores.keys() >= {
        "val/loss", "val/denoising", "val/bottleneck", "val/accuracy_cell_type", "val/macro_f1_cell_type",
        "val/neighbours_cell_type", "val/denoising_gain",
    }  # fmt: skip
    assert all(math.isfinite(value) for value in scores.values())
    assert 0 <= scores["val/macro_f1_cell_type"] <= 1


def test_validation_is_the_same_for_any_batch_size(data):
    found = []
    for size in (7, 25):
        other = CellDataModule(data.files, classes=["cell_type"], organisms=["human"], context=48, batch_size=size,
                               holdout=Holdout(val_fraction=0.1),
                               genes=GeneChoice(choice="most_expressed"))  # fmt: skip
        module = PretrainingModule(d_model=16, n_layers=1, n_heads=2, objective=NO_NOISE)
        other.setup("fit")
        torch.manual_seed(0)
        module.build(other)
        quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
        (scores,) = lightning.Trainer(accelerator="cpu", **quiet).validate(module, other, verbose=False)
        found.append(scores)
    assert found[0].keys() == found[1].keys()
    for name, value in found[0].items():
        assert found[1][name] == pytest.approx(value, rel=1e-4, abs=1e-4), name


def test_speed_and_waiting_by_a_clock_of_our_own(monkeypatch):
    clock = iter([0.0, 3.0, 4.0, 10.0, 11.0, 100.0, 101.0, 103.0])
    monkeypatch.setattr("scprint_model.training.throughput.time.perf_counter", lambda: next(clock))
    logged = {}
    module = SimpleNamespace(log_dict=lambda values, **_: logged.update(values))
    trainer = SimpleNamespace(log_every_n_steps=2, world_size=4)
    batch = {"genes": torch.zeros(6, 3)}
    shown = Throughput()
    shown.on_train_epoch_start(trainer, module)  # 0
    shown.on_train_batch_start(trainer, module, batch, 0)  # waited 3
    shown.on_train_batch_end(trainer, module, None, batch, 0)  # worked 1
    shown.on_train_batch_start(trainer, module, batch, 1)  # waited 6
    shown.on_train_batch_end(trainer, module, None, batch, 1)  # worked 1
    assert logged["train/data_wait"] == pytest.approx(9 / 11)
    assert logged["train/cells_per_second"] == pytest.approx(4 * 12 / 11)
    shown.on_validation_end(trainer, module)  # 100: the validation counts nowhere
    trainer.log_every_n_steps = 1
    shown.on_train_batch_start(trainer, module, batch, 2)  # waited 1
    shown.on_train_batch_end(trainer, module, None, batch, 2)  # worked 2
    assert logged["train/data_wait"] == pytest.approx(1 / 3)


def test_table_of_gene_embeddings_frozen_but_for_genes_without_a_row():
    torch.manual_seed(0)
    rows, found = torch.randn(40, 6), torch.rand(40) < 0.5
    embedding = torch.nn.Embedding(40, 6)
    start_from_table(embedding, rows, found, freeze=True)
    assert torch.equal(embedding.weight, rows)
    groups = parameter_groups(embedding, weight_decay=0.5, decay_all=True)
    assert [group["weight_decay"] for group in groups] == [0.0]  # decay would move frozen rows
    optimizer = adamw(groups, learning_rate=0.1, betas=(0.9, 0.999), fused=True)
    for _ in range(3):
        optimizer.zero_grad()
        embedding(torch.arange(40)).square().sum().backward()
        optimizer.step()
    assert torch.equal(embedding.weight[found], rows[found])
    assert not torch.isclose(embedding.weight[~found], rows[~found]).any(dim=1).any()
    with pytest.raises(ValueError, match=r"rows \(40, 6\) for \(40,\) genes, the model needs \(40, 3\)"):
        start_from_table(torch.nn.Embedding(40, 3), rows, found, freeze=True)


@pytest.mark.slow
@pytest.mark.parametrize("freeze", [True, False])
def test_training_from_a_table_file(data, tmp_path, freeze):
    from scprint_model.gene_embeddings import load_table

    ids = list(data.vocabulary.ids)
    table = pd.DataFrame(np.random.default_rng(0).normal(size=(len(ids) - 100, 32)), index=ids[100:])
    table.rename(columns=str).rename_axis("gene_id").to_csv(tmp_path / "genes.csv")
    module, _ = fit(data, max_epochs=1, gene_embeddings=str(tmp_path / "genes.csv"), freeze_gene_embeddings=freeze,
                    learning_rate=0.01)  # fmt: skip
    rows, found = load_table(tmp_path / "genes.csv", data.vocabulary, 16)
    weight = module.network.gene_encoder.table.weight.detach()
    assert int(found.sum()) == len(ids) - 100
    # averaged down: each value is the mean of two columns
    assert rows[100, 0] == pytest.approx(table.iloc[0, :2].mean(), rel=1e-5)
    assert torch.equal(weight[found], rows[found]) is freeze
    assert not torch.equal(weight[~found], rows[~found])


@pytest.mark.parametrize("size", ["small", "medium", "large", "xlarge"])
def test_packaged_configs_have_the_named_sizes(size, monkeypatch, tmp_path):
    import yaml

    from scprint_model.commands.fit import packaged_configs
    from scprint_model.config import SIZES

    monkeypatch.chdir(tmp_path)
    for given in (["--config", size], ["--config", f"configs/{size}.yaml"]):
        found = packaged_configs([*given, "--data.context", "5"])
        assert found[2:] == ["--data.context", "5"]
        config = yaml.safe_load(Path(found[1]).read_text())
        assert config["model"]["size"] == size
    assert packaged_configs([f"--config={size}"]) == [f"--config={found[1]}"]
    module = PretrainingModule(size=size, dropout=0.0)
    assert {name: module.architecture[name] for name in SIZES[size]} == SIZES[size]


@pytest.mark.parametrize("size", ["small", "xlarge"])
def test_packaged_configs_are_read_by_the_command(size, capsys):
    import yaml

    from scprint_model.cli import main

    words = ["--config", size, "--data.files", "a.h5ad", "--model.warmup-steps", "7", "--print-config"]
    assert main(["fit", *words]) == 0
    config = yaml.safe_load(capsys.readouterr().out)
    assert config["model"]["size"] == size
    assert config["model"]["warmup_steps"] == 7
    assert config["trainer"]["use_distributed_sampler"] is False
    assert "AtomicCheckpointIO" in str(config["trainer"]["plugins"])


def test_files_come_before_packaged_configs(monkeypatch, tmp_path):
    from scprint_model.commands.fit import packaged_configs

    monkeypatch.chdir(tmp_path)
    (tmp_path / "small").write_text("model: {}")
    assert packaged_configs(["--config", "small"]) == ["--config", "small"]
    assert packaged_configs(["--config", "other/small.yaml"]) == ["--config", "other/small.yaml"]
    with pytest.raises(
        ValueError, match=r"no file 'tinyy', .* there are \['bundled', 'large', 'medium', 'small', 'tiny', 'xlarge'\]"
    ):
        packaged_configs(["--config", "tinyy"])


def test_module_options_reach_the_network(data):
    from scdataloader import GeneVocabulary

    network = build(data, drop_path=0.2, normalization="sum", gene_embedding_std=0.1).network
    assert network.config.normalization == "sum"
    assert network.blocks[1].drop_path == pytest.approx(0.2)
    assert network.gene_encoder.table.weight.std().item() == pytest.approx(0.1, rel=0.02)
    both = GeneVocabulary.for_organisms(["human", "mouse"])
    two_organisms = SimpleNamespace(vocabulary=both, label_space=data.label_space, cells=data.cells, context=48)
    shared, apart = (PretrainingModule(shared_rows=on).build(two_organisms) for on in (True, False))
    assert apart.gene_encoder.table.weight.shape[0] == len(both)
    assert shared.gene_encoder.table.weight.shape[0] == len({symbol.upper() for symbol in both.symbols})


@pytest.mark.parametrize("half", [False, True])
def test_fit_saves_a_model_that_opens(data, small_model, tmp_path, half):
    save_folder(small_model, tmp_path / "model", card={"steps": 0})
    (tmp_path / "model/mynotes.txt").write_text("remember")
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
    assert (tmp_path / "model/mynotes.txt").read_text() == "remember"


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

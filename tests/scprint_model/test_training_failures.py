"""What stops a training says what is wrong and what to do; and what cannot work is told before it begins."""

import lightning
import pytest
import torch
import yaml
from lightning.pytorch.callbacks import Callback, ModelCheckpoint

from scdataloader import CellDataModule
from scdataloader.options import Drawing, Holdout
from scprint_model.cli import main
from scprint_model.training.failures import describe_batch, memory_advice
from scprint_model.training.module import PretrainingModule
from scprint_model.training.objective import ObjectiveConfig

DATA = {"classes": ["cell_type"], "organisms": ["human"], "context": 48, "batch_size": 16,
        "holdout": Holdout(val_fraction=0.1), "drawing": Drawing(cells_per_epoch=64)}  # fmt: skip


@pytest.fixture(scope="module")
def corpus(tmp_path_factory, retina):
    path = tmp_path_factory.mktemp("corpus") / "retina.h5ad"
    retina.write_h5ad(path)
    return str(path)


MODEL = {"d_model": 16, "n_layers": 1, "n_heads": 2, "warmup_steps": 1}


def module(**options):
    return PretrainingModule(**(MODEL | options))


class SpoilAt(Callback):
    """Changes a batch, or a weight, at a step."""

    def __init__(self, step, spoil):
        self.step, self.spoil = step, spoil

    def on_train_batch_start(self, trainer, pl_module, batch, _):
        if trainer.global_step == self.step:
            self.spoil(pl_module, batch)


def fit(corpus, folder, spoil, **options):
    checkpoint = ModelCheckpoint(dirpath=folder, filename="{step}", every_n_train_steps=1, save_top_k=-1)
    torch.manual_seed(0)
    lightning.Trainer(
        max_steps=8, accelerator="cpu", logger=False, enable_progress_bar=False, enable_model_summary=False,
        callbacks=[SpoilAt(5, spoil), checkpoint], **options,
    ).fit(module(), CellDataModule([corpus], **DATA))  # fmt: skip


def test_loss_that_is_not_a_number_stops_with_step_cells_and_a_good_checkpoint(corpus, tmp_path):
    def spoil(pl_module, _):
        pl_module.network.norm.register_forward_hook(lambda *args: args[-1] * torch.nan)

    with pytest.raises(FloatingPointError) as stopped:
        fit(corpus, tmp_path, spoil)
    message = str(stopped.value)
    assert "the loss is nan at step 5" in message
    assert (
        f"epoch 1, cells {cells_of(corpus, epoch=1, batch=1)} (indices in data.cells) of data sets 0 (retina)"
        in message
    )
    assert "denoising nan" in message
    assert "model.learning_rate" in message
    written = {path.name for path in tmp_path.iterdir()}
    assert written == {f"step={i}.ckpt" for i in range(1, 6)}
    last = torch.load(tmp_path / "step=5.ckpt", weights_only=True)
    assert all(bool(value.isfinite().all()) for value in last["state_dict"].values() if value.is_floating_point())


def cells_of(corpus, *, epoch, batch):
    """What the sampler says; four batches an epoch, so step 5 is batch 1 of epoch 1."""
    data = CellDataModule([corpus], **DATA)
    data.setup("fit")
    loader = data.train_dataloader()
    loader.sampler.set_epoch(epoch)
    return loader.sampler.indices(16 * batch, 16 * (batch + 1)).tolist()


def test_counts_that_are_not_numbers_stop_with_the_cells(corpus, tmp_path):
    def spoil(_, batch):
        batch["total_counts"][3] = float("nan")

    with pytest.raises(ValueError, match=r"cells 3 of the batch .* NaN") as stopped:
        fit(corpus, tmp_path, spoil)
    assert f"The batch is of epoch 1, cells {cells_of(corpus, epoch=1, batch=1)}" in str(stopped.value)


def test_gradient_that_is_not_a_number_stops(corpus, tmp_path):
    def spoil(pl_module, _):
        pl_module.network.norm.weight.register_hook(lambda gradient: gradient * torch.nan)

    with pytest.raises(FloatingPointError, match="gradient norm is nan at step 5"):
        fit(corpus, tmp_path, spoil, gradient_clip_val=1.0)
    assert not (tmp_path / "step=6.ckpt").exists()


def test_batch_without_an_expressed_gene_stops(corpus, tmp_path):
    with pytest.raises(ValueError, match=r"no cell of a batch expresses any of its genes.*epoch 1, cells \[\d+"):
        fit(corpus, tmp_path, lambda _, batch: batch["counts"].zero_())


@pytest.mark.parametrize("where", ["forward", "backward", "validation"])
def test_out_of_memory_names_the_knobs(corpus, tmp_path, where):
    def exhaust(*_):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.")

    def spoil(pl_module, _):
        if where == "backward":
            pl_module.network.norm.weight.register_hook(exhaust)
        elif where == "forward":
            pl_module.network.norm.register_forward_pre_hook(exhaust)
        else:
            pl_module._validation = None
            pl_module.network.norm.register_forward_pre_hook(lambda m, _: None if m.training else exhaust())

    with pytest.raises(MemoryError) as stopped:
        fit(corpus, tmp_path, spoil, accumulate_grad_batches=1)
    message = str(stopped.value)
    assert "out of memory in a batch of 16 cells × 48 genes" in message
    for knob in ("data.batch_size", "accumulate_grad_batches", "gradient_checkpointing", "data.context"):
        assert knob in message
    assert "Tried to allocate 20.00 GiB" in message


def test_other_errors_pass_and_checkpointing_is_not_advised_where_it_is_on():
    with pytest.raises(RuntimeError, match=r"^mat1 and mat2"), memory_advice(None, checkpointing=False, accumulated=1):
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")
    with pytest.raises(MemoryError) as stopped, memory_advice(None, checkpointing=True, accumulated=4):
        raise RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes")
    assert "gradient_checkpointing" not in str(stopped.value)
    assert "(now 4)" in str(stopped.value)


def test_long_batches_are_shortened_in_messages():
    batch = {"dataset": torch.tensor([1, 0, 1])}
    text = describe_batch(batch, names=["a", "b"], cells=list(range(100)))
    assert text.startswith("cells [0, 1, 2")
    assert "and 84 more" in text
    assert text.endswith("of data sets 0 (a), 1 (b)")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_heads": 3}, "n_heads = 3 does not divide d_model = 16"),
        (
            {"size": "medium", "n_heads": None, "d_model": 30},
            "n_heads = 4 does not divide d_model = 30",
        ),
        ({"drop_path": 0.1}, r"drop_path = 0\.1 has no effect with n_layers = 1"),
        ({"architecture": {"dropout": 0.2}}, r"\['dropout'\], which are options of their own"),
        ({"architecture": {"n_genes": 5}}, r"\['n_genes'\], which the data decide"),
        ({"architecture": {"width": 5}}, r"unknown model config fields \['width'\]"),
        (
            {"shared_rows": True, "gene_embeddings": "table.parquet"},
            "shared_rows=True and gene_embeddings='table.parquet'",
        ),
        ({"plateau_patience": 3}, "plateau_patience=3 are of schedule='plateau', not of 'cosine'"),
        ({"schedule": "plateau", "plateau_cut": 1.2}, r"plateau_cut=1\.2 must be above 0"),
        ({"warmup_steps": -1}, "warmup_steps=-1"),
        ({"learning_rate": -1.0}, r"learning_rate=-1\.0"),
        ({"weight_decay": float("nan")}, "weight_decay=nan"),
    ],
)
def test_a_config_that_contradicts_itself_is_refused_by_its_fields(options, message):
    with pytest.raises(ValueError, match=message):
        module(**options)


def test_shortest_context_above_the_context_is_refused(corpus):
    data = CellDataModule([corpus], **DATA)
    data.setup("fit")
    with pytest.raises(ValueError, match=r"min_context=48 cuts nothing off a data\.context of 48"):
        module(objective=ObjectiveConfig(min_context=48)).build(data)


def test_plateau_without_validation_is_refused(corpus, tmp_path):
    quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    trainer = lightning.Trainer(max_steps=2, accelerator="cpu", limit_val_batches=0, **quiet)
    with pytest.raises(ValueError, match=r"schedule='plateau' follows the validation loss, .*limit_val_batches is 0"):
        trainer.fit(module(schedule="plateau"), CellDataModule([corpus], **DATA))


@pytest.mark.filterwarnings("ignore:No seed found")
@pytest.mark.parametrize(
    ("model", "trainer_options", "status", "message"),
    [
        ({"n_heads": 3}, {}, 2, "n_heads = 3 does not divide d_model = 16"),
        ({}, {"max_epochs": -1}, 2, "the schedule needs an end: set trainer.max_epochs"),
        ({"learning_rate": 1e30}, {"max_steps": 6}, 1, "scprint: the "),
    ],
)
def test_the_command_says_it_in_a_line(corpus, tmp_path, monkeypatch, capsys, model, trainer_options, status, message):
    monkeypatch.chdir(tmp_path)
    config = {
        "trainer": {"accelerator": "cpu", "logger": False, "enable_checkpointing": False, "enable_progress_bar": False,
                    "enable_model_summary": False, "gradient_clip_val": 1.0, **trainer_options},
        "model": MODEL | model,
        "data": DATA | {"files": [corpus], "holdout": {"val_fraction": 0.1}, "drawing": {"cells_per_epoch": 64}},
    }  # fmt: skip
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(config))
    assert main(["fit", "--config", "mine.yaml"]) == status
    errors = capsys.readouterr().err
    assert message in errors
    assert "Traceback" not in errors

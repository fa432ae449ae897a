"""Averages of the weights, and which weights are saved where."""

from types import SimpleNamespace

import lightning
import pytest
import torch
from lightning.pytorch.callbacks import Callback, ModelCheckpoint
from lightning.pytorch.strategies import FSDPStrategy, ModelParallelStrategy

from scdataloader import CellDataModule
from scdataloader.options import Drawing, Holdout
from scprint_model import ScPrint
from scprint_model.training.averaging import AverageWeights
from scprint_model.training.module import PretrainingModule
from scprint_model.training.saving import SavePretrained


class Weights(Callback):
    """Notes the weights after each step, and those that validation sees."""

    def __init__(self):
        self.after, self.validated = [], []

    def on_train_start(self, _, pl_module):
        self.first = flat(pl_module)

    def on_train_batch_end(self, _, pl_module, *__):
        self.after.append(flat(pl_module))

    def on_validation_epoch_start(self, _, pl_module):
        self.validated.append(flat(pl_module))


def flat(module):
    return torch.cat([p.detach().flatten() for p in module.parameters()])


@pytest.fixture(scope="module")
def corpus(tmp_path_factory, retina):
    path = tmp_path_factory.mktemp("corpus") / "retina.h5ad"
    retina.write_h5ad(path)
    return str(path)


def fit(corpus, folder, average, **options):
    data = CellDataModule([corpus], classes=["cell_type"], organisms=["human"], context=48, batch_size=16,
                          drawing=Drawing(cells_per_epoch=64), holdout=Holdout(val_fraction=0.1))  # fmt: skip
    torch.manual_seed(0)
    module = PretrainingModule(
        d_model=16, n_layers=1, n_heads=2, warmup_steps=1, schedule="constant", learning_rate=0.01
    )
    weights = Weights()
    trainer = lightning.Trainer(
        max_steps=6, accelerator="cpu", logger=False, num_sanity_val_steps=0, enable_progress_bar=False,
        enable_model_summary=False, **options,
        callbacks=[SavePretrained(str(folder / "model")), average, weights,
                   ModelCheckpoint(dirpath=folder, filename="{step}", every_n_train_steps=1, save_top_k=-1)],
    )  # fmt: skip
    trainer.fit(module, data)
    return module, weights


@pytest.mark.slow
@pytest.mark.parametrize(
    ("average", "share"),
    [
        (AverageWeights(decay=0.5), lambda n: 1 - min(0.5, (1 + n) / (10 + n))),
        (AverageWeights(decay=None), lambda n: 1 / n),
        (AverageWeights(decay=None, start_step=2), lambda n: 1 / n),
    ],
    ids=["ema", "mean", "mean of the last"],
)
def test_average_by_recurrence_is_what_is_validated_and_saved(corpus, tmp_path, average, share):
    module, weights = fit(corpus, tmp_path, average)
    assert len(weights.after) == 6
    expected, seen = weights.first, []
    for step, now in enumerate(weights.after, start=1):
        n = step - average.start_step
        expected = now if n <= 0 else expected + share(n) * (now - expected)
        if step in (4, 6):  # the ends of the first epoch and of the training
            seen.append(expected)
    torch.testing.assert_close(weights.validated[0], seen[0], rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(flat(module), seen[-1], rtol=1e-5, atol=1e-6)
    assert not torch.allclose(flat(module), weights.after[-1], atol=1e-4)
    saved = ScPrint.from_pretrained(tmp_path / "model")
    for name, value in module.network.state_dict().items():
        torch.testing.assert_close(saved.state_dict()[name], value, rtol=0, atol=0)


def test_checkpoints_hold_the_present_weights_not_the_average(corpus, tmp_path):
    _, weights = fit(corpus, tmp_path, AverageWeights(decay=0.9))
    stored = torch.load(tmp_path / "step=4.ckpt", weights_only=True)  # at the step of a validation
    names = list(stored["callbacks"]["AverageWeights"]["average"])
    assert torch.equal(torch.cat([stored["state_dict"][name].flatten() for name in names]), weights.after[3])


def test_parted_weights_are_refused(tmp_path):
    trainer = SimpleNamespace(strategy=ModelParallelStrategy())
    with pytest.raises(ValueError, match="AverageWeights needs whole weights, which ModelParallelStrategy parts"):
        AverageWeights().setup(trainer, None, "fit")
    trainer = SimpleNamespace(strategy=FSDPStrategy())
    with pytest.raises(ValueError, match=r"SavePretrained cannot put together .* use .*ModelParallelStrategy"):
        SavePretrained(str(tmp_path / "model")).setup(trainer, None, "fit")


def test_options_out_of_range():
    with pytest.raises(ValueError, match=r"decay=1\.5 must lie between 0 and 1"):
        AverageWeights(decay=1.5)
    with pytest.raises(ValueError, match="start_step=-1 must not be negative"):
        AverageWeights(start_step=-1)


def test_best_keeps_the_folder_of_the_lowest_loss(tmp_path):
    callback = SavePretrained(str(tmp_path / "model"), best="val/loss")
    trainer = SimpleNamespace(callback_metrics={}, sanity_checking=False)
    written = []
    callback._save = lambda *_: written.append(float(trainer.callback_metrics["val/loss"]))
    with pytest.raises(ValueError, match="best='val/loss' is not among the metrics"):
        callback.on_validation_end(trainer, None)
    for loss in (3.0, 2.0, 2.5):
        trainer.callback_metrics = {"val/loss": torch.tensor(loss)}
        callback.on_validation_end(trainer, None)
    again = SavePretrained(str(tmp_path / "model"), best="val/loss")
    again._save = callback._save
    again.load_state_dict(callback.state_dict())
    for loss in (2.2, float("nan"), 1.0):
        trainer.callback_metrics = {"val/loss": torch.tensor(loss)}
        again.on_validation_end(trainer, None)
    again.on_train_end(trainer, None)
    assert written == [3.0, 2.0, 1.0]

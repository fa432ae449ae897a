"""A training that continues from a checkpoint is the training that was never interrupted, to the last bit."""

import random

import lightning
import numpy as np
import pytest
import torch
import yaml
from lightning.pytorch.callbacks import Callback, ModelCheckpoint
from torch.utils.data import DataLoader

from scdataloader import CellDataModule
from scdataloader.options import Drawing, Holdout
from scdataloader.store import CellStore
from scprint_model.cli import main
from scprint_model.training.averaging import AverageWeights
from scprint_model.training.module import PretrainingModule
from scprint_model.training.objective import ObjectiveConfig
from scprint_model.training.position import ResumableLoader
from scprint_model.training.resume import seed_step
from scprint_model.training.saving import AtomicCheckpointIO

#: 7 batches an epoch: checkpoints 7 and 14 are at the end of one, 10 is in the middle.
DATA = {"classes": ["cell_type"], "organisms": ["human"], "context": 48, "batch_size": 16,
        "holdout": Holdout(val_fraction=0.1), "drawing": Drawing(cells_per_epoch=112)}  # fmt: skip
MODEL = {"d_model": 16, "n_layers": 2, "n_heads": 2, "dropout": 0.1, "drop_path": 0.1,
         "warmup_steps": 5, "learning_rate": 0.003}  # fmt: skip


@pytest.fixture(scope="module")
def corpus(tmp_path_factory, retina):
    path = tmp_path_factory.mktemp("corpus") / "retina.h5ad"
    retina.write_h5ad(path)
    return path


class DrawElsewhere(Callback):
    """Uses up random numbers, as a callback may."""

    def on_train_batch_start(self, *_):
        self.drawn = random.random(), np.random.random(), float(torch.rand(()))  # noqa: NPY002, S311


def fit(data, folder, *, ckpt_path=None, max_steps=20, **model):
    torch.manual_seed(0)
    module = PretrainingModule(**MODEL, **model, objective=ObjectiveConfig(min_context=16))
    drawn = DrawElsewhere()
    trainer = lightning.Trainer(
        max_steps=max_steps, accelerator="cpu", logger=False, enable_progress_bar=False, enable_model_summary=False,
        gradient_clip_val=1.0, plugins=[AtomicCheckpointIO()],
        callbacks=[AverageWeights(decay=0.9), drawn,
                   ModelCheckpoint(dirpath=folder, filename="{step}", every_n_train_steps=1, save_top_k=-1)],
    )  # fmt: skip
    random.seed(str(ckpt_path))  # whatever happened before
    trainer.fit(module, data, ckpt_path=ckpt_path)
    return torch.load(folder / f"step={max_steps}.ckpt", weights_only=True), drawn.drawn


def assert_same(one, other):
    """Weights, optimiser, schedule, averages and progress, bit by bit."""
    parts = ("state_dict", "optimizer_states", "lr_schedulers", "global_step", "epoch", "scprint")
    kept = [{key: c[key] for key in parts} | {"average": c["callbacks"]["AverageWeights"]} for c in (one, other)]
    (leaves, shape), (others, other_shape) = (torch.utils._pytree.tree_flatten(tree) for tree in kept)
    assert shape == other_shape
    assert len(leaves) > 100
    for a, b in zip(leaves, others, strict=True):
        assert torch.equal(a, b) if isinstance(a, torch.Tensor) else a == b


@pytest.fixture(scope="module")
def whole(corpus, tmp_path_factory):
    """20 steps without a break."""
    folder = tmp_path_factory.mktemp("whole")
    return folder, *fit(CellDataModule([str(corpus)], **DATA), folder)


@pytest.mark.slow
@pytest.mark.parametrize("step", [7, 10])
def test_20_steps_equal_10_and_10_more(whole, corpus, tmp_path, step):
    folder, last, drawn = whole
    rest, drawn_again = fit(CellDataModule([str(corpus)], **DATA), tmp_path, ckpt_path=folder / f"step={step}.ckpt")
    assert_same(last, rest)
    assert drawn == drawn_again
    first = torch.load(folder / f"step={step}.ckpt", weights_only=True)
    assert any(not torch.equal(first["state_dict"][name], value) for name, value in last["state_dict"].items())


@pytest.mark.slow
@pytest.mark.parametrize("step", [4, 5])  # in the middle and at the end of the first epoch of 5 batches
def test_the_same_straight_from_a_store(corpus, tmp_path, step):
    CellStore.build([corpus], tmp_path / "store")
    options = {**DATA, "drawing": Drawing(cells_per_epoch=80)}
    last, _ = fit(CellDataModule(store=str(tmp_path / "store"), **options), tmp_path / "whole", max_steps=8)
    rest, _ = fit(CellDataModule(store=str(tmp_path / "store"), **options), tmp_path / "rest", max_steps=8,
                  ckpt_path=tmp_path / f"whole/step={step}.ckpt")  # fmt: skip
    assert_same(last, rest)


@pytest.mark.slow
def test_the_same_from_the_command_line(corpus, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = {
        "seed_everything": 0,
        "trainer": {
            "accelerator": "cpu", "logger": False, "enable_progress_bar": False, "enable_model_summary": False,
            "max_steps": 20,
            "callbacks": [{"class_path": "lightning.pytorch.callbacks.ModelCheckpoint",
                           "init_args": {"dirpath": "whole", "filename": "{step}", "every_n_train_steps": 10,
                                         "save_top_k": -1}},
                          {"class_path": "scprint_model.training.averaging.AverageWeights"}],
        },
        "model": MODEL | {"schedule": "plateau", "objective": {"min_context": 16, "recipe": "published"}},
        "data": DATA | {"files": [str(corpus)], "holdout": {"val_fraction": 0.1}, "drawing": {"cells_per_epoch": 112}},
    }  # fmt: skip
    (tmp_path / "whole.yaml").write_text(yaml.safe_dump(config))
    (tmp_path / "rest.yaml").write_text(yaml.safe_dump(config).replace("whole", "rest"))
    assert main(["fit", "--config", "whole.yaml"]) == 0
    assert main(["fit", "--config", "rest.yaml", "--ckpt_path", "whole/step=10.ckpt"]) == 0
    assert_same(*(torch.load(tmp_path / name / "step=20.ckpt", weights_only=True) for name in ("whole", "rest")))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"organisms": ["human", "mouse"]},
            r"vocabulary of [\d,]+ genes, the data one of .* 0 of its genes are missing",
        ),
        ({"batch_size": 8}, "7 batches an epoch, this one has 14"),
    ],
)
def test_checkpoint_of_other_data_is_refused(whole, corpus, tmp_path, change, message):
    with pytest.raises(ValueError, match=message):
        fit(CellDataModule([str(corpus)], **(DATA | change)), tmp_path, ckpt_path=whole[0] / "step=10.ckpt")


def test_checkpoint_of_another_label_space_is_refused(whole, retina, tmp_path):
    fewer = retina[retina.obs["cell_type_ontology_term_id"] != "CL:0000604"].copy()
    fewer.write_h5ad(tmp_path / "fewer.h5ad")
    with pytest.raises(
        ValueError, match=r"class 'cell_type' had 11 labels, the data give 10, such as \['CL:0000604'\]"
    ):
        fit(CellDataModule([str(tmp_path / "fewer.h5ad")], **DATA), tmp_path, ckpt_path=whole[0] / "step=10.ckpt")


def test_checkpoint_of_another_architecture_is_refused(whole, corpus, tmp_path):
    with pytest.raises(ValueError, match=r"model\.normalization was 'log', is 'sum'"):
        fit(CellDataModule([str(corpus)], **DATA), tmp_path, ckpt_path=whole[0] / "step=10.ckpt", normalization="sum")


@pytest.mark.parametrize("workers", [0, 2])
def test_position_in_a_loader(workers):
    epoch = [3]
    loader = DataLoader(range(20), batch_size=3, num_workers=workers, shuffle=False)
    resumable = ResumableLoader(loader, lambda: epoch[0])
    batches = iter(resumable)
    first = [next(batches).tolist() for _ in range(2)]
    assert first == [[0, 1, 2], [3, 4, 5]]
    state = resumable.state_dict()
    assert (state["epoch"], state["batches"]) == (3, 2)
    assert resumable.cells(6) == [18, 19]
    again = ResumableLoader(loader, lambda: epoch[0])
    again.load_state_dict(state)
    assert [batch.tolist() for batch in again] == [batch.tolist() for batch in batches]
    assert next(iter(again)).tolist() == [0, 1, 2]  # the next epoch begins at its begin
    again.load_state_dict(state)
    epoch[0] = 4
    assert len(list(again)) == 7  # the state was of the epoch before


def test_step_seeds_differ_by_seed_epoch_batch_and_rank():
    def draws(seed, epoch, batch, rank):
        seed_step(seed, epoch=epoch, batch=batch, rank=rank)
        return float(torch.rand(())), np.random.random(), random.random()  # noqa: NPY002, S311

    places = [(0, 0, 0, 0), (1, 0, 0, 0), (0, 1, 0, 0), (0, 0, 1, 0), (0, 0, 0, 1)]
    drawn = [draws(*place) for place in places]
    assert drawn == [draws(*place) for place in places]
    for numbers in zip(*drawn, strict=True):
        assert len(set(numbers)) == len(places)


def test_a_write_that_fails_leaves_the_last_checkpoint(tmp_path):
    path = tmp_path / "last.ckpt"
    AtomicCheckpointIO().save_checkpoint({"step": 1}, path)
    with pytest.raises(AttributeError, match="local object"):
        AtomicCheckpointIO().save_checkpoint({"step": 2, "bad": lambda: None}, path)
    assert torch.load(path, weights_only=True) == {"step": 1}
    assert [entry.name for entry in tmp_path.iterdir()] == ["last.ckpt"]
    assert path.stat().st_mode & 0o777 == 0o666 & ~current_umask()


def current_umask():
    import os

    mask = os.umask(0)
    os.umask(mask)
    return mask

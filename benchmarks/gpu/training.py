"""Trainings on a GPU: whether they wait for data, and whether one that was broken off goes on as if it had not been."""

from __future__ import annotations

import tempfile
from itertools import islice
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import ModelCheckpoint

from scdataloader import CellDataModule, Preprocessor, datasets
from scdataloader.options import Drawing, Holdout
from scprint_model.training.module import PretrainingModule
from scprint_model.training.objective import ObjectiveConfig

#: Steps of the training whose waiting is measured, and of that which is broken off in its middle.
STEPS = 60
RESUMED = 20


def _corpus(folder: Path) -> str:
    path = folder / "retina.h5ad"
    Preprocessor()(datasets.retina_1k())[0].write_h5ad(path)
    return str(path)


def _data(path: str, *, context: int, batch_size: int, cells: int) -> CellDataModule:
    return CellDataModule(
        [path],
        classes=["cell_type"],
        organisms=["human"],
        context=context,
        batch_size=batch_size,
        holdout=Holdout(val_fraction=0.1),
        drawing=Drawing(cells_per_epoch=cells, read_ahead=4),
    )


def _trainer(device: str, **options: Any) -> lightning.Trainer:
    accelerator = "gpu" if device == "cuda" else "cpu"
    quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False, "limit_val_batches": 0}
    return lightning.Trainer(accelerator=accelerator, devices=1, precision="bf16-mixed", **(quiet | options))


def loader_parts(device: str, *, tiny: bool) -> tuple[float, float]:
    """Return the share of the time that a training waits for data, and how many values pinned batches changed."""
    with tempfile.TemporaryDirectory() as folder:
        n_cells = 4 if tiny else 64
        steps = 4 if tiny else STEPS
        data = _data(_corpus(Path(folder)), context=48 if tiny else 2200, batch_size=n_cells, cells=n_cells * steps)
        data.setup("fit")
        differing = 0
        for sent, again in islice(zip(data.val_dataloader(), data.val_dataloader(), strict=True), 4):
            for name, value in sent.items():
                if device == "cuda" and not value.is_pinned():  # type: ignore[attr-defined]
                    raise ValueError(f"{name} of a batch is not pinned")
                moved = value.to(device, non_blocking=True).cpu()  # type: ignore[attr-defined]
                differing += int((moved != again[name]).sum())  # type: ignore[literal-required]
        sizes: dict[str, Any] = {"d_model": 16, "n_layers": 1, "n_heads": 2} if tiny else {"size": "small"}
        module = PretrainingModule(**sizes, warmup_steps=1 if tiny else 5, compiled=not tiny)
        # the first steps compile: the last half is measured
        trainer = _trainer(device, max_steps=steps, log_every_n_steps=steps // 2, enable_checkpointing=False)
        trainer.fit(module, data)
        return float(trainer.callback_metrics["train/data_wait"]), float(differing)


def resumed_parts(device: str) -> float:
    """Return how many numbers of weights and optimiser differ between a training and the same one, resumed."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path = _corpus(folder)

        def fit(to: str, start: Path | None) -> dict[str, Any]:
            torch.manual_seed(0)
            module = PretrainingModule(
                d_model=16, n_layers=2, n_heads=2, warmup_steps=5, objective=ObjectiveConfig(min_context=16)
            )
            keep = ModelCheckpoint(dirpath=folder / to, filename="{step}", every_n_train_steps=1, save_top_k=-1)
            trainer = _trainer(device, max_steps=RESUMED, callbacks=[keep], gradient_clip_val=1.0)
            trainer.fit(module, _data(path, context=48, batch_size=16, cells=112), ckpt_path=start)
            return dict(torch.load(folder / to / f"step={RESUMED}.ckpt", weights_only=True, map_location="cpu"))

        whole = fit("whole", None)
        rest = fit("rest", folder / "whole" / f"step={RESUMED // 2}.ckpt")
        differing = 0
        for part in ("state_dict", "optimizer_states"):
            leaves = [torch.utils._pytree.tree_leaves(one[part]) for one in (whole, rest)]
            for one, other in zip(*leaves, strict=True):
                if isinstance(one, torch.Tensor):
                    differing += int((one != other).sum())
        return float(differing)

"""Saving of a training: the model as a folder, and checkpoints that are whole or absent."""

from __future__ import annotations

import contextlib
import math
import os
from pathlib import Path
from typing import Any, cast

import lightning
import numpy as np
import torch
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.plugins.io import TorchCheckpointIO
from lightning.pytorch.strategies import FSDPStrategy, ModelParallelStrategy

from grnndata import atomic_path
from scdataloader import CellDataModule
from scprint_model._wording import listed
from scprint_model.checkpoints.folder import TRAINING_CELLS, save_folder
from scprint_model.model import ScPrint
from scprint_model.training.averaging import AverageWeights
from scprint_model.training.module import PretrainingModule
from scprint_model.training.sharding import whole_copy


class SavePretrained(Callback):
    """Writes the model as a folder that `ScPrint.from_pretrained` opens, after each validation and at the end.

    Beside the weights go ``card.json``, with the data sets, the training's numbers and the last validation's, and
    ``training_cells.npy``, the fingerprints of all cells it was trained on, also by the model that the training started
    from: whoever benchmarks it can check theirs.
    Where `AverageWeights` keeps an average of the weights, that is what is written.

    Parameters
    ----------
    folder
        Folder to write to; a model in it is replaced, anything else is left alone.
    half
        Store the weights in half precision.
    best
        Write only when this metric of the validation, such as ``"val/loss"``, is lower than ever before; None: always.

    Raises
    ------
    ValueError
        When the validation does not give that metric.
    """

    def __init__(self, folder: str, *, half: bool = False, best: str | None = None) -> None:
        self.folder = Path(folder)
        self.dtype = torch.float16 if half else torch.float32
        self.best = best
        self._lowest = math.inf

    def setup(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, stage: str) -> None:  # noqa: ARG002
        """Refuse the older of the strategies that part the weights."""
        if isinstance(trainer.strategy, FSDPStrategy):
            raise ValueError(
                "SavePretrained cannot put together the weights that FSDPStrategy parts among the processes: use "
                "lightning.pytorch.strategies.ModelParallelStrategy"
            )

    def on_validation_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Save, unless Lightning only tries the validation out before training."""
        if not trainer.sanity_checking and self._is_best(trainer):
            self._save(trainer, cast("PretrainingModule", pl_module))

    def on_train_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Save the final weights, unless the best ones are asked for."""
        if self.best is None:
            self._save(trainer, cast("PretrainingModule", pl_module))

    def state_dict(self) -> dict[str, Any]:
        """Return the lowest value so far."""
        return {"lowest": self._lowest}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take the lowest value so far from a checkpoint."""
        self._lowest = float(state_dict["lowest"])

    def _is_best(self, trainer: lightning.Trainer) -> bool:
        if self.best is None:
            return True
        if self.best not in trainer.callback_metrics:
            raise ValueError(
                f"best={self.best!r} is not among the metrics [{listed(sorted(trainer.callback_metrics), 40)}]"
            )
        value = float(trainer.callback_metrics[self.best])
        if not value < self._lowest:
            return False
        self._lowest = value
        return True

    def _save(self, trainer: lightning.Trainer, module: PretrainingModule) -> None:
        network: ScPrint | None = module.network
        if isinstance(trainer.strategy, ModelParallelStrategy):
            network = whole_copy(module.network)  # all processes take part
        if not trainer.is_global_zero or network is None:
            return
        data = cast("CellDataModule", trainer.datamodule)  # type: ignore[attr-defined]
        metrics = {k: round(float(v), 4) for k, v in trainer.callback_metrics.items() if k.startswith("val/")}
        card = dict(network.card) | {
            "data_sets": data.cells.names,
            "held_out_data_sets": data.split.test_datasets,
            "cells": len(data.cells),
            "held_out_cells": len(data.val_cells) + len(data.test_cells),
            "steps": trainer.global_step,
            "batch_size": data.batch_size,
            "context": data.context if network.context is None else network.context,
            "parameters": sum(p.numel() for p in network.parameters()),
            "validation": {k: v for k, v in metrics.items() if math.isfinite(v)},
        }
        with contextlib.ExitStack() as stack:
            for callback in trainer.callbacks:  # type: ignore[attr-defined]
                if isinstance(callback, AverageWeights):
                    stack.enter_context(callback.averaged(module))
            save_folder(network, self.folder, card=card, dtype=self.dtype)
        with atomic_path(self.folder / TRAINING_CELLS) as temporary, temporary.open("wb") as file:
            np.save(file, np.union1d(data.cells.fingerprints[data.train_cells], module.cells_before))


class AtomicCheckpointIO(TorchCheckpointIO):
    """Writes beside the checkpoint's final place, then renames; ``scprint fit`` uses it.

    Lightning's own writes to the system's temporary folder and moves the file from there, which is a copy where that is
    another file system: a process killed in the middle would leave half a file under the name of the last good one.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any | None = None) -> None:
        """Write a checkpoint; addresses such as ``s3://`` are left to Lightning."""
        if "://" in str(path):
            super().save_checkpoint(checkpoint, path, storage_options)
            return
        with atomic_path(str(path)) as temporary, temporary.open("wb") as file:
            torch.save(checkpoint, file)
            file.flush()
            os.fsync(file.fileno())

"""What is kept of a training."""

from __future__ import annotations

import math
from pathlib import Path
from typing import cast

import lightning
import numpy as np
import torch
from lightning.pytorch.callbacks import Callback

from scdataloader import CellDataModule
from scprint_model.checkpoints.folder import save_folder
from scprint_model.training.module import PretrainingModule


class SavePretrained(Callback):
    """Writes the model as a folder that `ScPrint.from_pretrained` opens, after each validation and at the end.

    Beside the weights go ``card.json``, with the data sets, the training's numbers and the last validation's, and
    ``training_cells.npy``, the fingerprints of all cells it was trained on: whoever benchmarks it can check theirs.

    Parameters
    ----------
    folder
        Where to.
    half
        Store the weights in half precision.
    """

    def __init__(self, folder: str, *, half: bool = False) -> None:
        self.folder = Path(folder)
        self.dtype = torch.float16 if half else torch.float32

    def on_validation_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Save, unless Lightning only tries the validation out before training."""
        if not trainer.sanity_checking and trainer.is_global_zero:
            self._save(trainer, cast("PretrainingModule", pl_module))

    def on_train_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Save the final weights."""
        if trainer.is_global_zero:
            self._save(trainer, cast("PretrainingModule", pl_module))

    def _save(self, trainer: lightning.Trainer, module: PretrainingModule) -> None:
        data = cast("CellDataModule", trainer.datamodule)  # type: ignore[attr-defined]
        metrics = {k: round(float(v), 4) for k, v in trainer.callback_metrics.items() if k.startswith("val/")}
        card = {
            "data_sets": data.cells.names,
            "held_out_data_sets": data.split.test_datasets,
            "cells": len(data.cells),
            "held_out_cells": len(data.val_cells) + len(data.test_cells),
            "steps": trainer.global_step,
            "batch_size": data.batch_size,
            "context": data.context,
            "parameters": sum(p.numel() for p in module.network.parameters()),
            "validation": {k: v for k, v in metrics.items() if math.isfinite(v)},
        }
        save_folder(module.network, self.folder, card=card, dtype=self.dtype)
        np.save(self.folder / "training_cells.npy", np.unique(data.cells.fingerprints[data.train_cells]))

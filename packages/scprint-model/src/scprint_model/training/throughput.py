"""Measure how fast a training runs, and how much of the time it waits for data."""

from __future__ import annotations

import time
from typing import Any

import lightning
from lightning.pytorch.callbacks import Callback


class Throughput(Callback):
    """Shows cells a second and the share of the time that is spent waiting for batches, beside the progress bar.

    Logged every ``trainer.log_every_n_steps`` batches, over the batches since: ``train/cells_per_second`` (of all
    processes together) and ``train/data_wait`` (0 to 1, of this process). Validation counts in neither.
    """

    def __init__(self) -> None:
        self._cells = 0
        self._batches = 0
        self._waited = 0.0
        self._worked = 0.0
        self._since = 0.0
        self._started = 0.0

    def on_train_epoch_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:  # noqa: ARG002
        """Start to wait for the first batch."""
        self._since = time.perf_counter()

    def on_train_batch_start(
        self,
        trainer: lightning.Trainer,  # noqa: ARG002
        pl_module: lightning.LightningModule,  # noqa: ARG002
        batch: Any,  # noqa: ARG002
        batch_idx: int,  # noqa: ARG002
    ) -> None:
        """Stop waiting."""
        self._started = time.perf_counter()
        self._waited += self._started - self._since

    def on_train_batch_end(
        self,
        trainer: lightning.Trainer,
        pl_module: lightning.LightningModule,
        outputs: Any,  # noqa: ARG002
        batch: Any,
        batch_idx: int,  # noqa: ARG002
    ) -> None:
        """Count the batch, and log where it is time to."""
        self._since = time.perf_counter()
        self._worked += self._since - self._started
        self._cells += len(batch["genes"])
        self._batches += 1
        if self._batches < trainer.log_every_n_steps:  # type: ignore[attr-defined]
            return
        spent = max(self._worked + self._waited, 1e-9)
        speed, wait = self._cells * trainer.world_size / spent, self._waited / spent
        values = {"train/cells_per_second": speed, "train/data_wait": wait}
        pl_module.log_dict(values, batch_size=1)
        pl_module.log_dict({"cells/s": speed, "wait": wait}, prog_bar=True, logger=False, batch_size=1)
        self._cells = self._batches = 0
        self._waited = self._worked = 0.0

    def on_validation_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:  # noqa: ARG002
        """Begin to wait anew: the validation was not a wait for data."""
        self._since = time.perf_counter()

"""Averages of the weights over the training, for validation and for what is saved."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import Callback
from torch import Tensor

from scprint_model.training.sharding import need_whole_weights


class AverageWeights(Callback):
    """Keeps an average of the weights, validates with it, and leaves it in the model at the end.

    With a decay, the exponential moving average of the weights after each step (EMA); without, the plain mean of the
    weights after each step from `start_step` on (stochastic weight averaging, SWA, for a rate that does not fall to
    zero: `schedule: constant`). `scprint_model.training.saving.SavePretrained` saves the average;
    Lightning's checkpoints hold both, so that a training continues exactly.

    Parameters
    ----------
    decay
        Share of the old average that stays at each step; None for the plain mean. In the first steps it is less, (1 +
        n) / (10 + n) at step n, so that the random first weights are soon forgotten.
    start_step
        Until this step of the optimiser, the average is just the present weights.

    Raises
    ------
    ValueError
        When an option is out of range.

    References
    ----------
    EMA with that ramp: Polyak and Juditsky 1992, SIAM J. Control Optim. 30:838, as in TensorFlow's
    ``ExponentialMovingAverage``. SWA: Izmailov et al. 2018, arXiv:1803.05407.
    """

    def __init__(self, *, decay: float | None = 0.999, start_step: int = 0) -> None:
        if decay is not None and not 0 < decay < 1:
            raise ValueError(f"decay={decay} must lie between 0 and 1, or be null for the plain mean")
        if start_step < 0:
            raise ValueError(f"start_step={start_step} must not be negative")
        self.decay = decay
        self.start_step = start_step
        self._average: list[Tensor] = []
        self._names: list[str] = []
        self._taken = 0
        self._last_step = 0
        self._kept: list[Tensor] = []
        self._loaded: dict[str, Tensor] = {}

    def setup(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, stage: str) -> None:  # noqa: ARG002
        """Refuse strategies under which no process holds whole weights."""
        need_whole_weights("AverageWeights", trainer)

    def on_train_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Begin with the present weights, or those of the checkpoint."""
        pairs = [(name, p) for name, p in pl_module.named_parameters() if p.requires_grad]
        self._names = [name for name, _ in pairs]
        self._last_step = trainer.global_step
        if not self._loaded:
            self._average = [p.detach().clone() for _, p in pairs]
            return
        different = sorted(set(self._names) ^ set(self._loaded))
        if different:
            raise ValueError(f"the checkpoint's averages are of other weights: {different[:5]} are in one of both only")
        self._average = [self._loaded[name].to(p.device) for name, p in pairs]
        self._loaded = {}

    @torch.no_grad()
    def on_train_batch_end(
        self,
        trainer: lightning.Trainer,
        pl_module: lightning.LightningModule,
        outputs: Any,  # noqa: ARG002
        batch: Any,  # noqa: ARG002
        batch_idx: int,  # noqa: ARG002
    ) -> None:
        """Take the weights in, if the optimiser made a step."""
        if trainer.global_step == self._last_step:
            return
        self._last_step = trainer.global_step
        weights = _trained(pl_module)
        if trainer.global_step <= self.start_step:
            torch._foreach_copy_(self._average, weights)
            return
        self._taken += 1
        n = self._taken
        share = 1 / n if self.decay is None else 1 - min(self.decay, (1 + n) / (10 + n))
        torch._foreach_lerp_(self._average, weights, share)

    def on_validation_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Put the average into the model."""
        if not trainer.sanity_checking and self._average:
            self._swap_in(pl_module)

    def on_validation_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:  # noqa: ARG002
        """Put the present weights back; Lightning writes checkpoints later, it calls their callbacks last."""
        self._swap_out(pl_module)

    def on_exception(
        self,
        trainer: lightning.Trainer,  # noqa: ARG002
        pl_module: lightning.LightningModule,
        exception: BaseException,  # noqa: ARG002
    ) -> None:
        """Put the present weights back, if validation failed."""
        self._swap_out(pl_module)

    def on_train_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:  # noqa: ARG002
        """Leave the average in the model."""
        if self._average:
            self._swap_in(pl_module)

    @contextmanager
    def averaged(self, pl_module: lightning.LightningModule) -> Iterator[None]:
        """Have the average in the model for as long as the block lasts."""
        if self._kept or not self._average:
            yield
            return
        self._swap_in(pl_module)
        try:
            yield
        finally:
            self._swap_out(pl_module)

    def on_save_checkpoint(
        self,
        trainer: lightning.Trainer,  # noqa: ARG002
        pl_module: lightning.LightningModule,  # noqa: ARG002
        checkpoint: dict[str, Any],
    ) -> None:
        """Keep the present weights as the checkpoint's, whichever are in the model: training continues from them."""
        checkpoint["state_dict"].update(zip(self._names, self._kept, strict=False) if self._kept else ())

    def state_dict(self) -> dict[str, Any]:
        """Return the average and how many weights it is of."""
        return {"taken": self._taken, "average": dict(zip(self._names, self._average, strict=True))}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take the average of a checkpoint; it is in use from the start of the training on."""
        self._taken = int(state_dict["taken"])
        self._loaded = dict(state_dict["average"])

    @torch.no_grad()
    def _swap_in(self, pl_module: lightning.LightningModule) -> None:
        weights = _trained(pl_module)
        self._kept = [weight.detach().clone() for weight in weights]
        torch._foreach_copy_(weights, self._average)

    @torch.no_grad()
    def _swap_out(self, pl_module: lightning.LightningModule) -> None:
        if self._kept:
            torch._foreach_copy_(_trained(pl_module), self._kept)
            self._kept = []


def _trained(module: lightning.LightningModule) -> list[Tensor]:
    return [p for p in module.parameters() if p.requires_grad]

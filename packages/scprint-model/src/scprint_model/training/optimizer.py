"""AdamW, and the learning-rate schedules as factors of the step."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Literal

import torch
from torch import Tensor, nn


def parameter_groups(module: nn.Module, *, weight_decay: float, decay_all: bool) -> list[dict[str, Any]]:
    """Return the trained parameters in two groups, with and without decay; empty groups are left out.

    Parameters
    ----------
    module
        Its parameters that need no gradient are left out.
    weight_decay
        Decay of the first group.
    decay_all
        Let biases, norms and embeddings decay, too (as the published models did). Not a gene table of which only some
        rows are trained: decay would change the others.
    """
    embeddings = [part.weight for part in module.modules() if isinstance(part, nn.Embedding)]
    spared = {id(weight) for weight in embeddings if not decay_all or getattr(weight, "partly_trained", False)}
    decayed: list[nn.Parameter] = []
    kept: list[nn.Parameter] = []
    for parameter in module.parameters():
        if parameter.requires_grad:
            decays = id(parameter) not in spared and (decay_all or parameter.ndim >= 2)
            (decayed if decays else kept).append(parameter)
    groups = [{"params": decayed, "weight_decay": weight_decay}, {"params": kept, "weight_decay": 0.0}]
    return [group for group in groups if group["params"]]


def set_apart(
    groups: list[dict[str, Any]], parameter: Tensor, rate: float, *, weight_decay: float
) -> list[dict[str, Any]]:
    """Give one parameter a group of its own, with its own peak rate and decay."""
    others = [group | {"params": [p for p in group["params"] if p is not parameter]} for group in groups]
    own = {"params": [parameter], "weight_decay": weight_decay, "lr": rate}
    return [group for group in (*others, own) if group["params"]]


def adamw(
    groups: list[dict[str, Any]], *, learning_rate: float, betas: tuple[float, float], fused: bool
) -> torch.optim.AdamW:
    """Return AdamW, `fused` into one kernel if wished and all parameters are on devices that have it."""
    parameters = [parameter for group in groups for parameter in group["params"]]
    fused = fused and all(p.device.type in ("cpu", "cuda", "mps", "xpu") for p in parameters)
    return torch.optim.AdamW(groups, lr=learning_rate, betas=betas, fused=fused)


#: What follows the warm-up.
ScheduleName = Literal["cosine", "constant", "plateau"]


def warmup_cosine(warmup_steps: int, total_steps: int) -> Callable[[int], float]:
    """Return the factor of each step: a linear rise over `warmup_steps`, then half a cosine down to zero.

    Raises
    ------
    ValueError
        When the warm-up does not fit into the training.
    """
    if not 0 <= warmup_steps < total_steps:
        raise ValueError(f"warmup_steps={warmup_steps} must be smaller than the {total_steps} steps of the training")

    def factor(step: int) -> float:
        if step < warmup_steps:
            return (step + 1) / warmup_steps
        progress = (step - warmup_steps) / (total_steps - warmup_steps)
        return 0.5 * (1 + math.cos(math.pi * min(progress, 1.0)))

    return factor


class WarmupPlateau:
    """The factor of each step: a linear rise, then 1, cut each time the validation loss has stopped falling.

    A callable object and not a function, so that ``LambdaLR.state_dict`` holds its state.

    Parameters
    ----------
    warmup_steps
        Steps of the rise.
    cut
        By which the factor is multiplied; 1 never cuts: a constant rate.
    patience
        Validations without a new lowest loss that are borne; the next one cuts. The paper's training: 1.

    Raises
    ------
    ValueError
        When an option is out of range.
    """

    def __init__(self, warmup_steps: int, *, cut: float = 0.6, patience: int = 1) -> None:
        if warmup_steps < 0 or patience < 0:
            raise ValueError(f"warmup_steps={warmup_steps} and patience={patience} must not be negative")
        if not 0 < cut <= 1:
            raise ValueError(f"plateau_cut={cut} must be above 0 and at most 1")
        self.warmup_steps = warmup_steps
        self.cut = cut
        self.patience = patience
        self.factor = 1.0
        self.lowest = math.inf
        self.waited = 0

    def __call__(self, step: int) -> float:
        """Return the factor of a step."""
        rise = (step + 1) / self.warmup_steps if step < self.warmup_steps else 1.0
        return rise * self.factor

    def observe(self, loss: float) -> None:
        """Take in the loss of a validation."""
        if loss < self.lowest:
            self.lowest, self.waited = loss, 0
            return
        self.waited += 1
        if self.waited > self.patience:
            self.factor *= self.cut
            self.waited = 0


def rate_factor(schedule: ScheduleName, warmup_steps: int, trainer: Any) -> Callable[[int], float]:
    """Return the factor of each step of a trainer's whole training, for the schedules that need no more than that.

    Raises
    ------
    ValueError
        When a cosine has no end.
    """
    if schedule != "cosine":
        return WarmupPlateau(warmup_steps, cut=1.0)
    total = trainer.estimated_stepping_batches
    if not math.isfinite(total):
        raise ValueError(
            "the schedule needs an end: set trainer.max_epochs or trainer.max_steps, or model.schedule to constant or "
            "plateau"
        )
    return warmup_cosine(warmup_steps, int(total))

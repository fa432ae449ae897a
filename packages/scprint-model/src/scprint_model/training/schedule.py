"""Learning-rate schedules as factors of the step."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

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

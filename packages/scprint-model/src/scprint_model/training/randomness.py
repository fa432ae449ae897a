"""The random numbers of a training step: a function of the seed, the step and the process."""

from __future__ import annotations

import random

import numpy as np
import torch


def seed_step(seed: int, *, epoch: int, batch: int, rank: int) -> None:
    """Seed torch's (on all devices), numpy's and Python's global generators for one training step.

    So dropout, noise and all else drawn in a step depend on nothing that was drawn before it: a training that continues
    from a checkpoint draws what it would have drawn without the break, wherever the break was, and no generator's
    state needs to be kept. Processes draw different numbers.
    """
    words = np.random.SeedSequence([seed, epoch, batch, rank]).generate_state(3, np.uint32)
    torch.manual_seed(int(words[0]) << 32 | int(words[1]))
    np.random.seed(words[2])  # noqa: NPY002 (the global one, for whoever uses it)
    random.seed(int(words[2]))

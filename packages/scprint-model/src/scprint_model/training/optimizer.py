"""AdamW: which parameters decay, and which implementation runs."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn


def parameter_groups(module: nn.Module, *, weight_decay: float, decay_all: bool) -> list[dict[str, Any]]:
    """Return the trained parameters in two groups, with and without decay; empty groups are left out.

    Parameters
    ----------
    module
        Its parameters that need no gradient are left out.
    weight_decay
        Of the first group.
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


def adamw(
    groups: list[dict[str, Any]], *, learning_rate: float, betas: tuple[float, float], fused: bool
) -> torch.optim.AdamW:
    """Return AdamW, `fused` into one kernel if wished and all parameters are on devices that have it."""
    parameters = [parameter for group in groups for parameter in group["params"]]
    fused = fused and all(p.device.type in ("cpu", "cuda", "mps", "xpu") for p in parameters)
    return torch.optim.AdamW(groups, lr=learning_rate, betas=betas, fused=fused)

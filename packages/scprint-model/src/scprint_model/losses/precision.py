"""Losses are computed in float32 whatever the network runs in."""

from __future__ import annotations

import torch
from torch import Tensor


def in_float32(t: Tensor) -> Tensor:
    """Return `t` as float32, or as it is where it is float64."""
    return t if t.dtype == torch.float64 else t.float()


def mean_over(values: Tensor, real: Tensor | None) -> Tensor:
    """Mean of all values, or of those where `real` is true (0 where nowhere); a scalar."""
    if real is None:
        return values.mean()
    return torch.where(real, values, 0).sum() / real.sum().clamp(min=1)

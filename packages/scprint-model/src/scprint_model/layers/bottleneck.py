"""Squeezing a class token through a few two-level codes."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

#: The quantiser's constants for two levels: tanh is stretched a little beyond both of them and shifted so that 0
#: stays 0. The border between the levels then lies at -3.8.
_HALF_RANGE = 0.5005
_OFFSET = 0.5
_SHIFT = math.atanh(_OFFSET / _HALF_RANGE)


class Bottleneck(nn.Module):
    """Finite scalar quantisation: a linear map to a few numbers, each rounded to -1 or 0, and a linear map back.

    Parameters
    ----------
    d_model
        Width of the token.
    n_codes
        Numbers in between: a token holds one of 2 to the power `n_codes` values.

    Notes
    -----
    Mentzer et al. 2023, "Finite scalar quantization: VQ-VAE made simple". The gradient passes the rounding as if
    it were not there.
    """

    def __init__(self, d_model: int, n_codes: int) -> None:
        super().__init__()
        self.inward = nn.Linear(d_model, n_codes)
        self.outward = nn.Linear(n_codes, d_model)

    def start_between_codes(self) -> None:
        """Put the first bias at the border: far from it nearly all codes would be 0 and the gradient would vanish."""
        nn.init.constant_(self.inward.bias, -_SHIFT)

    def forward(self, token: Tensor) -> Tensor:
        """(B, d) to (B, d), float32 also under autocast, whose rounding would flip codes."""
        with torch.autocast(device_type=token.device.type, enabled=False):
            return self.outward(quantise(self.inward(token.to(self.inward.weight.dtype))))


def quantise(z: Tensor) -> Tensor:
    """Any numbers to -1 or 0, with the gradient of the smooth curve that was rounded."""
    smooth = torch.tanh(z + _SHIFT) * _HALF_RANGE - _OFFSET
    return smooth + (smooth.round() - smooth).detach()

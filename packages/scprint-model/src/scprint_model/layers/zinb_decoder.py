"""From a gene's output token to the zero-inflated negative binomial of its count."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from scprint_model.config import MLP_NORM_EPS

#: Cut of the log-dispersion: at e^15 the distribution is all but Poisson.
MAX_LOG_DISPERSION = 15.0


class ZinbParameters(NamedTuple):
    """Parameters of the counts' distribution, each (B, S)."""

    mean: Tensor
    dispersion: Tensor
    zero_logits: Tensor


class ZinbDecoder(nn.Module):
    """Two layers with norm and leaky ReLU, then three numbers per gene.

    Notes
    -----
    scPRINT paper, Methods, "Expression decoder". The mean is a softmax over the genes of the context times
    the counts to share out, so that it adds up to these.
    """

    def __init__(self, d_model: int, *, dropout: float) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(d_model, d_model),
            nn.LayerNorm(d_model, eps=MLP_NORM_EPS),
            nn.LeakyReLU(),
            nn.Dropout(dropout),
            nn.Linear(d_model, d_model),
            nn.LayerNorm(d_model, eps=MLP_NORM_EPS),
            nn.LeakyReLU(),
        )
        self.out = nn.Linear(d_model, 3)

    def forward(self, gene_tokens: Tensor, totals: Tensor) -> ZinbParameters:
        """(B, S, d) output tokens and (B,) counts to share out to the parameters."""
        hidden = self.layers(gene_tokens)
        # Half precision would leave two digits of the exponent.
        with torch.autocast(device_type=hidden.device.type, enabled=False):
            mean_logits, log_dispersion, zero_logits = self.out(hidden.to(self.out.weight.dtype)).unbind(-1)
            mean = mean_logits.softmax(dim=-1) * totals[:, None]
            dispersion = log_dispersion.clamp(max=MAX_LOG_DISPERSION).exp()
        return ZinbParameters(mean, dispersion, zero_logits)

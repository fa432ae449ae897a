"""From a gene's output token to the distribution of its count."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from scprint_model.config import MLP_NORM_EPS, Likelihood

#: Cut of the log-dispersion: at e^15 the distribution is all but Poisson.
MAX_LOG_DISPERSION = 15.0

#: Numbers per gene; in the order mean, dispersion, zero logits.
N_PARAMETERS: dict[Likelihood, int] = {"zinb": 3, "nb": 2, "mse": 1}


class CountParameters(NamedTuple):
    """Parameters of the counts' distribution, each (B, S); None where the likelihood has no such parameter."""

    mean: Tensor
    dispersion: Tensor | None
    zero_logits: Tensor | None


class ExpressionDecoder(nn.Module):
    """Two layers with norm and leaky ReLU, then one to three numbers per gene.

    Parameters
    ----------
    d_model
        Width of the tokens.
    likelihood
        Distribution whose parameters are given: see :class:`~scprint_model.config.ModelConfig`.
    told_depth
        Read log2(1 + total count) beside each token.
    dropout
        Rate after the first layer.

    Notes
    -----
    scPRINT paper, Methods, "Expression decoder". The mean is a softmax over the genes of the context times
    the counts to share out, so that it adds up to these.
    """

    def __init__(self, d_model: int, *, likelihood: Likelihood, told_depth: bool, dropout: float) -> None:
        super().__init__()
        self.d_model = d_model
        self.told_depth = told_depth
        # The total count's weight, where there is one, is the last column of the first layer.
        self.layers = nn.Sequential(
            nn.Linear(d_model + told_depth, d_model),
            nn.LayerNorm(d_model, eps=MLP_NORM_EPS),
            nn.LeakyReLU(),
            nn.Dropout(dropout),
            nn.Linear(d_model, d_model),
            nn.LayerNorm(d_model, eps=MLP_NORM_EPS),
            nn.LeakyReLU(),
        )
        self.out = nn.Linear(d_model, N_PARAMETERS[likelihood])

    def forward(
        self, gene_tokens: Tensor, total_counts: Tensor, shared_counts: Tensor, real: Tensor | None = None
    ) -> CountParameters:
        """Decode.

        Parameters
        ----------
        gene_tokens
            (B, S, d) output tokens.
        total_counts
            (B,) total count of the cell, read where the decoder is told of it.
        shared_counts
            (B,) what the means sum to.
        real
            (B, S) false where a token is padding, whose mean is 0; None: all are real.
        """
        first, *rest = self.layers
        assert isinstance(first, nn.Linear)  # noqa: S101  (for the type checker)
        exact = torch.promote_types(first.weight.dtype, torch.float32)
        if self.told_depth:
            # The column of its own instead of a wider copy of all tokens; and exact in mixed precision.
            hidden = nn.functional.linear(gene_tokens, first.weight[:, : self.d_model], first.bias)
            depth = torch.log2(1 + total_counts.to(exact))[:, None, None]
            column = first.weight[:, self.d_model].to(exact)
            hidden = torch.addcmul(hidden.to(exact), depth, column).to(first.weight.dtype)
        else:
            hidden = first(gene_tokens)
        for module in rest:
            hidden = module(hidden)
        # Half precision would leave two digits of the exponent.
        with torch.autocast(device_type=hidden.device.type, enabled=False):
            return count_parameters(self.out(hidden.to(self.out.weight.dtype)).to(exact), shared_counts, real)


def count_parameters(numbers: Tensor, shared_counts: Tensor, real: Tensor | None = None) -> CountParameters:
    """Make the parameters of the counts' distribution of the numbers that a decoder gives each gene.

    Parameters
    ----------
    numbers
        (B, S, 1 to 3): logit of the mean, logarithm of the dispersion, logit of a zero.
    shared_counts
        (B,) what the means of a cell sum to.
    real
        (B, S) false where a gene is padding, whose mean is 0; None: all are real.
    """
    logits, *rest = numbers.unbind(-1)
    if real is not None:
        logits = logits.masked_fill(~real, torch.finfo(logits.dtype).min)
    mean = logits.softmax(dim=-1) * shared_counts.to(logits.dtype)[:, None]
    if real is not None:
        mean = mean * real
    dispersion = rest[0].clamp(max=MAX_LOG_DISPERSION).exp() if rest else None
    return CountParameters(mean, dispersion, rest[1] if len(rest) > 1 else None)

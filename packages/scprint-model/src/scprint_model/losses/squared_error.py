"""Squared error of log counts, for models that predict a count alone."""

from __future__ import annotations

import torch
from torch import Tensor

from scprint_model.losses.precision import in_float32, mean_over

#: What each cell's logarithms are scaled to sum to.
LOG_SUM = 1e4
#: Keeps the gradient finite where a whole cell is predicted to be empty.
_MIN_SUM = 1e-20


def renormalised_log_error(counts: Tensor, mean: Tensor, *, real: Tensor | None = None) -> Tensor:
    """Mean squared difference of log2(1 + x), after each side is scaled to a sum of 10,000 per cell.

    Parameters
    ----------
    counts
        (B, S) observed counts, not negative, 0 where there is no gene.
    mean
        (B, S) predicted ones, likewise.
    real
        (B, S) false where there is no gene; None: everywhere is one.

    Returns
    -------
    Scalar, float32 (float64 for float64), also under autocast. A cell without any count has zeros for its side.

    Notes
    -----
    The published form of the paper's MSE option (Methods, "The denoising task"): first the logarithm, then the scale,
    so not the usual log-normalised counts. It compares profiles and says nothing of depth. Its size is that of squared
    shares of 10,000: in fp16 the gradient scaler has to find a factor far below its first one.
    """
    with torch.autocast(device_type=counts.device.type, enabled=False):
        observed, predicted = (_scaled(in_float32(t)) for t in (counts, mean))
        return mean_over((predicted - observed).square(), real)


def log_count_error(counts: Tensor, mean: Tensor, zero_logits: Tensor | None, *, real: Tensor | None = None) -> Tensor:
    """Do the same for ln(1 + x) against ln(1 + μ) × (1 - probability of an extra zero), once more under the log.

    It stands beside a likelihood in the published version 2 (weight 0.1), which takes the logarithm twice.

    Parameters
    ----------
    counts, mean, real
        As for :func:`renormalised_log_error`.
    zero_logits
        (B, S) log-odds of an extra zero; None: there are none.
    """
    with torch.autocast(device_type=counts.device.type, enabled=False):
        expected = torch.log1p(in_float32(mean))
        if zero_logits is not None:
            expected = expected * torch.sigmoid(-in_float32(zero_logits))
        return renormalised_log_error(torch.log1p(in_float32(counts)), expected, real=real)


def _scaled(counts: Tensor) -> Tensor:
    # The base of the logarithm cancels, and log1p keeps means near 0 apart, which 1 + x does not.
    logs = torch.log1p(counts)
    return logs * (LOG_SUM / logs.sum(dim=-1, keepdim=True).clamp(min=_MIN_SUM))

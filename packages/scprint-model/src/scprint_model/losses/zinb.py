"""Zero-inflated negative binomial likelihood that stays accurate in float32."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import softplus

from scprint_model.losses.negative_binomial import EPS, MIN_DISPERSION, log_nb_positive, log_nb_zero
from scprint_model.losses.precision import in_float32, mean_over

__all__ = ["EPS", "zinb_log_likelihood", "zinb_loss"]


def zinb_log_likelihood(counts: Tensor, mean: Tensor, dispersion: Tensor, zero_logits: Tensor) -> Tensor:
    """Log-probability of each count.

    Parameters
    ----------
    counts
        Observed counts, not negative.
    mean
        Mean μ of the negative binomial, not negative.
    dispersion
        Inverse overdispersion θ > 0: variance = μ + μ² / θ.
    zero_logits
        Log-odds π of an extra zero.

    Returns
    -------
    Log-probabilities, of the common shape; float32 (float64 where an input is float64), also under autocast.

    Notes
    -----
    scPRINT paper, Methods, "Expression decoder" and "The denoising task"; Lopez et al. 2018 (scVI) give the
    same distribution. How it stays accurate: :func:`scprint_model.losses.negative_binomial.nb_log_likelihood`.
    """
    with torch.autocast(device_type=counts.device.type, enabled=False):
        x, mu, theta, pi = (in_float32(t) for t in (counts, mean, dispersion, zero_logits))
        mu, theta = mu + EPS, theta.clamp(min=MIN_DISPERSION)
        at_zero = torch.logaddexp(-softplus(-pi), log_nb_zero(mu, theta) - softplus(pi))
        positive = x > 0
        above = log_nb_positive(torch.where(positive, x, 1.0), mu, theta) - softplus(pi)
        return torch.where(positive, above, at_zero)


def zinb_loss(
    counts: Tensor, mean: Tensor, dispersion: Tensor, zero_logits: Tensor, *, real: Tensor | None = None
) -> Tensor:
    """Mean negative log-likelihood over all cells and genes, a scalar; see :func:`zinb_log_likelihood`.

    `real`: (B, S) false where there is no gene; None: everywhere is one.
    """
    return -mean_over(zinb_log_likelihood(counts, mean, dispersion, zero_logits), real)

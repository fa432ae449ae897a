"""Negative binomial likelihood that stays accurate in float32."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from scprint_model.losses.precision import in_float32, mean_over

#: Added to the mean, as in the published loss: bounds the loss of a count where the model says "none".
EPS = 1e-8
#: Keeps μ / θ² finite, which is part of the gradient.
MIN_DISPERSION = 1e-15

#: From here on the asymptotic series of the Stirling error is exact in float32.
_SERIES_FROM = 10.0
_HALF_LOG_2PI = 0.5 * math.log(2 * math.pi)


def nb_log_likelihood(counts: Tensor, mean: Tensor, dispersion: Tensor) -> Tensor:
    """Log-probability of each count.

    Parameters
    ----------
    counts
        Observed counts, not negative.
    mean
        Mean μ, not negative.
    dispersion
        Inverse overdispersion θ > 0: variance = μ + μ² / θ.

    Returns
    -------
    Log-probabilities, of the common shape; float32 (float64 where an input is float64), also under autocast.

    Notes
    -----
    scPRINT paper, Methods, "The denoising task": the NB option. Written with Stirling errors and deviances (Loader
    2000, "Fast and accurate computation of binomial probabilities") instead of differences of lgamma, which in float32
    are wrong by whole units from θ of about 1e6 or counts of about 1e5.
    """
    with torch.autocast(device_type=counts.device.type, enabled=False):
        x, mu, theta = (in_float32(t) for t in (counts, mean, dispersion))
        mu, theta = mu + EPS, theta.clamp(min=MIN_DISPERSION)
        positive = x > 0
        above = log_nb_positive(torch.where(positive, x, 1.0), mu, theta)
        return torch.where(positive, above, log_nb_zero(mu, theta))


def nb_loss(counts: Tensor, mean: Tensor, dispersion: Tensor, *, real: Tensor | None = None) -> Tensor:
    """Mean negative log-likelihood over all cells and genes, a scalar; see :func:`nb_log_likelihood`.

    `real`: (B, S) false where there is no gene; None: everywhere is one.
    """
    return -mean_over(nb_log_likelihood(counts, mean, dispersion), real)


def log_nb_zero(mu: Tensor, theta: Tensor) -> Tensor:
    """Log-probability of no count."""
    return -theta * torch.log1p(mu / theta)


def log_nb_positive(x: Tensor, mu: Tensor, theta: Tensor) -> Tensor:
    """Log-probability of x > 0, as θ/(x+θ) times the binomial probability of θ out of x+θ."""
    n = x + theta
    spread = theta + mu
    # Relative distance of the count and of θ from what (μ, θ) expects, free of cancellation.
    deviance = x * _deviance(theta * (mu - x) / (x * spread), n / spread * (mu / x))
    deviance = deviance + theta * _deviance((x - mu) / spread, n / spread)
    stirling = _stirling_error(n) - _stirling_error(x) - _stirling_error(theta)
    return stirling - deviance - _HALF_LOG_2PI + 0.5 * (torch.log(theta) - torch.log(x) - torch.log(n))


def _deviance(u: Tensor, one_plus_u: Tensor) -> Tensor:
    """Value of u - log(1 + u), where 1 + u is also known without the rounding of the sum."""
    near = u.abs() < 0.5
    log_near = torch.log1p(torch.where(near, u, 0.0))
    return u - torch.where(near, log_near, torch.log(torch.where(near, 1.0, one_plus_u)))


def _stirling_error(z: Tensor) -> Tensor:
    """lgamma(z + 1) minus Stirling's formula, for z > 0."""
    large = z >= _SERIES_FROM
    inverse = 1 / torch.where(large, z, _SERIES_FROM)
    square = inverse * inverse
    series = inverse * (1 / 12 - square * (1 / 360 - square * (1 / 1260 - square / 1680)))
    small = torch.where(large, 1.0, z)
    exact = torch.lgamma(small + 1) - (small + 0.5) * torch.log(small) + small - _HALF_LOG_2PI
    return torch.where(large, series, exact)

"""Losses of counts under what a model predicts: zero-inflated negative binomial, negative binomial, squared error.

Values and gradients stay accurate in float32, whatever the network runs in.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import softplus

__all__ = [
    "EPS",
    "count_loss",
    "in_float32",
    "log_count_error",
    "mean_over",
    "nb_log_likelihood",
    "nb_loss",
    "renormalised_log_error",
    "share_divergence",
    "zinb_log_likelihood",
    "zinb_loss",
]


def count_loss(
    counts: Tensor,
    mean: Tensor,
    dispersion: Tensor | None,
    zero_logits: Tensor | None,
    *,
    real: Tensor | None = None,
) -> Tensor:
    """Return the loss of counts under what a model predicts of them, whichever parameters that has; a scalar.

    Parameters
    ----------
    counts
        Raw counts, shape (B, S).
    mean
        Predicted means, shape (B, S). Alone they give the squared error of log counts.
    dispersion
        Inverse overdispersion, shape (B, S), or None. With it the loss is a negative binomial's.
    zero_logits
        Log-odds of an extra zero, shape (B, S), or None. With them the negative binomial is zero-inflated.
    real
        Mask (B, S), false for padding. None: no padding.

    See Also
    --------
    scprint_model.ModelConfig : its ``likelihood`` decides which parameters a model predicts.
    """
    if dispersion is None:
        return renormalised_log_error(counts, mean, real=real)
    if zero_logits is None:
        return nb_loss(counts, mean, dispersion, real=real)
    return zinb_loss(counts, mean, dispersion, zero_logits, real=real)


def in_float32(t: Tensor) -> Tensor:
    """Return `t` as float32, or as it is where it is float64."""
    return t if t.dtype == torch.float64 else t.float()


def mean_over(values: Tensor, real: Tensor | None) -> Tensor:
    """Return the mean of all values, or of those where `real` is true (0 where nowhere); a scalar."""
    if real is None:
        return values.mean()
    return torch.where(real, values, 0).sum() / real.sum().clamp(min=1)


#: Added to the mean, as in the published loss: bounds the loss of a count where the model says "none".
EPS = 1e-8
#: Keeps μ / θ² finite, which is part of the gradient.
MIN_DISPERSION = 1e-15

#: From here on the asymptotic series of the Stirling error is exact in float32.
_SERIES_FROM = 10.0
_HALF_LOG_2PI = 0.5 * math.log(2 * math.pi)


def nb_log_likelihood(counts: Tensor, mean: Tensor, dispersion: Tensor) -> Tensor:
    """Return the log-probability of each count.

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
    """Return the mean negative log-likelihood over all cells and genes, a scalar; see :func:`nb_log_likelihood`.

    `real`: mask (B, S), false for padding; None: no padding.
    """
    return -mean_over(nb_log_likelihood(counts, mean, dispersion), real)


def log_nb_zero(mu: Tensor, theta: Tensor) -> Tensor:
    """Return the log-probability of no count."""
    return -theta * torch.log1p(mu / theta)


def log_nb_positive(x: Tensor, mu: Tensor, theta: Tensor) -> Tensor:
    """Return the log-probability of x > 0, as θ/(x+θ) times the binomial probability of θ out of x+θ."""
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


def zinb_log_likelihood(counts: Tensor, mean: Tensor, dispersion: Tensor, zero_logits: Tensor) -> Tensor:
    """Return the log-probability of each count.

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
    same distribution. How it stays accurate: :func:`scprint_model.losses.counts.nb_log_likelihood`.
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
    """Return the mean negative log-likelihood over all cells and genes, a scalar; see :func:`zinb_log_likelihood`.

    `real`: mask (B, S), false for padding; None: no padding.
    """
    return -mean_over(zinb_log_likelihood(counts, mean, dispersion, zero_logits), real)


#: What each cell's logarithms are scaled to sum to.
LOG_SUM = 1e4
#: Keeps the gradient finite where a whole cell is predicted to be empty.
_MIN_SUM = 1e-20


def renormalised_log_error(counts: Tensor, mean: Tensor, *, real: Tensor | None = None) -> Tensor:
    """Return the mean squared difference of log2(1 + x), after each side is scaled to a sum of 10,000 per cell.

    Parameters
    ----------
    counts
        (B, S) observed counts, not negative, 0 for padding.
    mean
        (B, S) predicted ones, likewise.
    real
        Mask (B, S), false for padding; None: no padding.

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
        Observed and predicted counts, and padding, as for :func:`renormalised_log_error`.
    zero_logits
        Log-odds (B, S) of an extra zero; None: there are none.
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


def share_divergence(counts: Tensor, mean: Tensor, *, real: Tensor | None = None) -> Tensor:
    """Return the Kullback-Leibler divergence of the genes' predicted shares of the context from the observed ones.

    Parameters
    ----------
    counts, mean, real
        Observed and predicted counts, and padding, as for :func:`renormalised_log_error`; both are scaled to shares.

    Returns
    -------
    Mean over the cells that have a count, in nats; float32 (float64 for float64), also under autocast.
    """
    with torch.autocast(device_type=counts.device.type, enabled=False):
        observed, predicted = (in_float32(t) if real is None else in_float32(t) * real for t in (counts, mean))
        totals = observed.sum(dim=1)
        share = observed / totals.clamp(min=1)[:, None]
        expected = predicted / predicted.sum(dim=1, keepdim=True).clamp(min=_MIN_SUM)
        nats = share * (share.clamp(min=EPS).log() - expected.clamp(min=EPS).log())
        return nats.sum() / (totals > 0).sum().clamp(min=1)

# mypy: disable-error-code="no-untyped-def, untyped-decorator"
"""Triton kernel of the zero-inflated negative binomial loss and its gradients.

x counts, mu mean, theta dispersion, pi log-odds of an extra zero. Nothing but exp, log and division is used, so that
the kernel also runs in Triton's interpreter, which has no lgamma.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from scprint_model.losses.counts import EPS, MIN_DISPERSION

_HALF_LOG_2PI: tl.constexpr = tl.constexpr(0.9189385332046727)
_EPS: tl.constexpr = tl.constexpr(EPS)
_MIN_DISPERSION: tl.constexpr = tl.constexpr(MIN_DISPERSION)
_BLOCK = 1024


def zinb_with_gradients(
    counts: Tensor, mean: Tensor, dispersion: Tensor, zero_logits: Tensor, real: Tensor | None
) -> tuple[Tensor, list[Tensor]]:
    """Return the mean loss and its gradients by mean, dispersion and zero logits, all float32."""
    inputs = [t.contiguous() for t in (counts, mean, dispersion, zero_logits)]
    n = inputs[0].numel()
    n_blocks = triton.cdiv(n, _BLOCK)
    n_real = torch.tensor(float(n), device=mean.device) if real is None else real.sum().clamp(min=1).float()
    gradients = [torch.empty(mean.shape, dtype=torch.float32, device=mean.device) for _ in range(3)]
    # A sum per block, added up afterwards: atomics would give another rounding each time.
    sums = torch.empty(n_blocks, dtype=torch.float32, device=mean.device)
    mask = inputs[0] if real is None else real.contiguous().view(torch.uint8)
    _zinb[(n_blocks,)](*inputs, mask, n_real, sums, *gradients, n, HAS_MASK=real is not None, BLOCK=_BLOCK)
    return sums.sum() / n_real, gradients


@triton.jit
def _log1p(u):
    """Logarithm of 1 + u without the rounding of the sum (Kahan)."""
    w = 1.0 + u
    safe = tl.where(w == 1.0, 2.0, w)
    return tl.where(w == 1.0, u, tl.log(safe) * (u / (safe - 1.0)))


@triton.jit
def _expm1(v):
    """Exponential of v <= 0, less 1, without the rounding of the difference (Kahan)."""
    w = tl.exp(v)
    inside = (w > 0.0) & (w < 1.0)
    safe = tl.where(inside, w, 0.5)
    return tl.where(inside, (safe - 1.0) * (v / tl.log(safe)), tl.where(w == 0.0, -1.0, v))


@triton.jit
def _deviance(u, one_plus_u):
    """Value of u - log(1 + u), where 1 + u is also known without the rounding of the sum."""
    small = tl.abs(u) < 0.1
    v = tl.where(small, u, 0.0)
    series = 1 / 6 - v * (1 / 7 - v * (1 / 8 - v / 9))
    series = v * v * (1 / 2 - v * (1 / 3 - v * (1 / 4 - v * (1 / 5 - v * series))))
    near = tl.abs(u) < 0.5
    exact = u - tl.where(near, _log1p(tl.where(near, u, 0.0)), tl.log(tl.where(near, 1.0, one_plus_u)))
    return tl.where(small, series, exact)


@triton.jit
def _stirling(z):
    """Return lgamma(z + 1) minus Stirling's formula, and digamma(z) minus log(z): series from 4 on, steps up below."""
    error = tl.zeros_like(z)
    psi = tl.zeros_like(z)
    for _ in tl.static_range(4):
        low = z < 4.0
        at = tl.where(low, z, 1.0)
        inverse = 1.0 / at
        step = _log1p(inverse)
        error += tl.where(low, (at + 0.5) * step - 1.0, 0.0)
        psi += tl.where(low, step - inverse, 0.0)
        z = tl.where(low, z + 1.0, z)
    r = 1.0 / z
    s = r * r
    error += r * (1 / 12 - s * (1 / 360 - s * (1 / 1260 - s * (1 / 1680 - s / 1188))))
    psi += -0.5 * r - s * (1 / 12 - s * (1 / 120 - s * (1 / 252 - s * (1 / 240 - s / 132))))
    return error, psi


@triton.jit
def _softplus(v):
    return tl.maximum(v, 0.0) + _log1p(tl.exp(-tl.abs(v)))


@triton.jit
def _sigmoid(v):
    e = tl.exp(-tl.abs(v))
    return tl.where(v >= 0, 1.0, e) / (1.0 + e)


@triton.jit
def _zinb(
    x_ptr,
    mu_ptr,
    theta_ptr,
    pi_ptr,
    mask_ptr,
    n_real_ptr,
    sum_ptr,
    d_mu_ptr,
    d_theta_ptr,
    d_pi_ptr,
    n,
    HAS_MASK: tl.constexpr,
    BLOCK: tl.constexpr,
):
    at = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    inside = at < n
    x = tl.load(x_ptr + at, mask=inside, other=0).to(tl.float32)
    mu = tl.load(mu_ptr + at, mask=inside, other=1).to(tl.float32) + _EPS
    given = tl.load(theta_ptr + at, mask=inside, other=1).to(tl.float32)
    pi = tl.load(pi_ptr + at, mask=inside, other=0).to(tl.float32)
    weight = tl.where(inside, 1.0, 0.0)
    if HAS_MASK:
        weight = tl.where(tl.load(mask_ptr + at, mask=inside, other=0) != 0, 1.0, 0.0)
    scale = weight / tl.load(n_real_ptr)
    theta = tl.maximum(given, _MIN_DISPERSION)
    spread = theta + mu

    # No count: either kind of zero.
    w = mu / spread
    ratio = mu / theta
    log_zero = -theta * _log1p(ratio)
    from_nb = _sigmoid(log_zero - pi)
    at_zero = _softplus(log_zero - pi) - _softplus(-pi)
    zero_mu = -from_nb * (theta / spread)
    zero_theta = -from_nb * _deviance(-w, theta / spread)
    zero_pi = _sigmoid(-pi) * _sigmoid(pi - log_zero) * -_expm1(log_zero)

    # A count: deviances and Stirling errors, as in losses/negative_binomial.py.
    positive = x > 0
    x = tl.where(positive, x, 1.0)
    total = x + theta
    relative = total / spread
    off = (x - mu) / spread
    of_theta = _deviance(off, relative)
    deviance = x * _deviance(-off * (theta / x), relative * (mu / x)) + theta * of_theta
    error_total, psi_total = _stirling(total)
    error_x, _ = _stirling(x)
    error_theta, psi_theta = _stirling(theta)
    above = error_total - error_x - error_theta - deviance - _HALF_LOG_2PI - _softplus(pi)
    above += 0.5 * (tl.log(theta) - tl.log(x) - tl.log(total))
    above_mu = (theta / spread) * ((x - mu) / mu)
    above_theta = psi_total - psi_theta - of_theta

    value = tl.where(positive, above, at_zero)
    tl.store(sum_ptr + tl.program_id(0), -tl.sum(tl.where(weight > 0, value, 0.0), axis=0))
    real = weight > 0
    d_mu = tl.where(real, tl.where(positive, above_mu, zero_mu) * -scale, 0.0)
    d_theta = tl.where(positive, above_theta, zero_theta)
    d_theta = tl.where(real & (given >= _MIN_DISPERSION), d_theta * -scale, 0.0)
    d_pi = tl.where(real, tl.where(positive, -_sigmoid(pi), zero_pi) * -scale, 0.0)
    tl.store(d_mu_ptr + at, d_mu, mask=inside)
    tl.store(d_theta_ptr + at, d_theta, mask=inside)
    tl.store(d_pi_ptr + at, d_pi, mask=inside)

"""The likelihood against scipy, hand-worked values and float64, at counts and parameters of every size."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import gammaln
from scipy.stats import nbinom
from torch import Tensor

from scprint_model.losses.counts import EPS, zinb_log_likelihood, zinb_loss

COUNTS = (0.0, 1.0, 2.0, 9.0, 11.0, 300.0, 1e4, 1e5)
MEANS = (1e-6, 1e-2, 1.0, 7.3, 400.0, 9.9e4, 2e5)
DISPERSIONS = (1e-4, 1e-2, 0.7, 9.5, 1e3, 1e6, math.exp(15))
ZERO_LOGITS = (-30.0, -1.0, 0.0, 4.0)


def grid() -> list[Tensor]:
    points = itertools.product(COUNTS, MEANS, DISPERSIONS, ZERO_LOGITS)
    return list(torch.tensor(list(points), dtype=torch.float64).unbind(1))


def oracle(counts: Tensor, mean: Tensor, dispersion: Tensor, zero_logits: Tensor) -> np.ndarray:
    """scipy's negative binomial in a mixture with zero, all in float64."""
    x, mu, theta, pi = (t.numpy() for t in (counts, mean, dispersion, zero_logits))
    log_nb = nbinom.logpmf(x, theta, theta / (theta + mu))
    log_extra, log_none = -np.logaddexp(0, -pi), -np.logaddexp(0, pi)
    return np.where(x == 0, np.logaddexp(log_extra, log_none + log_nb), log_none + log_nb)


def test_by_hand() -> None:
    # mu = 2, theta = 1: geometric with p = 1/3, so P(0) = 1/3 and P(2) = 1/3 * (2/3)^2 = 4/27; half the zeros
    # are extra.
    arguments = (torch.tensor([0.0, 2.0]), torch.full((2,), 2.0), torch.ones(2), torch.zeros(2))
    expected = torch.tensor([0.5 + 0.5 / 3, 0.5 * 4 / 27]).log()
    torch.testing.assert_close(zinb_log_likelihood(*arguments), expected)
    assert zinb_loss(*arguments).item() == pytest.approx(-expected.mean().item())


def test_float64_is_scipy() -> None:
    arguments = grid()
    counts, mean, dispersion, zero_logits = arguments
    expected = oracle(counts, mean + EPS, dispersion, zero_logits)
    # scipy takes the success probability, whose complement has few digits left where the dispersion is far
    # larger than the mean; the next test has those.
    sound = (mean / dispersion > 1e-5).numpy()
    assert sound.mean() > 0.7
    np.testing.assert_allclose(zinb_log_likelihood(*arguments)[sound], expected[sound], rtol=1e-9, atol=1e-6)


def test_float64_is_the_textbook_formula() -> None:
    counts, mean, dispersion, _ = grid()
    x, mu, theta = counts.numpy(), mean.numpy() + EPS, dispersion.numpy()
    log_choose = gammaln(x + theta) - gammaln(theta) - gammaln(x + 1)
    expected = log_choose + x * (np.log(mu) - np.log(theta + mu)) - theta * np.log1p(mu / theta)
    ours = zinb_log_likelihood(counts, mean, dispersion, torch.full_like(counts, -60))
    # With zero logits of -60 a zero is extra once in 1e26.
    np.testing.assert_allclose(ours, np.maximum(expected, np.where(x == 0, -60, -np.inf)), rtol=1e-9, atol=1e-6)


def test_sums_to_one() -> None:
    counts = torch.arange(4000, dtype=torch.float64)
    for mean, dispersion, zero in ((3.0, 0.5, -1.0), (100.0, 20.0, 2.0), (50.0, 1e6, 0.0)):
        parameters = [torch.full_like(counts, value) for value in (mean, dispersion, zero)]
        assert zinb_log_likelihood(counts, *parameters).exp().sum().item() == pytest.approx(1, abs=1e-9)


def test_becomes_poisson() -> None:
    counts = torch.tensor([0.0, 3.0, 20.0, 1000.0])
    means = torch.tensor([0.5, 3.0, 10.0, 1003.0])
    poisson = torch.distributions.Poisson(means.double()).log_prob(counts.double())
    ours = zinb_log_likelihood(counts, means, torch.full((4,), 1e9), torch.full((4,), -40.0))
    torch.testing.assert_close(ours.double(), poisson, rtol=1e-5, atol=1e-5)


def test_float32_values_and_gradients_match_float64() -> None:
    exact = [t.float().double().requires_grad_() for t in grid()[1:]]
    single = [t.detach().float().requires_grad_() for t in exact]
    counts = grid()[0]
    loss64, loss32 = zinb_log_likelihood(counts, *exact), zinb_log_likelihood(counts.float(), *single)
    assert loss32.dtype == torch.float32
    torch.testing.assert_close(loss32.double(), loss64, rtol=1e-5, atol=1e-4)
    loss64.sum().backward()
    loss32.sum().backward()
    # What the network sees is the gradient of the logarithm of the mean and of the dispersion. An entry has
    # the rounding of its largest term, which is about the count and the mean.
    size = 1 + counts + exact[0].detach()
    for name, wide, narrow in zip(("mean", "dispersion", "zero"), exact, single, strict=True):
        assert wide.grad is not None
        assert narrow.grad is not None
        assert narrow.grad.isfinite().all()
        factor = 1.0 if name == "zero" else wide.detach()
        error = ((narrow.grad.double() - wide.grad) * factor).abs() / size
        assert error.max() < 2e-5, name


@given(
    count=st.sampled_from(COUNTS),
    mean=st.floats(0, 1e6, width=32),
    log_dispersion=st.floats(-80, 15),
    zero_logit=st.floats(-60, 60),
)
def test_always_finite(count: float, mean: float, log_dispersion: float, zero_logit: float) -> None:
    mu, theta_log, pi = (torch.tensor(value, requires_grad=True) for value in (mean, log_dispersion, zero_logit))
    loss = zinb_loss(torch.tensor(count), mu, theta_log.exp(), pi)
    loss.backward()
    assert loss.isfinite()
    for leaf in (mu, theta_log, pi):
        assert leaf.grad is not None
        assert leaf.grad.isfinite()


def test_fractional_counts_interpolate() -> None:
    counts = torch.tensor([2.0, 2.5, 3.0])
    low, middle, high = zinb_log_likelihood(counts, torch.full((3,), 9.0), torch.full((3,), 5.0), torch.zeros(3))
    assert low < middle < high


def test_half_precision_inputs_are_computed_in_float32() -> None:
    arguments = [torch.tensor([v]) for v in (300.0, 296.0, 2.0, -1.0)]
    with torch.autocast("cpu", torch.bfloat16):
        half = zinb_log_likelihood(*(t.bfloat16() for t in arguments))
    torch.testing.assert_close(half, zinb_log_likelihood(*(t.bfloat16().float() for t in arguments)))

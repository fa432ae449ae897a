"""Negative binomial and squared error against scipy, hand-worked values and float64."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import nbinom
from torch import Tensor

from scprint_model.losses.counts import (
    EPS,
    log_count_error,
    mean_over,
    nb_log_likelihood,
    nb_loss,
    renormalised_log_error,
    share_divergence,
    zinb_log_likelihood,
    zinb_loss,
)

extreme_counts = st.lists(st.sampled_from([0.0, 1.0, 2.0, 300.0, 1e5]), min_size=4, max_size=4)


def test_negative_binomial_is_scipys() -> None:
    counts, mean, dispersion = torch.meshgrid(
        torch.tensor([0.0, 1.0, 7.0, 300.0, 1e5], dtype=torch.float64),
        torch.tensor([1e-3, 1.0, 55.0, 1e5], dtype=torch.float64),
        torch.tensor([1e-3, 0.5, 9.0, 80.0], dtype=torch.float64),
        indexing="ij",
    )
    mu, theta = (mean + EPS).numpy(), dispersion.numpy()
    expected = nbinom.logpmf(counts.numpy(), theta, theta / (theta + mu))
    np.testing.assert_allclose(nb_log_likelihood(counts, mean, dispersion), expected, rtol=1e-9, atol=1e-9)
    assert nb_loss(counts, mean, dispersion).item() == pytest.approx(-expected.mean())


def test_negative_binomial_is_zinb_that_never_inflates() -> None:
    counts, mean = torch.tensor([0.0, 0.0, 5.0]), torch.tensor([1e-3, 12.0, 4.0])
    theta = torch.tensor([0.3, 2.0, 1e6])
    with_zeros = zinb_log_likelihood(counts, mean, theta, torch.full((3,), -80.0))
    torch.testing.assert_close(nb_log_likelihood(counts, mean, theta), with_zeros)


def test_padding_is_not_counted() -> None:
    counts, mean, theta = torch.tensor([[3.0, 0.0, 9.0]]), torch.tensor([[2.0, 1.0, 0.0]]), torch.ones(1, 3)
    real = torch.tensor([[True, True, False]])
    torch.testing.assert_close(
        nb_loss(counts, mean, theta, real=real), nb_loss(counts[:, :2], mean[:, :2], theta[:, :2])
    )
    zinb = zinb_loss(counts, mean, theta, theta, real=real)
    torch.testing.assert_close(zinb, zinb_loss(counts[:, :2], mean[:, :2], theta[:, :2], theta[:, :2]))
    assert mean_over(counts, torch.zeros_like(real)) == 0


def test_squared_error_by_hand() -> None:
    # logarithms 1, 3 and 2, 2: shares of a sum of 10,000 are 2500, 7500 and 5000, 5000
    loss = renormalised_log_error(torch.tensor([[1.0, 7.0]]), torch.tensor([[3.0, 3.0]]))
    assert loss.item() == pytest.approx(2500**2)
    # twice the logarithms is the same profile
    assert renormalised_log_error(torch.tensor([[1.0, 7.0]]), torch.tensor([[3.0, 63.0]])).item() == pytest.approx(0)


def test_squared_error_beside_a_likelihood_by_hand() -> None:
    counts, mean = torch.tensor([[1.0, 4.0]]), torch.tensor([[2.0, 3.0]])
    a, b = (math.log2(1 + math.log(1 + x)) for x in (1, 4))
    c, d = (math.log2(1 + math.log(1 + x) * share) for x, share in ((2, 0.5), (3, 1)))
    difference = 1e4 * (a / (a + b) - c / (c + d))
    loss = log_count_error(counts, mean, torch.tensor([[0.0, -100.0]]))
    assert loss.item() == pytest.approx(difference**2, rel=1e-4)
    with_none = log_count_error(counts, mean, None)
    torch.testing.assert_close(with_none, log_count_error(counts, mean, torch.full((1, 2), -100.0)))


def test_a_cell_without_counts_has_a_finite_squared_error() -> None:
    mean = torch.zeros(1, 3, requires_grad=True)
    loss = renormalised_log_error(torch.zeros(1, 3), mean)
    loss.backward()
    assert loss == 0
    assert mean.grad is not None
    assert mean.grad.isfinite().all()


def gradients(loss: Tensor, leaves: list[Tensor]) -> list[Tensor]:
    return [g.double() for g in torch.autograd.grad(loss, leaves, retain_graph=True)]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@given(
    counts=extreme_counts,
    scores=st.lists(st.floats(-40, 40, width=16), min_size=4, max_size=4),
    log_dispersion=st.floats(-30, 15, width=16),
    zero=st.floats(-30, 30, width=16),
)
def test_half_precision_decoders_train_as_in_float64(
    dtype: torch.dtype, counts: list[float], scores: list[float], log_dispersion: float, zero: float
) -> None:
    """From what a decoder in half precision says to the loss: as the network does it, and all in float64."""
    x = torch.tensor([counts])
    half = [torch.tensor([values], dtype=dtype) for values in (scores, [log_dispersion] * 4, [zero] * 4)]

    def losses(numbers: list[Tensor], x: Tensor) -> dict[str, Tensor]:
        mean = numbers[0].softmax(dim=-1) * x.sum(dim=-1, keepdim=True)
        theta = numbers[1].clamp(max=15).exp()
        return {
            "zinb": zinb_loss(x, mean, theta, numbers[2]),
            "nb": nb_loss(x, mean, theta),
            "mse": renormalised_log_error(x, mean) / 1e8,
            "log": log_count_error(x, mean, numbers[2]) / 1e8,
        }

    ours = [t.float().requires_grad_() for t in half]
    exact = [t.double().requires_grad_() for t in half]
    with torch.autocast("cpu", dtype):
        in_autocast = losses(ours, x)
    size = 1 + x.sum().item()
    for name, wanted in losses(exact, x.double()).items():
        loss = in_autocast[name]
        assert loss.dtype == torch.float32
        assert loss.isfinite()
        # values to six digits of the loss; gradients, which are differences of terms as large as the counts, of these
        assert loss.item() == pytest.approx(wanted.item(), rel=2e-5, abs=2e-5), name
        used = 3 if name == "zinb" else 2 if name == "nb" else 1
        for got, want in zip(gradients(loss, ours[:used]), gradients(wanted, exact[:used]), strict=True):
            assert got.isfinite().all(), name
            assert (got - want).abs().max() <= 2e-5 * size, name


def test_divergence_of_shares_by_hand_and_whatever_the_depth() -> None:
    counts, mean = torch.tensor([[3.0, 1.0], [0.0, 0.0]]), torch.tensor([[5.0, 5.0], [1.0, 2.0]])
    by_hand = 0.75 * math.log(0.75 / 0.5) + 0.25 * math.log(0.25 / 0.5)
    assert share_divergence(counts, mean).item() == pytest.approx(by_hand, rel=1e-5)  # cells without counts: none
    assert share_divergence(100 * counts, 7 * mean).item() == pytest.approx(by_hand, rel=1e-5)
    padded = [torch.cat((t, torch.ones(2, 1)), dim=1) for t in (counts, mean)]
    real = torch.tensor([[True, True, False]] * 2)
    assert share_divergence(*padded, real=real).item() == pytest.approx(by_hand, rel=1e-5)

"""Triton kernels against their twins and float64; on a CPU, test_kernels.py runs this in Triton's interpreter."""

import os

import pytest
import torch

from scprint_model.kernels.mean_attention import accumulate_mean_attention
from scprint_model.kernels.zinb import fused_zinb_loss
from scprint_model.losses.counts import zinb_loss

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
pytestmark = pytest.mark.skipif(
    not torch.cuda.is_available() and os.environ.get("TRITON_INTERPRET") != "1",
    reason="no GPU: test_kernels.py runs this file with TRITON_INTERPRET=1",
)


def parameters(dtype=torch.float32):
    """Counts and parameters at ordinary and at extreme places, 5 x 7 x 6 x 5 of them and so no multiple of a block."""
    counts = torch.tensor([0.0, 1.0, 3.0, 40.0, 1e5])
    means = torch.tensor([0.0, 1e-4, 0.3, 2.5, 30.0, 1e4, 1e5])
    dispersions = torch.tensor([1e-6, 0.02, 0.8, 5.0, 300.0, 3e6])
    zeros = torch.tensor([-30.0, -2.0, 0.0, 1.5, 30.0])
    grid = torch.meshgrid(counts, means, dispersions, zeros, indexing="ij")
    return [t.flatten()[None].contiguous().to(DEVICE).to(dtype) for t in grid]


def value_and_gradients(loss, inputs, **options):
    counts, *rest = inputs
    rest = [t.detach().requires_grad_() for t in rest]
    value = loss(counts, *rest, **options)
    value.backward()
    return value.detach(), [t.grad for t in rest]


def test_zinb_kernel_matches_float64_place_by_place():
    """One place at a time through `real`, so that no large value hides a small one."""
    inputs = parameters()
    n = inputs[0].numel()
    _, grads = value_and_gradients(lambda *a, **k: n * fused_zinb_loss(*a, **k), inputs, use_triton=True)
    exact_inputs = [t.double() for t in inputs]
    _, exact = value_and_gradients(lambda *a, **k: n * zinb_loss(*a, **k), exact_inputs)
    _, twin = value_and_gradients(lambda *a, **k: n * zinb_loss(*a, **k), inputs)
    for name, ours, theirs, truth in zip(("mean", "dispersion", "zero_logits"), grads, twin, exact, strict=True):
        assert torch.isfinite(ours).all()
        scale = truth.abs() + 1e-6
        worst, twins = ((ours - truth).abs() / scale).max(), ((theirs - truth).abs() / scale).max()
        assert worst < 2e-4 or worst <= twins, f"{name}: {worst} and the twin's {twins}"


@pytest.mark.parametrize("place", range(0, 1050, 61))
def test_zinb_kernel_value_at_one_place(place):
    inputs = [t[:, place : place + 1].contiguous() for t in parameters()]
    ours = fused_zinb_loss(*inputs, use_triton=True).double()
    truth = zinb_loss(*(t.double() for t in inputs))
    torch.testing.assert_close(ours, truth, rtol=3e-6, atol=3e-6)


def test_zinb_kernel_matches_its_twin_on_a_batch_with_padding():
    torch.manual_seed(3)
    counts = torch.poisson(torch.rand(3, 700) * 4).to(DEVICE)
    rest = [torch.rand(3, 700, device=DEVICE) * 5, torch.rand(3, 700, device=DEVICE) * 3 + 0.1]
    rest.append(torch.randn(3, 700, device=DEVICE))
    real = torch.rand(3, 700, device=DEVICE) < 0.8
    ours = value_and_gradients(fused_zinb_loss, [counts, *rest], real=real, use_triton=True)
    twin = value_and_gradients(zinb_loss, [counts, *rest], real=real)
    torch.testing.assert_close(ours[0], twin[0], rtol=1e-6, atol=1e-6)
    for mine, theirs in zip(ours[1], twin[1], strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-8)
        assert (mine[~real] == 0).all()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_zinb_kernel_takes_half_precision_and_gives_its_gradients_back_in_it(dtype):
    torch.manual_seed(4)
    counts = torch.poisson(torch.rand(2, 300) * 4).to(DEVICE)
    rest = [(torch.rand(2, 300, device=DEVICE) * 5 + 0.1).to(dtype) for _ in range(3)]
    ours = value_and_gradients(fused_zinb_loss, [counts, *rest], use_triton=True)
    twin = value_and_gradients(zinb_loss, [counts, *rest])
    torch.testing.assert_close(ours[0], twin[0], rtol=1e-5, atol=1e-6)
    for mine, theirs in zip(ours[1], twin[1], strict=True):
        assert mine.dtype == dtype
        torch.testing.assert_close(mine, theirs, rtol=0.01, atol=1e-6)


@pytest.mark.parametrize("per_head", [False, True])
@pytest.mark.parametrize(("n_tokens", "width", "n_groups"), [(70, 16, 4), (129, 24, 2)])
def test_mean_attention_kernel_matches_its_twin(per_head, n_tokens, width, n_groups):
    torch.manual_seed(n_tokens)
    q = torch.randn(3, n_tokens, 4, width, device=DEVICE) * 2
    k = torch.randn(3, n_tokens, n_groups, width, device=DEVICE) * 2
    weights = None if per_head else torch.tensor([0.1, 0.0, 0.7, 0.2], device=DEVICE)
    sums = [torch.ones((4,) * per_head + (n_tokens, n_tokens), device=DEVICE) for _ in range(4)]
    accumulate_mean_attention(q, k, out=sums[0], square=sums[1], head_weights=weights, use_triton=True)
    accumulate_mean_attention(q, k, out=sums[2], square=sums[3], head_weights=weights, use_triton=False)
    torch.testing.assert_close(sums[0], sums[2], rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(sums[1], sums[3], rtol=1e-5, atol=1e-6)


def test_mean_attention_kernel_without_squares_in_half_precision():
    torch.manual_seed(1)
    q, k = (torch.randn(2, 65, 2, 32, device=DEVICE).half() for _ in range(2))
    ours, twin = torch.zeros(65, 65, device=DEVICE), torch.zeros(65, 65, device=DEVICE)
    accumulate_mean_attention(q, k, out=ours, use_triton=True)
    accumulate_mean_attention(q, k, out=twin, use_triton=False)
    torch.testing.assert_close(ours, twin, rtol=1e-3, atol=1e-5)

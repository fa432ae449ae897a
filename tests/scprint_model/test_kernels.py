"""The plain-torch paths of the kernels, what they refuse, and the Triton ones in a process of their own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from scprint_model.kernels import mean_attention
from scprint_model.kernels.choice import VARIABLE, runs_triton
from scprint_model.kernels.mean_attention import accumulate_mean_attention
from scprint_model.kernels.zinb import fused_zinb_loss
from scprint_model.losses.counts import zinb_loss


@pytest.mark.slow
def test_triton_kernels_in_the_interpreter():
    """In a process of its own: Triton reads the variable when it is imported, which torch may have done already."""
    pytest.importorskip("triton")
    cases = Path(__file__).with_name("test_kernels_triton.py")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--no-header", str(cases)]
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("PYTEST_", "COV_"))}
    done = subprocess.run(
        command,
        env={**clean, "TRITON_INTERPRET": "1", "CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-2000:]
    assert "passed" in done.stdout
    assert "skipped" not in done.stdout


def naive(q_bnhk, k_bngk, weights):
    """Each cell's map in float64, (B, H, N, N), weighted."""
    group = q_bnhk.shape[2] // k_bngk.shape[2]
    q, k = q_bnhk.double(), k_bngk.double().repeat_interleave(group, dim=2)
    maps = torch.einsum("bnhk,bmhk->bhnm", q, k) / q.shape[-1] ** 0.5
    return torch.softmax(maps, dim=-1) * weights.double()[None, :, None, None]


@pytest.mark.parametrize("n_groups", [1, 2, 4])
@pytest.mark.parametrize("block", [1, 100, 2**18])
def test_mean_attention_is_the_naive_mean(monkeypatch, n_groups, block):
    monkeypatch.setattr(mean_attention, "BLOCK_VALUES", block)
    torch.manual_seed(n_groups)
    q, k = torch.randn(5, 23, 4, 8) * 3, torch.randn(5, 23, n_groups, 8) * 3
    weights = torch.tensor([0.5, 0.2, 0.0, 0.3])
    for given, used in ((None, torch.full((4,), 0.25)), (weights, weights)):
        out, square, alone = torch.zeros(23, 23), torch.zeros(23, 23), torch.zeros(23, 23)
        accumulate_mean_attention(q[:2], k[:2], out=out, square=square, head_weights=given)
        accumulate_mean_attention(q[2:], k[2:], out=out, square=square, head_weights=given)
        accumulate_mean_attention(q, k, out=alone, head_weights=given)
        cells = naive(q, k, used).sum(dim=1)
        torch.testing.assert_close(out.double(), cells.sum(dim=0), rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(square.double(), (cells**2).sum(dim=0), rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(alone, out, rtol=1e-5, atol=1e-6)
    out, square = torch.zeros(4, 23, 23), torch.zeros(4, 23, 23)
    accumulate_mean_attention(q, k, out=out, square=square)
    cells = naive(q, k, torch.ones(4))
    torch.testing.assert_close(out.double(), cells.sum(dim=0), rtol=1e-5, atol=1e-6)
    variance = square.double() / 5 - (out.double() / 5) ** 2
    torch.testing.assert_close(variance, cells.var(dim=0, correction=0), rtol=1e-3, atol=1e-6)


def test_no_cells_add_nothing():
    out = torch.ones(3, 3)
    accumulate_mean_attention(torch.empty(0, 3, 2, 4), torch.empty(0, 3, 2, 4), out=out)
    assert (out == 1).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"k": torch.zeros(1, 5, 3, 4)}, "do not fit"),
        ({"out": torch.zeros(4, 5)}, "out has shape"),
        ({"square": torch.zeros(2, 5, 5)}, "square has shape"),
        ({"out": torch.zeros(5, 5, dtype=torch.float64)}, "float32 and contiguous"),
        ({"out": torch.zeros(5, 10)[:, ::2]}, "float32 and contiguous"),
        ({"head_weights": torch.ones(3)}, "head_weights of shape"),
        ({"out": torch.zeros(2, 5, 5), "head_weights": torch.ones(2)}, "head_weights of shape"),
    ],
)
def test_what_does_not_fit_is_named(options, message):
    given = {"q": torch.zeros(1, 5, 2, 4), "k": torch.zeros(1, 5, 2, 4), "out": torch.zeros(5, 5), **options}
    with pytest.raises(ValueError, match=message):
        accumulate_mean_attention(given.pop("q"), given.pop("k"), **given)


def test_zinb_without_triton_is_the_loss():
    torch.manual_seed(0)
    counts = torch.poisson(torch.rand(2, 9) * 3)
    rest = [torch.rand(2, 9) + 0.1 for _ in range(3)]
    assert fused_zinb_loss(counts, *rest) == zinb_loss(counts, *rest)


def test_the_choice_of_triton(monkeypatch):
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    monkeypatch.setenv(VARIABLE, "1")
    on_cpu = torch.zeros(1)
    assert not runs_triton(on_cpu, None)
    assert not runs_triton(on_cpu, use_triton=False)
    with pytest.raises(ValueError, match="on cpu"):
        runs_triton(on_cpu, use_triton=True)
    monkeypatch.setattr("scprint_model.kernels.choice.find_spec", lambda name: None)  # noqa: ARG005
    with pytest.raises(ValueError, match="not installed"):
        runs_triton(on_cpu, use_triton=True)

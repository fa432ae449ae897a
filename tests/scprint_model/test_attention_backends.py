"""Every attention kernel gives the textbook's numbers, whatever the lengths, groups, bias and precision."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import Tensor

from scprint_model.attention import sdpa
from scprint_model.attention.attend import attend
from scprint_model.attention.flash import attend_flash
from scprint_model.attention.flex import attend_flex
from scprint_model.attention.sdpa import attend_keeping_matrix, attend_sdpa
from scprint_model.config import ModelConfig
from scprint_model.model import ScPrint

#: Largest error of an output, whose entries are of size 1.
TOLERANCE = {torch.float64: 1e-12, torch.float32: 1e-5, torch.bfloat16: 2e-2, torch.float16: 3e-3}
N_CELLS, N_QUERIES, N_KEYS, N_HEADS, WIDTH = 3, 5, 7, 4, 8
pytestmark = pytest.mark.filterwarnings("ignore:flex_attention called without torch.compile")
LENGTHS = torch.tensor([7, 3, 1])


def make_qkv(n_kv_heads: int, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor, Tensor]:
    torch.manual_seed(0)
    q = torch.randn(N_CELLS, N_QUERIES, N_HEADS, WIDTH, dtype=torch.float64)
    k, v = (torch.randn(N_CELLS, N_KEYS, n_kv_heads, WIDTH, dtype=torch.float64) for _ in "kv")
    return q.to(dtype), k.to(dtype), v.to(dtype)


def textbook(q: Tensor, k: Tensor, v: Tensor, lengths: Tensor | None = None, bias: Tensor | None = None) -> Tensor:
    """One cell, one head, one query at a time, in float64."""
    q, k, v = q.double(), k.double(), v.double()
    out = torch.zeros_like(q)
    for cell in range(len(q)):
        n = k.shape[1] if lengths is None else int(lengths[cell])
        for head in range(q.shape[2]):
            kv_head = head * k.shape[2] // q.shape[2]
            for query in range(q.shape[1]):
                logits = k[cell, :n, kv_head] @ q[cell, query, head] / q.shape[-1] ** 0.5
                if bias is not None:
                    logits = logits + bias[cell % len(bias), query, :n]
                out[cell, query, head] = torch.softmax(logits, 0) @ v[cell, :n, kv_head]
    return out


@pytest.mark.parametrize("dtype", list(TOLERANCE), ids=str)
@pytest.mark.parametrize("n_kv_heads", [4, 2])
@pytest.mark.parametrize("lengths", [None, LENGTHS], ids=["full", "lengths"])
@pytest.mark.parametrize("n_biases", [0, 1, 3])
@pytest.mark.parametrize("kernel", [attend_sdpa, attend_flex], ids=["sdpa", "flex"])
@torch.no_grad()
def test_kernels_equal_the_textbook(
    kernel: Any, n_biases: int, lengths: Tensor | None, n_kv_heads: int, dtype: torch.dtype
) -> None:
    q, k, v = make_qkv(n_kv_heads, dtype)
    bias = torch.randn(n_biases, N_QUERIES, N_KEYS, dtype=dtype) if n_biases else None
    result = kernel(q, k, v, key_lengths=lengths, bias_bqt=bias)
    assert result.dtype == dtype
    expected = textbook(q, k, v, lengths, bias)
    torch.testing.assert_close(result.double(), expected, rtol=0, atol=TOLERANCE[dtype])


@pytest.mark.parametrize("n_kv_heads", [4, 2])
@pytest.mark.parametrize("case", ["plain", "lengths", "bias", "kept matrix"])
def test_gradients_equal_the_textbook(case: str, n_kv_heads: int) -> None:
    inputs = [t.requires_grad_() for t in make_qkv(n_kv_heads, torch.float64)]
    lengths = LENGTHS if case == "lengths" else None
    if case == "bias":
        inputs.append(torch.randn(1, N_QUERIES, N_KEYS, dtype=torch.float64, requires_grad=True))
    q, k, v, *bias = inputs
    if case == "kept matrix":
        result = attend_keeping_matrix(q, k, v)
    else:
        result = attend_sdpa(q, k, v, key_lengths=lengths, bias_bqt=bias[0] if bias else None)
    expected = textbook(q, k, v, lengths, bias[0] if bias else None)
    torch.testing.assert_close(result, expected)
    torch.testing.assert_close(
        torch.autograd.grad(result.square().sum(), inputs), torch.autograd.grad(expected.square().sum(), inputs)
    )


def test_half_precision_gradients_on_both_paths(monkeypatch: pytest.MonkeyPatch) -> None:
    exact = [t.requires_grad_() for t in make_qkv(2)]
    expected = torch.autograd.grad(attend_sdpa(*exact).square().sum(), exact)
    half = [t.requires_grad_() for t in make_qkv(2, torch.bfloat16)]
    monkeypatch.setattr(sdpa, "_MAX_KEPT_ENTRIES", 0)
    fused = torch.autograd.grad(attend_sdpa(*half).square().sum(), half)
    monkeypatch.undo()
    # With a gradient to come the CPU keeps the matrix and must not need the fused kernel.
    monkeypatch.setattr(sdpa, "scaled_dot_product_attention", None)
    kept = torch.autograd.grad(attend_sdpa(*half).square().sum(), half)
    for gradients in (fused, kept):
        for gradient, reference in zip(gradients, expected, strict=True):
            assert (gradient.float() - reference).norm() < 0.02 * reference.norm()


@pytest.mark.parametrize("lengths", [None, LENGTHS], ids=["full", "lengths"])
def test_grouped_keys_are_not_repeated(monkeypatch: pytest.MonkeyPatch, lengths: Tensor | None) -> None:
    seen: list[tuple[int, ...]] = []
    kernel = sdpa.scaled_dot_product_attention

    def spy(q: Tensor, k: Tensor, v: Tensor, **options: Any) -> Tensor:
        seen.append((*k.shape, *v.shape))
        return kernel(q, k, v, **options)

    monkeypatch.setattr(sdpa, "scaled_dot_product_attention", spy)
    attend(*make_qkv(2), key_lengths=lengths)
    assert seen == [(N_CELLS, 2, N_KEYS, WIDTH) * 2]


@pytest.mark.parametrize("kernel", [attend_sdpa, attend_flex], ids=["sdpa", "flex"])
@torch.no_grad()
def test_no_key_gives_zeros(kernel: Any) -> None:
    result = kernel(*make_qkv(2), key_lengths=torch.tensor([7, 0, 2]))
    assert not result[1].any()
    assert result[0].any()
    assert result.isfinite().all()


class FlashStandIn(ModuleType):
    """The two functions of flash-attn that are used, by the textbook; a packed cell is cut out again."""

    def __init__(self) -> None:
        super().__init__("flash_attn")
        self.n_packed = 0

    @staticmethod
    def flash_attn_func(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return textbook(q, k, v).to(q.dtype)

    def flash_attn_varlen_func(
        self,
        q: Tensor,
        k: Tensor,
        v: Tensor,
        *,
        cu_seqlens_q: Tensor,
        cu_seqlens_k: Tensor,
        max_seqlen_q: int,
        max_seqlen_k: int,
    ) -> Tensor:
        assert cu_seqlens_q.dtype == cu_seqlens_k.dtype == torch.int32
        assert len(q) == cu_seqlens_q[-1]
        assert len(k) == len(v) == cu_seqlens_k[-1]
        assert cu_seqlens_q.diff().max() <= max_seqlen_q
        assert cu_seqlens_k.diff().max() <= max_seqlen_k
        self.n_packed = len(k)
        cells = [
            textbook(q[None, a:b], k[None, c:d], v[None, c:d])[0]
            for a, b, c, d in zip(cu_seqlens_q, cu_seqlens_q[1:], cu_seqlens_k, cu_seqlens_k[1:], strict=False)
        ]
        return torch.cat(cells).to(q.dtype)


@pytest.fixture
def flash(monkeypatch: pytest.MonkeyPatch) -> FlashStandIn:
    stand_in = FlashStandIn()
    monkeypatch.setitem(sys.modules, "flash_attn", stand_in)
    return stand_in


@pytest.mark.parametrize("n_kv_heads", [4, 2])
def test_flash_packs_cells_of_different_lengths(flash: FlashStandIn, n_kv_heads: int) -> None:
    q, k, v = make_qkv(n_kv_heads)
    torch.testing.assert_close(attend_flash(q, k, v), attend_sdpa(q, k, v), rtol=0, atol=1e-5)
    expected = attend_sdpa(q, k, v, key_lengths=LENGTHS)
    torch.testing.assert_close(attend_flash(q, k, v, key_lengths=LENGTHS), expected, rtol=0, atol=1e-5)
    assert flash.n_packed == LENGTHS.sum()
    asked = torch.tensor([5, 0, 2])
    result = attend_flash(q, k, v, key_lengths=LENGTHS, query_lengths=asked)
    for cell, n in enumerate(asked.tolist()):
        torch.testing.assert_close(result[cell, :n], expected[cell, :n], rtol=0, atol=1e-5)
        assert not result[cell, n:].any()
    only_queries = attend_flash(q, k, v, query_lengths=asked)
    torch.testing.assert_close(only_queries[0], attend_sdpa(q, k, v)[0], rtol=0, atol=1e-5)


@pytest.mark.usefixtures("flash")
def test_flash_hands_the_gradient_back() -> None:
    inputs = [t.requires_grad_() for t in make_qkv(2)]
    gradients, expected = (
        torch.autograd.grad(kernel(*inputs, key_lengths=LENGTHS).square().sum(), inputs)
        for kernel in (attend_flash, attend_sdpa)
    )
    torch.testing.assert_close(gradients, expected, rtol=1e-4, atol=1e-5)


def test_dispatch_says_what_a_backend_cannot_do(monkeypatch: pytest.MonkeyPatch) -> None:
    q, k, v = make_qkv(4)
    torch.testing.assert_close(attend(q, k, v), attend_sdpa(q, k, v))
    with torch.no_grad():
        torch.testing.assert_close(attend(q, k, v, backend="flex"), attend_sdpa(q, k, v))
    with pytest.raises(ValueError, match=r"'fast' must be one of .*'sdpa'"):
        attend(q, k, v, backend="fast")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="FlexAttention has no gradient on a CPU"):
        attend(q.requires_grad_(), k, v, backend="flex")
    with pytest.raises(ImportError, match=r"scprint-model\[flash\]"):
        attend(q, k, v, backend="flash")
    monkeypatch.setattr("scprint_model.attention.attend._FLASH_IS_INSTALLED", True)
    with pytest.raises(ValueError, match=r"needs CUDA, half precision and no bias, but got torch\.float32 on cpu"):
        attend(q, k, v, backend="flash")


@torch.no_grad()
def test_model_uses_the_backend_it_is_told() -> None:
    torch.manual_seed(0)
    config = ModelConfig(n_genes=9, d_model=16, n_layers=2, n_heads=4, n_kv_heads=2)
    model = ScPrint(config, gene_positions=torch.arange(9)).eval()
    for parameter in model.parameters():
        parameter.normal_(std=0.3)
    genes = torch.stack([torch.randperm(9)[:6] for _ in range(2)])
    batch = genes, torch.rand(2, 6) * 9, torch.tensor([90.0, 40.0])
    options = {"lengths": torch.tensor([6, 4]), "gene_bias": torch.randn(6, 6)}
    expected = model(*batch, **options)
    model.attention_backend = "flex"
    result = model(*batch, **options)
    torch.testing.assert_close(result.mean, expected.mean, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(result.cell_embeddings, expected.cell_embeddings, rtol=1e-4, atol=1e-5)
    with pytest.raises(ValueError, match="attention_backend = 'triton'"):
        model.attention_backend = "triton"
    assert model.attention_backend == "flex"

"""The building blocks, one by one, against hand-worked values and slow, obvious forms."""

from __future__ import annotations

import math

import pytest
import torch

from scprint_model.attention import sdpa
from scprint_model.attention.multi_head import SelfAttention
from scprint_model.attention.sdpa import attend_keeping_matrix, attend_sdpa
from scprint_model.config import ModelConfig
from scprint_model.layers.block import stochastic_depth
from scprint_model.layers.position_encoder import sinusoid
from scprint_model.layers.value_encoder import ValueEncoder, normalise_counts
from scprint_model.layers.expression_decoder import ExpressionDecoder
from scprint_model.model import ScPrint


def test_sinusoid_by_hand() -> None:
    table = sinusoid(torch.tensor([1, 2, 0, 5]), 4)
    # Angles of v - 1 at the frequencies 1 and 1/100; location 0 has those of the last index, 4.
    torch.testing.assert_close(table[0], torch.tensor([0.0, 1.0, 0.0, 1.0]))
    expected = [math.sin(1), math.cos(1), math.sin(0.01), math.cos(0.01)]
    torch.testing.assert_close(table[1], torch.tensor(expected))
    torch.testing.assert_close(table[2], table[3])
    torch.testing.assert_close(table[3, 0], torch.tensor(math.sin(4)))


def test_normalise_counts_by_hand() -> None:
    counts = torch.tensor([[1.0, 3.0, 0.0], [0.0, 0.0, 0.0]])
    torch.testing.assert_close(normalise_counts(counts, "log"), torch.tensor([[1.0, 2.0, 0.0], [0.0] * 3]))
    torch.testing.assert_close(normalise_counts(counts, "sum"), torch.tensor([[0.25, 0.75, 0.0], [0.0] * 3]))


def test_value_encoder_is_its_layers_in_order() -> None:
    torch.manual_seed(0)
    encoder = ValueEncoder(8, n_layers=3, dropout=0.1, typical_value=2).eval()
    values = torch.rand(2, 5) * 9
    torch.testing.assert_close(encoder(values), encoder.layers(values[..., None]))
    torch.testing.assert_close(encoder(torch.tensor([1e7])), encoder(torch.tensor([1e5])))


def test_starting_value_encoder_tells_counts_apart() -> None:
    """The layer norm after the first layer must not turn all counts into the same direction."""
    config = ModelConfig(n_genes=3, d_model=64, n_layers=1, n_heads=1)
    torch.manual_seed(0)
    model = ScPrint(config, gene_positions=torch.arange(3)).eval()
    a, b = model.expression_encoder(torch.tensor([1.0, 5.0]))
    assert torch.cosine_similarity(a, b, dim=0) < 0.95
    a, b = model.depth_encoder(torch.tensor([9.0, 15.0]))
    assert torch.cosine_similarity(a, b, dim=0) < 0.99


def test_starting_values() -> None:
    config = ModelConfig(n_genes=500, d_model=64, n_layers=8, n_heads=2, class_sizes={"sex": 2})
    torch.manual_seed(0)
    model = ScPrint(config, gene_positions=torch.arange(500))
    assert model.gene_encoder.table.weight.std().item() == pytest.approx(0.02, rel=0.05)
    assert model.blocks[0].mlp.fc1.weight.std().item() == pytest.approx(0.02, rel=0.05)
    assert model.blocks[0].mlp.fc2.weight.std().item() == pytest.approx(0.02 / 4, rel=0.05)
    assert model.blocks[7].attention.out.weight.std().item() == pytest.approx(0.02 / 4, rel=0.05)
    assert model.class_heads["sex"].out.bias.tolist() == pytest.approx([-0.13, -0.13])
    assert not model.blocks[3].attention.qkv.bias.any()


def test_attention_kernels_agree_with_the_textbook() -> None:
    torch.manual_seed(0)
    q, k, v = (torch.randn(2, 3, n, 4, dtype=torch.float64, requires_grad=True) for n in (5, 7, 7))
    scores = torch.einsum("bhqd,bhkd->bhqk", q, k) / 2
    weights = scores.exp() / scores.exp().sum(-1, keepdim=True)
    textbook = torch.einsum("bhqk,bhkd->bhqd", weights, v)
    expected = torch.autograd.grad(textbook.square().sum(), (q, k, v))
    for kernel in (attend, attend_keeping_matrix):
        result = kernel(q, k, v)
        torch.testing.assert_close(result, textbook)
        torch.testing.assert_close(torch.autograd.grad(result.square().sum(), (q, k, v)), expected)


def test_attention_in_bfloat16_on_both_paths(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    q, k, v = (torch.randn(2, 3, 40, 16) for _ in range(3))
    exact = attend(q, k, v)
    fused = attend(*(t.bfloat16() for t in (q, k, v)))
    # With a gradient to come the CPU keeps the matrix and must not need the fused kernel.
    monkeypatch.setattr(sdpa, "scaled_dot_product_attention", None)
    kept = attend(*(t.bfloat16().requires_grad_() for t in (q, k, v)))
    for half in (fused, kept):
        torch.testing.assert_close(half.float(), exact, atol=2e-2, rtol=2e-2)


def test_grouped_queries_equal_repeated_keys_and_values() -> None:
    torch.manual_seed(0)
    grouped, full = SelfAttention(16, 4, 2), SelfAttention(16, 4, 4)
    q, k, v = grouped.qkv.weight.data.split([16, 8, 8])
    bq, bk, bv = grouped.qkv.bias.data.split([16, 8, 8])
    # Heads are 4 wide; key head 0 serves query heads 0 and 1.
    order = [0, 1, 2, 3] * 2 + [4, 5, 6, 7] * 2
    full.qkv.weight.data = torch.cat((q, k[order], v[order]))
    full.qkv.bias.data = torch.cat((bq, bk[order], bv[order]))
    full.out.load_state_dict(grouped.out.state_dict())
    x = torch.randn(2, 6, 16)
    torch.testing.assert_close(grouped(x, capture=True), full(x, capture=True))
    few, (q_few, k_few) = grouped(x, n_queries=2, capture=True)
    everything, (q_all, k_all) = grouped(x, capture=True)
    torch.testing.assert_close((few, q_few, k_few), (everything[:, :2], q_all[:, :2], k_all))


def test_captured_queries_and_keys_give_the_attention() -> None:
    torch.manual_seed(0)
    attention = SelfAttention(8, 2, 2)
    x = torch.randn(1, 5, 8)
    out, (q, k) = attention(x, capture=True)
    weights = (torch.einsum("bqhd,bkhd->bhqk", q, k) / 2).softmax(-1)
    values = attention.qkv(x)[..., 16:].reshape(1, 5, 2, 4)
    torch.testing.assert_close(out, attention.out(torch.einsum("bhqk,bkhd->bqhd", weights, values).flatten(2)))


def test_stochastic_depth_drops_whole_cells_and_keeps_the_mean() -> None:
    torch.manual_seed(0)
    x = torch.ones(4000, 3, 2)
    dropped = stochastic_depth(x, 0.25, training=True)
    per_cell = dropped.flatten(1)
    assert (per_cell == per_cell[:, :1]).all()
    assert sorted(set(per_cell[:, 0].tolist())) == pytest.approx([0, 4 / 3])
    assert dropped.mean().item() == pytest.approx(1, abs=0.05)
    assert torch.equal(stochastic_depth(x, 0.25, training=False), x)


def test_stochastic_depth_rises_linearly() -> None:
    config = ModelConfig(n_genes=3, d_model=8, n_layers=5, n_heads=1, drop_path=0.2)
    model = ScPrint(config, gene_positions=torch.arange(3))
    assert [block.drop_path for block in model.blocks] == pytest.approx([0, 0.05, 0.1, 0.15, 0.2])


def test_decoder_by_hand() -> None:
    decoder = ZinbDecoder(2, dropout=0.0)
    decoder.out.weight.data.zero_()
    decoder.out.bias.data = torch.tensor([0.0, 20.0, -3.0])
    mean, dispersion, zero_logits = decoder(torch.randn(1, 4, 2), torch.tensor([8.0]))
    torch.testing.assert_close(mean, torch.full((1, 4), 2.0))
    torch.testing.assert_close(dispersion, torch.full((1, 4), math.exp(15)))
    torch.testing.assert_close(zero_logits, torch.full((1, 4), -3.0))

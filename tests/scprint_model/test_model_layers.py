"""The building blocks, one by one, against hand-worked values and slow, obvious forms."""

from __future__ import annotations

import math

import pytest
import torch

from scprint_model.attention.attend import Scope
from scprint_model.attention.multi_head import CrossAttention, SelfAttention
from scprint_model.config import ModelConfig
from scprint_model.layers.block import stochastic_depth
from scprint_model.layers.expression_decoder import ExpressionDecoder
from scprint_model.layers.position_encoder import sinusoid
from scprint_model.layers.value_encoder import ValueEncoder, normalise_counts
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


def test_cross_attention_with_the_same_weights_is_self_attention() -> None:
    torch.manual_seed(0)
    own, cross = SelfAttention(16, 4, 2), CrossAttention(16, 4, 2)
    cross.q.weight.data, cross.kv.weight.data = own.qkv.weight.data.split([16, 16])
    cross.q.bias.data, cross.kv.bias.data = own.qkv.bias.data.split([16, 16])
    cross.out.load_state_dict(own.out.state_dict())
    x = torch.randn(2, 6, 16)
    lengths = torch.tensor([6, 2])
    expected, _ = own(x, Scope(lengths=lengths))
    torch.testing.assert_close(cross(x, Scope(other=x, other_lengths=lengths)), expected)
    with pytest.raises(ValueError, match="needs the tokens of the other sequence"):
        cross(x, Scope())


def test_decoder_by_hand() -> None:
    decoder = ExpressionDecoder(2, likelihood="zinb", told_depth=False, dropout=0.0)
    decoder.out.weight.data.zero_()
    decoder.out.bias.data = torch.tensor([0.0, 20.0, -3.0])
    totals = torch.tensor([8.0])
    tokens = torch.randn(1, 4, 2)
    mean, dispersion, zero_logits = decoder(tokens, totals, totals)
    torch.testing.assert_close(mean, torch.full((1, 4), 2.0))
    torch.testing.assert_close(dispersion, torch.full((1, 4), math.exp(15)))
    torch.testing.assert_close(zero_logits, torch.full((1, 4), -3.0))
    padded = decoder(tokens, totals, totals, torch.tensor([[True, True, False, False]])).mean
    torch.testing.assert_close(padded, torch.tensor([[4.0, 4.0, 0.0, 0.0]]))

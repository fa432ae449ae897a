"""Attention between genes by slow loops in float64."""

import numpy as np
import pytest
import torch

from scprint_model.attention.multi_head import SelfAttention
from scprint_model.networks import to_network as module
from scprint_model.networks.accumulate import MeanAttention, MeanTokens
from scprint_model.networks.to_network import assemble, attention_rows, map_rows, scale_both_ways

LAYERS, CELLS, TOKENS, CELL_TOKENS, HEADS, KEY_HEADS, WIDTH = 3, 7, 9, 2, 4, 2, 5
ALL = [(layer, head) for layer in range(LAYERS) for head in range(HEADS)]


@pytest.fixture(scope="module")
def queries_keys():
    """Queries and keys of 2 key heads, each of which serves 2 consecutive query heads."""
    rng = torch.Generator().manual_seed(0)
    q = torch.randn(LAYERS, CELLS, TOKENS, HEADS, WIDTH, generator=rng)
    return q, torch.randn(LAYERS, CELLS, TOKENS, KEY_HEADS, WIDTH, generator=rng)


def slow_softmax(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Softmax of a row's products, one entry at a time; a and b (tokens, width)."""
    result = np.zeros((len(a), len(b)))
    for i in range(len(a)):
        weights = [np.exp(sum(a[i, d] * b[j, d] for d in range(a.shape[1])) / a.shape[1] ** 0.5) for j in range(len(b))]
        result[i] = np.array(weights) / sum(weights)
    return result


def slow_maps(q, k, cells):
    """(heads, cells, tokens, tokens) attention of each head in each cell."""
    q, k = np.asarray(q.double()), np.asarray(k.double())
    return np.array([[slow_softmax(q[la, c, :, h], k[la, c, :, h // 2]) for c in cells] for la, h in ALL])


def rows_of(source) -> np.ndarray:
    return np.concatenate([block.numpy() for _, block in source])


class Split:
    """Stands for a layer's attention, its tokens being queries and keys beside each other."""

    def __init__(self, heads: int = HEADS, key_heads: int = KEY_HEADS, width: int = WIDTH) -> None:
        self.heads, self.key_heads, self.width = heads, key_heads, width

    @staticmethod
    def tokens(q: torch.Tensor, k: torch.Tensor) -> torch.Tensor:
        return torch.cat((q.flatten(-2), k.flatten(-2)), dim=-1)

    def queries_keys(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        x = x.view(len(x), self.heads + self.key_heads, self.width)
        return x[:, : self.heads], x[:, self.heads :]


def heard(queries_keys, parts=(slice(0, 3), slice(3, 7))):
    q, k = queries_keys
    means = MeanTokens(TOKENS, [Split()] * LAYERS)
    for part in parts:
        for layer in range(LAYERS):
            means.add(layer, Split.tokens(q[layer, part], k[layer, part]))
        means.count(len(q[0, part]))
    return means


@pytest.mark.parametrize("block", [2**24, 30])
def test_attention_of_the_means(queries_keys, monkeypatch, block):
    monkeypatch.setattr(module, "BLOCK_VALUES", block)  # one row at a time
    q, k = (np.asarray(t.double().mean(1)) for t in queries_keys)
    maps = np.array([slow_softmax(q[la, :, h], k[la, :, h // 2])[CELL_TOKENS:, CELL_TOKENS:] for la, h in ALL])
    means = heard(queries_keys)
    for combine, expected in (("mean", maps.mean(0)), ("max", maps.max(0)), ("all", maps.transpose(1, 2, 0))):
        rows = rows_of(attention_rows(means, ALL, n_cell_tokens=CELL_TOKENS, combine=combine))
        np.testing.assert_allclose(rows, expected, atol=1e-6)
    some = [ALL[1], ALL[6], ALL[7]]
    rows = rows_of(attention_rows(means, some, n_cell_tokens=CELL_TOKENS))
    np.testing.assert_allclose(rows, maps[[1, 6, 7]].mean(0), atol=1e-6)
    logits = np.array([q[la, :, h] @ k[la, :, h // 2].T / WIDTH**0.5 for la, h in ALL])[:, CELL_TOKENS:, CELL_TOKENS:]
    rows = rows_of(attention_rows(means, ALL, n_cell_tokens=CELL_TOKENS, normalize="none"))
    np.testing.assert_allclose(rows, logits.mean(0), atol=1e-6)
    # Sinkhorn: a scaling of exp(logits), which makes rows and columns sum to 1, is unique
    rows = rows_of(attention_rows(means, ALL, n_cell_tokens=CELL_TOKENS, combine="all", normalize="sinkhorn"))
    for place in range(len(ALL)):
        matrix = np.exp(logits[place])
        for _ in range(500):
            matrix /= matrix.sum(1, keepdims=True)
            matrix /= matrix.sum(0, keepdims=True)
        np.testing.assert_allclose(rows[..., place], matrix, atol=1e-4)


def test_tokens_that_only_some_cells_had(queries_keys):
    q, k = queries_keys
    rng = np.random.default_rng(0)
    places = torch.from_numpy(np.stack([rng.permutation(15)[:TOKENS] for _ in range(CELLS)]))
    places[places == 11] = 12  # nobody has token 11; some have 12 twice, both count
    means = MeanTokens(15, [Split()] * LAYERS)
    for part in (slice(0, 2), slice(2, 7)):
        for layer in range(LAYERS):
            means.add(layer, Split.tokens(q[layer, part], k[layer, part]), places[part])
        means.count(len(places[part]), places[part])
    assert means.n_seen.tolist() == [int((places == token).sum()) for token in range(15)]
    assert means.n_seen[11] == 0
    mean_q, mean_k = means.means(2)
    seen = [token for token in range(15) if (places == token).any()]
    for row, token in enumerate(seen):
        np.testing.assert_allclose(mean_q[row], q[2][places == token].mean(0), atol=1e-6)
        np.testing.assert_allclose(mean_k[row], k[2][places == token].mean(0), atol=1e-6)


def test_queries_and_keys_of_mean_tokens_are_the_means():
    torch.manual_seed(3)
    module = SelfAttention(12, n_heads=6, n_kv_heads=2)
    x, places = (
        torch.randn(5, 4, 12),
        torch.tensor([[0, 1, 2, 3], [0, 4, 5, 1], [0, 5, 4, 3], [0, 5, 1, 4], [0, 3, 4, 5]]),
    )
    fast, slow = MeanTokens(7, [module]), MeanTokens(7, [Split(6, 2, 2)])
    with torch.no_grad():
        for part in (slice(0, 2), slice(2, 5)):
            q, k, _ = module.qkv(x[part]).split([12, 4, 4], dim=-1)
            slow.add(0, torch.cat((q, k), dim=-1), places[part])
            slow.count(len(x[part]), places[part])
            other = MeanTokens(7, [module])
            other.add(0, x[part], places[part])
            other.count(len(x[part]), places[part])
            fast.merge(other)
        for mine, theirs in zip(fast.means(0), slow.means(0), strict=True):
            assert mine.shape == theirs.shape
            np.testing.assert_allclose(mine, theirs, atol=1e-6)
    assert fast.n_seen.tolist() == [5, 3, 1, 3, 4, 4, 0]


def test_true_mean_of_attention_maps_by_a_loop_over_cells(queries_keys):
    q, k = queries_keys
    maps = slow_maps(q, k, range(CELLS)).mean(1)[:, CELL_TOKENS:, CELL_TOKENS:]
    for combine, expected in (("mean", maps.mean(0)), ("max", maps.max(0)), ("all", maps.transpose(1, 2, 0))):
        whole = MeanAttention(TOKENS, ALL, combine)
        for part in (slice(0, 1), slice(1, 5), slice(5, 7)):
            other = MeanAttention(TOKENS, ALL, combine)
            for layer in range(LAYERS):
                other.add(layer, q[layer, part], k[layer, part])
            other.count(len(q[0, part]))
            whole.merge(other)
        np.testing.assert_allclose(rows_of(map_rows(whole, n_cell_tokens=CELL_TOKENS)), expected, atol=1e-6)
    balanced = MeanAttention(TOKENS, [(0, 1), (2, 3)], "mean")
    for layer in (0, 2):
        balanced.add(layer, q[layer], k[layer])
    balanced.count(CELLS)
    rows = rows_of(map_rows(balanced, n_cell_tokens=CELL_TOKENS, sinkhorn=True))
    expected = scale_both_ways(torch.from_numpy(maps[[1, 11]].mean(0)))
    np.testing.assert_allclose(rows, expected, atol=1e-4)
    np.testing.assert_allclose(rows.sum(0), 1, atol=1e-3)


def test_no_cells_no_mean():
    with pytest.raises(ValueError, match="no cell was added"):
        MeanTokens(3, [Split()]).means(0)
    with pytest.raises(ValueError, match="no cell was added"):
        next(map_rows(MeanAttention(3, [(0, 0)], "mean"), n_cell_tokens=1))


def test_assembling_turns_and_drops_self_edges():
    attention = torch.tensor([[9.0, 1.0, 2.0], [3.0, 9.0, 4.0], [5.0, -6.0, 9.0]])
    blocks = [(slice(0, 2), attention[:2]), (slice(2, 3), attention[2:])]
    again = [(rows, block.clone()) for rows, block in blocks]
    np.testing.assert_array_equal(assemble(blocks, 3), [[0, 3, 5], [1, 0, -6], [2, 4, 0]])
    sparse = assemble(again, 3, top_k=1)
    np.testing.assert_array_equal(sparse.toarray(), [[0, 0, 0], [0, 0, -6], [2, 4, 0]])
    stack = attention[..., None] * torch.tensor([1.0, 10.0])
    turned = assemble([(slice(0, 3), stack)], 3, n_planes=2, regulators=np.array([True, False, True]))
    np.testing.assert_array_equal(turned[..., 1], [[0, 30, 50], [0, 0, 0], [20, 40, 0]])

"""Properties of the network that hold whatever its weights are."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from scprint_model.config import ModelConfig
from scprint_model.losses.counts import zinb_loss
from scprint_model.model import ScPrint

N_GENES = 30


def make_model(**fields: Any) -> ScPrint:
    torch.manual_seed(0)
    sizes: dict[str, Any] = {"n_genes": N_GENES, "d_model": 32, "n_layers": 3, "n_heads": 4}
    config = ModelConfig(**{**sizes, "class_sizes": {"cell_type": 5, "sex": 2}, **fields})
    model = ScPrint(config, gene_positions=torch.arange(N_GENES) // 2)
    # At their starting values the weights are so small that most mistakes would not show.
    for parameter in model.parameters():
        parameter.data.normal_(std=0.3)
    return model.eval()


@pytest.fixture
def batch() -> tuple[Tensor, Tensor, Tensor]:
    rng = torch.Generator().manual_seed(1)
    genes = torch.stack([torch.randperm(N_GENES, generator=rng)[:12] for _ in range(4)])
    counts = torch.poisson(torch.full((4, 12), 2.0), generator=rng)
    return genes, counts, counts.sum(1) + torch.tensor([10.0, 0.0, 500.0, 3.0])


def test_shapes_and_names(batch: tuple[Tensor, ...]) -> None:
    output = make_model()(*batch, capture_qk=True)
    assert output.token_names == ("base", "depth", "cell_type", "sex")
    assert output.mean.shape == output.dispersion.shape == output.zero_logits.shape == (4, 12)
    assert output.cell_embeddings.shape == (4, 4, 32)
    assert output.cell_embedding.shape == (4, 32)
    assert {name: tuple(logits.shape) for name, logits in output.class_logits.items()} == {
        "cell_type": (4, 5),
        "sex": (4, 2),
    }
    assert [(q.shape, k.shape) for q, k in output.queries_keys] == [((4, 16, 4, 8), (4, 16, 4, 8))] * 3


def test_means_share_out_the_counts(batch: tuple[Tensor, ...]) -> None:
    genes, counts, totals = batch
    model = make_model()
    sums = counts.sum(1)
    torch.testing.assert_close(model(*batch).mean.sum(1), sums)
    multiplier = torch.tensor([1.0, 2.0, 3.0, 0.5])
    torch.testing.assert_close(model(*batch, depth_multiplier=multiplier).mean.sum(1), sums * multiplier)
    torch.testing.assert_close(model(*batch, expected_total=totals).mean.sum(1), totals)
    cells = model.encode(*batch).cell_embeddings
    torch.testing.assert_close(model.generate(genes, cells, totals).mean.sum(1), totals)


def test_depth_multiplier_tells_the_depth_token(batch: tuple[Tensor, ...]) -> None:
    genes, counts, totals = batch
    model = make_model()
    asked = model(genes, counts, totals, depth_multiplier=4.0)
    told = model(genes, counts, totals * 4, expected_total=counts.sum(1) * 4)
    torch.testing.assert_close(asked.mean, told.mean)
    torch.testing.assert_close(asked.cell_embeddings, told.cell_embeddings)
    assert not torch.allclose(asked.cell_embeddings, model(genes, counts, totals).cell_embeddings, atol=1e-3)
    encoded = model.encode(genes, counts, totals, depth_multiplier=4.0)
    torch.testing.assert_close(encoded.cell_embeddings, asked.cell_embeddings, rtol=1e-4, atol=1e-5)


def test_gene_order_does_not_matter(batch: tuple[Tensor, ...]) -> None:
    genes, counts, totals = batch
    order = torch.randperm(12, generator=torch.Generator().manual_seed(2))
    model = make_model()
    before, after = model(*batch), model(genes[:, order], counts[:, order], totals)
    for name in ("mean", "dispersion", "zero_logits"):
        torch.testing.assert_close(getattr(after, name), getattr(before, name)[:, order], rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(after.cell_embeddings, before.cell_embeddings, rtol=1e-4, atol=1e-4)


def test_cells_do_not_see_each_other(batch: tuple[Tensor, ...]) -> None:
    model = make_model()
    alone = model(*(part[1:2] for part in batch))
    torch.testing.assert_close(alone.mean, model(*batch).mean[1:2], rtol=1e-4, atol=1e-5)


def test_masked_count_is_not_read(batch: tuple[Tensor, ...]) -> None:
    genes, counts, totals = batch
    model = make_model()
    mask = torch.zeros_like(counts, dtype=torch.bool)
    mask[:, 3] = True
    changed = counts.clone()
    changed[:, 3] += 50
    hidden, hidden_changed = (model.encode(genes, c, totals, mask=mask) for c in (counts, changed))
    torch.testing.assert_close(hidden.cell_embeddings, hidden_changed.cell_embeddings)
    seen, seen_changed = (model.encode(genes, c, totals) for c in (counts, changed))
    assert not torch.allclose(seen.cell_embeddings, seen_changed.cell_embeddings, atol=1e-3)
    assert not torch.allclose(seen.cell_embeddings, hidden.cell_embeddings, atol=1e-3)


def test_encode_is_forward_without_the_counts(batch: tuple[Tensor, ...]) -> None:
    model = make_model(n_kv_heads=2)
    full = model(*batch, capture_qk=True)
    for encoding in (model.encode(*batch), model.encode(*batch, capture_qk=True)):
        torch.testing.assert_close(encoding.cell_embeddings, full.cell_embeddings, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(encoding.cell_embedding, full.cell_embeddings.mean(1), rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(encoding.class_logits, full.class_logits, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(encoding.queries_keys, full.queries_keys)


@pytest.mark.parametrize("normalization", ["sum", "log"])
def test_cell_without_counts_stays_finite(batch: tuple[Tensor, ...], normalization: str) -> None:
    genes, counts, totals = batch
    counts = counts.clone()
    counts[2] = 0
    model = make_model(normalization=normalization)
    output = model(genes, counts, totals)
    loss = zinb_loss(counts, output.mean, output.dispersion, output.zero_logits)
    loss.backward()
    assert loss.isfinite()
    assert output.mean[2].abs().sum() == 0
    assert all(p.grad is None or p.grad.isfinite().all() for p in model.parameters())


def test_normalizations_see_scale_differently(batch: tuple[Tensor, ...]) -> None:
    genes, counts, totals = batch
    shares, logs = make_model(normalization="sum"), make_model(normalization="log")
    for model, same in ((shares, True), (logs, False)):
        once, thrice = (model.encode(genes, counts * k, totals).cell_embeddings for k in (1, 3))
        assert torch.allclose(once, thrice, atol=1e-4) is same


@pytest.mark.parametrize("n_kv_heads", [None, 2])
def test_gradient_reaches_every_parameter(batch: tuple[Tensor, ...], n_kv_heads: int | None) -> None:
    genes, counts, _ = batch
    model = make_model(n_kv_heads=n_kv_heads, expression_layers=3, class_head_widths=(16, 8)).train()
    output = model(*batch)
    generated = model.generate(genes, output.cell_embeddings, counts.sum(1))
    loss = zinb_loss(counts, generated.mean, generated.dispersion, generated.zero_logits)
    (loss + sum(logits.square().sum() for logits in output.class_logits.values())).backward()
    unreached = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    assert unreached == []


def test_noise_in_training_only(batch: tuple[Tensor, ...]) -> None:
    model = make_model(dropout=0.0, drop_path=0.5)
    torch.testing.assert_close(model(*batch).mean, model(*batch).mean, rtol=0, atol=0)
    model.train()
    torch.manual_seed(0)
    assert not torch.equal(model(*batch).mean, model(*batch).mean)
    model = make_model(dropout=0.3)
    torch.testing.assert_close(model(*batch).mean, model(*batch).mean, rtol=0, atol=0)
    model.train()
    assert not torch.equal(model(*batch).mean, model(*batch).mean)


def test_bfloat16_is_close_and_keeps_the_stream_in_float32(batch: tuple[Tensor, ...]) -> None:
    model = make_model()
    exact = model(*batch)
    streams: list[torch.dtype] = []
    for block in model.blocks:
        block.register_forward_hook(lambda _module, _args, output: streams.append(output[0].dtype))
    with torch.autocast("cpu", torch.bfloat16):
        half = model(*batch)
    assert streams == [torch.float32] * 3
    assert half.mean.dtype == half.zero_logits.dtype == torch.float32
    error = (half.cell_embeddings - exact.cell_embeddings).norm() / exact.cell_embeddings.norm()
    assert error < 0.03


def test_genes_may_share_a_row() -> None:
    rows = torch.arange(N_GENES) % 15
    config = ModelConfig(n_genes=N_GENES, d_model=16, n_layers=1, n_heads=2)
    model = ScPrint(config, gene_positions=torch.zeros(N_GENES, dtype=torch.int64), gene_rows=rows).eval()
    assert model.gene_encoder.table.weight.shape == (15, 16)
    counts, totals = torch.tensor([[3.0, 1.0]]), torch.tensor([4.0])
    pair, orthologs = (model(torch.tensor([genes]), counts, totals).mean for genes in ([2, 9], [17, 24]))
    torch.testing.assert_close(pair, orthologs)
    assert torch.equal(model.state_dict()["gene_encoder.rows"], rows)


def test_positions_given_as_a_table_are_kept_as_they_are() -> None:
    config = ModelConfig(n_genes=N_GENES, d_model=16, n_layers=1, n_heads=2)
    table = torch.rand(N_GENES, 16)
    state = ScPrint(config, gene_positions=table).state_dict()
    assert torch.equal(state["position_encoder.table"], table)
    computed = ScPrint(config, gene_positions=torch.arange(N_GENES))
    assert "position_encoder.table" not in computed.state_dict()


def test_bad_input_is_named(batch: tuple[Tensor, ...]) -> None:
    genes, counts, totals = batch
    model = make_model()
    with pytest.raises(ValueError, match=r"counts \(4, 11\)"):
        model(genes, counts[:, 1:], totals)
    with pytest.raises(ValueError, match="give one of them"):
        model(genes, counts, totals, depth_multiplier=2.0, expected_total=totals)
    with pytest.raises(ValueError, match=r"cell_embeddings has shape \(4, 3, 32\).*\(4, 4, 32\)"):
        model.generate(genes, torch.zeros(4, 3, 32), totals)
    with pytest.raises(ValueError, match="total_counts"):
        model.generate(genes, torch.zeros(4, 4, 32), totals[:2])
    with pytest.raises(ValueError, match=r"gene_positions has shape \(9,\)"):
        ScPrint(model.config, gene_positions=torch.arange(9))
    with pytest.raises(ValueError, match="not be negative"):
        ScPrint(model.config, gene_positions=torch.arange(N_GENES) - 1)
    with pytest.raises(ValueError, match="gene_rows has shape"):
        ScPrint(model.config, gene_positions=torch.arange(N_GENES), gene_rows=torch.arange(3))
    with pytest.raises(ValueError, match="without gaps"):
        ScPrint(model.config, gene_positions=torch.arange(N_GENES), gene_rows=torch.arange(N_GENES) * 2)

"""Every option of the network does what it says, in both layouts."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from scprint_model.config import ModelConfig
from scprint_model.layers.bottleneck import Bottleneck, quantise
from scprint_model.losses.counts import zinb_loss
from scprint_model.model import ScPrint

N_GENES, N_CELLS, CONTEXT = 30, 4, 12
LAYOUTS = {
    "one sequence": {},
    "two sequences": {"cell_transformer": 2, "depth": "decoder", "n_kv_heads": 2},
}
Batch = tuple[Tensor, Tensor, Tensor]


def make_model(**fields: Any) -> ScPrint:
    torch.manual_seed(0)
    sizes: dict[str, Any] = {"n_genes": N_GENES, "d_model": 32, "n_layers": 2, "n_heads": 4, "dropout": 0.0}
    config = ModelConfig(**{**sizes, "class_sizes": {"cell_type": 5, "sex": 2}, **fields})
    model = ScPrint(config, gene_positions=torch.arange(N_GENES) // 2)
    # At their starting values the weights are so small that most mistakes would not show.
    for parameter in model.parameters():
        parameter.data.normal_(std=0.3)
    for module in model.modules():
        if isinstance(module, torch.nn.LayerNorm):
            module.weight.data.add_(1)
    for bottleneck in model.bottlenecks.values():
        bottleneck.start_between_codes()
    return model.eval()


@pytest.fixture
def batch() -> Batch:
    rng = torch.Generator().manual_seed(1)
    genes = torch.stack([torch.randperm(N_GENES, generator=rng)[:CONTEXT] for _ in range(N_CELLS)])
    counts = torch.poisson(torch.full((N_CELLS, CONTEXT), 2.0), generator=rng)
    return genes, counts, counts.sum(1) + torch.tensor([10.0, 0.0, 500.0, 3.0])


@pytest.fixture(params=list(LAYOUTS))
def layout(request: pytest.FixtureRequest) -> dict[str, Any]:
    return LAYOUTS[request.param]


def assert_close(result: Tensor | None, expected: Tensor | None) -> None:
    torch.testing.assert_close(result, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("normalization", ["sum", "log"])
@pytest.mark.parametrize("likelihood", ["zinb", "mse"])
@torch.no_grad()
def test_padding_changes_nothing(batch: Batch, layout: dict[str, Any], normalization: str, likelihood: str) -> None:
    """A batch of cells of different lengths equals each cell alone; what the padding holds is not read."""
    genes, counts, totals = batch
    model = make_model(normalization=normalization, likelihood=likelihood, bottleneck_sizes={"sex": 2}, **layout)
    lengths = torch.tensor([CONTEXT, 5, 1, 0])
    beyond = torch.arange(CONTEXT) >= lengths[:, None]
    padded = genes.masked_fill(beyond, 7), counts.masked_fill(beyond, math.nan), totals
    output = model(*padded, lengths=lengths, capture_qk=True)
    encoding = model.encode(*padded, lengths=lengths)
    generated = model.generate(padded[0], output.cell_embeddings, totals, lengths=lengths)
    assert (output.mean[beyond] == 0).all()
    assert (generated.mean[beyond] == 0).all()
    for cell, n in enumerate(lengths.tolist()):
        alone = genes[cell : cell + 1, :n], counts[cell : cell + 1, :n], totals[cell : cell + 1]
        expected = model(*alone, capture_qk=True)
        assert_close(output.cell_embeddings[cell], expected.cell_embeddings[0])
        assert_close(encoding.cell_embeddings[cell], expected.cell_embeddings[0])
        assert_close(output.class_logits["cell_type"][cell], expected.class_logits["cell_type"][0])
        expected_generated = model.generate(alone[0], expected.cell_embeddings, alone[2])
        for result, wanted in ((output, expected), (generated, expected_generated)):
            for name in ("mean", "dispersion", "zero_logits"):
                value = getattr(wanted, name)
                assert_close(
                    value if value is None else getattr(result, name)[cell, :n], value if value is None else value[0]
                )
        for captured, alone_captured in zip(output.queries_keys, expected.queries_keys, strict=True):
            last = len(model.captured_tokens) + n
            assert_close(captured[0][cell, :last], alone_captured[0][0])
            assert_close(captured[1][cell, :last], alone_captured[1][0])


def test_lengths_of_another_batch_are_refused(batch: Batch) -> None:
    with pytest.raises(ValueError, match=r"lengths has shape \(2,\); it needs \(4,\)"):
        make_model()(*batch, lengths=torch.tensor([1, 2]))


@pytest.mark.parametrize("likelihood", ["zinb", "nb", "mse"])
@pytest.mark.parametrize("normalization", ["sum", "log"])
def test_cells_without_counts_or_genes_stay_finite(
    batch: Batch, layout: dict[str, Any], normalization: str, likelihood: str
) -> None:
    genes, counts, totals = batch
    counts, totals = counts.clone(), totals.clone()
    counts[1], totals[1] = 0, 0
    model = make_model(normalization=normalization, likelihood=likelihood, **layout)
    output = model(genes, counts, totals, lengths=torch.tensor([12, 12, 0, 12]))
    generated = model.generate(genes, output.cell_embeddings, totals, lengths=torch.tensor([12, 12, 0, 12]))
    loss = output.cell_embeddings.square().mean() + sum(x.square().mean() for x in output.class_logits.values())
    for result in (output, generated):
        for value in (result.mean, result.dispersion, result.zero_logits):
            if value is not None:
                loss = loss + value.log1p().mean() if value is result.dispersion else loss + value.mean()
    loss.backward()
    assert loss.isfinite()
    assert not output.mean[1].any()
    assert all(p.grad is None or p.grad.isfinite().all() for p in model.parameters())


@torch.no_grad()
def test_token_order_moves_tokens_and_changes_no_number(batch: Batch, layout: dict[str, Any]) -> None:
    fields = {**layout, "metacell_token": True, "bottleneck_sizes": {"sex": 3}}
    ours, theirs = (make_model(**fields, token_order=order) for order in ("base_first", "depth_first"))
    theirs.load_state_dict(ours.state_dict())
    told = ("depth", "metacell") if ours.config.depth == "input" else ("metacell",)
    assert ours.token_names == ("base", *told, "cell_type", "sex")
    assert theirs.token_names == (*told, "base", "cell_type", "sex")
    metacell = torch.tensor([0, 1, 1, 0])
    one, other = (model(*batch, metacell=metacell) for model in (ours, theirs))
    order = [ours.token_names.index(name) for name in theirs.token_names]
    assert_close(other.cell_embeddings, one.cell_embeddings[:, order])
    assert_close(other.mean, one.mean)
    for name in ("cell_type", "sex"):
        assert_close(other.class_logits[name], one.class_logits[name])


@torch.no_grad()
def test_metacell_token_is_told(batch: Batch, layout: dict[str, Any]) -> None:
    model = make_model(metacell_token=True, **layout)
    kinds = torch.tensor([0, 1, 0, 1])
    unsaid, said = model.encode(*batch), model.encode(*batch, metacell=kinds)
    change = (said.cell_embeddings - unsaid.cell_embeddings).abs().amax((1, 2))
    assert (change[kinds == 0] < 1e-5).all()
    assert (change[kinds == 1] > 1e-2).all()
    with pytest.raises(ValueError, match="no metacell token"):
        make_model(**layout).encode(*batch, metacell=kinds)


@pytest.mark.parametrize("cell_transformer", [0, 2])
@torch.no_grad()
def test_depth_at_the_decoder(batch: Batch, cell_transformer: int) -> None:
    genes, counts, totals = batch
    model = make_model(depth="decoder", cell_transformer=cell_transformer)
    assert model.token_names == ("base", "cell_type", "sex")
    asked = model(*batch, depth_multiplier=4.0)
    told = model(genes, counts, totals * 4, expected_total=counts.sum(1) * 4)
    plain = model(*batch)
    assert_close(asked.mean, told.mean)
    assert_close(asked.zero_logits, told.zero_logits)
    # The cells are encoded before anybody speaks of depth.
    assert_close(asked.cell_embeddings, plain.cell_embeddings)
    assert not torch.allclose(asked.zero_logits, plain.zero_logits, atol=1e-2)
    # The first layer's last column is what a token one wider would have met.
    first = model.expression_decoder.layers[0]
    tokens = torch.randn(N_CELLS, CONTEXT, 32)
    wider = torch.cat((tokens, torch.log2(1 + totals)[:, None, None].expand(-1, CONTEXT, 1)), dim=-1)
    hidden = model.expression_decoder.layers[1:](first(wider))
    result = model.expression_decoder(tokens, totals, totals)
    assert_close(result.zero_logits, model.expression_decoder.out(hidden)[..., 2])
    # A profile may be asked for at a depth and share out something else.
    generated = model.generate(genes, plain.cell_embeddings, totals, expected_total=counts.sum(1))
    assert_close(generated.mean.sum(1), counts.sum(1))
    assert_close(generated.zero_logits, model.generate(genes, plain.cell_embeddings, totals).zero_logits)


@pytest.mark.parametrize(("likelihood", "n_numbers"), [("nb", 2), ("mse", 1)])
@torch.no_grad()
def test_smaller_likelihoods_are_the_first_numbers_of_the_largest(
    batch: Batch, likelihood: str, n_numbers: int
) -> None:
    full = make_model()
    model = ScPrint(replace(full.config, likelihood=likelihood), gene_positions=torch.arange(N_GENES) // 2).eval()
    state = full.state_dict()
    for key in ("expression_decoder.out.weight", "expression_decoder.out.bias"):
        state[key] = state[key][:n_numbers]
    model.load_state_dict(state)
    output, expected = model(*batch), full(*batch)
    assert_close(output.mean, expected.mean)
    assert output.zero_logits is None
    if likelihood == "mse":
        assert output.dispersion is None
    else:
        assert_close(output.dispersion, expected.dispersion)


def test_quantise_by_hand() -> None:
    # tanh(z + atanh(0.5 / 0.5005)) * 0.5005 - 0.5 is 0 at 0, its border -0.5 at -atanh(0.5 / 0.5005) = -3.80.
    z = torch.tensor([-50.0, -3.81, -3.79, -1.0, 0.0, 50.0], requires_grad=True)
    codes = quantise(z)
    assert codes.tolist() == [-1, -1, 0, 0, 0, 0]
    codes.sum().backward()
    shift = math.atanh(0.5 / 0.5005)
    smooth = [(1 - math.tanh(x + shift) ** 2) * 0.5005 for x in z.tolist()]
    assert z.grad.tolist() == pytest.approx(smooth, rel=1e-3, abs=1e-6)


def test_bottleneck_lets_few_values_through(batch: Batch, layout: dict[str, Any]) -> None:
    torch.manual_seed(0)
    bottleneck = Bottleneck(8, 2)
    bottleneck.inward.weight.data.mul_(50)
    assert len(torch.unique(bottleneck(torch.randn(200, 8)).detach(), dim=0)) == 4
    model, free = make_model(bottleneck_sizes={"sex": 3}, **layout), make_model(**layout)
    free.load_state_dict({k: v for k, v in model.state_dict().items() if not k.startswith("bottlenecks.")})
    squeezed, whole = model(*batch), free(*batch)
    sex = model.token_names.index("sex")
    expected = whole.cell_embeddings.clone()
    expected[:, sex] = model.bottlenecks["sex"](whole.cell_embeddings[:, sex])
    assert not torch.allclose(expected, whole.cell_embeddings, atol=1e-2)
    assert_close(squeezed.cell_embeddings, expected)
    assert_close(squeezed.cell_embedding, expected.mean(1))
    assert_close(squeezed.class_logits["sex"], model.class_heads["sex"](expected[:, sex]))
    assert_close(squeezed.mean, whole.mean)
    with torch.autocast("cpu", torch.bfloat16):
        assert model(*batch).cell_embeddings.dtype == torch.float32


@torch.no_grad()
def test_weights_in_half_precision(batch: Batch, layout: dict[str, Any]) -> None:
    """Without autocast, as one loads a large model; counts, depth and means keep float32's digits."""
    model = make_model(metacell_token=True, bottleneck_sizes={"sex": 2}, **layout)
    exact = model(*batch)
    model.to(torch.bfloat16)
    half = model(*batch)
    assert half.mean.dtype == half.zero_logits.dtype == torch.float32
    assert_close(half.mean.sum(1), batch[1].sum(1))
    cell_type = model.token_names.index("cell_type")
    error = (half.cell_embeddings - exact.cell_embeddings)[:, cell_type].norm()
    assert error < 0.1 * exact.cell_embeddings[:, cell_type].norm()
    assert model.generate(batch[0], half.cell_embeddings, batch[2]).mean.isfinite().all()


@pytest.mark.parametrize(
    "fields",
    [
        {"cell_transformer": 2, "metacell_token": True, "bottleneck_sizes": {"sex": 2}},
        {"cell_transformer": 1, "depth": "decoder", "n_kv_heads": 2, "expression_layers": 3},
        {"depth": "decoder", "likelihood": "nb", "bottleneck_sizes": {"cell_type": 4}},
        {"depth_layers": 4},
    ],
)
def test_gradient_reaches_every_parameter(batch: Batch, fields: dict[str, Any]) -> None:
    genes, counts, totals = batch
    model = make_model(**fields).train()
    metacell = torch.tensor([0, 1, 0, 1]) if model.config.metacell_token else None
    output = model(*batch, metacell=metacell)
    generated = model.generate(genes, output.cell_embeddings, totals)
    loss = sum(logits.square().sum() for logits in output.class_logits.values())
    for result in (output, generated):
        zeros = torch.zeros_like(counts) if result.zero_logits is None else result.zero_logits
        loss = loss + zinb_loss(counts, result.mean, result.dispersion, zeros)
    loss.backward()
    assert [name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()] == []


@torch.no_grad()
def test_cell_transformer_layout(batch: Batch) -> None:
    """Encoding leaves the genes' cross-attention out; generating runs it, and nothing else reads the cells."""
    model = make_model(cell_transformer=3, n_layers=2)
    assert [block.cross for block in model.blocks] == [True, False] * 2
    assert [block.cross for block in model.cell_blocks] == [True, False] * 3
    before = model(*batch)
    generated = model.generate(batch[0], before.cell_embeddings, batch[2])
    assert_close(generated.cell_embeddings, before.cell_embeddings)
    for block in model.blocks[::2]:
        block.attention.out.weight.normal_()
    after = model(*batch)
    assert torch.equal(after.mean, before.mean)
    assert torch.equal(after.cell_embeddings, before.cell_embeddings)
    regenerated = model.generate(batch[0], before.cell_embeddings, batch[2])
    assert not torch.allclose(regenerated.mean, generated.mean, atol=1e-2)


@torch.no_grad()
def test_captured_queries_and_keys_name_their_tokens(batch: Batch, layout: dict[str, Any]) -> None:
    model = make_model(**layout)
    captured = model.encode(*batch, capture_qk=True).queries_keys
    n_tokens = len(model.captured_tokens) + CONTEXT
    assert model.captured_tokens == (() if model.config.cell_transformer else model.token_names)
    assert [(q.shape, k.shape) for q, k in captured] == [((N_CELLS, n_tokens, 4, 8),) * 2] * 2
    # A gene's own count moves its own query and key in the first layer, no other's.
    genes, counts, totals = batch
    changed = counts.clone()
    changed[:, 3] += 40
    moved = model.encode(genes, changed, totals, capture_qk=True).queries_keys
    difference = (moved[0][0] - captured[0][0]).abs().amax((0, 2, 3))
    assert difference.nonzero().flatten().tolist() == [len(model.captured_tokens) + 3]


@torch.no_grad()
def test_gene_bias_is_what_a_gene_reads(batch: Batch, layout: dict[str, Any]) -> None:
    """With all others' logits for gene 3 pushed down, only gene 3 itself notices its count; rows attend."""
    genes, counts, totals = batch
    model = make_model(**{**layout, "n_layers": 1})
    changed = counts.clone()
    changed[:, 3] += 40
    bias = torch.zeros(CONTEXT, CONTEXT)
    bias[:, 3] = -1e4
    bias[3, 3] = 0

    def reaction(bias: Tensor | None) -> Tensor:
        one, other = (model(genes, c, totals, gene_bias=bias).zero_logits for c in (counts, changed))
        return (one - other).abs().amax(0)

    others = [gene for gene in range(CONTEXT) if gene != 3]
    assert (reaction(None)[others] > 1e-4).all()
    assert (reaction(bias)[others] < 1e-5).all()
    assert reaction(bias)[3] > 1e-2
    assert_close(reaction(bias.expand(N_CELLS, -1, -1)), reaction(bias))
    assert (reaction(bias.T)[others] > 1e-4).any()
    with pytest.raises(ValueError, match=r"gene_bias has shape \(3, 3\); it needs \(12, 12\) or \(4, 12, 12\)"):
        model(*batch, gene_bias=bias[:3, :3])


def test_gradient_checkpointing_gives_the_same_gradients(batch: Batch, layout: dict[str, Any]) -> None:
    genes, counts, totals = batch
    model = make_model(dropout=0.2, drop_path=0.3, **layout).train()

    def gradients() -> list[Tensor]:
        model.zero_grad(set_to_none=True)
        torch.manual_seed(3)
        output = model(*batch)
        generated = model.generate(genes, output.cell_embeddings, totals)
        (zinb_loss(counts, generated.mean, generated.dispersion, generated.zero_logits)).backward()
        return [torch.zeros_like(p) if p.grad is None else p.grad.clone() for p in model.parameters()]

    kept = gradients()
    calls: list[int] = []
    model.blocks[1].register_forward_pre_hook(lambda *_: calls.append(1))
    model.gradient_checkpointing = True
    again = gradients()
    # Twice in each of the two passes: once forward, once more for the gradient.
    assert len(calls) == 4
    torch.testing.assert_close(again, kept, rtol=1e-5, atol=1e-7)


def test_stochastic_depth_rises_over_each_stack() -> None:
    model = make_model(cell_transformer=3, n_layers=1, drop_path=0.5)
    assert [block.drop_path for block in model.blocks] == pytest.approx([0, 0.5])
    assert [block.drop_path for block in model.cell_blocks] == pytest.approx([0, 0.1, 0.2, 0.3, 0.4, 0.5])


def test_starting_values_of_both_stacks() -> None:
    torch.manual_seed(0)
    config = ModelConfig(n_genes=9, d_model=64, n_layers=4, n_heads=2, cell_transformer=1)
    model = ScPrint(config, gene_positions=torch.arange(9))
    assert model.blocks[0].attention.out.weight.std().item() == pytest.approx(0.02 / 4, rel=0.05)
    assert model.cell_blocks[1].mlp.fc2.weight.std().item() == pytest.approx(0.02 / 2, rel=0.05)
    assert model.cell_blocks[0].attention.kv.weight.std().item() == pytest.approx(0.02, rel=0.05)


def test_starting_bottleneck_uses_both_codes() -> None:
    config = ModelConfig(
        n_genes=9, d_model=64, n_layers=1, n_heads=1, class_sizes={"sex": 2}, bottleneck_sizes={"sex": 6}
    )
    torch.manual_seed(0)
    model = ScPrint(config, gene_positions=torch.arange(9))
    z = model.bottlenecks["sex"].inward(torch.randn(400, 64))
    assert quantise(z).mean().item() == pytest.approx(-0.5, abs=0.1)
    (gradient,) = torch.autograd.grad(quantise(z).sum(), z)
    assert gradient.min() > 0.3


@torch.no_grad()
def test_any_context_length(layout: dict[str, Any]) -> None:
    """The weights know nothing of how many genes there are; the shares still add up."""
    model = make_model(**layout)
    for size in (1, 2, N_GENES):
        genes, counts = torch.arange(size)[None], torch.arange(size)[None] + 1.0
        output = model(genes, counts, counts.sum(1))
        assert_close(output.mean.sum(1), counts.sum(1))
        assert output.cell_embeddings.isfinite().all()


@torch.no_grad()
def test_depth_encoder_may_be_deeper(batch: Batch) -> None:
    model = make_model(depth_layers=3)
    linear = [name for name, m in model.depth_encoder.named_modules() if isinstance(m, torch.nn.Linear)]
    assert linear == ["layers.0", "layers.4", "layers.8"]
    assert len(model.expression_encoder.layers) == 5
    assert model(*batch).mean.isfinite().all()

"""torch.compile takes the whole network as one graph and gives the same values and gradients."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor

from scprint_model.config import ModelConfig
from scprint_model.model import ScPrint

N_GENES, CONTEXT = 30, 12
VARIANTS: dict[str, dict[str, Any]] = {
    "plain": {},
    "everything": {
        "cell_transformer": 1,
        "depth": "decoder",
        "n_kv_heads": 2,
        "metacell_token": True,
        "bottleneck_sizes": {"sex": 2},
        "likelihood": "nb",
    },
}


@pytest.fixture(autouse=True)
def _forget_compiled_code() -> Iterator[None]:
    torch.compiler.reset()
    yield
    torch.compiler.reset()


def make_model(**fields: Any) -> ScPrint:
    torch.manual_seed(0)
    sizes: dict[str, Any] = {"n_genes": N_GENES, "d_model": 16, "n_layers": 2, "n_heads": 4, "dropout": 0.0}
    config = ModelConfig(**{**sizes, "class_sizes": {"sex": 2}, **fields})
    model = ScPrint(config, gene_positions=torch.arange(N_GENES))
    for parameter in model.parameters():
        parameter.data.add_(torch.randn_like(parameter) * 0.2)
    return model


def make_batch(size: int = CONTEXT) -> tuple[Tensor, Tensor, Tensor]:
    rng = torch.Generator().manual_seed(1)
    genes = torch.stack([torch.randperm(N_GENES, generator=rng)[:size] for _ in range(3)])
    counts = torch.poisson(torch.full((3, size), 2.0), generator=rng)
    return genes, counts, counts.sum(1) + 7


def values_and_gradients(model: ScPrint, call: Any, **options: Any) -> tuple[list[Tensor], list[Tensor]]:
    output = call(*make_batch(), **options)
    values = [output.mean, output.dispersion, output.cell_embeddings, output.class_logits["sex"]]
    model.zero_grad(set_to_none=True)
    sum((value.float().square().mean() for value in values), torch.zeros(())).backward()
    return [v.detach() for v in values], [p.grad for p in model.parameters() if p.grad is not None]


@pytest.mark.slow
@pytest.mark.parametrize("checkpointing", [False, True], ids=["", "checkpointing"])
@pytest.mark.parametrize("variant", list(VARIANTS))
def test_one_graph_with_the_same_values_and_gradients(variant: str, checkpointing: bool) -> None:
    model = make_model(**VARIANTS[variant])
    options: dict[str, Any] = {"lengths": torch.tensor([12, 4, 7]), "capture_qk": True}
    expected = values_and_gradients(model, model, **options)
    model.gradient_checkpointing = checkpointing
    compiled = torch.compile(model, backend="aot_eager", fullgraph=True)
    torch.testing.assert_close(values_and_gradients(model, compiled, **options), expected, rtol=1e-4, atol=1e-6)


@torch.no_grad()
def test_the_other_passes_are_one_graph_too() -> None:
    model = make_model(**VARIANTS["everything"]).eval()
    genes, counts, totals = make_batch()
    encode, generate = (torch.compile(f, backend="aot_eager", fullgraph=True) for f in (model.encode, model.generate))
    cells = model.encode(genes, counts, totals).cell_embeddings
    torch.testing.assert_close(encode(genes, counts, totals).cell_embeddings, cells)
    expected = model.generate(genes, cells, totals).mean
    torch.testing.assert_close(generate(genes, cells, totals).mean, expected)


@torch.no_grad()
def test_one_graph_serves_every_context_length() -> None:
    model = make_model().eval()
    graphs: list[Any] = []

    def count(graph: Any, _: Any) -> Any:
        graphs.append(graph)
        return graph.forward

    compiled = torch.compile(model, backend=count, fullgraph=True, dynamic=True)
    for size in (8, 12, 20):
        torch.testing.assert_close(compiled(*make_batch(size)).mean, model(*make_batch(size)).mean)
    assert len(graphs) == 1


@pytest.mark.slow
@pytest.mark.skipif(not any(map(shutil.which, ("c++", "g++", "clang++"))), reason="no C++ compiler on this machine")
def test_generated_code_in_float32() -> None:
    """The default compiler, once: it needs half a minute of a C++ compiler on a CPU."""
    model = make_model(n_layers=1, n_kv_heads=2)
    expected = values_and_gradients(model, model)
    compiled = torch.compile(model, fullgraph=True)
    torch.testing.assert_close(values_and_gradients(model, compiled), expected, rtol=1e-4, atol=1e-5)

"""Elastic similarity, InfoNCE and reversed gradients, by hand and in half precision."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from scprint_model.losses.embeddings import (
    DatasetClassifier,
    cell_similarity,
    embedding_dissimilarity,
    info_nce,
    others_mean,
    reverse_gradient,
)


def test_cell_similarity_by_hand() -> None:
    # cosine 0.6 twice, 0 twice (each cell with itself) of four pairs; then -0.6 counts as 0
    cells = torch.tensor([[2.0, 0.0], [3.0, 4.0]])
    assert cell_similarity(cells, threshold=0.4).item() == pytest.approx(1 - (0.2**2 + 0.4**2) / 2)
    assert cell_similarity(cells * torch.tensor([[1.0], [-1.0]]), threshold=0.4).item() == pytest.approx(1 - 0.4**2)


@pytest.mark.parametrize(("cosine", "closer"), [(0.2, False), (0.8, True)])
def test_cell_similarity_draws_to_its_side_of_the_threshold(cosine: float, closer: bool) -> None:
    first = torch.tensor([[1.0, 0.0]])
    angle = torch.tensor(math.acos(cosine), requires_grad=True)
    second = torch.stack((angle.cos(), angle.sin()))[None]
    cell_similarity(torch.cat((first, second)), threshold=0.5).backward()
    assert angle.grad is not None
    # down the gradient, a positive one makes the angle smaller
    assert (angle.grad > 0) == closer


def test_info_nce_by_hand() -> None:
    first, second = torch.eye(2), torch.tensor([[5.0, 0.0], [3.0, 4.0]])
    rows = (math.log(1 + math.exp((0.6 - 1) / 0.5)), math.log(1 + math.exp((0 - 0.8) / 0.5)))
    assert info_nce(first, second, temperature=0.5).item() == pytest.approx(sum(rows) / 2)


def test_a_single_cell() -> None:
    cell = torch.randn(1, 8, requires_grad=True)
    loss = cell_similarity(cell, threshold=0.3) + info_nce(cell, cell * 2, temperature=0.2)
    assert loss.item() == pytest.approx(1 - 0.3**2)
    loss.backward()
    assert cell.grad is not None
    assert cell.grad.abs().max() < 1e-6


def test_reversed_gradient() -> None:
    x = torch.tensor([1.0, -2.0], requires_grad=True)
    (reverse_gradient(x) * torch.tensor([3.0, 5.0])).sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [-3, -5]


def test_mean_of_the_others_by_hand() -> None:
    tokens = torch.tensor([[[1.0], [2.0], [6.0]]], requires_grad=True)
    others = others_mean(tokens)
    assert others.tolist() == [[[4.0], [3.5], [1.5]]]
    others[0, 0].sum().backward()
    assert tokens.grad is not None
    assert tokens.grad.flatten().tolist() == [0, -0.5, -0.5]


def test_embedding_loses_what_the_classifier_learns() -> None:
    """Where only the data set tells cells apart, training makes the classifier better, or the embedding worse."""
    torch.manual_seed(0)
    classifier = DatasetClassifier(4, 3)
    cells, dataset = torch.randn(30, 4, requires_grad=True), torch.arange(30) % 3
    loss = torch.nn.functional.cross_entropy(classifier(cells), dataset)
    loss.backward()
    assert cells.grad is not None
    with torch.no_grad():
        worse = torch.nn.functional.cross_entropy(classifier(cells - cells.grad), dataset)
        for parameter in classifier.parameters():
            parameter -= 0.1 * parameter.grad  # type: ignore[operator]
        better = torch.nn.functional.cross_entropy(classifier(cells), dataset)
    assert better < loss < worse
    assert classifier.n_datasets == 3


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@given(seed=st.integers(0, 2**31), log_size=st.floats(-3, 4))
def test_half_precision_embeddings_are_compared_in_float32(dtype: torch.dtype, seed: int, log_size: float) -> None:
    generator = torch.Generator().manual_seed(seed)
    tokens = (10**log_size * torch.randn(5, 3, 6, generator=generator)).to(dtype)

    def losses(t: torch.Tensor) -> list[torch.Tensor]:
        return [
            cell_similarity(t[:, 0], threshold=0.3),
            info_nce(t[:, 0], t[:, 1], temperature=0.2),
            embedding_dissimilarity(t),
            embedding_dissimilarity(t, kind="cosine_and_distance"),
        ]

    ours, exact = tokens.float().requires_grad_(), tokens.double().requires_grad_()
    with torch.autocast("cpu", dtype):
        in_autocast = losses(ours)
    scale = 1 / tokens.float().abs().max().item()  # gradients of angles shrink with the length
    for got, want in zip(in_autocast, losses(exact), strict=True):
        assert got.dtype == torch.float32
        assert got.item() == pytest.approx(want.item(), rel=1e-4)
        (g,), (w,) = torch.autograd.grad(got, ours), torch.autograd.grad(want, exact)
        assert g.isfinite().all()
        torch.testing.assert_close(g.double(), w, rtol=1e-3, atol=1e-4 * scale)


def test_info_nce_among_cells_of_the_same_data_set() -> None:
    """Cells 0 and 1 are of one data set, cell 2 is alone: it is always found."""
    first, second = torch.eye(3), torch.tensor([[1.0, 0, 0], [0, 1.0, 0], [1.0, 1.0, 1.0]])
    loss = info_nce(first, second, temperature=0.5, groups=torch.tensor([7, 7, 2]))
    assert loss.item() == pytest.approx(2 * (math.log(math.exp(2) + 1) - 2) / 3, rel=1e-5)

"""Likeness of cell tokens, by hand."""

from __future__ import annotations

import math

import pytest
import torch

from scprint_model.losses.embeddings import embedding_dissimilarity


def test_cosine_by_hand() -> None:
    # cos 0 between the first two, 1/sqrt(2) and -1/sqrt(2) with the third: two pairs of nine each, both ways.
    tokens = torch.tensor([[[2.0, 0.0], [0.0, 1.0], [1.0, -1.0]]])
    assert embedding_dissimilarity(tokens).item() == pytest.approx(4 / math.sqrt(2) / 9)


def test_cosine_and_distance_by_hand() -> None:
    tokens = torch.tensor([[[3.0, 0.0], [0.0, 4.0]]])
    # cos 0; distance 5 twice out of four pairs.
    expected = 0.5 / (2 * 5 / math.sqrt(2) / 4 + 1e-3)
    loss = embedding_dissimilarity(tokens, kind="cosine_and_distance")
    assert loss.item() == pytest.approx(expected)


@pytest.mark.parametrize("kind", ["cosine", "cosine_and_distance"])
def test_equal_tokens_are_the_worst_and_still_have_a_finite_gradient(kind: str) -> None:
    equal = torch.ones(2, 3, 4, requires_grad=True)
    apart = torch.randn(2, 3, 4, generator=torch.Generator().manual_seed(0))
    worst = embedding_dissimilarity(equal, kind=kind)  # type: ignore[arg-type]
    worst.backward()
    assert worst > embedding_dissimilarity(apart, kind=kind)  # type: ignore[arg-type]
    assert equal.grad is not None
    assert equal.grad.isfinite().all()


def test_unknown_kind() -> None:
    with pytest.raises(ValueError, match="'euclid'"):
        embedding_dissimilarity(torch.ones(1, 2, 2), kind="euclid")  # type: ignore[arg-type]

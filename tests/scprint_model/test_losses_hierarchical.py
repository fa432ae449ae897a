"""The label loss on a three-leaf ontology worked by hand, and its properties."""

from __future__ import annotations

import math

import pytest
import torch

from scprint_model.losses.hierarchical import hierarchical_loss

LOGITS = torch.tensor([[0.5, -1.0, 2.0]])
# Code 3 is the parent of leaves 0 and 1; code 4 of all three.
DESCENDANTS = torch.tensor([[True, True, False], [True, True, True]])


def softplus(x: float) -> float:
    return math.log1p(math.exp(x))


def test_leaf_by_hand() -> None:
    loss = hierarchical_loss(LOGITS, torch.tensor([0]), DESCENDANTS)
    assert loss.item() == pytest.approx((softplus(-0.5) + softplus(-1.0) + softplus(2.0)) / 3)


def test_parent_by_hand() -> None:
    merged = math.log(math.exp(0.5) + math.exp(-1.0))
    loss = hierarchical_loss(LOGITS, torch.tensor([3]), DESCENDANTS)
    # Leaf 2 is a negative, leaves 0 and 1 have no term of their own; four entries.
    assert loss.item() == pytest.approx((softplus(2.0) + softplus(-merged)) / 4)


def test_mixed_batch_by_hand() -> None:
    merged = math.log(math.exp(0.5) + math.exp(-1.0) + math.exp(2.0))
    loss = hierarchical_loss(LOGITS.expand(3, -1), torch.tensor([4, -1, 2]), DESCENDANTS)
    leaf = softplus(0.5) + softplus(-1.0) + softplus(-2.0)
    assert loss.item() == pytest.approx((softplus(-merged) + leaf) / 12)


def test_unknown_labels_have_no_loss() -> None:
    logits = LOGITS.clone().requires_grad_()
    loss = hierarchical_loss(logits, torch.tensor([-1]), DESCENDANTS)
    loss.backward()
    assert loss.item() == 0
    assert logits.grad is not None
    assert not logits.grad.any()


def test_parent_label_lifts_its_most_likely_leaf_most() -> None:
    logits = LOGITS.clone().requires_grad_()
    hierarchical_loss(logits, torch.tensor([3]), DESCENDANTS).backward()
    assert logits.grad is not None
    a, b, outside = logits.grad[0].tolist()
    assert a < b < 0 < outside


def test_flat_labels_and_integer_types() -> None:
    flat = torch.zeros(0, 3, dtype=torch.bool)
    loss = hierarchical_loss(LOGITS, torch.tensor([1], dtype=torch.int32), flat)
    assert loss.item() == pytest.approx((softplus(0.5) + softplus(1.0) + softplus(2.0)) / 3)


def test_extreme_logits_stay_finite() -> None:
    logits = torch.tensor([[1e4, -1e4, 0.0], [-1e4, -1e4, 1e4]], requires_grad=True)
    loss = hierarchical_loss(logits, torch.tensor([1, 3]), DESCENDANTS)
    loss.backward()
    assert loss.isfinite()
    assert logits.grad is not None
    assert logits.grad.isfinite().all()


def test_bad_input_is_named() -> None:
    with pytest.raises(ValueError, match=r"3 leaves and 2 parents: codes -1 \(unknown\) to 4"):
        hierarchical_loss(LOGITS, torch.tensor([5]), DESCENDANTS)
    with pytest.raises(ValueError, match="between -2"):
        hierarchical_loss(LOGITS, torch.tensor([-2]), DESCENDANTS)
    with pytest.raises(ValueError, match=r"descendants \(2, 2\)"):
        hierarchical_loss(LOGITS, torch.tensor([0]), DESCENDANTS[:, :2])

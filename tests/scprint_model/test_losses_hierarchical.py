"""The label loss on a three-leaf ontology worked by hand, and its properties."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from scprint_model.losses.hierarchical import hierarchical_cross_entropy, hierarchical_loss

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


def test_parent_without_leaves_is_unknown() -> None:
    nothing_below = torch.zeros(1, 3, dtype=torch.bool)
    logits = LOGITS.clone().requires_grad_()
    loss = hierarchical_loss(logits, torch.tensor([3]), nothing_below)
    loss.backward()
    assert loss == 0
    assert logits.grad is not None
    assert not logits.grad.any()


def test_class_without_labels_and_batch_without_cells() -> None:
    none = torch.zeros(0, 0, dtype=torch.bool)
    assert hierarchical_loss(torch.zeros(2, 0), torch.tensor([-1, -1]), none) == 0
    assert hierarchical_loss(LOGITS[:0], torch.zeros(0, dtype=torch.long), DESCENDANTS) == 0


def test_where_the_host_must_not_wait_a_bad_code_gives_nan() -> None:
    compiled = torch.compile(hierarchical_loss, fullgraph=True, backend="eager")
    good = torch.tensor([0, 3, -1])
    logits = LOGITS.expand(3, -1)
    torch.testing.assert_close(compiled(logits, good, DESCENDANTS), hierarchical_loss(logits, good, DESCENDANTS))
    assert compiled(logits, torch.tensor([0, 5, -1]), DESCENDANTS).isnan()
    assert compiled(logits, torch.tensor([0, -2, -1]), DESCENDANTS).isnan()


def one_by_one(logits: torch.Tensor, labels: list[int]) -> float:
    """The docstring, cell by cell and entry by entry."""
    total, n_columns = 0.0, 3 + any(label >= 3 for label in labels)
    for row, label in zip(logits.tolist(), labels, strict=True):
        below = DESCENDANTS[label - 3].tolist() if label >= 3 else [False] * 3
        for leaf, (logit, merged) in enumerate(zip(row, below, strict=True)):
            if label >= 0 and not merged:
                total += softplus(-logit) if leaf == label else softplus(logit)
        if any(below):
            total += softplus(-math.log(sum(math.exp(v) for v, b in zip(row, below, strict=True) if b)))
    return total / (len(labels) * n_columns)


@given(labels=st.lists(st.integers(-1, 4), min_size=1, max_size=6), seed=st.integers(0, 2**31))
def test_any_mixture_of_labels(labels: list[int], seed: int) -> None:
    logits = 4 * torch.randn(len(labels), 3, generator=torch.Generator().manual_seed(seed))
    with torch.autocast("cpu", torch.bfloat16):
        loss = hierarchical_loss(logits, torch.tensor(labels), DESCENDANTS)
    assert loss.item() == pytest.approx(one_by_one(logits, labels), rel=1e-4, abs=1e-6)


@given(
    labels=st.lists(st.integers(-1, 4), min_size=2, max_size=2),
    values=st.lists(st.sampled_from([0.0, 1.0, -1.0, 12.0, -300.0, 6e4, -6e4]), min_size=6, max_size=6),
)
def test_extreme_logits_of_half_precision_match_float64(labels: list[int], values: list[float]) -> None:
    half = torch.tensor(values, dtype=torch.float16).reshape(2, 3)
    ours, exact = half.requires_grad_(), half.detach().double().requires_grad_()
    with torch.autocast("cpu", torch.float16):
        loss = hierarchical_loss(ours, torch.tensor(labels), DESCENDANTS)
    wanted = hierarchical_loss(exact, torch.tensor(labels), DESCENDANTS)
    assert loss.item() == pytest.approx(wanted.item(), rel=1e-5, abs=1e-6)
    (got,), (want,) = torch.autograd.grad(loss, ours), torch.autograd.grad(wanted, exact)
    torch.testing.assert_close(got.double(), want, rtol=2e-3, atol=1e-4)


def test_a_parent_with_an_output_of_its_own_by_hand() -> None:
    """Outputs are a, b and ab: of the label ab (code 3), ab is a positive, a and b have no term of their own."""
    below, own = torch.tensor([[True, True, True]]), torch.tensor([2])
    merged = math.log(math.exp(0.5) + math.exp(-1.0) + math.exp(2.0))
    loss = hierarchical_loss(LOGITS, torch.tensor([3]), below, own=own)
    assert loss.item() == pytest.approx((softplus(-2.0) + softplus(-merged)) / 4)
    # of the leaf a, the output ab is a negative as any other
    leaf = hierarchical_loss(LOGITS, torch.tensor([0]), below, own=own)
    assert leaf.item() == pytest.approx((softplus(-0.5) + softplus(-1.0) + softplus(2.0)) / 3)


def test_sum_over_labels_and_mean_over_labelled_cells() -> None:
    labels = torch.tensor([0, -1, -1])
    loss = hierarchical_loss(LOGITS.expand(3, -1), labels, DESCENDANTS, per_labelled_cell=True)
    assert loss.item() == pytest.approx(softplus(-0.5) + softplus(-1.0) + softplus(2.0))


def test_cross_entropy_by_hand() -> None:
    """As the paper writes it: the leaves below a parent are replaced by their log-sum-exp."""
    total = math.log(math.exp(0.5) + math.exp(-1.0) + math.exp(2.0))
    merged = math.log(math.exp(0.5) + math.exp(-1.0))
    logits = LOGITS.expand(4, -1).clone().requires_grad_()
    loss = hierarchical_cross_entropy(logits, torch.tensor([0, 3, -1, 4]), DESCENDANTS)
    assert loss.item() == pytest.approx(((total - 0.5) + (total - merged) + 0.0) / 3)
    loss.backward()
    assert not logits.grad[2].any()  # an unknown label teaches nothing
    assert logits.grad[3].abs().max() < 1e-6  # nor does one that all outputs lie below
    assert hierarchical_cross_entropy(LOGITS, torch.tensor([-1]), DESCENDANTS) == 0
    with pytest.raises(ValueError, match="codes between 5 and 5"):
        hierarchical_cross_entropy(LOGITS, torch.tensor([5]), DESCENDANTS)

"""Batches that cannot be trained on are named, or have the documented value."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from scipy import sparse

from scdataloader import LabelSpace
from scdataloader.labels import LabelClass
from scprint_model.training.failures import bad_counts, check_batch

LABELS = LabelSpace({"sex": LabelClass(("f", "m"), ("any",), sparse.csr_array([[True, True]]), {})})


def batch(**changes: Any) -> Any:
    good = {
        "genes": torch.arange(12).reshape(4, 3),
        "counts": torch.tensor([[1.0, 2.0, 0.0]] * 4),
        "total_counts": torch.full((4,), 9.0),
        "labels": torch.tensor([[0], [1], [2], [-1]]),
        "dataset": torch.tensor([5, 5, 7, 8]),
    }
    return good | changes


def test_good_batches_pass() -> None:
    check_batch(batch(), LABELS, n_datasets=9)
    check_batch(batch(counts=torch.zeros(4, 3)), LABELS)


@pytest.mark.parametrize(("value", "name"), [(math.nan, "nan"), (-2.0, "-2"), (math.inf, "inf")])
def test_counts_that_are_none(value: float, name: str) -> None:
    counts = batch()["counts"].clone()
    counts[1, 2] = counts[2, 0] = value
    assert bad_counts(batch(counts=counts)).tolist() == [False, True, True, False]
    expected = rf"cells 1, 2 of the batch \(data sets 5, 7\) have counts .* such as {name}: .* raw counts"
    with pytest.raises(ValueError, match=expected):
        check_batch(batch(counts=counts), LABELS)


def test_bad_total() -> None:
    totals = torch.tensor([1.0, 1.0, 1.0, -3.0])
    with pytest.raises(ValueError, match=r"cells 3 of the batch \(data sets 8\) .* such as -3"):
        check_batch(batch(total_counts=totals), LABELS)


@pytest.mark.parametrize("code", [3, -2])
def test_labels_beyond_the_space(code: int) -> None:
    labels = torch.tensor([[0], [1], [code], [0]])
    with pytest.raises(ValueError, match=rf"cells 2 of the batch \(data sets 7\) .*'sex'.* code {code}: .* -1 .* to 2"):
        check_batch(batch(labels=labels), LABELS)


def test_labels_of_other_classes() -> None:
    with pytest.raises(ValueError, match=r"labels of 2 classes, the label space 1 \(sex\)"):
        check_batch(batch(labels=torch.zeros(4, 2, dtype=torch.long)), LABELS)


def test_data_sets_beyond_the_classifier() -> None:
    with pytest.raises(ValueError, match=r"cells 2, 3 of the batch \(data sets 7, 8\) have data sets .* n_datasets=6"):
        check_batch(batch(), LABELS, n_datasets=6)


def test_empty_batches() -> None:
    with pytest.raises(ValueError, match=r"0 cells × 3 genes is empty"):
        check_batch({key: value[:0] for key, value in batch().items()}, LABELS)  # type: ignore[arg-type]


def test_many_cells_are_counted() -> None:
    many = {key: value.repeat_interleave(5, dim=0) for key, value in batch().items()}
    many["counts"] = torch.full((20, 3), -1.0)
    with pytest.raises(ValueError, match=r"cells 0, 1, 2, 3, 4, 5, 6, 7 and 12 more of the batch"):
        check_batch(many, LABELS)  # type: ignore[arg-type]

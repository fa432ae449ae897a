"""The ground truths, by name: what there is, how to get one, where its files lie."""

from __future__ import annotations

from bengrn.truths.catalogue import (
    describe_truth,
    fetch_truths,
    list_truths,
    load_truth,
    truth_records,
)
from bengrn.truths.ground_truth import GroundTruth
from bengrn.truths.record import TruthRecord

__all__ = [
    "GroundTruth",
    "TruthRecord",
    "describe_truth",
    "fetch_truths",
    "list_truths",
    "load_truth",
    "truth_records",
]

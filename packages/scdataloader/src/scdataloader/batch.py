"""The mini-batch that crosses from data loading to a model."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypedDict

if TYPE_CHECKING:
    import torch


class CellBatch(TypedDict):
    """A mini-batch of B cells, each with S genes in its context, and C label classes.

    Attributes
    ----------
    genes
        Vocabulary index of each gene, int64, shape (B, S).
    counts
        Raw counts, float32, shape (B, S).
    total_counts
        Counts of the whole cell, also of genes outside the context, float32, shape (B,).
    labels
        Label codes in the order of the `LabelSpace`, -1 unknown, int64, shape (B, C).
    dataset
        Index of the data set each cell comes from, int64, shape (B,).
    """

    genes: torch.Tensor
    counts: torch.Tensor
    total_counts: torch.Tensor
    labels: torch.Tensor
    dataset: torch.Tensor

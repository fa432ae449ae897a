"""Put rows of different lengths into one array."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from scdataloader._torch import torch
from scdataloader.collate.rows import CellRow


def pad(rows: Sequence[np.ndarray], fill: float, dtype: type[np.generic]) -> torch.Tensor:
    """Return the rows as one tensor, as wide as the longest (1 at least), short ones filled up at their end."""
    width = max(1, *(len(row) for row in rows))
    out = np.full((len(rows), width), fill, dtype=dtype)
    for target, row in zip(out, rows, strict=True):
        target[: len(row)] = row
    return torch.from_numpy(out)


def totals(rows: Sequence[CellRow]) -> torch.Tensor:
    """Return the total counts; float32, shape (B,)."""
    return torch.tensor([row.total_count for row in rows], dtype=torch.float32)


def labels(rows: Sequence[CellRow]) -> torch.Tensor:
    """Return the label codes; int64, shape (B, C)."""
    return torch.from_numpy(np.stack([row.labels for row in rows]).astype(np.int64, copy=False))


def data_sets(rows: Sequence[CellRow]) -> torch.Tensor:
    """Return the data set indices; int64, shape (B,)."""
    return torch.tensor([row.dataset for row in rows], dtype=torch.int64)

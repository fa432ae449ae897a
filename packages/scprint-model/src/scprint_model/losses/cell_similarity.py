"""Elastic cell similarity: cells are drawn together or apart by how alike they already are."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import normalize

from scprint_model.losses.precision import in_float32


def cell_similarity(cell_embedding: Tensor, *, threshold: float) -> Tensor:
    """Mean of 1 - (max(0, cos) - threshold)² over all pairs of cells of a batch.

    Cells more alike than `threshold` are drawn together, others apart.

    Parameters
    ----------
    cell_embedding
        (B, d) one embedding for each cell.
    threshold
        Cosine that is neither.

    Returns
    -------
    Scalar, float32 (float64 for float64), also under autocast: mean over B × B, where a cell with itself has cosine 0.
    A batch of one cell has no gradient.

    Notes
    -----
    ECS of scGPT (Cui et al. 2024, Methods), with 0 for negative cosines; an option of the published scPRINT.
    """
    with torch.autocast(device_type=cell_embedding.device.type, enabled=False):
        unit = normalize(in_float32(cell_embedding), dim=-1)
        others = ~torch.eye(len(unit), dtype=torch.bool, device=unit.device)
        cosine = (unit @ unit.T) * others
        return (1 - (cosine.relu() - threshold).square()).mean()

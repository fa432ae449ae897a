"""Contrastive loss: what two passes say of a cell should be told from what they say of other cells."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, normalize

from scprint_model.losses.precision import in_float32


def info_nce(first: Tensor, second: Tensor, *, temperature: float) -> Tensor:
    """Cross-entropy of finding each cell of `first` among those of `second`, by cosine.

    Parameters
    ----------
    first, second
        (B, d) embeddings of the same cells.
    temperature
        Cosines are divided by it.

    Returns
    -------
    Scalar, float32 (float64 for float64), also under autocast; 0 for a batch of one cell.

    Notes
    -----
    van den Oord et al. 2018, "Representation learning with contrastive predictive coding", with the other cells of the
    batch as negatives. The published version 2 has it with temperature 0.2 and weight 0.1.
    """
    with torch.autocast(device_type=first.device.type, enabled=False):
        rows, columns = (normalize(in_float32(t), dim=-1) for t in (first, second))
        return cross_entropy(rows @ columns.T / temperature, torch.arange(len(rows), device=rows.device))

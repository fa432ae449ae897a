"""Keeps the cell tokens of one cell apart, so that each holds something of its own."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import normalize

from scprint_model.losses.precision import in_float32

DissimilarityKind = Literal["cosine", "cosine_and_distance"]


def embedding_dissimilarity(cell_embeddings: Tensor, *, kind: DissimilarityKind = "cosine") -> Tensor:
    """How alike the cell tokens are: lower is more different.

    Parameters
    ----------
    cell_embeddings
        (B, T, d) output tokens of the cells.
    kind
        ``"cosine"``: mean of |cos| between tokens. ``"cosine_and_distance"``: half the mean of cos² plus
        half the inverse of the mean distance / √d (+ 0.001). Means are over all B × T × T pairs, where a
        token with itself counts 0. The first trained the published v1 weights (weight 0.2), the second
        belongs to their version 2.3 (weight 0.1).

    Returns
    -------
    Scalar, float32 (float64 for float64), also under autocast.

    Raises
    ------
    ValueError
        When `kind` is neither.
    """
    with torch.autocast(device_type=cell_embeddings.device.type, enabled=False):
        embeddings = in_float32(cell_embeddings)
        n_tokens, d = embeddings.shape[-2:]
        others = ~torch.eye(n_tokens, dtype=torch.bool, device=embeddings.device)
        unit = normalize(embeddings, dim=-1)
        cosine = (unit @ unit.transpose(-1, -2)) * others
        if kind == "cosine":
            return cosine.abs().mean()
        if kind != "cosine_and_distance":
            raise ValueError(f"kind = {kind!r} must be 'cosine' or 'cosine_and_distance'")
        distance = torch.linalg.vector_norm(embeddings[..., :, None, :] - embeddings[..., None, :, :], dim=-1)
        return 0.5 * cosine.square().mean() + 0.5 / (distance / d**0.5 * others + 1e-3).mean()

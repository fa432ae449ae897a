"""Losses of cell embeddings: how alike tokens and cells are, and what must not be in them."""

from __future__ import annotations

from typing import Any, Literal, cast

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, normalize

from scprint_model.config import MLP_NORM_EPS
from scprint_model.losses.counts import in_float32

DissimilarityKind = Literal["cosine", "cosine_and_distance"]


def embedding_dissimilarity(cell_embeddings: Tensor, *, kind: DissimilarityKind = "cosine") -> Tensor:
    """Return how alike the cell tokens are; lower is more different.

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


def cell_similarity(cell_embedding: Tensor, *, threshold: float) -> Tensor:
    """Return the mean of 1 - (max(0, cos) - threshold)² over all pairs of cells of a batch.

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


def info_nce(first: Tensor, second: Tensor, *, temperature: float, groups: Tensor | None = None) -> Tensor:
    """Return the cross-entropy of finding each cell of `first` among those of `second`, by cosine.

    Parameters
    ----------
    first, second
        (B, d) embeddings of the same cells.
    temperature
        Cosines are divided by it.
    groups
        (B,) data set of each cell: it is to be found among cells of the same one alone, whose differences are not
        those of batches. None: among all.

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
        logits = rows @ columns.T / temperature
        if groups is not None:
            logits = logits.masked_fill(groups[:, None] != groups, -torch.inf)
        return cross_entropy(logits, torch.arange(len(rows), device=rows.device))


class _Reverse(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:  # noqa: ARG004
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:  # noqa: ARG004
        return -gradients[0]


def reverse_gradient(x: Tensor) -> Tensor:
    """Return `x`, whose gradient is the negative of what it would be.

    Notes
    -----
    Ganin & Lempitsky 2015, "Unsupervised domain adaptation by backpropagation".
    """
    return cast("Tensor", _Reverse.apply(x))


class DatasetClassifier(nn.Module):
    """Tells the data set of a cell by its embedding, which is trained so that this fails.

    Two layers of Linear, LayerNorm and ReLU, then a Linear to the data sets.

    Parameters
    ----------
    d_model
        Width of the embedding.
    n_datasets
        Data sets to tell apart.
    """

    def __init__(self, d_model: int, n_datasets: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for _ in range(2):
            layers += [nn.Linear(d_model, d_model), nn.LayerNorm(d_model, eps=MLP_NORM_EPS), nn.ReLU()]
        self.layers = nn.Sequential(*layers)
        self.out = nn.Linear(d_model, n_datasets)

    @property
    def n_datasets(self) -> int:
        """Data sets it knows."""
        return self.out.out_features

    def forward(self, cell_embedding: Tensor) -> Tensor:
        """(B, d) to (B, n_datasets) logits, float32 also under autocast."""
        hidden = self.layers(reverse_gradient(cell_embedding))
        with torch.autocast(device_type=hidden.device.type, enabled=False):
            return cast("Tensor", self.out(hidden.to(self.out.weight.dtype)))


def others_mean(class_tokens: Tensor) -> Tensor:
    """(B, C, d) tokens, C > 1, to (B, C, d): for each class the mean of all the others, with its gradient reversed."""
    tokens = reverse_gradient(class_tokens)
    return (tokens.sum(dim=1, keepdim=True) - tokens) / (tokens.shape[1] - 1)

"""Training embeddings to *not* hold something: a classifier behind a gradient that changes its sign."""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor, nn

from scprint_model.config import MLP_NORM_EPS


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
    """Which data set a cell comes from, by its embedding, which is trained so that this fails.

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

"""From the output tokens of a cell to the logits of a class's leaf labels."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from scprint_model.config import MLP_NORM_EPS


class ClassHead(nn.Module):
    """Per hidden width Linear, LayerNorm, ReLU and dropout; then a Linear to the leaf labels.

    Notes
    -----
    scPRINT paper, Methods, "Class decoder".
    """

    def __init__(self, d_model: int, widths: Sequence[int], n_labels: int, *, dropout: float) -> None:
        super().__init__()
        modules: list[nn.Module] = []
        for width in widths:
            modules += [
                nn.Linear(d_model, width),
                nn.LayerNorm(width, eps=MLP_NORM_EPS),
                nn.ReLU(),
                nn.Dropout(dropout),
            ]
            d_model = width
        self.layers = nn.Sequential(*modules)
        self.out = nn.Linear(d_model, n_labels)

    def forward(self, token: Tensor) -> Tensor:
        """(B, d) to (B, n_labels) logits, float32 also under autocast."""
        hidden = self.layers(token)
        with torch.autocast(device_type=hidden.device.type, enabled=False):
            return self.out(hidden.to(self.out.weight.dtype))


class AllTokensHead(nn.Module):
    """One linear map from all cell tokens, side by side, to the logits of the leaf labels.

    It is what a logistic regression on the embedding is, so it can start as one.
    """

    def __init__(self, n_tokens: int, d_model: int, n_labels: int) -> None:
        super().__init__()
        self.out = nn.Linear(n_tokens * d_model, n_labels)

    def forward(self, tokens: Tensor) -> Tensor:
        """(B, T, d) to (B, n_labels) logits, float32 also under autocast."""
        with torch.autocast(device_type=tokens.device.type, enabled=False):
            return self.out(tokens.flatten(1).to(self.out.weight.dtype))

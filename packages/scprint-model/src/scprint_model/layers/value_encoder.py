"""From one number (a count, a total count) to a token's width."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from scprint_model.config import MLP_NORM_EPS, Normalization

#: Values are cut here before the first layer, as in the published model.
MAX_VALUE = 1e5


#: Counts that a cell's profile is scaled to.
CP10K = 1e4


def normalise_counts(counts: Tensor, normalization: Normalization, shown_total: Tensor | None = None) -> Tensor:
    """Raw counts of the context to the encoder's values.

    Parameters
    ----------
    counts
        (B, S) raw counts, float.
    normalization
        ``"log"``: log2(1 + x). ``"sum"``: x over the cell's sum in the context; a cell without any count
        gives zeros. ``"cp10k"``: ln(1 + 10,000 x / total).
    shown_total
        (B,) total count of the whole cell that these counts are of, for ``"cp10k"``; at least the sum of `counts` is
        taken, and where it is None, that sum.
    """
    if normalization == "log":
        return torch.log2(1 + counts)
    totals = counts.sum(dim=-1, keepdim=True)
    if normalization == "cp10k":
        if shown_total is not None:
            totals = torch.maximum(totals, shown_total.to(totals.dtype)[:, None])
        return torch.log1p(counts * (CP10K / totals.clamp(min=1e-6)))
    return counts / torch.where(totals > 0, totals, torch.ones_like(totals))


class ValueEncoder(nn.Module):
    """MLP from a scalar to `d_model`: Linear, LayerNorm, ReLU and dropout per layer, then a bare Linear.

    Parameters
    ----------
    d_model
        Width of the output and of the hidden layers.
    n_layers
        Linear layers, at least 2.
    dropout
        Rate after each hidden layer.
    typical_value
        Size of the values to expect, used by :meth:`spread_first_bias`.

    Notes
    -----
    scPRINT paper, Methods, "Expression encoder", 3.
    """

    def __init__(self, d_model: int, *, n_layers: int, dropout: float, typical_value: float) -> None:
        super().__init__()
        self.typical_value = typical_value
        modules: list[nn.Module] = []
        width = 1
        for _ in range(n_layers - 1):
            norm = nn.LayerNorm(d_model, eps=MLP_NORM_EPS)
            modules += [nn.Linear(width, d_model), norm, nn.ReLU(), nn.Dropout(dropout)]
            width = d_model
        self.layers = nn.Sequential(*modules, nn.Linear(width, d_model))

    def forward(self, values: Tensor) -> Tensor:
        """(...) float values to (..., d)."""
        first, *rest = self.layers
        assert isinstance(first, nn.Linear)  # noqa: S101  (for the type checker)
        # Elementwise rather than a matrix product with inner size 1: mixed precision then leaves the value
        # exact.
        exact = torch.promote_types(first.weight.dtype, torch.float32)
        weight, bias = first.weight[:, 0].to(exact), first.bias.to(exact)
        values = values.to(exact).clamp(max=MAX_VALUE)
        # not clamp(min=0), whose derivative in forward mode is 0 at 0, where most counts are
        values = torch.where(values < 0, 0, values)
        hidden = torch.addcmul(bias, values[..., None], weight).to(first.weight.dtype)
        for module in rest:
            hidden = module(hidden)
        return hidden

    def spread_first_bias(self) -> None:
        """Draw the first bias at the size of a typical value's contribution.

        With a zero bias the layer norm that follows would map all values of one sign to the same direction.
        """
        first = self.layers[0]
        assert isinstance(first, nn.Linear)  # noqa: S101
        nn.init.normal_(first.bias, std=0.02 * self.typical_value)

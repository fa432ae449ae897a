"""Low-rank adaptation: a weight matrix stays as it is, and a product of two thin matrices is added to it."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

#: Projections that are adapted where nobody says: those of the attention.
ATTENTION = ("qkv", "q", "kv", "out")
_PROJECTIONS = (*ATTENTION, "fc1", "fc2")


class LowRank(nn.Module):
    """Gives W + (alpha / r) · up · down for a weight W.

    `up` starts at zero: at first nothing changes.

    Parameters
    ----------
    weight
        (out, in) the matrix that is adapted.
    rank
        r, columns of `up` and rows of `down`.
    alpha
        Scale of what is added, over r.

    Notes
    -----
    Hu et al. 2022, "LoRA: low-rank adaptation of large language models".
    """

    def __init__(self, weight: Tensor, *, rank: int, alpha: float) -> None:
        super().__init__()
        n_out, n_in = weight.shape
        self.scale = alpha / rank
        self.down = nn.Parameter(weight.new_empty(rank, n_in))
        self.up = nn.Parameter(weight.new_zeros(n_out, rank))
        nn.init.kaiming_uniform_(self.down, a=math.sqrt(5))

    def forward(self, weight: Tensor) -> Tensor:
        """(out, in) to (out, in)."""
        return weight + self.scale * (self.up @ self.down)


def add_low_rank(
    model: nn.Module, *, rank: int = 8, alpha: float = 16.0, projections: Collection[str] = ATTENTION
) -> list[str]:
    """Adapt linear maps of the transformer, in place; returns their names.

    The module's ``weight`` is then the sum, wherever it is read, and the state dict has other keys until
    `merge_low_rank`.

    Parameters
    ----------
    model
        A `ScPrint`.
    rank, alpha
        See `LowRank`.
    projections
        Names of the projections: ``"qkv"`` and ``"out"`` of self-attention (``"q"``, ``"kv"`` and ``"out"`` of
        cross-attention), ``"fc1"`` and ``"fc2"`` of the MLP.

    Raises
    ------
    ValueError
        When rank or alpha is not positive, a projection is unknown or not in this model, or the model is adapted
        already.
    """
    if rank < 1 or alpha <= 0:
        raise ValueError(f"rank = {rank} must be at least 1 and alpha = {alpha} above 0")
    unknown = sorted(set(projections) - set(_PROJECTIONS))
    if unknown:
        raise ValueError(f"projections {unknown} are not among {list(_PROJECTIONS)}")
    if any(True for _ in low_rank_parts(model)):
        raise ValueError("the model has low-rank parts already: call merge_low_rank first")
    chosen = [
        (name, part)
        for name, part in model.named_modules()
        if name.startswith(("blocks.", "cell_blocks."))
        and isinstance(part, nn.Linear)
        and name.rsplit(".", 1)[-1] in projections
    ]
    if not chosen:
        raise ValueError(f"the model has none of the projections {sorted(projections)}")
    for _, part in chosen:
        parametrize.register_parametrization(part, "weight", LowRank(part.weight.detach(), rank=rank, alpha=alpha))
    return [name for name, _ in chosen]


def low_rank_parts(model: nn.Module) -> Iterator[tuple[str, nn.Module, LowRank]]:
    """Yield name, linear map and low-rank part of what is adapted."""
    for name, part in model.named_modules():
        if parametrize.is_parametrized(part, "weight"):
            added = part.parametrizations.weight[0]
            if isinstance(added, LowRank):
                yield name, part, added


def merge_low_rank(model: nn.Module) -> None:
    """Add the low-rank parts to their weights for good, in place; the model is then a plain one again."""
    with torch.no_grad():
        for _, part, _ in list(low_rank_parts(model)):
            parametrize.remove_parametrizations(part, "weight", leave_parametrized=True)

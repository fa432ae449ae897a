"""What the passes of a training step look at: the clean context, and noised or masked copies of it.

Shapes: B cells, S genes of the context.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from scdataloader import CellBatch


@dataclass(frozen=True, kw_only=True)
class Context:
    """The clean counts of a step, which all its passes share.

    Attributes
    ----------
    genes
        (B, S) vocabulary indices.
    counts
        (B, S) raw counts.
    total_counts
        (B,) of the whole cells.
    context_total
        (B,) of the context.
    lengths
        (B,) genes of each cell; what stands behind is padding. None: S everywhere.
    real
        (B, S) false where there is padding; None: nowhere.
    """

    genes: Tensor
    counts: Tensor
    total_counts: Tensor
    context_total: Tensor
    lengths: Tensor | None
    real: Tensor | None


def context_of(batch: CellBatch, n_genes: int | None = None) -> Context:
    """Take the first `n_genes` places of a batch (None: all).

    Places without a measured gene (``batch["mask"]`` false) are moved behind the others, where the network does not
    read them and no loss counts them.
    """
    part = slice(n_genes)
    genes, counts = batch["genes"][:, part], batch["counts"][:, part]
    counts = counts if counts.is_floating_point() else counts.float()
    lengths, real = None, None
    if "mask" in batch:
        measured = batch["mask"][:, part]
        lengths = measured.sum(dim=1)
        order = (~measured).to(torch.int8).argsort(dim=1, stable=True)
        real = measured.gather(1, order)
        genes = genes.gather(1, order).masked_fill(~real, 0)
        counts = counts.gather(1, order).masked_fill(~real, 0)
    return Context(
        genes=genes,
        counts=counts,
        total_counts=batch["total_counts"],
        context_total=counts.sum(dim=1),
        lengths=lengths,
        real=real,
    )


def draw_length(n_genes: int, min_context: int, share: float, *, generator: torch.Generator | None) -> int | None:
    """Draw the number of genes to keep, uniform from `min_context` to all; None: all, in 1 - `share` of the draws."""
    if not 0 < min_context < n_genes:
        return None
    # on the CPU unless the generator is elsewhere: no waiting for a device
    device = None if generator is None else generator.device
    if share < 1 and float(torch.rand((), generator=generator, device=device)) >= share:
        return None
    return int(torch.randint(min_context, n_genes + 1, (), generator=generator, device=device))


def hidden_genes(
    genes: Tensor, ratio: float, *, regulators: Tensor | None, others: float, generator: torch.Generator | None
) -> Tensor:
    """Draw which counts to hide, each by itself; (B, S) bool.

    Parameters
    ----------
    genes
        (B, S) vocabulary indices.
    ratio
        Probability of each gene, or of each regulator.
    regulators
        (n_genes,) bool over the vocabulary; None: all genes are alike.
    others
        Probability of a gene that is not a regulator, relative to one that is.
    generator
        Source of randomness; None: torch's global one.
    """
    drawn = torch.rand(genes.shape, generator=generator, device=genes.device)
    if regulators is None:
        return drawn < ratio
    return drawn < torch.where(regulators[genes], ratio, ratio * others)


def thinned_total(context: Context, noisy: Tensor) -> Tensor:
    """Total counts of the cells had all of them been thinned as their context was; (B,)."""
    total = context.context_total
    return context.total_counts * torch.where(total > 0, noisy.sum(dim=1) / total.clamp(min=1), 1)

"""Make what the passes of a training step look at: the clean context, and noised or masked copies of it.

Shapes: B cells, S genes of the context.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from scdataloader import CellBatch
from scprint_model.layers.profile_encoder import Profile
from scprint_model.noise import downsample, thin


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
    profile
        All expressed genes of the cells; None: they are not known.
    """

    genes: Tensor
    counts: Tensor
    total_counts: Tensor
    context_total: Tensor
    lengths: Tensor | None
    real: Tensor | None
    profile: Profile | None = None

    def first(self, n: int) -> Context:
        """Return the first n cells."""
        return Context(
            genes=self.genes[:n],
            counts=self.counts[:n],
            total_counts=self.total_counts[:n],
            context_total=self.context_total[:n],
            lengths=None if self.lengths is None else self.lengths[:n],
            real=None if self.real is None else self.real[:n],
            profile=None if self.profile is None else self.profile.first(n),
        )


@dataclass(frozen=True, kw_only=True)
class Noised:
    """Noised counts of a context, as the network is shown them.

    Attributes
    ----------
    counts
        (B, S) of the context.
    shown_total
        (B,) total of the whole noised cells; None: not told.
    profile
        All genes of the noised cells; None: they are not known.
    """

    counts: Tensor
    shown_total: Tensor | None = None
    profile: Profile | None = None


def context_of(batch: CellBatch, n_genes: int | None = None, *, after: int = 0) -> Context:
    """Take `n_genes` places of a batch (None: all) from place `after` on.

    Places without a measured gene (``batch["mask"]`` false) are moved behind the others, where the network does not
    read them and no loss counts them.
    """
    part = slice(after, None if n_genes is None else after + n_genes)
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
    profile = None
    if "profile_genes" in batch:
        told = {"genes": batch["profile_genes"], "counts": batch["profile_counts"], "starts": batch["profile_starts"]}
        profile = Profile(**told)
    return Context(
        profile=profile,
        genes=genes,
        counts=counts,
        total_counts=batch["total_counts"],
        context_total=counts.sum(dim=1),
        lengths=lengths,
        real=real,
    )


def with_centre(context: Context, batch: CellBatch, centres: Tensor | None) -> Context:
    """Tell the profile of a context which genes the cells' data sets measure, by their centres, (n_datasets, F)."""
    if context.profile is None or centres is None:
        return context
    return replace(context, profile=replace(context.profile, centre=centres[batch["dataset"]]))


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


def thinned(context: Context, most: float, n_genes: int, *, generator: torch.Generator | None) -> Context:
    """Make half of the cells shallower, by a factor of 1 to `most` (uniform in its logarithm), totals included.

    Parameters
    ----------
    context
        Clean counts.
    most
        Largest factor.
    n_genes
        Genes of the vocabulary.
    generator
        Source of randomness; None: torch's global one.
    """
    drawn = torch.rand(len(context.genes), generator=generator, device=context.genes.device)
    share = most ** -(2 * drawn - 1).clamp(min=0)
    return thin_cells(context, share, n_genes, generator=generator)


def thin_cells(context: Context, share: Tensor, n_genes: int, *, generator: torch.Generator | None) -> Context:
    """Keep of each cell's counts a share, (B,), totals included; the rest as `thinned`."""
    totals = context.total_counts * share
    if context.profile is None:
        counts = thin(context.counts, share[:, None], generator=generator)
        profile = None
    else:
        profile = context.profile
        profile = profile.with_counts(thin(profile.counts, share[profile.cells], generator=generator))
        counts = profile.at(context.genes, n_genes)
    return replace(context, counts=counts, total_counts=totals, context_total=counts.sum(dim=1), profile=profile)


def noised(context: Context, rate: float, n_genes: int, *, drawn: bool, generator: torch.Generator | None) -> Noised:
    """Down-sample a context, and the whole profile of its cells alike where that is known.

    Parameters
    ----------
    context
        Clean counts.
    rate
        Rate of `scprint_model.noise.downsample`.
    n_genes
        Genes of the vocabulary.
    drawn
        Whether each cell has a rate of its own, uniform between 0 and `rate`.
    generator
        Source of randomness; None: torch's global one.
    """
    rates: Tensor | None = None
    if drawn:
        rates = rate * torch.rand(len(context.genes), generator=generator, device=context.genes.device)
    if context.profile is None:
        counts = downsample(context.counts, rate if rates is None else rates[:, None], generator=generator)
        return Noised(counts=counts, shown_total=thinned_total(context, counts))
    profile = context.profile
    noisy = downsample(profile.counts, rate if rates is None else rates[profile.cells], generator=generator)
    profile = profile.with_counts(noisy)
    before, after = context.profile.totals(), profile.totals()
    shown = context.total_counts * torch.where(before > 0, after / before.clamp(min=1), 1)
    return Noised(counts=profile.at(context.genes, n_genes), shown_total=shown, profile=profile)

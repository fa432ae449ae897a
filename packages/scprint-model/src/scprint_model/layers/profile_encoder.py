"""Tell cell tokens a cell's whole profile, as one linear map of the features of all its expressed genes.

Shapes: B cells, E expressed genes of all cells together, V genes, R rows of the feature table, F features, P panels.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.autograd import forward_ad

from scprint_model.config import ModelConfig
from scprint_model.layers.gene_encoder import GeneEncoder
from scprint_model.layers.value_encoder import CP10K


@dataclass(frozen=True, kw_only=True)
class Profile:
    """All expressed genes of some cells.

    Attributes
    ----------
    genes
        (E,) vocabulary indices, cell after cell.
    counts
        (E,) raw counts.
    starts
        (B + 1,) where each cell's genes begin, and the end.
    centre
        (B, F) what the corpus' mean profile over the genes that were measured gives, see
        `ProfileEncoder.centre_of`; None: all genes were.
    """

    genes: Tensor
    counts: Tensor
    starts: Tensor
    centre: Tensor | None = None

    @property
    def cells(self) -> Tensor:
        """(E,) the cell that each gene is of."""
        sizes = self.starts.diff()
        return torch.repeat_interleave(torch.arange(len(sizes), device=sizes.device), sizes)

    def with_counts(self, counts: Tensor) -> Profile:
        """Return the same genes with other counts."""
        return replace(self, counts=counts)

    def first(self, n: int) -> Profile:
        """Return the profiles of the first n cells."""
        end = int(self.starts[n])
        centre = None if self.centre is None else self.centre[:n]
        return Profile(genes=self.genes[:end], counts=self.counts[:end], starts=self.starts[: n + 1], centre=centre)

    def centred(self, centre: Tensor) -> Profile:
        """Return the same for cells of one panel, whose centre is given, (F,)."""
        return replace(self, centre=centre.expand(len(self.starts) - 1, -1))

    def totals(self) -> Tensor:
        """(B,) sums of the counts."""
        zeros = self.counts.new_zeros(len(self.starts) - 1)
        return zeros.index_add(0, self.cells, self.counts)

    def at(self, genes: Tensor, n_genes: int) -> Tensor:
        """(B, S) genes to their counts, 0 where a cell does not express them."""
        every = self.counts.new_zeros(len(genes), n_genes)
        every[self.cells, self.genes] = self.counts
        return every.gather(1, genes)

    @classmethod
    def of_context(cls, genes: Tensor, counts: Tensor, mask: Tensor | None = None) -> Profile:
        """Take the (B, S) genes of a context, but for those that a mask hides, for all that the cells express."""
        counts = counts.float()
        counts = counts if mask is None else counts * ~mask.bool()
        starts = torch.arange(len(genes) + 1, device=genes.device) * genes.shape[1]
        return cls(genes=genes.flatten(), counts=counts.flatten(), starts=starts)


class ProfileEncoder(nn.Module):
    """Features of a cell: the sum over its genes of ln(1 + CP10k) times the gene's weight and features; scaled.

    The corpus' mean is taken off gene by gene, for the genes that were measured: those that a panel leaves out say
    nothing, where a zero would say that they are not expressed. Each cell's features are scaled to the same length, as
    shallow cells have longer ones, and what a cell's depth does to them on average is taken off.

    Parameters
    ----------
    n_rows, n_features
        Size of the table of gene features.
    n_tokens, d_model
        Tokens that are told, and their width.
    dropout
        Share of the cells that are told nothing, in training.

    Attributes
    ----------
    weight
        (R,) weight of each gene, 0 for those that the corpus does not show.
    mean
        (R,) mean of the gene's ln(1 + CP10k) in the corpus.
    centre, spread
        (F,) mean of the features over the corpus, and what they are divided by.
    slope
        (F,) what they grow by, on average, where the logarithm of a cell's depth grows by 1.
    """

    weight: Tensor
    mean: Tensor
    centre: Tensor
    spread: Tensor
    slope: Tensor

    def __init__(self, n_rows: int, n_features: int, *, n_tokens: int, d_model: int, dropout: float) -> None:
        super().__init__()
        self.n_tokens, self.dropout = n_tokens, dropout
        self.register_buffer("weight", torch.zeros(n_rows))
        self.register_buffer("mean", torch.zeros(n_rows))
        self.register_buffer("centre", torch.zeros(n_features))
        self.register_buffer("spread", torch.ones(n_features))
        self.register_buffer("slope", torch.zeros(n_features))
        self.out = nn.Linear(n_features, n_tokens * d_model)

    def centre_of(self, measured: Tensor, genes: GeneEncoder) -> Tensor:
        """(P, V) bool, which genes each panel measures, to (P, F): the mean profile over these."""
        rows = measured.new_zeros(len(measured), len(self.mean))
        panel, gene = measured.nonzero(as_tuple=True)
        rows[panel, genes.rows_of(gene)] = True
        return (rows * (self.mean * self.weight)) @ self._features(genes)

    def _features(self, genes: GeneEncoder) -> Tensor:
        """(R, F) features that the profile is the sum of."""
        return genes.features[:, : len(self.centre)].contiguous()

    def summed(self, profile: Profile, shown_total: Tensor | None, genes: GeneEncoder) -> Tensor:
        """(B, F) features of cells, not standardised; `shown_total` (B,) as for `normalise_counts`."""
        totals = profile.totals()
        if shown_total is not None:
            totals = torch.maximum(totals, shown_total.to(totals.dtype))
        rows, features = genes.rows_of(profile.genes), self._features(genes)
        values = torch.log1p(profile.counts * (CP10K / totals.clamp(min=1e-6))[profile.cells]) * self.weight[rows]
        values = values.to(features.dtype)
        if forward_ad.unpack_dual(values).tangent is None:  # type: ignore[no-untyped-call]
            summed = nn.functional.embedding_bag(
                rows, features, profile.starts[:-1], mode="sum", per_sample_weights=values
            )
        else:  # embedding_bag has no derivatives in forward mode
            zeros = features.new_zeros(len(profile.starts) - 1, features.shape[1])
            summed = zeros.index_add(0, profile.cells, values[:, None] * features[rows])
        centre = profile.centre
        if centre is None:
            centre = (self.mean * self.weight) @ features
        centred = summed - centre
        length = torch.linalg.vector_norm(centred, dim=1, keepdim=True)
        depth = (totals.clamp(min=1) / CP10K).log()[:, None]
        return centred * (centred.shape[1] ** 0.5 / length.clamp(min=1e-6)) - depth * self.slope

    @classmethod
    def of(cls, config: ModelConfig, n_rows: int) -> ProfileEncoder:
        """Make that of a network, whose table of genes has so many rows."""
        n_features = config.profile_features or config.gene_features
        sizes = {"n_tokens": len(config.profile_tokens), "d_model": config.d_model}
        return cls(n_rows, n_features, **sizes, dropout=config.profile_dropout)

    def forward(self, profile: Profile, shown_total: Tensor | None, genes: GeneEncoder) -> Tensor:
        """Return what is added to the tokens, (B, n_tokens, d)."""
        with torch.autocast(device_type=profile.counts.device.type, enabled=False):
            features = (self.summed(profile, shown_total, genes) - self.centre) / self.spread
            told = self.out(features.to(self.out.weight.dtype))
        if self.training and self.dropout:
            told = told * (torch.rand(len(told), 1, device=told.device) >= self.dropout)
        return told.unflatten(1, (self.n_tokens, -1))

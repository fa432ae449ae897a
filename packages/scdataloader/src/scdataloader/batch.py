"""The mini-batches that cross from data loading to a model."""

from __future__ import annotations

from typing import TYPE_CHECKING, NotRequired, TypedDict

if TYPE_CHECKING:
    import torch


class CellBatch(TypedDict):
    """A mini-batch of B cells, each with S genes in its context, and C label classes.

    Attributes
    ----------
    genes
        Vocabulary index of each gene, -1 where a place holds none (see `mask`), int64, shape (B, S).
    counts
        Raw counts, 0 where a place holds no gene, float32, shape (B, S).
    total_counts
        Counts of the whole cell (its depth), also of genes outside the context, float32, shape (B,).
    labels
        Label codes in the order of the `LabelSpace`, -1 unknown, int64, shape (B, C).
    dataset
        Index of the data set each cell comes from, int64, shape (B,).
    mask
        Where there is a gene that was measured, bool, shape (B, S). Only in batches whose cells may differ in the
        number of genes, or whose genes were not all measured; in all others every place holds a measured gene.
    positions
        Genome location index of each gene (see `scdataloader.genes.location_index`), 0 where there is none, int64,
        shape (B, S). Only where asked for.
    profile_genes, profile_counts
        Vocabulary index, int64, and raw count, float32, of all expressed genes of the cells, cell after cell, shape
        (E,). Only where asked for.
    profile_starts
        Where the genes of each cell begin, and the end, int64, shape (B + 1,). Only where asked for.
    """

    genes: torch.Tensor
    counts: torch.Tensor
    total_counts: torch.Tensor
    labels: torch.Tensor
    dataset: torch.Tensor
    mask: NotRequired[torch.Tensor]
    positions: NotRequired[torch.Tensor]
    profile_genes: NotRequired[torch.Tensor]
    profile_counts: NotRequired[torch.Tensor]
    profile_starts: NotRequired[torch.Tensor]


class ScGPTBatch(TypedDict):
    """A mini-batch as scGPT takes it: B cells of S tokens, the first of which is ``<cls>``.

    Attributes
    ----------
    genes
        Token ids, int64, shape (B, S).
    values
        Binned counts: 0 not expressed, 1 to ``n_bins - 1`` expressed; 0 for ``<cls>``, -2 for ``<pad>``. float32,
        shape (B, S).
    mask
        False where there is a ``<pad>`` or a gene that was not measured, bool, shape (B, S); scGPT's padding mask is
        its opposite.
    total_counts, labels, dataset
        As in `CellBatch`.
    """

    genes: torch.Tensor
    values: torch.Tensor
    mask: torch.Tensor
    total_counts: torch.Tensor
    labels: torch.Tensor
    dataset: torch.Tensor


class GeneformerBatch(TypedDict):
    """A mini-batch as Geneformer takes it: B cells of S tokens, by falling rank value.

    Attributes
    ----------
    input_ids
        Token ids, int64, shape (B, S).
    attention_mask
        1 where there is a token, 0 where there is a ``<pad>``, int64, shape (B, S).
    length
        Number of tokens of each cell, special ones included, int64, shape (B,).
    total_counts, labels, dataset
        As in `CellBatch`.
    """

    input_ids: torch.Tensor
    attention_mask: torch.Tensor
    length: torch.Tensor
    total_counts: torch.Tensor
    labels: torch.Tensor
    dataset: torch.Tensor


#: What a `scdataloader.collate.Collator` may return, depending on its format.
Batch = CellBatch | ScGPTBatch | GeneformerBatch

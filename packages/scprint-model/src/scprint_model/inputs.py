"""Checks of what the network is given.

Shapes: B cells, S genes of the context, T cell tokens, d model width.
"""

from __future__ import annotations

from torch import Tensor

from scprint_model.attention.sdpa import length_mask
from scprint_model.config import ModelConfig


def check_context(
    genes: Tensor, counts: Tensor, total_counts: Tensor, lengths: Tensor | None
) -> tuple[Tensor, Tensor | None]:
    """Return the counts, 0 where there is padding, and :func:`real_genes`.

    Raises
    ------
    ValueError
        Unless the shapes are (B, S), (B, S), (B,) and (B,).
    """
    if genes.ndim != 2 or counts.shape != genes.shape or total_counts.shape != genes.shape[:1]:
        raise ValueError(
            f"genes {tuple(genes.shape)}, counts {tuple(counts.shape)} and total_counts "
            f"{tuple(total_counts.shape)} must have the shapes (B, S), (B, S) and (B,)"
        )
    real = real_genes(genes, lengths)
    return counts if real is None else counts.masked_fill(~real, 0), real


def check_cells(config: ModelConfig, genes: Tensor, cell_embeddings: Tensor, total_counts: Tensor) -> None:
    """Raise ValueError unless the shapes are (B, S), (B, T, d) and (B,)."""
    expected = (genes.shape[0], len(config.token_names), config.d_model)
    if cell_embeddings.shape != expected:
        raise ValueError(
            f"cell_embeddings has shape {tuple(cell_embeddings.shape)}; these genes and this "
            f"model need {expected} (tokens {', '.join(config.token_names)})"
        )
    if total_counts.shape != genes.shape[:1]:
        raise ValueError(f"total_counts has shape {tuple(total_counts.shape)}; it needs ({genes.shape[0]},)")


def real_genes(genes: Tensor, lengths: Tensor | None) -> Tensor | None:
    """(B, S), false where a gene is padding; None where there is none."""
    if lengths is None:
        return None
    if lengths.shape != genes.shape[:1]:
        raise ValueError(f"lengths has shape {tuple(lengths.shape)}; it needs ({genes.shape[0]},)")
    return length_mask(lengths, genes.shape[1])


def check_bias(genes: Tensor, gene_bias: Tensor | None) -> Tensor | None:
    """Return the bias as (B or 1, S, S), or raise ValueError where it does not fit."""
    if gene_bias is None:
        return None
    n_cells, n_genes = genes.shape
    if gene_bias.shape not in ((n_genes, n_genes), (n_cells, n_genes, n_genes)):
        raise ValueError(
            f"gene_bias has shape {tuple(gene_bias.shape)}; it needs ({n_genes}, {n_genes}) or "
            f"({n_cells}, {n_genes}, {n_genes})"
        )
    return gene_bias if gene_bias.ndim == 3 else gene_bias[None]

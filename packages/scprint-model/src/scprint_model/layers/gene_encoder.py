"""What a token says about which gene it is."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class GeneEncoder(nn.Module):
    """Table of gene embeddings, in which several genes may share a row.

    Parameters
    ----------
    n_genes
        Genes in the vocabulary.
    d_model
        Width of a row.
    gene_rows
        (n_genes,) row of the table for each gene id, as orthologous genes of two species can share one;
        None: each gene has its own. Rows must be numbered ``0 .. max`` without gaps.

    Raises
    ------
    ValueError
        When `gene_rows` has another length than `n_genes`, or leaves rows of the table unused.
    """

    rows: Tensor | None

    def __init__(self, n_genes: int, d_model: int, gene_rows: Tensor | None = None) -> None:
        super().__init__()
        n_rows = n_genes
        if gene_rows is not None:
            gene_rows = torch.as_tensor(gene_rows, dtype=torch.int64)
            if gene_rows.shape != (n_genes,):
                raise ValueError(f"gene_rows has shape {tuple(gene_rows.shape)} but there are {n_genes} genes")
            used = torch.unique(gene_rows)
            n_rows = len(used)
            if int(used[0]) != 0 or int(used[-1]) != n_rows - 1:
                raise ValueError(
                    f"gene_rows must use every row from 0 without gaps: {n_rows} distinct rows "
                    f"between {int(used[0])} and {int(used[-1])}"
                )
        self.register_buffer("rows", gene_rows)
        self.table = nn.Embedding(n_rows, d_model)

    def forward(self, genes: Tensor) -> Tensor:
        """(B, S) gene ids to (B, S, d)."""
        return self.table(genes if self.rows is None else self.rows[genes])

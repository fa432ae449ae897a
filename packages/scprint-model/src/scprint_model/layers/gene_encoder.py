"""Encode which gene a token is."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class GeneEncoder(nn.Module):
    """Table of gene embeddings, in which several genes may share a row; or a map of fixed features beside it.

    With features, a gene's token is a learned linear map of its features plus its row of the table, which starts at 0:
    genes that are hardly seen in training still have what the map says of genes like them, and those without features
    have no token of their own, instead of noise.

    Parameters
    ----------
    n_genes
        Genes in the vocabulary.
    d_model
        Width of a row.
    gene_rows
        (n_genes,) row of the table for each gene id, as orthologous genes of two species can share one;
        None: each gene has its own. Rows must be numbered ``0 .. max`` without gaps.
    n_features
        Columns of the table of features, a buffer `features` of shape (n_rows, n_features) that whoever trains the
        network fills, see `scprint_model.training.features`; 0: there is none.

    Raises
    ------
    ValueError
        When `gene_rows` has another length than `n_genes`, or leaves rows of the table unused.
    """

    rows: Tensor | None
    features: Tensor

    def __init__(self, n_genes: int, d_model: int, gene_rows: Tensor | None = None, *, n_features: int = 0) -> None:
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
        self.n_features = n_features
        if n_features:
            self.register_buffer("features", torch.zeros(n_rows, n_features))
            self.map = nn.Linear(n_features, d_model, bias=False)

    def rows_of(self, genes: Tensor) -> Tensor:
        """Gene ids of any shape to rows of the tables."""
        return genes if self.rows is None else self.rows[genes]

    def deviations(self, genes: Tensor) -> Tensor:
        """(...) gene ids to (..., d): their rows of the learned table, without what their features say."""
        return self.table(self.rows_of(genes))

    def forward(self, genes: Tensor) -> Tensor:
        """(B, S) gene ids to (B, S, d)."""
        own = self.deviations(genes)
        return own + self.map(self.features[self.rows_of(genes)]) if self.n_features else own

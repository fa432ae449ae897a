"""Encode where in the genome a gene lies, as sines and cosines."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def sinusoid(positions: Tensor, d_model: int) -> Tensor:
    """Return sines and cosines (interleaved, base 10,000) of the gene locations.

    Parameters
    ----------
    positions
        (n_genes,) location index of each gene: it rises by one along the genome wherever two neighbouring
        genes are more than 10 kb apart.
    d_model
        Width; even.

    Returns
    -------
    (n_genes, d_model) float32. Location v has the angles of v - 1, and 0 those of the last location, as in
    the published weights.

    Notes
    -----
    Vaswani et al. 2017, section 3.5; scPRINT paper, Methods, "Expression encoder", 2.
    """
    positions = positions.to(torch.float64)
    angle_index = torch.remainder(positions - 1, positions.max().clamp(min=1))
    frequencies = torch.pow(10_000.0, -torch.arange(0, d_model, 2, dtype=torch.float64) / d_model)
    angles = angle_index[:, None] * frequencies
    return torch.stack((angles.sin(), angles.cos()), dim=-1).reshape(len(positions), d_model).to(torch.float32)


class PositionEncoder(nn.Module):
    """A fixed row for each gene.

    Parameters
    ----------
    gene_positions
        (n_genes,) integer location indices, or the ready (n_genes, d_model) table of a checkpoint that
        brings its own (its float32 rounding cannot be made again). Only a table that was given is part of
        the state dict.
    n_genes, d_model
        The shape the table must have.
    scale
        Factor of what is told.

    Raises
    ------
    ValueError
        When the shape does not fit, or a location is negative.
    """

    table: Tensor

    def __init__(self, gene_positions: Tensor, n_genes: int, d_model: int, *, scale: float = 1.0) -> None:
        super().__init__()
        self.scale = scale
        given = torch.as_tensor(gene_positions)
        is_table = given.ndim == 2
        expected = (n_genes, d_model) if is_table else (n_genes,)
        if given.shape != expected:
            raise ValueError(f"gene_positions has shape {tuple(given.shape)}; these genes need {expected}")
        if not is_table and int(given.min()) < 0:
            raise ValueError(f"gene_positions must not be negative, found {int(given.min())}")
        table = given.to(torch.float32) if is_table else sinusoid(given, d_model)
        self.register_buffer("table", table, persistent=is_table)

    def forward(self, genes: Tensor) -> Tensor:
        """(B, S) gene ids to (B, S, d)."""
        told = nn.functional.embedding(genes, self.table)
        return told if self.scale == 1 else told * self.scale

"""Protein sequences to a table of gene embeddings, and such a table to the rows of a model."""

from scprint_model.gene_embeddings.build import build_table
from scprint_model.gene_embeddings.table import load_table, read_table

__all__ = ["build_table", "load_table", "read_table"]

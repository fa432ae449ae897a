"""The way from cells to mini-batches: which genes, in which model's format, and the loader that makes them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scdataloader._lazy import lazy_names

if TYPE_CHECKING:
    from scdataloader.collate.cells import CellDataset
    from scdataloader.collate.collator import CHOICES, Collator, Format
    from scdataloader.collate.contexts import NO_GENE, Contexts, Panel
    from scdataloader.collate.extras import Extras, nearest_cells
    from scdataloader.collate.gene_choice import (
        all_measured,
        given_genes,
        most_expressed,
        most_variable,
        random_expressed,
        variance_ranking,
    )
    from scdataloader.collate.geneformer import GeneformerFormat, gene_medians, rank_value
    from scdataloader.collate.loader import Draws, StoreLoader
    from scdataloader.collate.named import named_format
    from scdataloader.collate.scgpt import ScGPTFormat, bin_values
    from scdataloader.collate.scprint import ScPrintFormat

__all__ = [
    "CHOICES",
    "NO_GENE",
    "CellDataset",
    "Collator",
    "Contexts",
    "Draws",
    "Extras",
    "Format",
    "GeneformerFormat",
    "Panel",
    "ScGPTFormat",
    "ScPrintFormat",
    "StoreLoader",
    "all_measured",
    "bin_values",
    "gene_medians",
    "given_genes",
    "most_expressed",
    "most_variable",
    "named_format",
    "nearest_cells",
    "random_expressed",
    "rank_value",
    "variance_ranking",
]

_HOME = {
    "CHOICES": "collator",
    "NO_GENE": "contexts",
    "CellDataset": "cells",
    "Collator": "collator",
    "Contexts": "contexts",
    "Draws": "loader",
    "Extras": "extras",
    "Format": "collator",
    "GeneformerFormat": "geneformer",
    "Panel": "contexts",
    "ScGPTFormat": "scgpt",
    "ScPrintFormat": "scprint",
    "StoreLoader": "loader",
    "all_measured": "gene_choice",
    "bin_values": "scgpt",
    "gene_medians": "geneformer",
    "given_genes": "gene_choice",
    "most_expressed": "gene_choice",
    "most_variable": "gene_choice",
    "named_format": "named",
    "nearest_cells": "extras",
    "random_expressed": "gene_choice",
    "rank_value": "geneformer",
    "variance_ranking": "gene_choice",
}

# cells and their loader need torch, which takes seconds to import
__getattr__, __dir__ = lazy_names(__name__, _HOME)

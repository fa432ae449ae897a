"""How cells become a mini-batch: which genes, one function each, and in which model's format."""

from scdataloader.collate.collator import CHOICES, Collator, Format
from scdataloader.collate.expressed import most_expressed, random_expressed
from scdataloader.collate.geneformer import Geneformer, gene_medians, rank_value
from scdataloader.collate.listed import all_measured, given_genes
from scdataloader.collate.named import FormatName, named_format
from scdataloader.collate.rows import CellRow, Context, Panel
from scdataloader.collate.scgpt import ScGPT, bin_values
from scdataloader.collate.scprint import NO_GENE, ScPrint
from scdataloader.collate.variable import most_variable, variance_ranking

__all__ = [
    "CHOICES",
    "NO_GENE",
    "CellRow",
    "Collator",
    "Context",
    "Format",
    "FormatName",
    "Geneformer",
    "Panel",
    "ScGPT",
    "ScPrint",
    "all_measured",
    "bin_values",
    "gene_medians",
    "given_genes",
    "most_expressed",
    "most_variable",
    "named_format",
    "random_expressed",
    "rank_value",
    "variance_ranking",
]

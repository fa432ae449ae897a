"""Genes: the vocabulary that a model knows, the gene tables of organisms, and the ids that names stand for."""

from scdataloader.genes.identifiers import GeneMapping, map_identifiers
from scdataloader.genes.tables import ORGANISMS, gene_table, location_index, organism_id
from scdataloader.genes.vocabulary import GeneVocabulary

__all__ = [
    "ORGANISMS",
    "GeneMapping",
    "GeneVocabulary",
    "gene_table",
    "location_index",
    "map_identifiers",
    "organism_id",
]

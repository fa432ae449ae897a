"""Genes: the vocabulary that a model knows, the gene tables of organisms, and the ids that names stand for."""

from scdataloader.flags import measured
from scdataloader.genes.columns import GeneColumns, gene_columns
from scdataloader.genes.ensembl_proteins import EnsemblProteins, fetch_proteins
from scdataloader.genes.identifiers import GeneMapping, find_organism, map_identifiers
from scdataloader.genes.organisms import Division
from scdataloader.genes.tables import ORGANISMS, gene_table, location_index, organism_id
from scdataloader.genes.vocabulary import GeneVocabulary

__all__ = [
    "ORGANISMS",
    "Division",
    "EnsemblProteins",
    "GeneColumns",
    "GeneMapping",
    "GeneVocabulary",
    "fetch_proteins",
    "find_organism",
    "gene_columns",
    "gene_table",
    "location_index",
    "map_identifiers",
    "measured",
    "organism_id",
]

"""Public single-cell data sets as clean, labelled, weighted mini-batches."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scdataloader._lazy import lazy_names

if TYPE_CHECKING:
    from scdataloader import collate, counts, datasets, expression, genes, labels, sampling, sources, store
    from scdataloader.batch import CellBatch
    from scdataloader.collate import CellDataset, Collator, Extras, StoreLoader
    from scdataloader.content import cell_keys, draw_numbers
    from scdataloader.datamodule import CellDataModule
    from scdataloader.genes import GeneVocabulary, gene_table
    from scdataloader.hdf5_writing import hdf5_for_writing
    from scdataloader.labels import LabelSpace
    from scdataloader.options import Corpus, Drawing, GeneChoice, Holdout
    from scdataloader.preprocess import CorpusReport, Preprocessor, RefusedError, Report, preprocess_files
    from scdataloader.sampling import WeightedSampler
    from scdataloader.scvi import scvi_ready
    from scdataloader.scvi_module import ScviDataModule
    from scdataloader.sources import find_sources, open_source
    from scdataloader.splits import Split, make_split
    from scdataloader.store import CellStore, open_store

__all__ = [
    "CellBatch",
    "CellDataModule",
    "CellDataset",
    "CellStore",
    "Collator",
    "Corpus",
    "CorpusReport",
    "Drawing",
    "Extras",
    "GeneChoice",
    "GeneVocabulary",
    "Holdout",
    "LabelSpace",
    "Preprocessor",
    "RefusedError",
    "Report",
    "ScviDataModule",
    "Split",
    "StoreLoader",
    "WeightedSampler",
    "__version__",
    "cell_keys",
    "collate",
    "counts",
    "datasets",
    "draw_numbers",
    "expression",
    "find_sources",
    "gene_table",
    "genes",
    "hdf5_for_writing",
    "labels",
    "make_split",
    "open_source",
    "open_store",
    "preprocess_files",
    "sampling",
    "scvi_ready",
    "sources",
    "store",
]

_HOME = {
    "CellBatch": "batch",
    "CellDataModule": "datamodule",
    "CellDataset": "collate",
    "CellStore": "store",
    "Collator": "collate",
    "Corpus": "options",
    "CorpusReport": "preprocess",
    "Drawing": "options",
    "Extras": "collate",
    "GeneChoice": "options",
    "GeneVocabulary": "genes",
    "Holdout": "options",
    "LabelSpace": "labels",
    "Preprocessor": "preprocess",
    "RefusedError": "preprocess",
    "Report": "preprocess",
    "ScviDataModule": "scvi_module",
    "Split": "splits",
    "StoreLoader": "collate",
    "WeightedSampler": "sampling",
    "cell_keys": "content",
    "collate": "collate",
    "counts": "counts",
    "datasets": "datasets",
    "draw_numbers": "content",
    "expression": "expression",
    "find_sources": "sources",
    "gene_table": "genes",
    "genes": "genes",
    "hdf5_for_writing": "hdf5_writing",
    "labels": "labels",
    "make_split": "splits",
    "open_source": "sources",
    "open_store": "store",
    "preprocess_files": "preprocess",
    "sampling": "sampling",
    "scvi_ready": "scvi",
    "sources": "sources",
    "store": "store",
}

# loaded on first use: torch, lightning and anndata take seconds to import
__getattr__, __dir__ = lazy_names(__name__, _HOME)

"""Public single-cell data sets as clean, labelled, weighted mini-batches."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from scdataloader import datasets
    from scdataloader.batch import CellBatch
    from scdataloader.cells import CellDataset
    from scdataloader.datamodule import CellDataModule
    from scdataloader.genes import GeneVocabulary, gene_table
    from scdataloader.ontology import LabelSpace
    from scdataloader.preprocess import Preprocessor, Report
    from scdataloader.sampling import WeightedSampler

__all__ = [
    "CellBatch",
    "CellDataModule",
    "CellDataset",
    "GeneVocabulary",
    "LabelSpace",
    "Preprocessor",
    "Report",
    "WeightedSampler",
    "__version__",
    "datasets",
    "gene_table",
]

_HOME = {
    "CellBatch": "batch",
    "CellDataModule": "datamodule",
    "CellDataset": "cells",
    "GeneVocabulary": "genes",
    "LabelSpace": "ontology",
    "Preprocessor": "preprocess",
    "Report": "preprocess",
    "WeightedSampler": "sampling",
    "gene_table": "genes",
}


def __getattr__(name: str) -> Any:
    # loaded on first use: torch, lightning and anndata take seconds to import
    if name == "__version__":
        from importlib.metadata import version

        return version("scdataloader")
    if name == "datasets":
        return import_module("scdataloader.datasets")
    if name in _HOME:
        return getattr(import_module(f"scdataloader.{_HOME[name]}"), name)
    raise AttributeError(f"module 'scdataloader' has no attribute {name!r}")

"""Cells of many data sets, read one random cell at a time: packed as a `CellStore`, or from AnnData as it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scdataloader._lazy import lazy_names

if TYPE_CHECKING:
    from scdataloader.store.anndata_store import AnnDataStore
    from scdataloader.store.genemap import GeneMap
    from scdataloader.store.opening import open_store
    from scdataloader.store.reader import CellReader
    from scdataloader.store.store import CellStore, verify_table

__all__ = ["AnnDataStore", "CellReader", "CellStore", "GeneMap", "open_store", "verify_table"]

_HOME = {
    "AnnDataStore": "anndata_store",
    "CellReader": "reader",
    "CellStore": "store",
    "GeneMap": "genemap",
    "open_store": "opening",
    "verify_table": "store",
}

# on first use: pandas, pyarrow and numba take a while to import
__getattr__, __dir__ = lazy_names(__name__, _HOME)

"""The sources of cells: files of many formats, folders, addresses, AnnData in memory; read in blocks of cells."""

from scdataloader.sources.addresses import unique_names
from scdataloader.sources.anndata_memory import to_anndata
from scdataloader.sources.find import find_sources
from scdataloader.sources.open import open_source, sources_of
from scdataloader.sources.source import Matrix, Source

__all__ = ["Matrix", "Source", "find_sources", "open_source", "sources_of", "to_anndata", "unique_names"]

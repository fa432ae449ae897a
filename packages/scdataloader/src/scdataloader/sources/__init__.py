"""Where cells come from: files of many formats, folders, addresses, AnnData in memory; read in blocks of cells."""

from scdataloader.sources.find import find_sources
from scdataloader.sources.names import unique_names
from scdataloader.sources.open import open_source
from scdataloader.sources.source import Matrix, Source

__all__ = ["Matrix", "Source", "find_sources", "open_source", "unique_names"]

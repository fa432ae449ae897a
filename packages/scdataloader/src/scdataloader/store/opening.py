"""Open whatever users have: a store folder, AnnData, files of any known format."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from scdataloader.store.anndata_store import AnnDataStore
from scdataloader.store.joined import joined
from scdataloader.store.manifest import NAME
from scdataloader.store.reader import CellReader
from scdataloader.store.store import CellStore


def open_store(what: Any, *, matrix: str = "X") -> CellReader:
    """Open a store of cells for reading.

    Parameters
    ----------
    what
        The folder of a `CellStore`, or a list of such folders; or what an `AnnDataStore` is made of: AnnData, paths,
        globs, addresses, lamindb's artifacts and collections, or a list of these. A store that is open is returned.
    matrix
        Where the raw counts of AnnData are: ``"X"``, ``"raw"`` or ``"layers/<name>"``.

    Returns
    -------
    CellReader
        A `CellStore`, an `AnnDataStore`, or several of them joined, which all read the same.

    Raises
    ------
    FileNotFoundError, ValueError, TypeError
        As `CellStore.open` and `AnnDataStore`.
    """
    if isinstance(what, CellReader):
        return what
    if isinstance(what, str | Path) and _is_store(Path(what)):
        return CellStore.open(what)
    if isinstance(what, list | tuple) and what and all(isinstance(one, str | Path) for one in what):
        stores = [one for one in what if _is_store(Path(one))]
        if stores:
            rest = [one for one in what if one not in stores]
            others = [AnnDataStore(rest, matrix=matrix)] if rest else []
            return joined([*(CellStore.open(one) for one in stores), *others])
    return AnnDataStore(what, matrix=matrix)


def _is_store(path: Path) -> bool:
    unfinished = (path / "shards").is_dir() and (path / "genes").is_dir()
    return (path / NAME).is_file() or unfinished

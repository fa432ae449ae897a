"""Open whatever users have (a store folder, AnnData, files of any format), in the fastest way that each allows."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tqdm.auto import tqdm

from scdataloader._cache import cache_folder
from scdataloader.counts import check_raw_counts, count_warnings
from scdataloader.expression.counts_choice import CountsChoice
from scdataloader.expression.take import take_counts
from scdataloader.sources import Source, open_source
from scdataloader.sources.open import local_copy
from scdataloader.store.anndata_part import in_place_or_why
from scdataloader.store.anndata_store import AnnDataStore
from scdataloader.store.files import NAME
from scdataloader.store.held import HeldStore, hold
from scdataloader.store.joined import joined
from scdataloader.store.reader import CellReader
from scdataloader.store.store import CellStore

if TYPE_CHECKING:
    from scdataloader.preprocess import Preprocessor

logger = logging.getLogger(__name__)

#: Cells of a file whose values are looked at before anything is drawn from it.
_LOOKED_AT = 1000
#: Seconds between two looks at a store that another process builds.
_WAIT = 0.5


def open_store(data: Any, *, matrix: str = "X") -> CellReader:
    """Open a store of cells for reading.

    Parameters
    ----------
    data
        The folder of a `CellStore`, or a list of such folders; or what an `AnnDataStore` is made of: AnnData, paths,
        globs, addresses, lamindb's artifacts and collections, or a list of these. A store that is open is returned.
    matrix
        Place of the raw counts of AnnData: ``"X"``, ``"raw"``, ``"layers/<name>"`` or ``"auto"``.

    Returns
    -------
    CellReader
        A `CellStore`, an `AnnDataStore`, or several of them joined, which all read the same.

    Raises
    ------
    FileNotFoundError, ValueError, TypeError
        As `CellStore.open` and `AnnDataStore`.
    """
    if isinstance(data, CellReader) or (isinstance(data, str | Path) and _is_store(Path(data))):
        if matrix not in ("X", "auto"):
            raise ValueError(f"{matrix} of {data!r}: a store holds raw counts alone, and no layers to choose among")
        return data if isinstance(data, CellReader) else CellStore.open(data)
    if isinstance(data, list | tuple) and data and all(isinstance(one, str | Path) for one in data):
        stores = [one for one in data if _is_store(Path(one))]
        if stores:
            rest = [one for one in data if one not in stores]
            others = [AnnDataStore(rest, matrix=matrix)] if rest else []
            return joined([*(CellStore.open(one) for one in stores), *others])
    return AnnDataStore(data, matrix=matrix)


def _is_store(path: Path) -> bool:
    unfinished = (path / "shards").is_dir() and (path / "genes").is_dir()
    return (path / NAME).is_file() or unfinished


def open_files(
    files: Mapping[str, str],
    *,
    preprocess: bool | None,
    preprocessor: Preprocessor,
    in_memory: bool = False,
    choice: CountsChoice | None = None,
    obsm: Sequence[str] = (),
    layers: Sequence[str] = (),
) -> CellReader:
    """Open files of raw counts as one store.

    Files that need it are preprocessed, and held in memory. Of the others, uncompressed row-major h5ad files are read
    in place; those that cannot be are converted once, to stores in the cache folder, and told in the log.

    Parameters
    ----------
    files
        Name of each data set to its address, as `scdataloader.sources.find_sources` gives them.
    preprocess
        Whether to preprocess them; None: those that were not written by `Preprocessor`.
    preprocessor
        Preprocessor to clean the cells with.
    in_memory
        Whether to hold the cells of all files in memory.
    choice
        Raw counts that are meant of files that are not preprocessed, which then are held in memory; None: X.
    obsm, layers
        Names of further entries that are wanted of the cells. Files that cannot be read in place are then held in
        memory.

    Raises
    ------
    ValueError
        When a file cannot be preprocessed or holds no raw counts; the message names it.
    OSError
        When a store cannot be written to the cache folder.
    """
    if obsm:
        preprocessor = replace(preprocessor, keep_embeddings=True)
    held: list[CellReader] = []
    in_place: list[tuple[str, str]] = []
    convert: list[tuple[str, str, str]] = []
    for name, uri in tqdm(files.items(), desc="reading data sets", disable=None):
        try:
            with open_source(uri) as source:
                ready = "preprocessed_by" in source.uns.get("scdataloader", {})
                if preprocess or (preprocess is None and not ready):
                    held.append(_preprocessed(name, source, preprocessor, obsm, layers))
                    continue
                if choice is not None:
                    meant = take_counts(source, choice).of(source).matrices["X"]
                    chosen = replace(source, matrices={**source.matrices, "X": meant})
                    held.append(hold(name, chosen, obsm=obsm, layers=layers))
                    continue
                _look(source, uri)
                if in_memory:
                    held.append(hold(name, source, obsm=obsm, layers=layers))
                    continue
                why = in_place_or_why(uri)
                if why is None:
                    in_place.append((name, uri))
                elif obsm or layers:  # which a store on disk does not keep
                    held.append(hold(name, source, obsm=obsm, layers=layers))
                else:
                    convert.append((name, uri, why))
        except ValueError as error:
            raise ValueError(f"{uri}: {error}") from error
    stores = [*held, *_converted(convert)]
    if in_place:
        stores.append(AnnDataStore(in_place))
    return joined(stores, list(files))


def _preprocessed(
    name: str, source: Source, preprocessor: Preprocessor, obsm: Sequence[str], layers: Sequence[str]
) -> HeldStore:
    clean, report = preprocessor(source)
    logger.info("%s", report)
    return hold(name, open_source(clean), obsm=obsm, layers=layers)


def _look(source: Source, uri: str) -> None:
    """Raise ValueError where the first cells hold no raw counts, and tell what speaks against them.

    The others are looked at when they are read.
    """
    if "X" not in source.matrices:
        raise ValueError(f"X is empty: there are only {list(source.matrices)}")
    matrix = source.matrices["X"]
    first = matrix.rows(0, min(_LOOKED_AT, matrix.shape[0]))
    check_raw_counts(first, all_zero=matrix.shape[0] > _LOOKED_AT)
    for warning in count_warnings(first):
        logger.warning("%s: X may not hold raw counts: %s", uri, warning)


def _converted(files: Sequence[tuple[str, str, str]]) -> list[CellReader]:
    """Return the stores of files that cannot be read in place, built where they are not in the cache."""
    if not files:
        return []
    folder = cache_folder() / "stores"
    logger.warning(
        "%d of the files, such as %s (%s), cannot be read in place: each is converted once, to a store in %s",
        len(files),
        files[0][1],
        files[0][2],
        folder,
    )
    return [_build(name, local_copy(uri), folder) for name, uri, _ in files]


def _build(name: str, path: Path, folder: Path) -> CellStore:
    facts = [(str(part), part.stat().st_size, part.stat().st_mtime_ns) for part in sorted(_parts(path))]
    key = sha256(repr([name, str(path.resolve()), facts]).encode()).hexdigest()[:16]
    told = False
    while True:
        try:
            return CellStore.build([(name, path)], folder / f"{name}-{key}")
        except BlockingIOError:  # another rank builds it
            if not told:
                logger.info("waiting for another process that converts %s", path)
            told = True
            time.sleep(_WAIT)
        except PermissionError as error:
            raise PermissionError(
                f"{path} cannot be read in place, and no store of it can be written to {folder}: set "
                "SCDATALOADER_CACHE to a folder of yours, write the file without compression, or hold it in memory"
            ) from error


def _parts(path: Path) -> list[Path]:
    return [part for part in path.rglob("*") if part.is_file()] if path.is_dir() else [path]

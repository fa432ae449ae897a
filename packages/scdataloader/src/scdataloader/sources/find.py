"""The sources that patterns, folders and addresses stand for, and the data sets that users give in any form."""

from __future__ import annotations

import glob
import logging
import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import anndata

from scdataloader.sources.addresses import parse_address, source_name, unique_names
from scdataloader.sources.formats import KNOWN, TABLES, format_of
from scdataloader.sources.open import near_names

logger = logging.getLogger(__name__)

_MAGIC = ("*", "?", "[")


def find_sources(patterns: Sequence[str | Path] | str | Path) -> list[str]:
    """Return the sources that patterns stand for, each once, in the order of the patterns, sorted within each.

    Parameters
    ----------
    patterns
        Patterns, each one of: a file; a folder (a zarr or 10x folder is one source, of another all that can be read
        below it is taken); a glob, also with ``**``; an address (``https://…``, ``s3://…``), with a glob where its
        store can list; ``census:<data set id>``; ``lamin:<uid or key>``, for a collection each of its artifacts. Text
        tables are taken only where the pattern itself ends like one, and so are not picked up from folders.

    Returns
    -------
    list of str
        For `scdataloader.sources.open_source`. Where several have one short name, `unique_names` tells them apart.

    Raises
    ------
    FileNotFoundError
        When a pattern stands for nothing; the message says what is there of similar name.
    """
    found: dict[str, str] = {}
    for pattern in [patterns] if isinstance(patterns, str | Path) else patterns:
        for uri in _expand(str(pattern)):
            found.setdefault(str(Path(uri).resolve()) if parse_address(uri)[0] == "path" else uri, uri)
    names = Counter(source_name(uri) for uri in found.values())
    if twice := sorted(name for name, n in names.items() if n > 1):
        logger.info("%d names stand for several sources, such as %s: folders are added to them", len(twice), twice[0])
    return list(found.values())


def _expand(pattern: str) -> list[str]:
    kind, rest = parse_address(pattern)
    if kind == "census":
        return [pattern]
    if kind == "lamin":
        from scdataloader.sources.lamin import artifact_uids

        return [f"lamin:{uid}" for uid in artifact_uids(rest)]
    if kind == "url":
        return _remote(pattern)
    pattern = rest
    path = Path(pattern).expanduser()
    if path.exists():
        return _existing(path)
    if any(sign in pattern for sign in _MAGIC):
        return _matching(str(path))
    raise FileNotFoundError(f"there is no file or folder {path}{near_names(path)}")


def _existing(path: Path) -> list[str]:
    if path.is_file() or format_of(path):
        return [str(path)]
    below = [str(p) for p in _below(path)]
    if not below:
        raise FileNotFoundError(f"there is nothing to read below the folder {path}; {KNOWN} are known")
    return below


def _matching(pattern: str) -> list[str]:
    matches = sorted(Path(p) for p in glob.glob(pattern, recursive=True))  # noqa: PTH207 (patterns may be absolute)
    tables = pattern.lower().endswith(TABLES)
    # a match inside a zarr or 10x folder stands for that folder
    whole = dict.fromkeys(_outermost(path, root=_fixed_part(pattern)) for path in matches)
    found = [path for path in whole if _is_source(path, tables=tables)]
    if found:
        return [str(path) for path in _without_twins(found)]
    if matches and (below := [str(p) for folder in matches if folder.is_dir() for p in _below(folder)]):
        return below
    if matches:
        raise FileNotFoundError(f"{pattern!r} matches only what cannot be read, as {matches[0]}; {KNOWN} are known")
    raise FileNotFoundError(f"no file matches {pattern!r}{near_names(_fixed_part(pattern) / Path(pattern).name)}")


def _fixed_part(pattern: str) -> Path:
    parts = Path(pattern).parts
    stop = next(i for i, part in enumerate(parts) if any(sign in part for sign in _MAGIC))
    return Path(*parts[:stop]) if stop else Path()


def _outermost(path: Path, root: Path) -> Path:
    folders = [p for p in path.parents if p != root and p.is_relative_to(root)]
    return next((folder for folder in reversed(folders) if format_of(folder)), path)


def _below(folder: Path) -> Iterator[Path]:
    found: list[Path] = []
    for parent, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        inside = [Path(parent) / name for name in folders]
        sources = [path for path in inside if format_of(path)]
        folders[:] = [path.name for path in inside if path not in sources]  # do not look into a source
        found += sources
        found += [path for name in files if _is_source(path := Path(parent) / name) and not name.startswith(".")]
    yield from _without_twins(sorted(found))


def _is_source(path: Path, *, tables: bool = False) -> bool:
    found = format_of(path)
    return found is not None and (found != "table" or tables)


def _without_twins(paths: Iterable[Path]) -> list[Path]:
    """Leave out what Cell Ranger writes twice: the same counts as folder and h5, and all droplets beside the cells."""
    paths = list(paths)
    present = set(paths)
    kept: list[Path] = []
    for path in paths:
        name = path.name.replace("raw_feature_bc_matrix", "filtered_feature_bc_matrix")
        twins = {path.with_name(name), path.with_name(name.removesuffix(".h5") + ".h5")} - {path}
        if "_feature_bc_matrix" in name and (better := sorted(twins & present)):
            logger.warning("%s is left out: %s holds its cells", path, better[0])
        else:
            kept.append(path)
    return kept


def _remote(pattern: str) -> list[str]:
    """Return what a store lists; an address without a glob is taken as it is, opening it says what is wrong."""
    is_folder = pattern.endswith("/") and not pattern.endswith(".zarr/")
    if not is_folder and not any(sign in pattern.partition("://")[2] for sign in "*["):  # ? starts a query
        return [pattern]
    import fsspec

    store, path = fsspec.core.url_to_fs(f"{pattern}**" if is_folder else pattern)
    matches = {re.sub(r"\.zarr/.*", ".zarr", store.unstrip_protocol(match)) for match in store.glob(path)}
    endings = (".h5ad", ".zarr", ".zarr.zip", ".loom", ".h5", *(TABLES if pattern.lower().endswith(TABLES) else ()))
    found = sorted(match for match in matches if match.lower().endswith(endings))
    if not found:
        seen = f", only {sorted(matches)[:3]} and the like" if matches else ""
        raise FileNotFoundError(f"nothing that can be read matches {pattern!r}{seen}; {KNOWN} are known")
    return found


def named_data(given: Any) -> list[tuple[str, str | anndata.AnnData]]:
    """Return each data set with its name.

    Parameters
    ----------
    given
        One or several of: an AnnData; a path, glob or address as `scdataloader.sources.find_sources` takes them; a pair
        of a name and one of these; an artifact or a collection of lamindb.

    Raises
    ------
    FileNotFoundError
        When a pattern stands for nothing.
    TypeError
        When it is something else.
    ValueError
        When there is nothing, or two data sets have one name.
    """
    several = isinstance(given, Sequence) and not isinstance(given, str) and not _is_pair(given)
    out: list[tuple[str | None, str | anndata.AnnData]] = []
    for one in given if several else [given]:
        if _is_pair(one):
            name, data = one
            out.append((name, data if isinstance(data, anndata.AnnData) else str(data)))
        elif isinstance(one, anndata.AnnData):
            out.append((None, one))
        elif isinstance(one, str | Path):
            out += [(None, uri) for uri in find_sources(one)]
        else:
            out += [(None, f"lamin:{uid}") for uid in _artifacts(one)]
    free = [uri for name, uri in out if name is None and isinstance(uri, str)]
    names = iter(unique_names(free))
    found: list[tuple[str, str | anndata.AnnData]] = []
    for number, (name, data) in enumerate(out):
        unnamed = (
            next(names) if name is None and isinstance(data, str) else f"input{number}" if len(out) > 1 else "input"
        )
        found.append((name or unnamed, data))
    _check_given(found)
    return found


def _is_pair(one: Any) -> bool:
    return isinstance(one, tuple) and len(one) == 2 and isinstance(one[0], str) and not isinstance(one[1], tuple)


def _artifacts(one: Any) -> list[str]:
    if not type(one).__module__.startswith("lamindb"):
        raise TypeError(
            f"{type(one).__name__} is no data set: give AnnData, paths, addresses, pairs of a name and one of "
            "these, or an artifact or collection of lamindb"
        )
    from scdataloader.sources.lamin import artifact_uids

    return artifact_uids(one)


def _check_given(found: Sequence[tuple[str, object]]) -> None:
    if not found:
        raise ValueError("there are no data sets: give one at least")
    names = [name for name, _ in found]
    if repeated := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(
            f"several data sets have the names {repeated[:5]}: give pairs of a name of its own and the data"
        )

"""The data sets that users give, in any form, each under a name of its own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import anndata

from scdataloader.sources import find_sources, unique_names


def named_data(what: Any) -> list[tuple[str, str | anndata.AnnData]]:
    """Return each data set with its name.

    Parameters
    ----------
    what
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
    several = isinstance(what, Sequence) and not isinstance(what, str) and not _is_pair(what)
    out: list[tuple[str | None, str | anndata.AnnData]] = []
    for one in what if several else [what]:
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
    _check(found)
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


def _check(found: Sequence[tuple[str, object]]) -> None:
    if not found:
        raise ValueError("there are no data sets: give one at least")
    names = [name for name, _ in found]
    if repeated := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(
            f"several data sets have the names {repeated[:5]}: give pairs of a name of its own and the data"
        )

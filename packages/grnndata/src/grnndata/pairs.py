"""Pairs of genes from a table on disk, with or without a header, in the forms in which edges are published."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ._content import open_content
from ._wording import listed
from .edge_files import KNOWN_COLUMNS, NA_OPTIONS

logger = logging.getLogger(__name__)

_SOURCES = ("source", "tf", "regulator", "gene1", "source_genesymbol", "from")
_TARGETS = ("target", "gene2", "target_genesymbol", "gene_symbol", "target_gene", "to", "gene")
#: Names of the source and of the target column, most telling first, in lower case: also those of other tools.
SOURCE_NAMES, TARGET_NAMES = (
    tuple(dict.fromkeys((*names, *(known[place].lower() for known in KNOWN_COLUMNS.values()))))
    for place, names in enumerate((_SOURCES, _TARGETS))
)


def read_pairs(
    path: PathLike[str] | str, *, columns: Sequence[str | int] | None = None, sep: str | None = None
) -> pd.DataFrame:
    """Read the sources and targets of a table of edges, whatever else the table says of them.

    Unlike `grnndata.read_edges` it needs no weights, and takes tables without a header as they come.

    Parameters
    ----------
    path
        File with text whose fields are separated by commas, tabs or white space, or a parquet file. Text may be
        compressed by gzip, xz or bzip2, which its first bytes tell.
    columns
        Names of the source and the target column, or, for a file without a header, their positions from 0. None: the
        columns called source, TF, regulator or Gene1, and target, Gene2 or gene_symbol, or as one of the tools in
        `grnndata.edge_files.KNOWN_COLUMNS` calls them, in any case. Where the first line has no such names it counts
        as an edge, and the first two columns are taken.
    sep
        Separator of the fields of text; None: tab, comma or white space, whichever the first line has.

    Returns
    -------
    pandas.DataFrame
        Columns ``source`` and ``target`` (str; empty where the file has no name), in the file's order, followed by the
        named columns that are left, except further ones of these two names.

    Raises
    ------
    FileNotFoundError
        When the file does not exist.
    ValueError
        When the file is empty, has fewer than two columns, or lacks `columns`, or when it is not clear which are meant.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}")
    table = pd.read_parquet(path) if _is_parquet(path) else _read_text(path, columns, sep)
    held = list(table.columns)
    if len(held) < 2:
        raise ValueError(f"{path} has one column ({held[0]!r}) only: give a separator, or a table of source and target")
    source, target = _chosen(held, path) if columns is None else columns
    missing = [column for column in (source, target) if column not in held]
    if missing:
        raise ValueError(f"{path} has no column {missing}; it has [{listed(held)}]")
    rest = [name for name in held if isinstance(name, str) and name not in (source, target, "source", "target")]
    return pd.DataFrame({"source": _as_text(table[source]), "target": _as_text(table[target])}).join(table[rest])


def _pick(fields: Sequence[Any], names: Sequence[str]) -> Any | None:
    """Return the first of `names`, in lower case, that is a field in any case, as the field writes it; else None."""
    lower = {str(field).strip().lower(): field for field in reversed(fields)}
    return next((lower[name] for name in names if name in lower), None)


def _is_parquet(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(4) == b"PAR1"


def _read_text(path: Path, columns: Sequence[str | int] | None, sep: str | None) -> pd.DataFrame:
    with open_content(path) as file:
        first = file.readline().decode("utf-8-sig", errors="replace").rstrip("\r\n")
    if not first:
        raise ValueError(f"{path} is empty: an edge table needs a source and a target column")
    sep = sep or ("\t" if "\t" in first else "," if "," in first else r"\s+")
    fields = [part.strip(' "#') for part in (first.split() if sep == r"\s+" else first.split(sep))]
    source, target = (_pick(fields, SOURCE_NAMES), _pick(fields, TARGET_NAMES)) if columns is None else columns
    if columns is None:
        header = source is not None and target is not None
        if not header:
            source, target = 0, 1
            logger.info("%s has no header with known names: its first line %r counts as an edge", path, first[:80])
    else:
        header = all(isinstance(column, str) for column in columns)
    # Names that look like numbers stay as they are written.
    options: dict[str, Any] = {"sep": sep, "header": 0 if header else None, "dtype": {source: str, target: str}}
    with open_content(path) as file:
        return pd.read_csv(file, low_memory=False, **options, **NA_OPTIONS)


def _chosen(held: Sequence[Any], path: Path) -> tuple[Any, Any]:
    source, target = _pick(held, SOURCE_NAMES), _pick(held, TARGET_NAMES)
    if source is not None and target is not None:
        return source, target
    if all(isinstance(name, (int, np.integer)) for name in held):  # no header
        return held[0], held[1]
    raise ValueError(
        f"{path} has the columns [{listed(held)}]: say which hold the regulator and the target, columns=(…, …)"
    )


def _as_text(names: pd.Series) -> pd.Series:
    return names.astype(object).where(names.notna(), "").astype(str).str.strip()

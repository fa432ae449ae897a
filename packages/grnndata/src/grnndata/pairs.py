"""Pairs of genes from a table on disk, with or without a header, in the forms in which edges are published."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ._wording import listed
from .edge_columns import KNOWN_COLUMNS
from .edge_files import is_special, read_special
from .graph_files import is_graphml, read_graphml_edges
from .rectangle import Rectangle, edges_of
from .text_tables import TextTable, peek

logger = logging.getLogger(__name__)

_SOURCES = ("source", "tf", "regulator", "gene1", "source_genesymbol", "from")
_TARGETS = ("target", "gene2", "target_genesymbol", "gene_symbol", "target_gene", "to", "gene")
#: Names of the source and of the target column, most telling first, in lower case: also those of other tools.
SOURCE_NAMES, TARGET_NAMES = (
    tuple(dict.fromkeys((*names, *(known[place].lower() for known in KNOWN_COLUMNS.values()))))
    for place, names in enumerate((_SOURCES, _TARGETS))
)


def read_pairs(
    path: PathLike[str] | str,
    *,
    columns: Sequence[str | int] | Mapping[str, str | int] | None = None,
    sep: str | None = None,
) -> pd.DataFrame:
    """Read the sources and targets of a table of edges, whatever else the table says of them.

    Unlike `grnndata.read_edges` it needs no weights, and takes tables without a header as they come.

    Parameters
    ----------
    path
        File with text whose fields are separated by tabs, commas, semicolons or white space, or a parquet file. Text
        may be compressed by gzip, xz or bzip2, which its first bytes tell. Files that `grnndata.read_edges` reads and
        that are not edge tables (matrices, regulons, base GRNs, ``.sif``, ``.graphml``) give the pairs whose weight
        is not 0.
    columns
        Names of the source and the target column, or, for a file without a header, their positions from 0; or a dict
        of them, ``{"source": "cause", "target": "effect"}``. None: the columns called source, TF, regulator or Gene1,
        and target, Gene2 or gene_symbol, or as one of the tools in `grnndata.edge_columns.KNOWN_COLUMNS` calls them, in
        any case. Where the first line has no such names it counts as an edge, and the first two columns are taken.
    sep
        Separator of the fields of text; None: tab, comma or semicolon, whichever gives most fields, or white space.

    Returns
    -------
    pandas.DataFrame
        Columns ``source`` and ``target`` (str; empty where the file has no name), in the file's order, followed by the
        named columns that are left, except further ones of these two names. ``attrs["notes"]`` lists, in words, what
        was guessed; it is logged, too.

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
    notes: list[str] = []
    chosen = _two(columns)
    text = None if is_special(path) or is_graphml(path) or _is_parquet(path) else peek(path, sep)
    special = _read_special(path, text) if chosen is None else None
    if special is not None:
        notes, pairs = special.attrs.get("notes", []), special
    else:
        table = pd.read_parquet(path) if text is None else _read_text(text, chosen, notes)
        pairs = _chosen_pairs(table, chosen, path)
    for note in notes:
        logger.warning("%s: %s", path, note)
    pairs.attrs["notes"] = notes
    return pairs


def _two(columns: Any) -> tuple[Any, Any] | None:
    """Return the source and the target column that are asked for; a third, of the weight, is of no use here."""
    if columns is None:
        return None
    given = [columns.get("source"), columns.get("target")] if isinstance(columns, Mapping) else list(columns)
    if isinstance(columns, str) or len(given) < 2 or None in given[:2]:
        raise ValueError(f"columns must name the source and the target column, columns=('TF', 'gene'), got {columns!r}")
    return given[0], given[1]


def _read_special(path: Path, text: TextTable | None) -> pd.DataFrame | None:
    if is_graphml(path):
        found: pd.DataFrame | Rectangle | None = read_graphml_edges(path)
    else:
        found = read_special(path, text)
    if found is None:
        return None
    edges = edges_of(found) if isinstance(found, Rectangle) else found
    kept = edges[edges["weight"] != 0].reset_index(drop=True)
    kept.attrs["notes"] = edges.attrs.get("notes", [])
    return kept


def _chosen_pairs(table: pd.DataFrame, columns: tuple[Any, Any] | None, path: Path) -> pd.DataFrame:
    held = list(table.columns)
    if len(held) < 2:
        raise ValueError(f"{path} has one column ({held[0]!r}) only: give a separator, or a table of source and target")
    source, target = _chosen(held, path) if columns is None else (_as_held(column, held) for column in columns)
    missing = [column for column in (source, target) if column not in held]
    if missing:
        raise ValueError(
            f"{path} has no column {missing}; it has [{listed(held)}]: name two of them, or give positions from 0"
        )
    rest = [name for name in held if isinstance(name, str) and name not in (source, target, "source", "target")]
    return pd.DataFrame({"source": _as_text(table[source]), "target": _as_text(table[target])}).join(table[rest])


def _as_held(column: Any, held: Sequence[Any]) -> Any:
    """Return the column of a table that is meant by its name or, as on a command line, by its position as text."""
    if column in held or not str(column).isdecimal():
        return column
    return held[int(column)] if int(column) < len(held) else int(column)


def _pick(fields: Sequence[Any], names: Sequence[str]) -> Any | None:
    """Return the first of `names`, in lower case, that is a field in any case, as the field writes it; else None."""
    lower = {str(field).strip().lower(): field for field in reversed(fields)}
    return next((lower[name] for name in names if name in lower), None)


def _is_parquet(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(4) == b"PAR1"


def _read_text(text: TextTable, columns: tuple[Any, Any] | None, notes: list[str]) -> pd.DataFrame:
    if not text.lines:
        raise ValueError(f"{text.path} is empty: an edge table needs a source and a target column")
    fields = [field.strip(' "#') for field in text.lines[0]]
    if columns is None:
        found: tuple[Any, Any] = _pick(fields, SOURCE_NAMES), _pick(fields, TARGET_NAMES)
        header = None not in found
        chosen = found if header else (0, 1)
        if not header:
            start = (" " if text.is_blank else text.sep).join(fields)[:80]
            notes.append(
                f"no known names of columns: the first line {start!r} counts as an edge, and by their order the first "
                "column is the source and the second the target; columns= says otherwise (positions are from 0)"
            )
    else:
        by_name = any(column in fields or not str(column).isdecimal() for column in columns)
        header = by_name or text.has_text_above_numbers
        chosen = (columns[0], columns[1]) if by_name else (int(columns[0]), int(columns[1]))
    # Names that look like numbers stay as they are written.
    as_text = [*chosen, *(name for name in text.lines[0] if header and name.strip(' "#') in chosen)]
    options: dict[str, Any] = {"header": 0 if header else None, "dtype": dict.fromkeys(as_text, str)}
    table = text.read(low_memory=False, **options)
    return table.rename(columns=lambda name: str(name).lstrip("# ")) if header else table


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

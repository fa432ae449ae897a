"""Edge tables on disk, and those of other tools: read, recognised, written."""

from __future__ import annotations

import gzip
import logging
from collections.abc import Iterator, Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from ._atomic import atomic_path
from ._wording import counted
from .base_grn import is_base_grn, read_parquet_base_grn, read_text_base_grn
from .edge_columns import PER_REGION, Columns, check_no_header, find_columns, guess_columns, header_for
from .edges import EDGE_COLUMNS, Missing, check_edges
from .graph_files import read_sif
from .matrix_files import read_npy_matrix, read_parquet_matrix, read_text_matrix
from .ordered_edges import edge_parts
from .rectangle import Rectangle, edges_of
from .regulons import is_regulon_table, read_regulon_sets, read_regulon_table
from .stored import single_network
from .text_tables import SEPARATORS, TextTable, kind_of, peek

if TYPE_CHECKING:
    from .core import GRNAnnData

logger = logging.getLogger(__name__)

_SIGNS = {"+": 1.0, "-": -1.0}


def recognise_edges(table: pd.DataFrame, columns: Columns | None = None, *, missing: Missing = "error") -> pd.DataFrame:
    """Find source, target and weight in the edge table of another tool.

    Parameters
    ----------
    table
        One directed edge a row. Columns that are not needed, an unnamed index column too, are ignored.
    columns
        None to recognise the names in `grnndata.edge_columns.KNOWN_COLUMNS`: those of edge tables here, decoupler
        (`weight` or `mor`), GENIE3, GRNBoost2, arboreto and pySCENIC, BEELINE (rankedEdges and refNetwork), CellOracle
        (weight = `coef_mean`), Pando and SCENIC+. Otherwise the names: ``{"source": "cause", "target": "effect",
        "weight": "score"}``, where a role left out has its own name and ``"weight": None`` means a weight of 1
        everywhere; or the names of the three in that order, ``("cause", "effect", "score")``, two where every weight is
        1. A number is a position, from 0. Or the role of every column by place, for a table without names:
        ``("source", "target", None, "weight")``; None is a column to ignore, and without ``"weight"`` every weight
        is 1.
    missing
        Treatment of rows that lack a name or a finite number: ``"error"``, or ``"drop"`` them.

    Returns
    -------
    pandas.DataFrame
        Columns ``source, target`` (str) and ``weight`` (float32), in the table's order. Weights ``+`` and
        ``-`` are 1 and -1; all others are kept as they are, pairs listed twice too. Only SCENIC+ lists an edge once
        for each region, with the same weight: there it is kept once. ``attrs["notes"]`` tells what was dropped.

    Raises
    ------
    ValueError
        When no names are recognised or more than one reading is possible, when `columns` does not fit the
        table, and as `grnndata.edges.check_edges`.
    """
    roles = find_columns(list(table.columns), columns)
    found = pd.DataFrame({role: _column(table, place) for role, place in roles.items()}, copy=False)
    found["weight"] = _signs_as_numbers(found["weight"])
    notes: list[str] = []
    if missing == "drop":
        found, note = _without_missing(found)
        notes += note
    elif missing != "error":
        raise ValueError(f"missing must be 'error' or 'drop', got {missing!r}")
    edges = check_edges(found[list(EDGE_COLUMNS)])
    if columns is None and _is_per_region(table):
        edges, note = _once(edges)
        notes += note
    edges.attrs["notes"] = notes
    return edges


def read_edges(
    path: PathLike[str] | str,
    *,
    columns: Columns | None = None,
    sep: str | None = None,
    missing: Missing = "error",
) -> pd.DataFrame:
    """Read the edges of a table, a matrix or regulons, of this package or of another tool.

    Parameters
    ----------
    path
        ``.csv``, ``.tsv``, ``.txt`` (each also ``.gz``) or ``.parquet`` with an edge table, a matrix of weights
        (regulators × targets), the motifs of ``pyscenic ctx`` or a base GRN of CellOracle; ``.gmt`` with regulons;
        ``.sif``; ``.npy`` with its names beside it.
    columns
        See `recognise_edges`. Roles by place and positions are for a file without a header. When None, a file whose
        first line holds a number and no known names has none: of three columns the first two are source and target.
    sep
        Separator of the fields of a text file. When None, that of tab, comma and semicolon which gives most fields,
        or white space where none of them does.
    missing
        See `recognise_edges`.

    Returns
    -------
    pandas.DataFrame
        Columns ``source, target`` (str) and ``weight`` (float32), in the file's order. ``attrs["notes"]`` lists, in
        words, what was guessed and what was left out; both are logged, too.

    Raises
    ------
    FileNotFoundError
        When the file does not exist.
    ValueError
        When the file's kind is unknown or it cannot be read as that, a name is missing, a weight is not a
        finite number, and as `recognise_edges`.
    """
    found = read_edges_or_matrix(path, columns=columns, sep=sep, missing=missing)
    edges = edges_of(found) if isinstance(found, Rectangle) else found
    notes = edges.attrs.get("notes", [])
    edges = edges[list(EDGE_COLUMNS)]
    edges.attrs["notes"] = notes
    return edges


def read_edges_or_matrix(
    path: PathLike[str] | str,
    *,
    columns: Columns | None = None,
    sep: str | None = None,
    missing: Missing = "error",
) -> pd.DataFrame | Rectangle:
    """Read edges as `read_edges` does, or the matrix in whose form they lie in the file.

    Raises
    ------
    FileNotFoundError, ValueError
        As `read_edges`.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path.resolve()}")
    try:
        found = _read(path, columns, sep, missing)
    except (ValueError, EOFError, gzip.BadGzipFile) as error:
        told = str(error)
        raise ValueError(told if told.startswith(str(path)) else f"{path}: {told}") from error
    for note in found.notes if isinstance(found, Rectangle) else found.attrs.get("notes", []):
        logger.warning("%s: %s", path, note)
    return found


def read_special(path: Path, text: TextTable | None, missing: Missing = "error") -> pd.DataFrame | Rectangle | None:
    """Read regulons, a SIF file, a matrix or a base GRN, which are not edge tables; None for any other file.

    Parameters
    ----------
    path
        File. What its name does not tell, its columns do.
    text
        Its beginning where it is a table of text, else None for a parquet file.
    missing
        See `recognise_edges`.

    Raises
    ------
    ValueError
        When it is one of these forms and cannot be read.
    """
    name = path.name.lower()
    if name.endswith((".gmt", ".gmt.gz")):
        return read_regulon_sets(path)
    if name.endswith(".sif"):
        return read_sif(path)
    if name.endswith(".npy"):
        return read_npy_matrix(path, missing=missing)
    if text is None:
        import pyarrow.parquet as pq

        is_base = is_base_grn(pq.read_schema(path).names)
        return read_parquet_base_grn(path) if is_base else read_parquet_matrix(path, missing=missing)
    if is_regulon_table(text):
        return read_regulon_table(text)
    if text.lines and is_base_grn(text.lines[0]):
        return read_text_base_grn(text)
    return read_text_matrix(text, missing=missing)


def is_special(path: PathLike[str] | str) -> bool:
    """Tell whether a file's name ends as those of regulons, SIF files and numpy arrays do, which are not tables."""
    return Path(path).name.lower().endswith((".gmt", ".gmt.gz", ".sif", ".npy"))


def _read(path: Path, columns: Columns | None, sep: str | None, missing: Missing) -> pd.DataFrame | Rectangle:
    if is_special(path):
        text = None
    elif (kind := kind_of(path)) == ".parquet":
        if sep is not None:
            raise ValueError("a parquet file has no separator: leave out sep")
        text = None
    else:
        text = peek(path, sep, expected=SEPARATORS[kind])
        if not text.lines:
            raise ValueError("No columns to parse: the file is empty")
    special = read_special(path, text, missing) if columns is None or is_special(path) else None
    if special is not None:
        return special
    if text is None:
        return recognise_edges(pd.read_parquet(path), columns, missing=missing)
    return _read_text(text, columns, missing)


def _read_text(text: TextTable, columns: Columns | None, missing: Missing) -> pd.DataFrame:
    columns, has_header = header_for(columns, text)
    notes: list[str] = []
    if columns is None and (guessed := guess_columns(text)) is not None:
        columns, has_header = guessed, False
        notes = [_told(guessed)]
    options: dict[str, Any] = {} if has_header else {"header": None}
    first = text.read(nrows=0 if has_header else 1, **options)
    names = list(first.columns)
    roles = find_columns(names, columns)
    if not has_header:
        check_no_header([str(value) for value in first.iloc[0]], roles)
    # Names that look like numbers stay as they are written.
    as_text = {names[place]: str for role in ("source", "target") if (place := roles[role]) is not None}
    table = text.read(dtype=as_text, **options)
    edges = recognise_edges(table, columns, missing=missing)
    if notes:
        n_sources, n_targets = edges["source"].nunique(), edges["target"].nunique()
        notes[0] += f" ({n_sources:,} sources, {n_targets:,} targets)"
    if text.decimal == ",":
        notes.append("commas in numbers are taken for decimal points")
    edges.attrs["notes"] = notes + edges.attrs["notes"]
    return edges


def _told(places: Mapping[str, int | None]) -> str:
    """Say how a file without a header is read, and how to say otherwise."""
    said = ", ".join(f"column {place + 1} is the {role}" for role, place in places.items() if place is not None)
    other = ",".join(str(places[role]) for role in ("target", "source", "weight"))
    return (
        f"there is no header, and by their order {said}: if the first is the target, pass --columns {other} "
        f"(columns=({other.replace(',', ', ')}))"
    )


def write_edges(
    edges: pd.DataFrame | GRNAnnData, path: PathLike[str] | str, *, columns: Sequence[str] = EDGE_COLUMNS
) -> None:
    """Write an edge table, atomically.

    Parameters
    ----------
    edges
        A table with columns ``source, target, weight``, or a network, whose edges are written strongest
        first.
    path
        ``.csv``, ``.tsv``, ``.txt`` (tabs; each also ``.gz``) or ``.parquet``; replaced if it exists.
    columns
        Names of source, target and weight in the file, as ``("TF", "target", "importance")`` for pySCENIC.

    Raises
    ------
    ValueError
        When the file's kind is unknown, the table is not valid, or there are not three names.
    """
    kind = kind_of(path)
    if len(columns) != len(EDGE_COLUMNS):
        raise ValueError(f"columns names source, target and weight, got {list(columns)}")
    if isinstance(edges, pd.DataFrame):
        parts: Iterator[pd.DataFrame] = iter([check_edges(edges)[list(EDGE_COLUMNS)]])
    else:
        parts = edge_parts(single_network(edges), edges.var_names)
    parts = (part.set_axis(list(columns), axis=1) for part in parts)
    with atomic_path(path) as temporary:
        if kind == ".parquet":
            _write_parquet(parts, temporary)
        else:
            compressed = Path(path).name.lower().endswith(".gz")
            _write_text(parts, temporary, columns, sep=SEPARATORS[kind], compressed=compressed)


def _write_parquet(parts: Iterator[pd.DataFrame], path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    first = pa.Table.from_pandas(next(parts), preserve_index=False)
    with pq.ParquetWriter(path, first.schema) as file:
        file.write_table(first)
        for part in parts:
            file.write_table(pa.Table.from_pandas(part, schema=first.schema, preserve_index=False))


def _write_text(
    parts: Iterator[pd.DataFrame], path: Path, columns: Sequence[str], *, sep: str, compressed: bool
) -> None:
    # Arrow writes the same digits as pandas, ten times faster.
    import pyarrow as pa
    from pyarrow import csv

    options = csv.WriteOptions(include_header=False, delimiter=sep, quoting_style="needed")
    with gzip.open(path, "wb", compresslevel=6) if compressed else path.open("wb") as file:
        file.write((sep.join(columns) + "\n").encode())
        for part in parts:
            csv.write_csv(pa.Table.from_pandas(part, preserve_index=False), file, options)


def is_edge_file(path: PathLike[str] | str) -> bool:
    """Say whether a file's name ends as that of an edge table."""
    try:
        kind_of(path)
    except ValueError:
        return False
    return True


def _column(table: pd.DataFrame, place: int | None) -> Any:
    if place is None:
        return np.ones(len(table), dtype=np.float32)
    column = table.iloc[:, place]
    # A categorical column is no column of numbers, whatever its categories are.
    values = column.astype(column.cat.categories.dtype) if isinstance(column.dtype, pd.CategoricalDtype) else column
    return values.reset_index(drop=True)


def _signs_as_numbers(weights: pd.Series) -> pd.Series:
    if pd.api.types.is_numeric_dtype(weights.dtype) or not weights.isin(list(_SIGNS)).all():
        return weights
    return weights.map(_SIGNS).astype(np.float32)


def _without_missing(table: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """Return the rows that have two names and a finite number, and what is told of the others."""
    unnamed = (table["source"].isna() | table["target"].isna()).to_numpy()
    weights = pd.to_numeric(table["weight"], errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
    bad = unnamed | ~np.isfinite(weights)
    if not bad.any():
        return table, []
    n_unnamed, n_bad = int(unnamed.sum()), int(bad.sum())
    note = f"{n_bad:,} of {counted(len(table), 'row')} left out: {n_unnamed:,} without a name, {n_bad - n_unnamed:,} "
    return table[~bad], [f"{note}without a finite number"]


def _is_per_region(table: pd.DataFrame) -> bool:
    lower = {str(name).lower() for name in table.columns}
    return any(lower >= {name.lower() for name in known} for known in PER_REGION)


def _once(edges: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    kept = edges.drop_duplicates().reset_index(drop=True)
    note = f"{len(edges):,} rows, one for each region, are {len(kept):,} edges, each taken once"
    return kept, [note] if len(kept) < len(edges) else []

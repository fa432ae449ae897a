"""Edge tables on disk, and those of other tools: whose columns are source, target and weight."""

from __future__ import annotations

import gzip
from collections.abc import Iterable, Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from ._atomic import atomic_path
from ._wording import listed
from .edges import EDGE_COLUMNS, check_edges

if TYPE_CHECKING:
    from .core import GRNAnnData

#: How tools name source, target and weight: tool → the three names. Upper and lower case are the same.
KNOWN_COLUMNS: dict[str, tuple[str, str, str]] = {
    "edge table, decoupler": ("source", "target", "weight"),
    "GENIE3": ("regulatoryGene", "targetGene", "weight"),
    "GRNBoost2, arboreto, pySCENIC": ("TF", "target", "importance"),
    "BEELINE rankedEdges": ("Gene1", "Gene2", "EdgeWeight"),
    "BEELINE refNetwork": ("Gene1", "Gene2", "Type"),
    "CellOracle": ("source", "target", "coef_mean"),
    "decoupler before 1.0, DoRothEA": ("tf", "target", "mor"),
    "decoupler 1": ("source", "target", "mor"),
}

#: Names of a table's columns, by role or by place: see `recognise_edges`.
type Columns = Mapping[str, str | None] | Sequence[str | None]

#: How tables of text are read: a gene may be called NA or NAN, so only an empty field is missing.
NA_OPTIONS: dict[str, Any] = {"keep_default_na": False, "na_values": [""]}
_SEPARATORS = {".csv": ",", ".tsv": "\t", ".txt": "\t"}
_SUFFIXES = ".csv, .tsv, .txt (each also .gz) or .parquet"
_SIGNS = {"+": 1.0, "-": -1.0}


def recognise_edges(table: pd.DataFrame, columns: Columns | None = None) -> pd.DataFrame:
    """Find source, target and weight in the edge table of another tool.

    Parameters
    ----------
    table
        One directed edge a row. Columns that are not needed, an unnamed index column too, are ignored.
    columns
        None to recognise the names in `KNOWN_COLUMNS`: those of edge tables here, decoupler (`weight` or
        `mor`), GENIE3, GRNBoost2, arboreto and pySCENIC, BEELINE (rankedEdges and refNetwork) and CellOracle
        (weight = `coef_mean`). Otherwise the names: ``{"source": "from", "target": "to", "weight": "score"}``,
        where a role left out has its own name and ``"weight": None`` means a weight of 1 everywhere. Or the
        role of every column by place, for a table without names: ``("source", "target", None, "weight")``;
        None is a column to ignore, and without ``"weight"`` every weight is 1.

    Returns
    -------
    pandas.DataFrame
        Columns ``source, target`` (str) and ``weight`` (float32), in the table's order. Weights ``+`` and
        ``-`` are 1 and -1; all others are kept as they are, pairs listed twice too.

    Raises
    ------
    ValueError
        When no names are recognised or more than one reading is possible, when `columns` does not fit the
        table, and as `grnndata.edges.check_edges`.
    """
    roles = _find_columns(list(table.columns), columns)
    found = pd.DataFrame({role: _column(table, place) for role, place in roles.items()}, copy=False)
    return check_edges(found.assign(weight=_signs_as_numbers(found["weight"])))


def read_edges(path: PathLike[str] | str, *, columns: Columns | None = None, sep: str | None = None) -> pd.DataFrame:
    """Read an edge table, of this package or of another tool.

    Parameters
    ----------
    path
        ``.csv``, ``.tsv``, ``.txt`` (each also ``.gz``) or ``.parquet``.
    columns
        See `recognise_edges`. Roles by place are for a file without a header.
    sep
        What separates the fields of a text file. When None, a comma in ``.csv`` and a tab in the others; or
        the other of the two, when the first line has only that (BEELINE's csv files are separated by tabs).

    Returns
    -------
    pandas.DataFrame
        Columns ``source, target`` (str) and ``weight`` (float32), in the file's order.

    Raises
    ------
    FileNotFoundError
        When there is no such file.
    ValueError
        When the file's kind is unknown or it cannot be read as that, a name is missing, a weight is not a
        finite number, and as `recognise_edges`.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path.resolve()}")
    kind = _kind(path)
    try:
        if kind == ".parquet":
            if sep is not None:
                raise ValueError("a parquet file has no separator: leave out sep")
            return recognise_edges(pd.read_parquet(path), columns)
        return _read_text(path, columns, _separator(path, _SEPARATORS[kind]) if sep is None else sep)
    except (ValueError, EOFError, gzip.BadGzipFile) as error:
        raise ValueError(f"{path}: {error}") from error


def read_square_table(path: PathLike[str] | str) -> pd.DataFrame | None:
    """Return a square table of weights, genes as index and columns; None when the file holds something else.

    Parameters
    ----------
    path
        File as for `read_edges`, whose first column and header name the genes in the same order.
    """
    path = Path(path)
    kind = _kind(path)
    if kind == ".parquet":
        table = pd.read_parquet(path)
        if isinstance(table.index, pd.RangeIndex) and len(table.columns):
            table = table.set_index(table.columns[0])
    else:
        options = {"sep": _SEPARATORS[kind], **NA_OPTIONS}
        try:
            head = pd.read_csv(path, nrows=3, index_col=0, **options)
        except (ValueError, EOFError, gzip.BadGzipFile):
            return None  # the reader of edge tables says what is wrong
        # An edge table has few columns; one of three genes still has a header that names its rows.
        if list(head.index.astype(str)) != list(head.columns.astype(str)[: len(head)]) or head.empty:
            return None
        table = pd.read_csv(path, dtype={head.index.name or 0: str}, index_col=0, **options)
    genes, columns = table.index.astype(str), table.columns.astype(str)
    return table.set_axis(genes).set_axis(columns, axis=1) if list(genes) == list(columns) else None


def write_edges(edges: pd.DataFrame | GRNAnnData, path: PathLike[str] | str) -> None:
    """Write an edge table, atomically.

    Parameters
    ----------
    edges
        A table with columns ``source, target, weight``, or a network, whose edges are written strongest
        first.
    path
        ``.csv``, ``.tsv``, ``.txt`` (tabs; each also ``.gz``) or ``.parquet``; replaced if it exists.

    Raises
    ------
    ValueError
        When the file's kind is unknown, or the table is not valid.
    """
    kind = _kind(Path(path))
    table = check_edges(edges if isinstance(edges, pd.DataFrame) else edges.edges())[list(EDGE_COLUMNS)]
    with atomic_path(path) as temporary:
        if kind == ".parquet":
            table.to_parquet(temporary, index=False)
        else:
            _write_text(table, temporary, sep=_SEPARATORS[kind], compressed=Path(path).name.lower().endswith(".gz"))


def _write_text(table: pd.DataFrame, path: Path, *, sep: str, compressed: bool) -> None:
    # Arrow writes the same digits as pandas, ten times faster.
    import pyarrow as pa
    from pyarrow import csv

    columns = pa.Table.from_pandas(table, preserve_index=False)
    options = csv.WriteOptions(include_header=False, delimiter=sep, quoting_style="needed")
    with gzip.open(path, "wb", compresslevel=6) if compressed else path.open("wb") as file:
        file.write((sep.join(EDGE_COLUMNS) + "\n").encode())
        csv.write_csv(columns, file, options)


def is_edge_file(path: PathLike[str] | str) -> bool:
    """Say whether a file's name ends as that of an edge table."""
    try:
        _kind(Path(path))
    except ValueError:
        return False
    return True


def _read_text(path: Path, columns: Columns | None, sep: str) -> pd.DataFrame:
    options = {"sep": sep, "skipinitialspace": True, **NA_OPTIONS}
    if columns is not None and not isinstance(columns, Mapping):
        options["header"] = None
    first = pd.read_csv(path, nrows=0 if "header" not in options else 1, **options)
    names = list(first.columns)
    roles = _find_columns(names, columns)
    if "header" in options:
        _check_no_header([str(value) for value in first.iloc[0]], roles)
    # Names that look like numbers stay as they are written.
    as_text = {names[place]: str for role in ("source", "target") if (place := roles[role]) is not None}
    table = pd.read_csv(path, dtype=as_text, **options)
    return recognise_edges(table, columns)


def _find_columns(names: list[Any], columns: Columns | None) -> dict[str, int | None]:
    """Return the place of source, target and weight among a table's columns; None = a weight of 1."""
    if columns is None:
        return _recognise(names)
    if isinstance(columns, Mapping):
        return _find_by_name(names, columns)
    return _find_by_place(names, columns)


def _recognise(names: list[Any]) -> dict[str, int | None]:
    lower = [str(name).lower() for name in names]
    fitting = list(
        dict.fromkeys(known for known in KNOWN_COLUMNS.values() if all(name.lower() in lower for name in known))
    )
    if not fitting:
        raise ValueError(_unrecognised(names, lower))
    if len(fitting) > 1:
        readings = " or ".join("(" + ", ".join(known) + ")" for known in fitting)
        raise ValueError(
            f"the edge table can be read in several ways, as {readings}: it has the columns [{listed(names)}]; "
            "choose with "
            f"columns={dict(zip(EDGE_COLUMNS, _spelled(names, lower, fitting[0]), strict=True))}, or drop a column"
        )
    places: dict[str, int | None] = {}
    for role, name in zip(EDGE_COLUMNS, fitting[0], strict=True):
        at = [place for place, other in enumerate(lower) if other == name.lower()]
        if len(at) > 1:
            alike = [names[place] for place in at]
            raise ValueError(f"the edge table has {len(at)} columns that may be the {role}, {alike}: drop all but one")
        places[role] = at[0]
    return places


def _find_by_name(names: list[Any], columns: Mapping[str, str | None]) -> dict[str, int | None]:
    wrong = [role for role in columns if role not in EDGE_COLUMNS]
    if wrong:
        raise ValueError(f"columns names the columns of {list(EDGE_COLUMNS)}: it does not take {wrong}")
    asked = {role: columns.get(role, role) for role in EDGE_COLUMNS}
    absent = [name for role, name in asked.items() if name not in names and not (name is None and role == "weight")]
    if absent:
        fix = "; pass 'weight': None for a weight of 1 everywhere" if absent == ["weight"] else ""
        raise ValueError(f"the edge table has no column {absent}: it has the columns [{listed(names)}]{fix}")
    repeated = [name for name in asked.values() if names.count(name) > 1]
    if repeated:
        raise ValueError(f"the edge table has several columns {repeated}: rename them, or give roles by place")
    return {role: None if name is None else names.index(name) for role, name in asked.items()}


def _find_by_place(names: list[Any], columns: Sequence[str | None]) -> dict[str, int | None]:
    roles = list(columns)
    if isinstance(columns, str) or any(role is not None and role not in EDGE_COLUMNS for role in roles):
        raise ValueError(
            f"columns given by place are 'source', 'target', 'weight' or None (ignored), got {columns!r}; "
            "give names as a dict, for example columns={'source': 'from', 'target': 'to', 'weight': 'score'}"
        )
    if any(roles.count(role) != 1 for role in ("source", "target")) or roles.count("weight") > 1:
        raise ValueError(f"columns must hold 'source' and 'target' once, and 'weight' at most once, got {columns!r}")
    if len(roles) != len(names):
        raise ValueError(
            f"columns gives the roles of {len(roles)} columns by place, but the edge table has {len(names)}: "
            "put None for those to ignore"
        )
    return {role: roles.index(role) if role in roles else None for role in EDGE_COLUMNS}


def _unrecognised(names: list[Any], lower: list[str]) -> str:
    known = "; ".join(f"{', '.join(of_tool)} ({tool})" for tool, of_tool in KNOWN_COLUMNS.items())
    pairs = [of_tool[:2] for of_tool in KNOWN_COLUMNS.values() if all(name.lower() in lower for name in of_tool[:2])]
    if pairs:
        source, target = _spelled(names, lower, pairs[0])
        missing, example = ["weight"], {"source": source, "target": target, "weight": None}
    else:
        missing = [role for role in EDGE_COLUMNS if role not in lower]
        example = {"source": "from", "target": "to", "weight": "score"}
    none = " (None: 1 everywhere)" if pairs else ""
    return (
        f"the edge table has no column {missing} that is recognised: it has the columns [{listed(names)}], and "
        "recognised are "
        f"{known}; name them yourself, for example columns={example}{none}, or by place when there is no header: "
        "columns=('source', 'target', 'weight')"
    )


def _spelled(names: list[Any], lower: list[str], known: Iterable[str]) -> list[Any]:
    return [names[lower.index(name.lower())] for name in known]


def _check_no_header(first: list[str], roles: Mapping[str, int | None]) -> None:
    """Raise ValueError when the first line of a file said to have no header is one."""
    source, target = (first[place].lower() for role in ("source", "target") if (place := roles[role]) is not None)
    if any((source, target) == (known[0].lower(), known[1].lower()) for known in KNOWN_COLUMNS.values()):
        raise ValueError(
            f"columns given by place are for a file without a header, and the first line is one: {first}; give names "
            "instead, for example columns={'source': 'from', 'target': 'to', 'weight': 'score'}"
        )


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


def _separator(path: Path, expected: str) -> str:
    with gzip.open(path, "rb") if path.name.lower().endswith(".gz") else path.open("rb") as file:
        first = file.readline()
    other = {",": "\t", "\t": ","}[expected]
    return other if expected.encode() not in first and other.encode() in first else expected


def _kind(path: Path) -> str:
    name = path.name.lower()
    if name.endswith(".parquet"):
        return ".parquet"
    kind = Path(name.removesuffix(".gz")).suffix
    if kind not in _SEPARATORS:
        raise ValueError(f"cannot tell the kind of edge table from the name {path.name!r}: end it with {_SUFFIXES}")
    return kind

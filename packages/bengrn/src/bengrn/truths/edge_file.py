"""Read edges from a table on disk, with or without a header, in the forms in which truths are published."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from bengrn.fetch import open_content

logger = logging.getLogger(__name__)

SOURCE_NAMES = ("source", "tf", "regulator", "gene1", "source_genesymbol", "from")
TARGET_NAMES = ("target", "gene2", "target_genesymbol", "gene_symbol", "target_gene", "to", "gene")
SIGN_NAMES = ("sign", "mor", "type", "interaction", "effect")
_SIGNS = {
    "+": 1, "1": 1, "activation": 1, "activates": 1, "stimulation": 1, "positive": 1, "-->": 1,
    "-": -1, "-1": -1, "repression": -1, "represses": -1, "inhibition": -1, "negative": -1, "--|": -1,
}  # fmt: skip


def read_edge_file(
    path: str | Path, *, columns: Sequence[str | int] | None = None, separator: str | None = None
) -> pd.DataFrame:
    """Read a table of edges.

    Parameters
    ----------
    path
        csv, tsv, white-space separated text or parquet; gzip, xz and bzip2 are seen by their first bytes.
    columns
        Names (or, without a header, positions) of the source and target columns. Default: columns called
        source, TF, regulator or Gene1, and target, Gene2 or gene_symbol, in any case; where the first line has
        no such names it counts as an edge, and the first two columns are taken.
    separator
        Of text; default: tab, comma or white space, whichever the first line has.

    Returns
    -------
    DataFrame
        ``source, target`` (text), ``sign`` (1, -1, 0) where a column sign, mor, type, interaction or effect
        says it, and the named columns that are left.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is empty, has fewer than two columns, or lacks `columns`.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}")
    table = _parquet(path) if _is_parquet(path) else _text(path, columns, separator)
    return _named(table, columns, path)


def signs(values: pd.Series) -> pd.Series:
    """Turn "+", "Activation", 2.5, ... into 1, -1 and 0 (not stated)."""
    if pd.api.types.is_numeric_dtype(values):
        return pd.Series(np.sign(values.fillna(0)), index=values.index).astype("int8")
    return values.astype(str).str.strip().str.lower().map(_SIGNS).fillna(0).astype("int8")


def _is_parquet(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(4) == b"PAR1"


def _parquet(path: Path) -> pd.DataFrame:
    return pd.read_parquet(path)


def _text(path: Path, columns: Sequence[str | int] | None, separator: str | None) -> pd.DataFrame:
    with open_content(path) as file:
        first = file.readline().decode("utf-8-sig", errors="replace").rstrip("\r\n")
    if not first:
        raise ValueError(f"{path} is empty: an edge table needs a source and a target column")
    separator = separator or ("\t" if "\t" in first else "," if "," in first else r"\s+")
    fields = [part.strip(' "#') for part in (first.split() if separator == r"\s+" else first.split(separator))]
    if columns is None:
        header = _pick(fields, SOURCE_NAMES) is not None and _pick(fields, TARGET_NAMES) is not None
        if not header:
            logger.info("%s has no header with known names: its first line %r counts as an edge", path, first[:80])
    else:
        header = all(isinstance(column, str) for column in columns)
    with open_content(path) as file:
        # A gene may be called NA or NAN: only an empty field is a missing name.
        return pd.read_csv(
            file, sep=separator, header=0 if header else None, keep_default_na=False, na_values=[""], low_memory=False
        )


def _pick(fields: Sequence[object], names: Sequence[str]) -> object | None:
    """Return the first of `names` that is a field, as the field writes it."""
    lower = {str(field).strip().lower(): field for field in reversed(fields)}
    return next((lower[name] for name in names if name in lower), None)


def _named(table: pd.DataFrame, columns: Sequence[str | int] | None, path: Path) -> pd.DataFrame:
    held = list(table.columns)
    if len(held) < 2:
        raise ValueError(f"{path} has one column ({held[0]!r}) only: give separator=, or a table of source and target")
    if columns is None:
        source, target = _pick(held, SOURCE_NAMES), _pick(held, TARGET_NAMES)
        if source is None or target is None:
            if not all(isinstance(name, (int, np.integer)) for name in held):
                raise ValueError(
                    f"{path} has the columns {held}: say which hold the regulator and the target, columns=(…, …)"
                )
            source, target = held[0], held[1]
    else:
        source, target = columns
        missing = [column for column in (source, target) if column not in held]
        if missing:
            raise ValueError(f"{path} has no column {missing}; it has {held}")
    edges = pd.DataFrame({"source": _text_of(table[source]), "target": _text_of(table[target])})
    rest = [name for name in held if name not in (source, target) and isinstance(name, str)]
    sign = _pick(rest, SIGN_NAMES)
    if sign is not None:
        edges["sign"] = signs(table[sign])
    for name in rest:
        if name != sign and name not in edges:
            edges[name] = table[name]
    return edges


def _text_of(names: pd.Series) -> pd.Series:
    return names.astype(object).where(names.notna(), "").astype(str).str.strip()

"""Tables of benchmarks as files: written whole, read again, and joined with those of others."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bengrn._wording import listed
from bengrn.benchmarking.columns import COLUMNS, KEY, SCORES, STATUSES, as_table
from bengrn.benchmarking.located_yaml import near
from grnndata import atomic_path

if TYPE_CHECKING:
    import pandas as pd

logger = logging.getLogger(__name__)

#: Columns without which nobody knows what the rows of a table are.
_NEEDED = ("method", "dataset", "truth", "regulators")


def write_table(table: pd.DataFrame, folder: Path) -> None:
    """Write the table of a benchmark as ``table.parquet`` and ``table.csv``."""
    with atomic_path(folder / "table.parquet") as temporary:
        table.to_parquet(temporary, index=False)
    with atomic_path(folder / "table.csv") as temporary:
        table.to_csv(temporary, index=False)


def read_table(path: Path | str) -> pd.DataFrame:
    """Read a table of a benchmark, of this tool or another.

    Parameters
    ----------
    path
        Folder of results, or file: csv, tsv or parquet.

    Returns
    -------
    pandas.DataFrame
        All columns of :data:`bengrn.benchmarking.columns.COLUMNS`. What the file lacks is missing; ``label`` is then
        the method, ``orientation`` "as stored", ``seed`` 0 and ``status`` "ok". Columns that are not known are told
        and left out.

    Raises
    ------
    FileNotFoundError
        If the file does not exist.
    ValueError
        If it lacks ``method``, ``dataset``, ``truth`` or ``regulators`` or every score, or a score is not a number.
    """
    import pandas as pd

    place = Path(path)
    if place.is_dir():
        place = place / "table.parquet"
    if not place.is_file():
        raise FileNotFoundError(f"there is no table {place}")
    if place.suffix == ".parquet":
        read = pd.read_parquet(place)
    else:
        sep = "\t" if place.suffix in (".tsv", ".txt") else ","
        read = pd.read_csv(place, sep=sep, dtype={name: str for name, one in COLUMNS.items() if one.kind == "text"})
    missing = [name for name in _NEEDED if name not in read]
    scores = [name for name in (*SCORES, "gain") if name in read]
    if missing or not scores:
        lacks = listed(missing) if missing else f"every score ({', '.join(SCORES)})"
        raise ValueError(f"{place} lacks {lacks}; it has the columns {listed(read.columns)}")
    unknown = [str(name) for name in read.columns if name not in COLUMNS]
    for name in unknown:
        logger.warning("%s: the column %r is not known and is left out%s", place, name, near(name, list(COLUMNS)))
    read = read.drop(columns=unknown)
    for name in read.columns:
        if COLUMNS[name].kind in ("number", "whole"):
            values = pd.to_numeric(read[name], errors="coerce")
            bad = values.isna() & read[name].notna()
            if bad.any():
                row = int(bad.to_numpy().argmax())
                raise ValueError(f"{place}: {name} is no number in row {row + 1}: {read[name].iloc[row]!r}")
            read[name] = values
    usual: dict[str, Any] = {
        "label": read["method"],
        "orientation": "as stored",
        "seed": 0,
        "status": "ok",
        "settings": "{}",
    }
    for name, value in usual.items():
        if name not in read:
            read[name] = value
    odd = sorted(set(read["status"].dropna().astype(str)) - set(STATUSES))
    if odd:
        raise ValueError(f"{place}: there is no status {odd[0]!r}{near(odd[0], list(STATUSES))}")
    return as_table(read)


def joined(own: pd.DataFrame, added: Sequence[Path | str]) -> pd.DataFrame:
    """Join the table of a benchmark with tables of others.

    Raises
    ------
    ValueError
        If two rows have the same key, or as :func:`read_table`.
    """
    import pandas as pd

    tables: list[Any] = [own]
    for path in added:
        tables.append(read_table(path))
        both = pd.concat([one[list(KEY)] for one in tables], ignore_index=True)
        repeated = both[both.duplicated()]
        if len(repeated):
            first = ", ".join(f"{name} {value!r}" for name, value in repeated.iloc[0].items() if value != "")
            raise ValueError(f"{path}: {len(repeated):,} of its rows stand in the table already, such as {first}")
    if len(tables) == 1:
        return own
    return as_table([row for one in tables for row in one.to_dict("records")])

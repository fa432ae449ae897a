"""The results of a benchmark, read from its folder: the table, and the details that plots are made of."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import Any

import pandas as pd

from bengrn._wording import counted, listed
from bengrn.benchmarking.columns import DETAILS, KEY, SCORES
from bengrn.benchmarking.table_files import read_table

#: What every row of others must say; all else may be missing.
_NEEDED = ("method", "dataset", "truth", "regulators")
#: Rows that answer the same question, and may be compared when their pairs are as many.
QUESTION = ("dataset", "group", "truth", "organism", "regulators")


@dataclass(frozen=True, eq=False)
class Results:
    """Results of a benchmark.

    Attributes
    ----------
    table
        One row a method, data set, group, replicate, truth, orientation, universe and seed, with the columns of
        ``bengrn.benchmarking.columns.COLUMNS``, and ``added``: the file that a row came from, empty for those of the
        run.
    folder
        Folder of the run, None when all rows are of other tables.
    run
        What the run says of itself: its configuration, command line and versions.
    added
        Tables of others, whose rows are among those of the table.
    """

    table: pd.DataFrame
    folder: Path | None = None
    run: Mapping[str, Any] = field(default_factory=dict)
    added: tuple[Path, ...] = ()

    def select(self, **values: str | int | Sequence[str | int]) -> Results:
        """Keep the rows that have given values in given columns.

        Parameters
        ----------
        **values
            Value of a column, or several of them: ``dataset="retina_1k", regulators="assayed"``.

        Returns
        -------
        Results

        Raises
        ------
        ValueError
            When a column does not exist, or no row has a value.
        """
        kept = self.table
        for column, wanted in values.items():
            if column not in kept.columns:
                raise ValueError(f"there is no column {column!r}: there are {listed(self.table.columns, 60)}")
            wanted_list = [wanted] if isinstance(wanted, str | int) else list(wanted)
            there = kept[column].unique().tolist()
            unknown = [value for value in wanted_list if value not in there]
            if unknown:
                raise ValueError(f"no row has {column} = {listed(unknown)}: there are {listed(there)}")
            kept = kept[kept[column].isin(wanted_list)]
        return replace(self, table=kept)

    @cached_property
    def curves(self) -> dict[int, pd.DataFrame]:
        """Precision-recall curve of each row that has one, by the row's place: columns recall and precision."""
        return self._details("curve")

    @cached_property
    def regulators(self) -> dict[int, pd.DataFrame]:
        """Scores of each regulator for each row that has them; see :data:`bengrn.benchmarking.columns.DETAIL_FILES`."""
        return self._details("regulators")

    @cached_property
    def edges(self) -> dict[str, pd.DataFrame]:
        """Strongest edges of each network, by its checksum: columns source, target and weight, strongest first."""
        found = {}
        for checksum in self.table["network_sha256"].unique():
            path = self._file(f"{checksum[:16]}.edges.parquet") if checksum else None
            if path is not None:
                edges = pd.read_parquet(path)
                order = edges["weight"].abs().sort_values(ascending=False, kind="stable").index
                found[str(checksum)] = edges.loc[order].reset_index(drop=True)
        return found

    def _details(self, kind: str) -> dict[int, pd.DataFrame]:
        found = {}
        for place, name in self.table["details"].items():
            path = self._file(f"{name}.{kind}.parquet") if name else None
            if path is not None:
                found[int(str(place))] = pd.read_parquet(path)
        return found

    def _file(self, name: str) -> Path | None:
        if self.folder is None or not (self.folder / DETAILS / name).is_file():
            return None
        return self.folder / DETAILS / name


def read_results(folder: PathLike[str] | str | None, add: Sequence[PathLike[str] | str] = ()) -> Results:
    """Read the results of a benchmark from its folder, with tables of others.

    Parameters
    ----------
    folder
        Folder that ``bengrn run`` wrote; None for tables of others alone.
    add
        Tables of others, csv or parquet, with columns of the same names; method, dataset, truth, regulators and a
        score are needed. Their rows stand beside those of the run.

    Returns
    -------
    Results

    Raises
    ------
    FileNotFoundError
        When the folder or a file does not exist, or the folder has no table.
    ValueError
        When all tables are empty, one of others lacks columns or has values that are not known, or two tables have
        a row of the same key.
    """
    tables = []
    run: dict[str, Any] = {}
    if folder is not None:
        place = Path(folder)
        tables.append(read_table(table_of(place)).assign(added=""))
        if (place / "run.json").is_file():
            run = json.loads((place / "run.json").read_text("utf-8"))
    tables += [_of_others(Path(path)) for path in add]
    if not tables or not sum(map(len, tables)):
        raise ValueError(f"there are no rows in {folder or 'no table'}: run `bengrn run` first, or add a table")
    table = pd.concat(tables, ignore_index=True)
    doubled = table[table.duplicated(list(KEY), keep=False)]
    if len(doubled):
        first = doubled.iloc[0]
        key = ", ".join(f"{name} {first[name]!r}" for name in KEY if first[name])
        files = listed(doubled["added"].replace("", str(folder)).unique())
        raise ValueError(
            f"{counted(len(doubled), 'row')} of {files} share their key, such as {key}: rename the methods"
        )
    return Results(table, None if folder is None else Path(folder), run, tuple(map(Path, add)))


def table_of(folder: Path) -> Path:
    """Return the file with the table of a folder of results.

    Raises
    ------
    FileNotFoundError
        When the folder does not exist, or has no table.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"there is no folder {folder}: name the one that `bengrn run` wrote")
    for name in ("table.parquet", "table.csv"):
        if (folder / name).is_file():
            return folder / name
    raise FileNotFoundError(f"{folder} has no table.parquet: `bengrn run` writes it")


def _of_others(path: Path) -> pd.DataFrame:
    table = read_table(path)
    lacking = [name for name in _NEEDED if (table[name] == "").any()]
    if lacking:
        raise ValueError(f"{path}: every row needs {listed(_NEEDED)}, and some lack {listed(lacking)}")
    empty = (table["status"] == "ok") & table[[*SCORES, "gain"]].isna().all(axis="columns")
    if empty.any():
        raise ValueError(f"{path}: {counted(int(empty.sum()), 'row')} without any of {listed(SCORES)}")
    table["label"] = table["label"].where(table["label"] != "", table["method"])
    return table.assign(added=path.name)

"""The input files of SERGIO: interactions, rates of master regulators, and the differentiation graph."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from bengrn._wording import listed


def is_interactions(path: Path) -> bool:
    """Tell whether a file is a table of interactions as SERGIO takes it, by its first line."""
    try:
        with path.open(encoding="utf-8") as file:
            first = file.readline()
    except UnicodeDecodeError:
        return False
    try:
        numbers = [float(field) for field in first.split(",")]
    except ValueError:
        return False
    return len(numbers) >= 5 and numbers[1] >= 1 and len(numbers) == 2 + 3 * numbers[1]


def read_interactions(path: str | Path) -> pd.DataFrame:
    """Read SERGIO's file of interactions.

    Each line has a target, the number n of its regulators, their n names, n strengths (below 0 for a repressor) and n
    Hill exponents, separated by commas.

    Parameters
    ----------
    path
        Name of the file.

    Returns
    -------
    pandas.DataFrame
        Columns source, target (text), sign, strength and hill.

    Raises
    ------
    ValueError
        If a line has another number of fields than its number of regulators asks for.
    """
    rows = []
    for at, line in enumerate(Path(path).read_text(encoding="utf-8").splitlines(), start=1):
        if not line.strip():
            continue
        fields = [field.strip() for field in line.split(",")]
        n = int(float(fields[1])) if len(fields) > 1 else 0
        if len(fields) != 2 + 3 * n or n < 1:
            raise ValueError(
                f"line {at} of {path} has {len(fields)} fields and {n} regulators: it needs a target, their number n, "
                "n names, n strengths and n Hill exponents"
            )
        for k in range(n):
            strength = float(fields[2 + n + k])
            rows.append((_name(fields[2 + k]), _name(fields[0]), strength, float(fields[2 + 2 * n + k])))
    return pd.DataFrame(rows, columns=["source", "target", "strength", "hill"])


def read_rates(path: str | Path) -> pd.DataFrame:
    """Read the production rates of master regulators: a gene and its rate in each cell type, separated by commas.

    Parameters
    ----------
    path
        Name of the file: SERGIO's, without a header, or a table whose first line names the cell types.

    Returns
    -------
    pandas.DataFrame
        Rates, (master regulators, cell types); types are called "type 0", ... where the file has no header.
    """
    with Path(path).open(encoding="utf-8") as file:
        fields = file.readline().strip().split(",")
    try:
        [float(field) for field in fields[1:]]
    except ValueError:
        table = pd.read_csv(path, index_col=0, dtype={0: str})
        table.index = table.index.astype(str)
        return table.astype(float)
    table = pd.read_csv(path, header=None, dtype={0: str})
    names = [_name(name) for name in table[0].astype(str)]
    values = table.iloc[:, 1:].to_numpy(dtype=float)
    return pd.DataFrame(values, index=names, columns=[f"type {at}" for at in range(values.shape[1])])


def read_graph(path: str | Path) -> np.ndarray:
    """Read a differentiation graph: a square table, separated by tabs or blanks, of types × types.

    Parameters
    ----------
    path
        Name of the file.

    Raises
    ------
    ValueError
        If it is not square.
    """
    graph = np.loadtxt(path, ndmin=2)
    if graph.shape[0] != graph.shape[1]:
        raise ValueError(f"the differentiation graph {path} has the shape {graph.shape}: it is types × types")
    return graph


def rates_table(rates: object, masters: list[str]) -> pd.DataFrame:
    """Take the rates of master regulators as a table, checked, with one row for each of them.

    Parameters
    ----------
    rates
        DataFrame (master regulators, cell types), or the path of one.
    masters
        Names of the master regulators.

    Raises
    ------
    ValueError
        If a master regulator lacks a rate, another gene has one, or a rate is negative, infinite or missing.
    """
    table = rates if isinstance(rates, pd.DataFrame) else read_rates(str(rates))
    table = table.set_axis(table.index.astype(str)).set_axis(table.columns.astype(str), axis=1)
    if table.index.has_duplicates:
        raise ValueError(f"rates are there twice for {listed(table.index[table.index.duplicated()])}")
    without = [gene for gene in masters if gene not in table.index]
    if without:
        raise ValueError(
            f"{len(without)} of {len(masters)} master regulators (genes that nothing regulates) have no rate: "
            f"{listed(without)}"
        )
    known = set(masters)
    others = [gene for gene in table.index if gene not in known]
    if others:
        raise ValueError(
            f"rates belong to master regulators, and {listed(others)} are regulated by others, or no genes of the "
            "network"
        )
    table = table.loc[masters].astype(float)
    values = table.to_numpy()
    bad = (~np.isfinite(values) | (values < 0)).any(axis=1)
    if bad.any():
        gene = table.index[bad][0]
        raise ValueError(
            f"the rates of {gene} are {table.loc[gene].tolist()}: production rates are finite numbers of 0 or more"
        )
    if table.shape[1] == 0:
        raise ValueError("the table of rates has no cell type: give a column for each")
    return table


def _name(field: str) -> str:
    """Return the name of a gene; SERGIO writes its numbers as 15.0."""
    try:
        number = float(field)
    except ValueError:
        return field.strip()
    return str(int(number)) if number.is_integer() else field.strip()

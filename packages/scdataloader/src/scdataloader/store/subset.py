"""Which cells of a store to use: some of its data sets, and those that meet a condition."""

from __future__ import annotations

import ast
from collections.abc import Sequence

import numpy as np
import pandas as pd

from scdataloader._wording import listed
from scdataloader.store.reader import CellReader


def select_rows(
    store: CellReader, *, datasets: Sequence[str] | None = None, where: str | None = None
) -> np.ndarray | None:
    """Return the rows of a store to use, rising; None for all.

    Parameters
    ----------
    store
        Open.
    datasets
        Names of data sets; None: all.
    where
        Condition on the cells' table, as `pandas.DataFrame.query` takes it; None: none.

    Raises
    ------
    ValueError
        When a data set or a column does not exist, the condition cannot be understood, or no cell is left.
    """
    if datasets is None and where is None:
        return None
    kept = np.ones(len(store), np.bool_)
    if datasets is not None:
        check_names(datasets, store.datasets)
        chosen = np.isin(np.arange(len(store.datasets)), [store.datasets.index(name) for name in datasets])
        kept &= chosen[store.dataset]
    if where is not None:
        kept &= _meets(store, where)
    if not kept.any():
        raise ValueError(f"no cell is left of {len(store):,}: datasets={datasets}, where={where!r}")
    return np.flatnonzero(kept)


def check_names(wanted: Sequence[str], there: Sequence[str]) -> None:
    """Raise ValueError where a data set is wanted that there is not."""
    if unknown := [name for name in wanted if name not in there]:
        raise ValueError(f"there are no data sets {unknown[:5]}, only {list(there)[:10]}")


def _meets(store: CellReader, where: str) -> np.ndarray:
    columns = _columns(where, store.columns)
    table = store.obs(columns).reset_index(drop=True)
    for name in columns:  # compared as text: categories of several data sets are not the same
        if isinstance(table[name].dtype, pd.CategoricalDtype):
            table[name] = table[name].astype(object)
    try:
        found = np.asarray(table.eval(where, engine="python"))
    except Exception as error:
        raise ValueError(
            f"where={where!r} cannot be understood ({error}): columns of obs are {store.columns}"
        ) from error
    if found.dtype != np.bool_ or found.shape != (len(store),):
        raise ValueError(f"where={where!r} gives {found.dtype}, not true or false for each cell: write a condition")
    return found


def _columns(where: str, there: Sequence[str]) -> list[str]:
    """Return the columns that a condition names; all where that cannot be told."""
    if "`" in where:
        return list(there)
    try:
        names = [node.id for node in ast.walk(ast.parse(where.strip(), mode="eval")) if isinstance(node, ast.Name)]
    except SyntaxError as error:
        raise ValueError(f"where={where!r} cannot be understood: {error}") from error
    if unknown := [name for name in dict.fromkeys(names) if name not in there]:
        raise ValueError(f"where={where!r}: obs has no columns {unknown}; it has [{listed(there)}]")
    return list(dict.fromkeys(names))

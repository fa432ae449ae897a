"""Edges of a truth from a table on disk, with or without a header, in the forms in which truths are published."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

SIGN_NAMES = ("sign", "mor", "type", "interaction", "effect")
_SIGNS = {
    "+": 1, "1": 1, "activation": 1, "activates": 1, "stimulation": 1, "positive": 1, "-->": 1,
    "-": -1, "-1": -1, "repression": -1, "represses": -1, "inhibition": -1, "negative": -1, "--|": -1,
}  # fmt: skip


def read_edge_file(
    path: str | Path, *, columns: Sequence[str | int] | None = None, separator: str | None = None
) -> pd.DataFrame:
    """Read a table of edges, and whether they activate or repress where it says so.

    What was guessed of its columns is told in words in ``attrs["notes"]`` of the result.

    Parameters
    ----------
    path
        File as for `grnndata.read_pairs`: csv, tsv, white-space separated text or parquet, compressed or not, or one
        of a matrix, of regulons or of a base GRN.
    columns
        Names (or, without a header, positions) of the source and target columns. None: those that
        `grnndata.read_pairs` recognises, such as source, TF, regulator or Gene1, and target, Gene2 or gene_symbol;
        where the first line has no such names it counts as an edge, and the first two columns are taken.
    separator
        Separator of the fields of text; None: tab, comma, semicolon or white space, as `grnndata.read_pairs` finds.

    Returns
    -------
    DataFrame
        ``source, target`` (text), ``sign`` (1, -1, 0) where a column sign, mor, type, interaction or effect
        says it, and the named columns that are left.

    Raises
    ------
    FileNotFoundError
        If the file does not exist.
    ValueError
        If it is empty, has fewer than two columns, or lacks `columns`.
    """
    from grnndata import read_pairs  # takes seconds to import

    edges = read_pairs(path, columns=columns, sep=separator)
    lower = {str(name).strip().lower(): name for name in reversed(edges.columns[2:])}
    named = next((lower[name] for name in SIGN_NAMES if name in lower), None)
    if named is None:
        return edges
    sign = signs(edges.pop(named))
    edges.insert(2, "sign", sign)
    return edges


def signs(values: pd.Series) -> pd.Series:
    """Return 1, -1 and 0 (not stated) for values such as "+", "Activation" or 2.5."""
    if pd.api.types.is_numeric_dtype(values):
        return pd.Series(np.sign(values.fillna(0)), index=values.index).astype("int8")
    return values.astype(str).str.strip().str.lower().map(_SIGNS).fillna(0).astype("int8")

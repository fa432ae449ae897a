"""Columns that say yes or no, however a file writes them: as booleans, numbers, words or categories."""

from __future__ import annotations

import numpy as np
import pandas as pd

from scdataloader._wording import counted, listed

_TRUE = frozenset(("true", "t", "yes", "y", "1", "1.0"))
_FALSE = frozenset(("false", "f", "no", "n", "0", "0.0"))


def flags(column: pd.Series) -> tuple[np.ndarray, np.ndarray]:
    """Read a column of true and false.

    Understood are booleans, the numbers 1 and 0, and the words true, t, yes, y, 1 and their opposites in any case, also
    as categories.

    Parameters
    ----------
    column
        Values, shape (n,).

    Returns
    -------
    tuple
        Two bool arrays, shape (n,): which are true, and which are false. What is neither is missing or not understood.
    """
    codes, values = pd.factorize(column, use_na_sentinel=True)
    words = [str(value).strip().casefold() for value in values]
    true = np.array([word in _TRUE for word in words] + [False])  # -1, the last, is that of missing values
    false = np.array([word in _FALSE for word in words] + [False])
    return true[codes], false[codes]


def unclear(column: pd.Series) -> str:
    """Say which values of a column are neither true nor false, and how many there are; empty if there are none."""
    true, false = flags(column)
    neither = column[~(true | false)].astype(object)
    if neither.empty:
        return ""
    sizes = neither.where(neither.notna(), None).value_counts(dropna=False)
    shown = listed(sizes.index, sizes={name: f"{n:,}" for name, n in sizes.items()})
    are = "is" if len(neither) == 1 else "are"
    return f"{counted(len(neither), 'value')} of {column.name!r} {are} neither true nor false ({shown})"


def measured(table: pd.DataFrame) -> np.ndarray:
    """Return which genes of a table were measured, by its column ``measured``; bool, all where this column is absent.

    Raises
    ------
    ValueError
        When the column holds something that is neither true nor false.
    """
    if "measured" not in table:
        return np.ones(len(table), dtype=bool)
    if problem := unclear(table["measured"]):
        raise ValueError(f"var: {problem}: write true or false, or leave the column out")
    return flags(table["measured"])[0]

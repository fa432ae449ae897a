"""Bring expression into the form that a method takes, where that is exact."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

#: "counts": raw counts. "log": log(1 + counts per 10,000), or other values as they are given. "any": as given.
#: "genes": only the number of genes.
type Takes = Literal["counts", "log", "any", "genes"]

_SCALE = 1e4


def log_cp10k(counts: Any) -> NDArray[np.float64]:
    """Scale each cell to 10,000 counts over the given genes and take log(1 + x).

    Parameters
    ----------
    counts
        Raw counts, (cells, genes), array or sparse. Cells without counts are left out.

    Raises
    ------
    ValueError
        If a value is negative or no whole number, or fewer than two cells have counts.
    """
    X = _dense(counts)
    bad = _no_counts(X)
    if bad.any():
        raise ValueError(f"{_told(X, bad)}: pass raw counts, the normalisation is done here")
    return _normalised(X)


def _normalised(X: NDArray[np.float64]) -> NDArray[np.float64]:
    total = X.sum(axis=1)
    if int((total > 0).sum()) < 2:
        raise ValueError(f"{int((total > 0).sum())} of {len(X)} cells have counts: a network needs at least two")
    X, total = X[total > 0], total[total > 0]
    return np.log1p(X / total[:, None] * _SCALE)


def expression(X: Any, takes: Takes) -> tuple[NDArray[np.float64], str]:
    """Return expression as a method takes it, and what was done to it.

    Parameters
    ----------
    X
        Values, (cells, genes), array or sparse.
    takes
        Form that the method takes.

    Returns
    -------
    values : numpy.ndarray
        (cells, genes) float64; cells without any count are left out where counts are normalised.
    transform : str
        Words for what was done, for the network's description.

    Raises
    ------
    ValueError
        If a value is NaN or infinite, fewer than two cells can be used, or the method takes counts and there are other
        values.
    """
    values = _dense(X)
    n_bad = int(np.count_nonzero(~np.isfinite(values)))
    if n_bad:
        raise ValueError(f"{n_bad:,} of {values.size:,} values in X are NaN or infinite: take these cells out")
    if len(values) < 2:
        raise ValueError(f"there are {len(values)} cells: a network needs at least two")
    bad = _no_counts(values)
    if takes == "counts" and bad.any():
        raise ValueError(f"{_told(values, bad)}: this method takes raw counts; if a layer holds them, name the layer")
    if takes != "log":
        return values, "values as given"
    if bad.any():
        return values, f"values as given: {_told(values, bad)}"
    empty = int((values.sum(axis=1) == 0).sum())
    left_out = f"; {empty:,} of {len(values):,} cells have no count and are left out" if empty else ""
    return _normalised(values), f"log1p of counts per 10,000{left_out}"


def _dense(X: Any) -> NDArray[np.float64]:
    is_sparse: bool = sp.issparse(X)
    return np.asarray(X.toarray() if is_sparse else X, dtype=np.float64)


def _no_counts(values: NDArray[np.float64]) -> NDArray[np.bool_]:
    return (values < 0) | (np.floor(values) != values)


def _told(values: NDArray[np.float64], bad: NDArray[np.bool_]) -> str:
    return f"{int(bad.sum()):,} of {values.size:,} values in X are no counts (first: {float(values[bad][0]):g})"

"""Raw counts and table of cells of an AnnData, which may store them in many ways; what holds no counts is refused."""

from __future__ import annotations

import numpy as np
import pandas as pd
from anndata import AnnData
from scipy import sparse

from scdataloader._wording import counted, percent
from scdataloader.count_evidence import CountEvidence, count_warnings

__all__ = [
    "CountEvidence",
    "check_raw_counts",
    "check_shape",
    "count_warnings",
    "csr_counts",
    "log_normalise",
    "obs_table",
    "total_counts",
]

_CHUNK = 1 << 22  # values looked at together: bounds the temporary arrays of the integer test


def csr_counts(adata: AnnData) -> sparse.csr_matrix:
    """Return X in memory as CSR, shape (n_cells, n_genes); the stored matrix itself where it is that already.

    Raises
    ------
    ValueError
        When the data have no X.
    """
    if adata.X is None:
        raise ValueError("X is empty: put the raw counts in X")
    matrix = adata.X.to_memory() if hasattr(adata.X, "to_memory") else adata.X  # backed files
    return sparse.csr_matrix(matrix)  # type: ignore[arg-type]  # anndata's union holds kinds for other devices


def total_counts(adata: AnnData) -> np.ndarray:
    """Return each cell's total count, float32: ``obs["total_counts"]`` (which may count more genes), else X's sum."""
    obs = obs_table(adata)
    if "total_counts" in obs:
        return obs["total_counts"].to_numpy(np.float32)
    return np.asarray(csr_counts(adata).sum(axis=1), dtype=np.float32).ravel()


def log_normalise(adata: AnnData) -> sparse.csr_matrix:
    """Return log(1 + counts per 10,000), float64, shape (n_cells, n_genes); depth is `total_counts`."""
    scale = sparse.diags_array(1e4 / np.maximum(total_counts(adata).astype(np.float64), 1))
    return sparse.csr_matrix(scale @ csr_counts(adata).astype(np.float64)).log1p()


def obs_table(adata: AnnData) -> pd.DataFrame:
    """Return ``obs`` as a data frame.

    Raises
    ------
    TypeError
        When the data were opened lazily.
    """
    if not isinstance(adata.obs, pd.DataFrame):
        raise TypeError("obs is not in memory: call adata.to_memory() first")
    return adata.obs


def check_shape(adata: AnnData, *, min_cells: int = 2) -> None:
    """Raise ValueError unless there are at least `min_cells` cells and one gene."""
    n_cells, n_genes = adata.shape
    check_size(n_cells, n_genes, min_cells=min_cells)
    if adata.X is None:
        raise ValueError("X is empty: put the raw counts in X, for instance from a layer")


def check_size(n_cells: int, n_genes: int, *, min_cells: int) -> None:
    """Raise ValueError unless there are at least `min_cells` cells and one gene."""
    if n_genes == 0 or n_cells == 0:
        raise ValueError(f"the data hold {n_cells} cells and {n_genes} genes: there is nothing to work on")
    if n_cells < min_cells:
        raise ValueError(f"the data hold {n_cells} cell(s): at least {min_cells} are needed (min_cells)")


def check_cell_names(names: pd.Index) -> None:
    """Raise ValueError when a cell has the name of another, and say which."""
    repeated = names[names.duplicated()].unique()
    if len(repeated):
        raise ValueError(
            f"{counted(len(repeated), 'duplicate cell id')}, such as {repeated[:3].tolist()}: "
            "number them with unique_names=True (--unique-names)"
        )


def check_raw_counts(matrix: sparse.csr_matrix | np.ndarray, *, all_zero: bool = False) -> None:
    """Raise ValueError unless every value is a finite whole number, zero or more, and not all are zero.

    Parameters
    ----------
    matrix
        Counts, shape (n_cells, n_genes).
    all_zero
        Let a matrix of zeros pass, as one block of a larger matrix may be.
    """
    values = matrix.data if sparse.issparse(matrix) else np.asarray(matrix).ravel()
    largest = 0.0
    for begin in range(0, len(values), _CHUNK):
        part = values[begin : begin + _CHUNK]
        if part.dtype.kind in "bu":
            largest = max(largest, float(part.max(initial=0)))
            continue
        if not np.isfinite(part).all():
            raise ValueError("the counts hold NaN or infinite values: fix them first")
        if (part < 0).any():
            raise ValueError(
                f"the counts hold negative values (least {part.min():.4g}): they look scaled, pass raw counts"
            )
        whole = part == np.floor(part)
        if not whole.all():
            examples = ", ".join(f"{v:.4g}" for v in part[~whole][:3])
            raise ValueError(
                f"these are not raw counts: {percent(float((~whole).mean()))} of the stored values are not "
                "whole numbers "
                f"({examples}, ...; largest {part.max():.4g}), so they look normalised. Put raw counts in X, for "
                "instance from adata.raw or a layer"
            )
        largest = max(largest, float(part.max(initial=0)))
    if largest == 0 and not all_zero:
        raise ValueError("every count is zero")

"""Typed access to what an AnnData holds: it may store X and obs in many ways, the code here wants one."""

from __future__ import annotations

import numpy as np
import pandas as pd
from anndata import AnnData
from scipy import sparse


def csr_counts(adata: AnnData) -> sparse.csr_matrix:
    """Return X in memory as CSR, shape (n_cells, n_genes); the stored matrix itself where it is that already.

    Raises
    ------
    ValueError
        When there is no X.
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

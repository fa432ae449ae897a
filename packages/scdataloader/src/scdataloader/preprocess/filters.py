"""Masks of the cells that stay: each a pure function of counts or labels."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy import sparse


def enough_genes(counts: sparse.csr_matrix, min_genes: int) -> np.ndarray:
    """Return which cells express at least `min_genes` genes; bool, shape (n_cells,)."""
    return counts.count_nonzero(axis=1) >= min_genes


def primary(obs: pd.DataFrame) -> np.ndarray:
    """Return which cells are not marked as copies (``is_primary_data`` false); bool, shape (n_cells,)."""
    if "is_primary_data" not in obs:
        return np.ones(len(obs), dtype=bool)
    return obs["is_primary_data"].astype(str).str.lower().ne("false").to_numpy()

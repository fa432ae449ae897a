"""The genes whose expression differs most between cells: those that a network is worth inferring of."""

from __future__ import annotations

import numpy as np
import pandas as pd
import scipy.sparse as sp
from anndata import AnnData
from numpy.typing import NDArray

_DEPTH = 1e4


def most_variable_genes(adata: AnnData, n: int) -> NDArray[np.object_]:
    """Return the names of the genes whose log-normalised counts vary most over the cells.

    Each cell is scaled to 10,000 counts, log(1 + x) is taken, and genes are ranked by the variance over all cells.
    Genes with equal variances rank in the order of the data. Genes without any count are left out, so that fewer than
    `n` names may come back. Dispersion is not corrected for the mean, as `scanpy.pp.highly_variable_genes` does.

    Parameters
    ----------
    adata
        Cells with raw counts in X, dense, sparse or backed by a file; not changed. A column ``obs["total_counts"]``,
        where there is one, is taken as the depth of each cell: it may count genes that `adata` does not hold.
    n
        Number of genes.

    Returns
    -------
    numpy.ndarray
        Names from ``var_names``, in the order of the data, shape (at most n,).

    Raises
    ------
    ValueError
        When X is empty, or `n` is negative.

    Examples
    --------
    >>> import numpy as np, pandas as pd
    >>> counts = np.array([[5, 0, 5], [5, 5, 0]])
    >>> most_variable_genes(AnnData(counts, var=pd.DataFrame(index=list("abc"))), 2).tolist()
    ['b', 'c']
    """
    if adata.X is None:
        raise ValueError("X is empty: put the raw counts in X")
    if n < 0:
        raise ValueError(f"n is the number of genes, at least 0, got {n}")
    counts = sp.csr_matrix(adata.X.to_memory() if hasattr(adata.X, "to_memory") else adata.X)  # type: ignore[arg-type]
    depth = np.maximum(_total_counts(adata, counts), 1)
    logged = sp.csr_matrix(sp.diags_array(_DEPTH / depth) @ counts.astype(np.float64)).log1p()
    mean = np.asarray(logged.mean(axis=0)).ravel()
    variance = np.asarray(logged.multiply(logged).mean(axis=0)).ravel() - mean**2
    # In float32, which hides how a sum was rounded: genes of the same counts in other cells tie, on every processor.
    order = np.argsort(-variance.astype(np.float32), kind="stable")[:n]
    return adata.var_names.to_numpy()[np.sort(order[mean[order] > 0])]


def _total_counts(adata: AnnData, counts: sp.csr_matrix) -> NDArray[np.float64]:
    """Return each cell's depth, rounded to float32 as it is stored in files."""
    obs = adata.obs
    if isinstance(obs, pd.DataFrame) and "total_counts" in obs:
        return obs["total_counts"].to_numpy(np.float32).astype(np.float64)
    return np.asarray(counts.sum(axis=1), dtype=np.float32).ravel().astype(np.float64)

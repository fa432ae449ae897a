"""An AnnData in memory (or backed) as a source."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import anndata
import numpy as np
import pandas as pd
from scipy import sparse

from scdataloader.sources.reading import Lazy
from scdataloader.sources.source import Matrix, Source


def from_anndata(adata: anndata.AnnData, *, name: str = "input", uri: str | None = None) -> Source:
    """Return an AnnData as a source; nothing is copied, and it is not closed with the source.

    Raises
    ------
    TypeError
        When the AnnData was opened lazily (its obs is not a data frame).
    """
    if not isinstance(adata.obs, pd.DataFrame) or not isinstance(adata.var, pd.DataFrame):
        raise TypeError("obs and var are not in memory: call adata.to_memory() first, or pass the path of the file")
    makers: dict[str, Callable[[], Matrix]] = {}
    if adata.X is not None:
        makers["X"] = partial(_matrix, adata.X, adata.var)
    if adata.raw is not None:
        makers["raw"] = partial(_matrix, adata.raw.X, adata.raw.var)
    for layer, values in adata.layers.items():
        if layer is not None:  # anndata >= 0.13 lists X there, too
            makers[f"layers/{layer}"] = partial(_matrix, values, adata.var)
    embeddings = {key: partial(_array, values) for key, values in adata.obsm.items()}
    return Source(name, uri or name, adata.obs, Lazy(makers), dict(adata.uns), embeddings)


def _matrix(values: Any, var: pd.DataFrame) -> Matrix:
    ends = None
    if hasattr(values, "tocsr"):
        # a column-major matrix is turned once: cutting rows from it would walk all its values for each block
        values = values.tocsr()
        ends = values.indptr[1:].astype(np.int64)

    def rows(begin: int, end: int) -> sparse.csr_matrix:
        part = values[begin:end]
        for reader in ("to_memory", "compute"):  # parts of backed files, of dask arrays
            if hasattr(part, reader):
                part = getattr(part, reader)()
        return sparse.csr_matrix(part)

    return Matrix((int(values.shape[0]), int(values.shape[1])), var, rows, ends)


def _array(values: Any) -> np.ndarray:
    return values.toarray() if hasattr(values, "toarray") else np.asarray(values)


def to_anndata(source: Source) -> anndata.AnnData:
    """Read X and the tables of a source into memory; X as CSR with the values of the file.

    Raises
    ------
    ValueError
        When it has no X.
    """
    if "X" not in source.matrices:
        raise ValueError(f"X is empty: there are only {list(source.matrices)}")
    matrix = source.matrices["X"]
    blocks = [block for _, _, block in matrix.blocks()]
    counts = sparse.vstack(blocks, format="csr") if blocks else sparse.csr_matrix(matrix.shape)
    return anndata.AnnData(sparse.csr_matrix(counts), obs=source.obs, var=matrix.var)

"""The paper's benchmark against OmniPath: one network a cell type, of 1,024 cells and 5,000 genes each."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp
from anndata import AnnData
from numpy.typing import NDArray

from bengrn.benchmarking.presets.given_files import Wanted, find_files, with_installed_methods
from bengrn.cell_draws import draw_cells
from bengrn.infer_command import read_cells

logger = logging.getLogger(__name__)

_CELLXGENE = "https://cellxgene.cziscience.com/collections"
FILES = {
    "kidney": Wanted("Marshall et al. 2022 (iScience 25:104097), human kidney, with obs cell_type", _CELLXGENE),
    "retina": Wanted("Wang et al. 2022 (Cell Genomics 2:100164), human retina, with obs cell_type", _CELLXGENE),
    "colon": Wanted("Kong et al. 2023 (Immunity 56:444), human colon, with obs cell_type", _CELLXGENE),
}
N_CELLS, N_GENES = 1024, 5000
#: Cell types of fewer cells get no network.
MIN_CELLS = 200
_COLUMN = "cell_type"


def resolve(values: Mapping[str, Any], data: Path | None) -> dict[str, Any]:
    """Cut the three files to a data set for each cell type: its 1,024 cells, its 5,000 most different genes.

    Raises
    ------
    FileNotFoundError
        If files are missing.
    ValueError
        If one has no cell types, or none with enough cells.
    """
    paths = find_files("omnipath-26", data, FILES)
    datasets = [
        {"name": f"{tissue}: {kind}", "cells": cells, "organism": "human"}
        for tissue, path in paths.items()
        for kind, cells in cell_types(_counts(read_cells(str(path))), path)
    ]
    logger.info("%d cell types with at least %d cells; the paper has 26", len(datasets), MIN_CELLS)
    return with_installed_methods(values) | {"datasets": datasets}


def cell_types(adata: AnnData, path: Path) -> Iterator[tuple[str, AnnData]]:
    """Yield each cell type that has enough cells, with the cells and genes of its network."""
    obs: Any = adata.obs
    if _COLUMN not in obs:
        raise ValueError(f"{path} has no obs column {_COLUMN!r}: download it from CELLxGENE, or name the column so")
    codes, kinds = pd.factorize(obs[_COLUMN].astype(object), sort=True)
    enough = np.flatnonzero(np.bincount(codes[codes >= 0], minlength=len(kinds)) >= MIN_CELLS)
    if not enough.size:
        raise ValueError(f"{path} has no cell type with {MIN_CELLS} cells; the commonest is {obs[_COLUMN].mode()[0]}")
    X: Any = adata.X
    scores = difference_scores(X, codes, len(kinds))
    for kind in enough.tolist():
        cells: NDArray[np.int64] = np.flatnonzero(codes == kind)
        cells = cells[draw_cells(X[cells], adata.var_names.astype(str).tolist(), N_CELLS, 0)]
        genes = np.sort(np.argsort(-scores[kind], kind="stable")[:N_GENES])
        yield str(kinds[kind]), adata[cells, genes].copy()


def difference_scores(X: Any, codes: NDArray[np.intp], n_kinds: int) -> NDArray[np.float64]:
    """Score how much higher each kind of cell expresses each gene than all other cells: Welch's t.

    Parameters
    ----------
    X
        Raw counts, (cells, genes), array or sparse; compared as log(1 + counts per 10,000).
    codes
        Kind of each cell, (cells,) int; -1 for none.
    n_kinds
        Number of kinds.

    Returns
    -------
    numpy.ndarray
        (kinds, genes); genes that do not vary have -inf.
    """
    counts = sp.csr_array(X).astype(np.float64)
    total = np.asarray(counts.sum(axis=1)).ravel()
    logs = sp.csr_array(sp.diags_array(1e4 / np.maximum(total, 1)) @ counts)
    logs.data = np.log1p(logs.data)
    known = np.flatnonzero(codes >= 0)
    is_kind = sp.csr_array((np.ones(known.size), (codes[known], known)), shape=(n_kinds, len(codes)))
    sums, squares = (is_kind @ logs).toarray(), (is_kind @ logs.power(2)).toarray()
    n = np.bincount(codes[known], minlength=n_kinds)[:, None].astype(float)

    def moments(n: Any, sums: Any, squares: Any) -> tuple[Any, Any]:
        mean = sums / n
        return mean, np.maximum(squares - n * mean**2, 0) / np.maximum(n - 1, 1) / n

    with np.errstate(divide="ignore", invalid="ignore"):
        mean, error = moments(n, sums, squares)
        other_mean, other_error = moments(n.sum() - n, sums.sum(axis=0) - sums, squares.sum(axis=0) - squares)
        scores: NDArray[np.float64] = (mean - other_mean) / np.sqrt(error + other_error)
    return np.where(np.isfinite(scores), scores, -np.inf)


def _counts(adata: AnnData) -> AnnData:
    # CELLxGENE keeps the counts in raw where X is normalised.
    if adata.raw is None:
        return adata
    obs: Any = adata.obs
    return AnnData(adata.raw.X, obs=obs, var=adata.raw.var)

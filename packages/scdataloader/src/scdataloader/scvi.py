"""Hand data to scvi-tools."""

from __future__ import annotations

import logging

import anndata
import numpy as np
import pandas as pd
from scipy import sparse

from scdataloader._wording import listed
from scdataloader.counts import check_raw_counts, count_warnings, csr_counts, obs_table

logger = logging.getLogger(__name__)

#: The category of cells without a label: pass it as scvi-tools' ``unlabeled_category``.
UNKNOWN_CATEGORY = "unknown"


def scvi_ready(adata: anndata.AnnData, *, batch: str | None = None, labels: str | None = None) -> anndata.AnnData:
    """Return a copy that every ``setup_anndata`` of scvi-tools takes as it is.

    The copy has raw counts in X as CSR float32, the batch and label columns as categories without gaps or unused
    entries, and unique names. It keeps the other columns of ``obs`` and ``var``. Everything else in the object is left
    out, so that nothing of it is registered by accident.

    Parameters
    ----------
    adata
        Raw counts in X, as `scdataloader.Preprocessor` gives them.
    batch, labels
        Columns of ``obs``; cells without an entry get the category ``"unknown"``.

    Raises
    ------
    ValueError
        When a column does not exist, or X holds no raw counts.

    Examples
    --------
    >>> from scdataloader import datasets
    >>> from scdataloader.scvi import scvi_ready
    >>> ready = scvi_ready(datasets.retina_1k(), labels="cell_type")
    >>> # scvi.model.SCVI.setup_anndata(ready, labels_key="cell_type")
    """
    obs = obs_table(adata).copy()
    for column in (batch, labels):
        if column is None:
            continue
        if column not in obs:
            raise ValueError(f"obs has no column {column!r}; it has [{listed(obs.columns)}]")
        obs[column] = _categories(obs[column])
    counts = sparse.csr_matrix(csr_counts(adata), dtype=np.float32, copy=True)
    counts.eliminate_zeros()
    counts.sort_indices()
    check_raw_counts(counts)
    for warning in count_warnings(counts):
        logger.warning("X may not hold raw counts: %s", warning)
    out = anndata.AnnData(counts, obs=obs, var=adata.var.copy())  # type: ignore[arg-type]  # never lazy where obs is not
    out.obs_names_make_unique()
    out.var_names_make_unique()
    return out


def _categories(column: pd.Series) -> pd.Series:
    values = [UNKNOWN_CATEGORY if missing else str(value) for value, missing in zip(column, column.isna(), strict=True)]
    return pd.Series(values, index=column.index, dtype=pd.CategoricalDtype(sorted(set(values))))

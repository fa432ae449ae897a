"""Which genes of a data set the model works on."""

from __future__ import annotations

import logging

import numpy as np
from anndata import AnnData

from scdataloader import GeneVocabulary
from scdataloader.counts import csr_counts, log_normalise
from scdataloader.preprocess.checks import check_raw_counts, check_shape

logger = logging.getLogger(__name__)

#: With fewer genes in common a cell cannot be told from noise; targeted panels have hundreds.
MIN_SHARED_GENES = 50


def shared_genes(vocabulary: GeneVocabulary, adata: AnnData) -> np.ndarray:
    """Return the columns of `adata` whose genes the model knows; int64, in the data's order.

    Every task calls this first, so that data it cannot use are refused before any work.

    Raises
    ------
    ValueError
        When X holds no raw counts, or fewer than `MIN_SHARED_GENES` genes are known; the message shows both namings.
    """
    check_shape(adata, min_cells=1)
    check_raw_counts(csr_counts(adata))
    columns = np.flatnonzero(vocabulary.index(adata.var_names) >= 0)
    if len(columns) < MIN_SHARED_GENES:
        raise ValueError(
            f"{len(columns)} of the data's {adata.n_vars:,} genes are among the model's {len(vocabulary):,}, "
            f"{MIN_SHARED_GENES} are needed: the data's names look like {adata.var_names[:3].tolist()}, the "
            f"model's like {list(vocabulary.ids[:2])}. Run "
            "scdataloader.Preprocessor first: it maps symbols and versioned ids"
        )
    logger.info("%d of %d genes are in the model's vocabulary", len(columns), adata.n_vars)
    return columns


def most_variable(adata: AnnData, n: int) -> np.ndarray:
    """Return the names of the `n` most variable genes, in the order of the data.

    Variance of log(1 + counts per 10,000) over the cells; of genes with equal variance the first is taken. Genes that
    no cell expresses are left out, so fewer than `n` may come back.

    Parameters
    ----------
    adata
        Raw counts in X.
    n
        Number of genes.
    """
    logged = log_normalise(adata)
    mean = np.asarray(logged.mean(axis=0)).ravel()
    variance = np.asarray(logged.multiply(logged).mean(axis=0)).ravel() - mean**2
    order = np.argsort(-variance, kind="stable")[:n]
    chosen = np.sort(order[mean[order] > 0])
    return adata.var_names.to_numpy()[chosen]

"""Measure how well a division of the genes into communities fits the network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp

from ..core import GRNAnnData
from ..stored import single_network
from .communities import check_resolution, symmetric_graph


def modularity(
    grn: GRNAnnData,
    communities: pd.Series | Sequence[Any],
    *,
    resolution: float = 1.0,
    top_k: int | None = 10,
) -> float:
    """Return the share of weight within communities, less the share that chance would put there.

    Parameters
    ----------
    grn
        The network; made undirected as `louvain` does.
    communities
        Label of every gene: a Series indexed by gene name, or as many labels as genes in the order of
        ``var_names``.
    resolution
        Factor of what chance would give.
    top_k
        Number of edges kept per regulator; all when None.

    Returns
    -------
    float
        At most 1; NaN for a network without edges between different genes.

    Raises
    ------
    ValueError
        When genes have no label, `resolution` is not positive, or `top_k` is not a positive whole number.

    References
    ----------
    Newman 2004, Analysis of weighted networks, Phys. Rev. E 70:056131, equation 4; resolution: Reichardt and
    Bornholdt 2006, Phys. Rev. E 74:016110, equation 15.
    """
    check_resolution(resolution)
    graph = symmetric_graph(single_network(grn), top_k)
    return modularity_of_graph(graph, _labels(communities, grn.var_names), resolution=resolution)


def modularity_of_graph(graph: sp.csr_matrix, labels: np.ndarray, *, resolution: float = 1.0) -> float:
    """Compute modularity: the plain-array form of `modularity`.

    Parameters
    ----------
    graph
        Symmetric, weights not negative, empty diagonal, shape (genes, genes).
    labels
        Whole numbers from 0, shape (genes,).
    resolution
        See `modularity`.
    """
    coo = sp.coo_array(graph)
    weights = coo.data.astype(np.float64)
    total = weights.sum()
    if not total:
        return float("nan")
    within = weights[labels[coo.row] == labels[coo.col]].sum() / total
    strength = np.bincount(labels[coo.row], weights=weights) / total
    return float(within - resolution * np.square(strength).sum())


def _labels(communities: pd.Series | Sequence[Any], genes: pd.Index) -> np.ndarray:
    if isinstance(communities, pd.Series):
        if not communities.index.is_unique:
            raise ValueError("communities has several labels for a gene: its index must hold every gene once")
        values = communities.reindex(genes)
    else:
        if len(communities) != len(genes):
            raise ValueError(f"communities has {len(communities):,} labels for {len(genes):,} genes")
        values = pd.Series(list(communities), index=genes)
    missing = genes[values.isna().to_numpy()]
    if len(missing):
        raise ValueError(
            f"communities has no label for {len(missing):,} of {len(genes):,} genes: {', '.join(map(str, missing[:5]))}"
        )
    return np.asarray(pd.factorize(values.to_numpy())[0])

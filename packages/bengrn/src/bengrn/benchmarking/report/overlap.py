"""Agreement of networks: how many of their strongest edges they share, and how they order them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

#: Number of strongest edges that are compared, and of shared ones that a rank correlation needs.
TOP, FEWEST = 1000, 20


def shared_edges(networks: Sequence[pd.DataFrame], top: int = TOP) -> NDArray[np.float64]:
    """Return the share of strongest edges that two networks have in common, for every pair (Jaccard).

    Parameters
    ----------
    networks
        Edge tables, strongest edge first: columns source and target.
    top
        Number of edges of each; of a pair, both give as many as the smaller one has.

    Returns
    -------
    numpy.ndarray
        Common edges over all edges of the two, float64, shape (networks, networks).
    """
    keys = [_keys(network) for network in networks]
    shares = np.ones((len(keys), len(keys)))
    for i, one in enumerate(keys):
        for j in range(i):
            n = min(top, len(one), len(keys[j]))
            a, b = set(one[:n]), set(keys[j][:n])
            shares[i, j] = shares[j, i] = len(a & b) / max(1, len(a | b))
    return shares


def order_agreement(networks: Sequence[pd.DataFrame]) -> NDArray[np.float64]:
    """Return Spearman's correlation of the absolute weights of edges that two networks both list, for every pair.

    Parameters
    ----------
    networks
        Edge tables: columns source, target and weight.

    Returns
    -------
    numpy.ndarray
        Correlations, float64, shape (networks, networks); NaN where fewer than 20 edges are in both.
    """
    weights = [pd.Series(n["weight"].abs().to_numpy(dtype=np.float64), index=_keys(n)) for n in networks]
    found = np.full((len(weights), len(weights)), np.nan)
    np.fill_diagonal(found, 1.0)
    for i, one in enumerate(weights):
        for j in range(i):
            both = one.index.intersection(weights[j].index)
            if len(both) >= FEWEST:
                ranks = [one[both].rank(), weights[j][both].rank()]
                if min(rank.nunique() for rank in ranks) > 1:
                    found[i, j] = found[j, i] = np.corrcoef(ranks[0], ranks[1])[0, 1]
    return found


def clustered(likeness: NDArray[np.float64]) -> list[int]:
    """Return an order in which networks that agree stand side by side: leaves of average linkage.

    Parameters
    ----------
    likeness
        Symmetric matrix with 1 on its diagonal.
    """
    if len(likeness) < 3:
        return list(range(len(likeness)))
    from scipy.cluster.hierarchy import leaves_list, linkage
    from scipy.spatial.distance import squareform

    distances = squareform(1 - likeness, checks=False)
    return [int(i) for i in leaves_list(linkage(distances, "average", optimal_ordering=True))]


def _keys(network: pd.DataFrame) -> list[tuple[str, str]]:
    return list(zip(network["source"].astype(str), network["target"].astype(str), strict=True))

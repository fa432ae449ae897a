"""Groups of genes that are linked more among themselves than to the rest."""

from __future__ import annotations

import networkx as nx
import numpy as np
import pandas as pd
import scipy.sparse as sp
from numpy.typing import NDArray

from ..core import GRNAnnData
from ..ranking import top_k_matrix
from ..schema import Network
from ..stored import single_network
from .igraph_graphs import build_graph, seeded


def louvain(grn: GRNAnnData, *, resolution: float = 1.0, top_k: int | None = 10, seed: int = 0) -> pd.Series:
    """Find communities with the Louvain method.

    It runs on an undirected graph: the `top_k` strongest edges out of every regulator, self-edges dropped,
    each pair weighted by the mean absolute weight of its two directions.

    Parameters
    ----------
    grn
        The network.
    resolution
        Larger gives more and smaller communities; 1 is plain modularity.
    top_k
        Number of edges kept per regulator; None keeps all, which is slow on a dense network.
    seed
        Seed for the order in which genes are visited; the same seed gives the same communities.

    Returns
    -------
    pandas.Series
        int64 community of every gene, indexed by ``var_names``, named ``community``. 0 is the largest;
        communities of one size are in the order of their first gene. A gene without edges is a community of
        its own.

    Raises
    ------
    ValueError
        When `resolution` is not a positive number, or `top_k` not a positive whole number.

    References
    ----------
    Blondel et al. 2008, Fast unfolding of communities in large networks, J. Stat. Mech. P10008; resolution:
    Reichardt and Bornholdt 2006, Phys. Rev. E 74:016110, equation 15.
    """
    check_resolution(resolution)
    codes = _louvain_of_graph(symmetric_graph(single_network(grn), top_k), resolution=resolution, seed=seed)
    return pd.Series(codes, index=grn.var_names, name="community")


def leiden(grn: GRNAnnData, *, resolution: float = 1.0, top_k: int | None = 10, seed: int = 0) -> pd.Series:
    """Find communities with the Leiden method, each of them connected, which Louvain's need not be.

    It optimises modularity on the same graph as `louvain`, until no step improves it, and is several times
    faster.

    Parameters
    ----------
    grn, resolution, top_k
        See `louvain`.
    seed
        Seed for the order in which genes are visited; the same seed gives the same communities. Python's own random
        numbers are left alone; igraph draws from them afterwards, as it does by default.

    Returns
    -------
    pandas.Series
        As of `louvain`.

    Raises
    ------
    ImportError
        When igraph is not installed.
    ValueError
        When `resolution` is not a positive number, or `top_k` not a positive whole number.

    References
    ----------
    Traag, Waltman and van Eck 2019, From Louvain to Leiden: guaranteeing well-connected communities, Sci. Rep.
    9:5233.
    """
    check_resolution(resolution)
    codes = _leiden_of_graph(symmetric_graph(single_network(grn), top_k), resolution=resolution, seed=seed)
    return pd.Series(codes, index=grn.var_names, name="community")


def symmetric_graph(network: Network, top_k: int | None) -> sp.csr_matrix:
    """Return the undirected graph for communities: mean absolute weight of both directions, no self-edges.

    Parameters
    ----------
    network
        Shape (genes, genes), row = regulator.
    top_k
        Strongest edges kept per regulator; all when None.
    """
    kept = top_k_matrix(network, max(1, network.shape[1]) if top_k is None else top_k)
    size = abs(kept)
    return sp.csr_matrix((size + size.T) / 2)


def check_resolution(resolution: float) -> None:
    """Raise ValueError unless a resolution is a positive number."""
    if not (resolution > 0 and np.isfinite(resolution)):
        raise ValueError(f"resolution must be a positive number, got {resolution!r}")


def _louvain_of_graph(symmetric: sp.csr_matrix, *, resolution: float, seed: int) -> NDArray[np.int64]:
    n = symmetric.shape[0]
    upper = sp.triu(symmetric, format="coo")
    if upper.nnz == 0:
        return np.arange(n)
    # Nodes are numbers: networkx keeps them in sets, whose order for strings changes from one process to the
    # next.
    graph: nx.Graph = nx.Graph()
    graph.add_nodes_from(range(n))
    graph.add_weighted_edges_from(zip(upper.row.tolist(), upper.col.tolist(), upper.data.tolist(), strict=True))
    groups = nx.community.louvain_communities(graph, weight="weight", resolution=resolution, seed=seed)
    membership = np.empty(n, dtype=np.int64)
    for number, members in enumerate(groups):
        membership[list(members)] = number
    return _largest_first(membership)


def _leiden_of_graph(symmetric: sp.csr_matrix, *, resolution: float, seed: int) -> NDArray[np.int64]:
    n = symmetric.shape[0]
    upper = sp.triu(symmetric, format="coo")
    if upper.nnz == 0:
        return np.arange(n)
    graph = build_graph(n, upper.row, upper.col, directed=False)
    with seeded(seed):
        groups = graph.community_leiden(
            objective_function="modularity", weights=upper.data.tolist(), resolution=resolution, n_iterations=-1
        )
    return _largest_first(np.array(groups.membership, dtype=np.int64))


def _largest_first(membership: NDArray[np.int64]) -> NDArray[np.int64]:
    _, first, inverse, sizes = np.unique(membership, return_index=True, return_inverse=True, return_counts=True)
    order = np.lexsort((first, -sizes))
    codes = np.empty(order.size, dtype=np.int64)
    codes[order] = np.arange(order.size)
    return codes[inverse]

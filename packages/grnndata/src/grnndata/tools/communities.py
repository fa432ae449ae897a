"""Groups of genes that are linked more among themselves than to the rest."""

from __future__ import annotations

import networkx as nx
import numpy as np
import pandas as pd
import scipy.sparse as sp
from numpy.typing import NDArray

from ..core import GRNAnnData
from ..schema import Network
from .sparsify import top_k_matrix


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
        Edges kept per regulator; None keeps all, which is slow on a dense network.
    seed
        Of the order in which genes are visited; the same seed gives the same communities.

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
    if not (resolution > 0 and np.isfinite(resolution)):
        raise ValueError(f"resolution must be a positive number, got {resolution!r}")
    codes = _louvain_of_matrix(grn.grn, resolution=resolution, top_k=top_k, seed=seed)
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
    kept = top_k_matrix(network, network.shape[1] if top_k is None else top_k) if network.shape[1] else network
    size = abs(sp.csr_matrix(kept))
    return sp.csr_matrix((size + size.T) / 2)


def _louvain_of_matrix(network: Network, *, resolution: float, top_k: int | None, seed: int) -> NDArray[np.int64]:
    undirected = sp.triu(symmetric_graph(network, top_k), format="coo")
    # Nodes are numbers: networkx keeps them in sets, whose order for strings changes from one process to the
    # next.
    graph: nx.Graph = nx.Graph()
    graph.add_nodes_from(range(network.shape[0]))
    graph.add_weighted_edges_from(
        zip(undirected.row.tolist(), undirected.col.tolist(), undirected.data.tolist(), strict=True)
    )
    if graph.number_of_edges() == 0:
        return np.arange(network.shape[0])
    groups = nx.community.louvain_communities(graph, weight="weight", resolution=resolution, seed=seed)
    codes = np.empty(network.shape[0], dtype=np.int64)
    for code, members in enumerate(sorted(groups, key=lambda group: (-len(group), min(group)))):
        codes[list(members)] = code
    return codes

"""Count how often a gene lies between two others."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..core import GRNAnnData
from ..ranking import top_k_matrix
from ..schema import Network, nonzero_entries
from ..stored import single_network
from .igraph_graphs import build_graph


def betweenness(grn: GRNAnnData, *, normalised: bool = True, top_k: int | None = None) -> pd.Series:
    """Count the shortest paths between other genes that go through a gene.

    The length of an edge is 1 / absolute weight, so that paths along strong edges are short; of several
    shortest paths between two genes each counts in part. Self-edges do not matter.

    Parameters
    ----------
    grn
        The network.
    normalised
        Whether to divide by the number of pairs of other genes (ordered ones in a directed network).
    top_k
        Number of strongest edges out of every regulator that are used; None uses all. Time is O(genes × edges):
        give a number for a dense network.

    Returns
    -------
    pandas.Series
        float64, indexed by ``var_names``, named ``betweenness``; 0 when there are fewer than three genes.

    Raises
    ------
    ImportError
        When igraph is not installed.
    ValueError
        When `top_k` is not a positive whole number.

    References
    ----------
    Brandes 2001, A faster algorithm for betweenness centrality, J. Math. Sociol. 25:163-177.
    """
    network = single_network(grn)
    if top_k is not None:
        network = top_k_matrix(network, top_k, directed=grn.directed)
    values = betweenness_of_matrix(network, directed=grn.directed, normalised=normalised)
    return pd.Series(values, index=grn.var_names, name="betweenness")


def betweenness_of_matrix(network: Network, *, directed: bool = True, normalised: bool = True) -> NDArray[np.float64]:
    """Compute betweenness from a matrix: the plain-array form of `betweenness`, shape (genes,)."""
    n = network.shape[0]
    rows, columns, weights = nonzero_entries(network)
    used = rows != columns if directed else rows < columns
    graph = build_graph(n, rows[used], columns[used], directed=directed)
    lengths = 1 / np.abs(weights[used]).astype(np.float64)
    values = np.array(graph.betweenness(directed=directed, weights=lengths.tolist()), dtype=np.float64)
    n_pairs = (n - 1) * (n - 2) / (1 if directed else 2)
    return values / n_pairs if normalised and n_pairs else values

"""Find which genes are connected, without a copy of a dense network."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Literal

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.sparse import csgraph

from ..schema import Network, is_sparse

type Connection = Literal["weak", "strong", "bipartite"]
# Which of some nodes are joined to a node: (node, others) -> bool, shape (others,).
type _Joined = Callable[[int, NDArray[np.intp]], NDArray[np.bool_]]


def component_labels(network: Network, connection: Connection) -> NDArray[np.intp]:
    """Give every gene the number of its connected component.

    Parameters
    ----------
    network
        Shape (genes, genes), row = regulator.
    connection
        ``"weak"``: genes joined by edges of any direction; ``"strong"``: by paths both ways; ``"bipartite"``:
        of the graph in which every gene is two nodes, one that only regulates and one that is only regulated.

    Returns
    -------
    numpy.ndarray
        Number of each gene's component, from 0, shape (genes,); for ``"bipartite"`` (2 genes,), regulators
        first. O(genes + edges) for a sparse network, O(genes²) for a dense one.

    References
    ----------
    Strong components of dense networks: Sharir 1981, Comput. Math. Appl. 7:67-72 (Kosaraju's algorithm).
    """
    if is_sparse(network):
        parts: list[list[Any]] = [[None, network], [network.T, None]]
        graph = sp.block_array(parts, format="csr") if connection == "bipartite" else network
        kind: Literal["weak", "strong"] = "strong" if connection == "strong" else "weak"
        return np.asarray(csgraph.connected_components(graph, connection=kind)[1], dtype=np.intp)
    dense = np.asarray(network)
    n = dense.shape[0]
    if connection == "weak":
        return _flood(range(n), lambda i, others: (dense[i, others] != 0) | (dense[others, i] != 0))
    if connection == "strong":
        return _flood(_by_finish(dense)[::-1], lambda i, others: dense[others, i] != 0)

    def joined(node: int, others: NDArray[np.intp]) -> NDArray[np.bool_]:
        if node < n:
            return (others >= n) & (dense[node, others % n] != 0)
        return (others < n) & (dense[others % n, node - n] != 0)

    return _flood(range(2 * n), joined)


def _flood(seeds: Iterable[int], joined: _Joined) -> NDArray[np.intp]:
    seeds = list(seeds)
    labels = np.full(len(seeds), -1, dtype=np.intp)
    number = 0
    for seed in seeds:
        if labels[seed] >= 0:
            continue
        labels[seed] = number
        stack = [seed]
        while stack:
            others = np.flatnonzero(labels < 0)
            found = others[joined(stack.pop(), others)]
            labels[found] = number
            stack.extend(found.tolist())
        number += 1
    return labels


def _by_finish(dense: NDArray[np.float32]) -> list[int]:
    """Return the genes in the order in which a depth-first search leaves them."""
    new = np.ones(dense.shape[0], dtype=bool)
    order: list[int] = []
    for seed in range(dense.shape[0]):
        stack = [seed] if new[seed] else []
        new[seed] = False
        while stack:
            ahead = (dense[stack[-1]] != 0) & new
            gene = int(np.argmax(ahead))
            if ahead[gene]:
                new[gene] = False
                stack.append(gene)
            else:
                order.append(stack.pop())
    return order

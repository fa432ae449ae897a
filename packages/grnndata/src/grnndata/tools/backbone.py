"""Backbones: the few edges that hold a network together, each a planar undirected graph."""

from __future__ import annotations

from heapq import heappop, heappush
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.sparse import csgraph

from .._provenance import step
from ..blocks import row_blocks
from ..core import GRNAnnData
from ..schema import Network, is_sparse, nonzero_entries
from ..stored import single_network
from .symmetrise import symmetrise_matrix

type _Pairs = list[tuple[int, int]]


def maximum_spanning_tree(grn: GRNAnnData) -> GRNAnnData:
    """Return the tree over all genes whose edges have the largest absolute weights in total.

    It is found in the undirected network of mean weights, see `symmetrise`, where every path of the tree
    avoids weak edges as far as any path can.

    Parameters
    ----------
    grn
        The network; not changed.

    Returns
    -------
    GRNAnnData
        Undirected and sparse, with the signed mean weights: genes - 1 edges, or a tree for every connected
        part. Of networks with equal weights it is one of several such trees. ``uns["grn"]["steps"]`` names
        this step.

    References
    ----------
    Prim 1957, Shortest connection networks and some generalizations, Bell Syst. Tech. J. 36:1389-1401 (dense
    networks, O(genes²)); Kruskal 1956, Proc. Am. Math. Soc. 7:48-50 (sparse ones).
    """
    made = step(maximum_spanning_tree, locals(), skip=("grn",))
    network = symmetrise_matrix(single_network(grn))
    pairs = _kruskal(network) if sp.issparse(network) else _prim(np.asarray(network))
    return grn.with_network(_take_pairs(network, pairs), step="maximum_spanning_tree()", directed=False, made=made)


def tmfg(grn: GRNAnnData) -> GRNAnnData:
    """Return the triangulated maximally filtered graph: a planar one that keeps triangles of strong edges.

    It is built from the undirected network of mean weights, see `symmetrise`, of which absolute values count.
    Four genes begin, those of largest strength over weights above average. Then the gene that adds most weight
    is joined to the three corners of a triangle, until none is left; ties go to the triangle made first, and
    to the gene first in ``var_names``.

    Parameters
    ----------
    grn
        The network of four genes or more; not changed.

    Returns
    -------
    GRNAnnData
        Undirected and sparse, with the signed mean weights: 3 genes - 6 edges, less those of weight 0, which a
        sparse network may have to use. ``uns["grn"]["steps"]`` names this step.

    Raises
    ------
    ValueError
        When there are fewer than four genes.

    References
    ----------
    Massara, Di Matteo and Aste 2016, Network filtering for big data: triangulated maximally filtered graph,
    J. Complex Netw. 5:161-178, doi:10.1093/comnet/cnw015.
    """
    made = step(tmfg, locals(), skip=("grn",))
    if grn.n_vars < 4:
        raise ValueError(f"a triangulated graph begins with 4 genes, and this network has {grn.n_vars}")
    network = symmetrise_matrix(single_network(grn))
    return grn.with_network(_take_pairs(network, _triangulate(network)), step="tmfg()", directed=False, made=made)


def _take_pairs(network: Network, pairs: NDArray[np.integer]) -> sp.csr_matrix:
    i, j = pairs
    weights = np.asarray(network[i, j], dtype=np.float32).ravel() if i.size else np.empty(0, np.float32)
    both = (np.concatenate([weights, weights]), (np.concatenate([i, j]), np.concatenate([j, i])))
    return sp.csr_matrix(both, shape=network.shape, dtype=np.float32)


def _kruskal(network: sp.csr_matrix) -> NDArray[np.integer]:
    rows, columns, weights = nonzero_entries(network)
    upper = rows < columns
    # Negative, as scipy's tree is the smallest one.
    graph = sp.csr_matrix((-np.abs(weights[upper]), (rows[upper], columns[upper])), shape=network.shape)
    tree = csgraph.minimum_spanning_tree(graph).tocoo()
    return np.stack([tree.row, tree.col])


def _prim(network: NDArray[np.float32]) -> NDArray[np.integer]:
    n = network.shape[0]
    joined = np.zeros(n, dtype=bool)
    # Of every gene outside the tree: its strongest edge into the tree, and that edge's other end. Joined: -1.
    best, link = np.zeros(n, np.float32), np.zeros(n, np.intp)
    pairs: _Pairs = []
    for _ in range(n):
        gene = int(np.argmax(best))
        if best[gene] > 0:  # otherwise nothing joins the tree any more, and another one begins
            pairs.append((int(link[gene]), gene))
        joined[gene], best[gene] = True, -1
        size = np.abs(network[gene])
        nearer = (size > best) & ~joined
        best[nearer], link[nearer] = size[nearer], gene
    return np.array(pairs, dtype=np.intp).reshape(-1, 2).T


def _triangulate(network: Network) -> NDArray[np.integer]:
    n = network.shape[0]
    # Minus infinity for the genes that are in the graph.
    barred = np.zeros(n)
    pairs: _Pairs = []
    heap: list[tuple[float, int, int]] = []
    triangles: list[tuple[int, int, int]] = []

    def best_gene(triangle: tuple[int, int, int]) -> tuple[float, int]:
        gain = barred.copy()
        for corner in triangle:
            _add_row(network, corner, gain)
        gene = int(np.argmax(gain))
        return -float(gain[gene]), gene

    def add_triangle(*corners: int) -> None:
        triangles.append((corners[0], corners[1], corners[2]))
        loss, gene = best_gene(triangles[-1])
        heappush(heap, (loss, len(triangles) - 1, gene))

    first = np.sort(_seed(network))
    barred[first] = -np.inf
    a, b, c, d = first.tolist()
    pairs += [(a, b), (a, c), (a, d), (b, c), (b, d), (c, d)]
    for corners in ((a, b, c), (a, b, d), (a, c, d), (b, c, d)):
        add_triangle(*corners)
    for _ in range(n - 4):
        loss, number, gene = heappop(heap)
        # A triangle whose gene is gone gets its next best one only when it comes to the top: its old gain is
        # a bound for the new one.
        while barred[gene]:
            loss, gene = best_gene(triangles[number])
            heappush(heap, (loss, number, gene))
            loss, number, gene = heappop(heap)
        barred[gene] = -np.inf
        a, b, c = triangles[number]
        pairs += [(a, gene), (b, gene), (c, gene)]
        for corners in ((a, b, gene), (a, c, gene), (b, c, gene)):
            add_triangle(*corners)
    return np.array(pairs, dtype=np.intp).T


def _add_row(network: Any, gene: int, total: NDArray[np.float64]) -> None:
    if is_sparse(network):
        entries = slice(network.indptr[gene], network.indptr[gene + 1])
        total[network.indices[entries]] += np.abs(network.data[entries])
    else:
        total += np.abs(network[gene])


def _seed(network: Network) -> NDArray[np.intp]:
    """Return the four genes of largest strength over the weights above the mean of all pairs."""
    n = network.shape[0]
    strength = np.zeros(n)
    if is_sparse(network):
        rows, columns, weights = nonzero_entries(network)
        size = np.where(rows == columns, 0, np.abs(weights)).astype(np.float64)
        strong = np.where(size > size.sum() / (n * (n - 1)), size, 0)
        strength = np.bincount(rows, weights=strong, minlength=n)
    else:
        dense = np.asarray(network)
        total = sum(float(np.abs(dense[rows]).sum(dtype=np.float64)) for rows in row_blocks(dense))
        mean = (total - float(np.abs(dense.diagonal()).sum(dtype=np.float64))) / (n * (n - 1))
        for block in row_blocks(dense):
            size = np.abs(dense[block])
            np.fill_diagonal(size[:, block.start :], 0)
            strength[block] = np.where(size > mean, size, 0).sum(axis=1, dtype=np.float64)
    return np.argsort(-strength, kind="stable")[:4]

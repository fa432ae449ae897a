"""Centralities that are eigenvectors: a gene counts as much as the genes it is linked with."""

from __future__ import annotations

from collections.abc import Callable
from math import ceil, log

import numpy as np
import pandas as pd
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.sparse.linalg import LinearOperator, eigs, eigsh

from ..blocks import dense_rows, row_blocks
from ..core import GRNAnnData
from ..schema import Network
from ..stored import single_network
from .centrality import Direction, strength_of_matrix
from .components import component_labels

type _Vector = NDArray[np.float64]
type _Product = Callable[[_Vector], _Vector]

# Weights are float32: eigenvalues closer than this, relative to the largest, are equal.
_TIE = 1e-6
# 2**17 entries: blocks that stay in the processor's cache.
_BLOCK = 2**17
# Matrices of at most this many genes are solved as a whole.
_SMALL = 64


def eigenvector(grn: GRNAnnData, direction: Direction = "in") -> pd.Series:
    """Score every gene by the sum of the scores of the genes it is linked with, times absolute weights.

    It is the eigenvector of the largest eigenvalue, which is unique when one group of genes, each regulating
    the others directly or through others, outweighs every other such group.

    Parameters
    ----------
    grn
        The network; self-edges count.
    direction
        ``"in"``: scores of the genes that regulate it are summed (the left eigenvector, as networkx defines it);
        ``"out"``: of those it regulates (the right one). Genes that the strongest group does not reach score 0.

    Returns
    -------
    pandas.Series
        float64, sum of squares 1, indexed by ``var_names``, named ``in_eigenvector`` or ``out_eigenvector``.

    Raises
    ------
    ValueError
        When no gene regulates itself directly or through others, so that no eigenvalue is above 0; when
        several groups of genes share the largest one; when `direction` is unknown.
    RuntimeError
        When the eigenvalue of a group downstream is so close that the scores cannot be computed.

    References
    ----------
    Bonacich 1987, Power and centrality: a family of measures, Am. J. Sociol. 92:1170-1182, for beta = 1 over
    the largest eigenvalue.
    """
    values = eigenvector_of_matrix(single_network(grn), direction)
    return pd.Series(values, index=grn.var_names, name=f"{direction}_eigenvector")


def pagerank(grn: GRNAnnData, damping: float = 0.85, *, direction: Direction = "in") -> pd.Series:
    """Score every gene by the share of time that a walker along edges spends at it.

    The walker follows an edge with a probability in proportion to its absolute weight, or, with probability
    1 - damping and wherever it finds no edge to follow, goes to any gene.

    Parameters
    ----------
    grn
        The network; self-edges count.
    damping
        Probability of following an edge, from 0 to below 1.
    direction
        ``"in"``: walk from regulator to target, so that genes with many regulators score high (as networkx
        does); ``"out"``: from target to regulator, so that regulators of many genes do.

    Returns
    -------
    pandas.Series
        float64, sum 1, indexed by ``var_names``, named ``in_pagerank`` or ``out_pagerank``.

    Raises
    ------
    ValueError
        When `damping` is not a number from 0 to below 1, or `direction` is unknown.

    References
    ----------
    Brin and Page 1998, The anatomy of a large-scale hypertextual web search engine, Comput. Netw. 30:107-117.
    """
    values = pagerank_of_matrix(single_network(grn), damping, direction)
    return pd.Series(values, index=grn.var_names, name=f"{direction}_pagerank")


def hits(grn: GRNAnnData) -> pd.DataFrame:
    """Score every gene as a hub, which regulates authorities, and as an authority, which hubs regulate.

    Parameters
    ----------
    grn
        The network, of which absolute weights count; self-edges too.

    Returns
    -------
    pandas.DataFrame
        float64 columns ``hub`` and ``authority``, each of sum 1, indexed by ``var_names``: the leading
        singular vectors. Genes not linked with the strongest group of hubs and authorities score 0.

    Raises
    ------
    ValueError
        When the network has no edges, or several separate parts share the largest singular value.

    References
    ----------
    Kleinberg 1999, Authoritative sources in a hyperlinked environment, J. ACM 46:604-632.
    """
    hub, authority = hits_of_matrix(single_network(grn))
    return pd.DataFrame({"hub": hub, "authority": authority}, index=grn.var_names)


def eigenvector_of_matrix(network: Network, direction: Direction = "in") -> _Vector:
    """Compute the leading eigenvector of absolute weights: the plain-array form of `eigenvector`."""
    n = network.shape[0]
    # Ostrowski 1951, Math. Z. 53: no eigenvalue is above the largest of these.
    bound = np.sqrt(
        strength_of_matrix(network, _check(direction), self_edges=True)
        * strength_of_matrix(network, _other(direction), self_edges=True)
    )
    # Eigenvalues belong to strongly connected groups. Solving for each group avoids the whole matrix, whose
    # computed eigenvalues can be far off when most of its edges are on no cycle.
    groups = _groups(component_labels(network, "strong"))
    diagonal = np.asarray(network.diagonal())
    groups = [genes for genes in groups if genes.size > 1 or diagonal[genes[0]] != 0]
    if not groups:
        raise ValueError(
            f"none of the {n:,} genes regulates itself, directly or through others: all eigenvalues are 0 and there "
            "is no eigenvector centrality; use pagerank, hits or strength"
        )

    def solve(genes: NDArray[np.intp]) -> tuple[float, _Vector]:
        return _perron(_part(network, genes, genes), direction)

    value, (genes, inside) = _strongest_group(groups, [float(bound[genes].max()) for genes in groups], solve)
    scores = np.zeros(n)
    scores[genes] = inside
    if genes.size < n:
        scores = _spread(_products(network)[direction], scores, genes, value)
    return scores / np.linalg.norm(scores)


def pagerank_of_matrix(network: Network, damping: float = 0.85, direction: Direction = "in") -> _Vector:
    """Compute PageRank over absolute weights: the plain-array form of `pagerank`."""
    if not 0 <= damping < 1:
        raise ValueError(f"damping must be from 0 to below 1, got {damping!r}")
    n = network.shape[0]
    leaving = strength_of_matrix(network, _other(_check(direction)), self_edges=True)
    stuck = leaving == 0
    walk = _products(network)[direction]
    scores = np.full(n, 1 / max(1, n))
    # Every step shrinks the error, 2 at most, by the factor `damping`.
    for _ in range(ceil(log(1e-12) / log(damping)) if damping else 1):
        moving = np.divide(scores, leaving, out=np.zeros(n), where=~stuck)
        before, scores = scores, damping * (walk(moving) + scores[stuck].sum() / max(1, n)) + (1 - damping) / max(1, n)
        if np.abs(scores - before).sum() * damping <= 1e-12 * (1 - damping):
            break
    return scores


def hits_of_matrix(network: Network) -> tuple[_Vector, _Vector]:
    """Compute hub and authority scores over absolute weights: the plain-array form of `hits`."""
    n = network.shape[0]
    reach = np.concatenate([strength_of_matrix(network, way, self_edges=True) for way in ("out", "in")])
    groups = [nodes for nodes in _groups(component_labels(network, "bipartite")) if nodes.size > 1]
    if not groups:
        raise ValueError(f"the network of {n:,} genes has no edges, so there are no hubs and authorities")

    def solve(nodes: NDArray[np.intp]) -> tuple[float, _Vector]:
        sources, targets = nodes[nodes < n], nodes[nodes >= n] - n
        return _singular(_part(network, sources, targets))

    # The largest singular value is at most the geometric mean of the largest sums of rows and of columns.
    bounds = [float(np.sqrt(reach[nodes[nodes < n]].max() * reach[nodes[nodes >= n]].max())) for nodes in groups]
    _, (nodes, vectors) = _strongest_group(groups, bounds, solve)
    scores = np.zeros(2 * n)
    scores[nodes] = vectors
    hub, authority = scores[:n], scores[n:]
    return hub / hub.sum(), authority / authority.sum()


def _groups(labels: NDArray[np.intp]) -> list[NDArray[np.intp]]:
    order = np.argsort(labels, kind="stable")
    return np.split(order, np.cumsum(np.bincount(labels))[:-1]) if labels.size else []


def _strongest_group(
    groups: list[NDArray[np.intp]],
    bounds: list[float],
    solve: Callable[[NDArray[np.intp]], tuple[float, _Vector]],
) -> tuple[float, tuple[NDArray[np.intp], _Vector]]:
    """Solve for the groups whose bound leaves them a chance, and return the one of the largest value."""
    solved: list[tuple[float, tuple[NDArray[np.intp], _Vector]]] = []
    best = 0.0
    for i in np.argsort([-bound for bound in bounds], kind="stable"):
        if bounds[i] < best * (1 - _TIE):
            break
        value, vector = solve(groups[i])
        solved.append((value, (groups[i], vector)))
        best = max(best, value)
    tied = [found for found in solved if found[0] >= best * (1 - _TIE)]
    if len(tied) > 1:
        sizes = ", ".join(f"{found[1][0].size:,}" for found in tied[:5])
        raise ValueError(
            f"{len(tied):,} separate groups of genes (of {sizes}{', ...' if len(tied) > 5 else ''}) share the "
            f"largest eigenvalue or singular value, {best:.6g}, so scores are not unique: compute them for one group "
            "at a time, or use pagerank"
        )
    return tied[0]


def _perron(network: Network, direction: Direction) -> tuple[float, _Vector]:
    """Return the largest eigenvalue and its positive vector for strongly connected genes."""
    n = network.shape[0]
    if n <= _SMALL:
        dense = np.abs(dense_rows(network, slice(None))).astype(np.float64)
        values, vectors = np.linalg.eig(dense.T if direction == "in" else dense)
        at = int(np.argmax(values.real))
        return float(values[at].real), np.abs(vectors[:, at].real)
    operator = LinearOperator((n, n), matvec=_products(network)[direction], dtype=np.float64)
    values, vectors = eigs(operator, k=1, which="LR", v0=_start(n), tol=1e-12)
    return float(values[0].real), np.abs(vectors[:, 0].real)


def _singular(network: Network) -> tuple[float, _Vector]:
    """Return the largest singular value and its two positive vectors, one after the other."""
    n_rows, n_columns = network.shape
    products = _products(network)
    if n_columns <= _SMALL or n_rows <= 2:
        dense = np.abs(dense_rows(network, slice(None))).astype(np.float64)
        left, values, right = np.linalg.svd(dense, full_matrices=False)
        return float(values[0]), np.abs(np.concatenate([left[:, 0], right[0]]))
    operator = LinearOperator(
        (n_columns, n_columns), matvec=lambda x: products["in"](products["out"](x)), dtype=np.float64
    )
    values, vectors = eigsh(operator, k=1, which="LA", v0=_start(n_columns), tol=1e-12)
    authority, value = np.abs(vectors[:, 0]), float(np.sqrt(values[0]))
    return value, np.concatenate([products["out"](authority) / value, authority])


def _start(n: int) -> _Vector:
    # Positive, so that it has a part along the vector sought; not constant, which may be that vector itself.
    return np.random.default_rng(0).uniform(0.5, 1, n)


def _spread(product: _Product, scores: _Vector, genes: NDArray[np.intp], value: float) -> _Vector:
    """Carry the scores of the strongest group on to the genes that it reaches."""
    inside = scores[genes]
    for _ in range(10_000):
        before, scores = scores, product(scores) / value
        scores[genes] = inside
        if np.abs(scores - before).max() <= 1e-13 * scores.max():
            return scores
    raise RuntimeError(
        "eigenvector centrality did not converge: a group of genes downstream of the strongest one has nearly the same "
        "eigenvalue; compute it for one group at a time, or use pagerank"
    )


def _part(network: Network, rows: NDArray[np.intp], columns: NDArray[np.intp]) -> Network:
    if (rows.size, columns.size) == network.shape:
        return network
    if sp.issparse(network):
        return network[rows][:, columns]
    part = np.empty((rows.size, columns.size), dtype=np.float32)
    for block in row_blocks(part):
        part[block] = network[rows[block]][:, columns]
    return part


def _products(network: Network) -> dict[Direction, _Product]:
    """Return ``"out"``: x → |network| x, and ``"in"``: x → |network|ᵀ x, in float64."""
    if sp.issparse(network):
        size = abs(network.astype(np.float64))
        return {"out": lambda x: size @ x, "in": lambda x: size.T @ x}
    dense = np.asarray(network)

    def out(x: _Vector) -> _Vector:
        total = np.empty(dense.shape[0])
        for rows in row_blocks(dense, _BLOCK):
            total[rows] = np.abs(dense[rows], dtype=np.float64) @ x
        return total

    def into(x: _Vector) -> _Vector:
        total = np.zeros(dense.shape[1])
        for rows in row_blocks(dense, _BLOCK):
            total += x[rows] @ np.abs(dense[rows], dtype=np.float64)
        return total

    return {"out": out, "in": into}


def _check(direction: Direction) -> Direction:
    if direction not in ("in", "out"):
        raise ValueError(f"direction must be 'out' (as regulator) or 'in' (as target), got {direction!r}")
    return direction


def _other(direction: Direction) -> Direction:
    return "out" if direction == "in" else "in"

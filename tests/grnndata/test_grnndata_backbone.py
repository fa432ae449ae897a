"""Maximum spanning trees and triangulated maximally filtered graphs."""

from itertools import combinations

import networkx as nx
import numpy as np
import pytest
from scipy import sparse

import grnndata
from grnndata import tl

KINDS = pytest.mark.parametrize("kind", [np.asarray, sparse.csr_matrix])


def make(matrix, **options):
    return grnndata.from_matrix(matrix, [f"g{i}" for i in range(matrix.shape[0])], **options)


def random(n, seed, share=1.0):
    rng = np.random.default_rng(seed)
    return np.where(rng.random((n, n)) < share, rng.normal(size=(n, n)), 0).astype(np.float32)


def mean_of_both(matrix):
    mean = (matrix + matrix.T) / 2
    np.fill_diagonal(mean, 0)
    return mean


@KINDS
def test_tree_by_hand(kind):
    matrix = np.zeros((5, 5))
    matrix[0, 1], matrix[1, 2], matrix[0, 2], matrix[2, 1] = 4, -6, 3, -8  # means 2, -7 and 1.5
    matrix[3, 3] = 9
    found = tl.maximum_spanning_tree(make(kind(matrix)))
    expected = np.zeros((5, 5))
    expected[0, 1] = expected[1, 0] = 2
    expected[1, 2] = expected[2, 1] = -7
    np.testing.assert_array_equal(found.grn.toarray(), expected)
    assert not found.directed
    assert found.uns["grn"]["steps"] == ["maximum_spanning_tree()"]


@KINDS
@pytest.mark.parametrize(("share", "seed"), [(1, 0), (0.3, 1), (0.05, 2), (0.02, 3), (0, 4)])
def test_tree_has_the_weight_of_that_of_networkx(kind, share, seed):
    matrix = random(60, seed, share)
    mean = mean_of_both(matrix)
    found = tl.maximum_spanning_tree(make(kind(matrix))).grn.toarray()
    theirs = nx.maximum_spanning_tree(nx.from_numpy_array(np.abs(mean)))
    assert np.abs(found).sum() / 2 == pytest.approx(theirs.size(weight="weight"), rel=1e-5)
    ours = nx.from_numpy_array(found)
    assert nx.is_forest(ours)
    assert nx.number_connected_components(ours) == nx.number_connected_components(theirs)
    np.testing.assert_allclose(found[found != 0], mean[found != 0], rtol=1e-6)


def slow_tmfg(size):
    """Grow the graph by trying every gene in every triangle."""
    n = len(size)
    mean = size.sum() / (n * (n - 1))
    strength = np.where(size > mean, size, 0).sum(axis=1)
    inside = sorted(np.argsort(-strength, kind="stable")[:4].tolist())
    edges = set(combinations(inside, 2))
    triangles = list(combinations(inside, 3))
    while len(inside) < n:
        gains = {
            (t, gene): sum(size[gene, corner] for corner in triangle)
            for t, triangle in enumerate(triangles)
            if triangle is not None
            for gene in range(n)
            if gene not in inside
        }
        t, gene = max(gains, key=lambda key: (gains[key], -key[0], -key[1]))
        a, b, c = triangles[t]
        triangles[t] = None
        triangles += [(a, b, gene), (a, c, gene), (b, c, gene)]
        edges |= {(a, gene), (b, gene), (c, gene)}
        inside.append(gene)
    return {tuple(sorted(edge)) for edge in edges}


def edges_of(found):
    return set(zip(*(part.tolist() for part in sparse.triu(found.grn).nonzero()), strict=True))


@KINDS
@pytest.mark.parametrize("n", [4, 5, 12, 25])
def test_tmfg_equals_the_slow_one_and_is_maximal_planar(kind, n):
    for seed in range(3):
        matrix = random(n, seed)
        mean = mean_of_both(matrix)
        found = tl.tmfg(make(kind(matrix)))
        assert edges_of(found) == slow_tmfg(np.abs(mean).astype(np.float64))
        assert found.n_edges == 2 * (3 * n - 6)
        graph = nx.from_scipy_sparse_array(found.grn)
        assert nx.check_planarity(graph)[0]
        assert nx.is_chordal(graph)
        values = found.grn.toarray()
        np.testing.assert_allclose(values[values != 0], mean[values != 0], rtol=1e-6)
        assert not found.directed


def test_tmfg_with_ties_is_the_same_for_both_forms():
    matrix = np.round(np.abs(random(15, 7)) * 2)
    mean = mean_of_both(matrix)
    expected = {(i, j) for i, j in slow_tmfg(mean) if mean[i, j]}
    assert edges_of(tl.tmfg(make(matrix))) == expected
    assert edges_of(tl.tmfg(make(sparse.csr_matrix(matrix)))) == expected


def test_tmfg_begins_with_the_strongest_genes():
    matrix = np.full((7, 7), 0.1)
    strong = [1, 3, 4, 6]
    matrix[np.ix_(strong, strong)] = 1
    found = tl.tmfg(make(matrix)).grn.toarray()
    assert (found[np.ix_(strong, strong)][~np.eye(4, dtype=bool)] == 1).all()


@KINDS
def test_small_networks(kind):
    with pytest.raises(ValueError, match="begins with 4 genes, and this network has 3"):
        tl.tmfg(make(kind(np.ones((3, 3)))))
    assert tl.tmfg(make(kind(np.zeros((6, 6))))).n_edges == 0
    for n in (0, 1):
        assert tl.maximum_spanning_tree(make(kind(np.ones((n, n))))).n_edges == 0

"""Leiden, Louvain and modularity, on graphs whose communities are known."""

import random as python_random

import networkx as nx
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

import grnndata
from grnndata import tl
from grnndata.tools.communities import symmetric_graph

METHODS = pytest.mark.parametrize("method", [tl.leiden, tl.louvain])
KINDS = pytest.mark.parametrize("kind", [np.asarray, sparse.csr_matrix])


def make(matrix, **options):
    return grnndata.from_matrix(matrix, [f"g{i}" for i in range(matrix.shape[0])], **options)


def random(n, seed, share=0.3):
    rng = np.random.default_rng(seed)
    return np.where(rng.random((n, n)) < share, rng.normal(size=(n, n)), 0).astype(np.float32)


def ring_of_cliques(n_cliques, size):
    return make(nx.to_scipy_sparse_array(nx.ring_of_cliques(n_cliques, size), dtype=np.float32), directed=False)


@METHODS
def test_resolution_decides_between_cliques_and_pairs_of_them(method):
    # 30 cliques of 5 in a ring, the resolution limit of Fortunato and Barthélemy 2007: at resolution 1 pairs of
    # cliques beat single ones (modularity 0.888 against 0.876), at 2 single ones do.
    grn = ring_of_cliques(30, 5)
    cliques = np.repeat(np.arange(30), 5)
    single = method(grn, resolution=2, top_k=None)
    assert single.nunique() == 30
    assert (single.to_numpy().reshape(30, 5) == single.to_numpy()[::5, None]).all()
    merged = method(grn, resolution=1, top_k=None)
    assert merged.nunique() < 20
    assert merged.groupby(cliques).nunique().eq(1).all()  # and no clique is cut
    pairs = tl.modularity(grn, cliques // 2, top_k=None)
    assert pairs > tl.modularity(grn, cliques, top_k=None)
    assert tl.modularity(grn, merged, top_k=None) >= pairs - 0.005
    assert method(grn, resolution=0.01, top_k=None).nunique() < merged.nunique()


@METHODS
@KINDS
def test_planted_communities_are_found(method, kind):
    rng = np.random.default_rng(0)
    truth = np.repeat([0, 1, 2], [30, 20, 10])
    order = rng.permutation(60)
    same = truth[order][:, None] == truth[order]
    matrix = np.where(rng.random((60, 60)) < np.where(same, 0.6, 0.03), -1 - rng.random((60, 60)), 0)
    found = method(make(kind(matrix.astype(np.float32))), top_k=None)
    assert found.to_numpy().tolist() == truth[order].tolist()  # 0 is the largest
    assert found.name == "community"
    assert found.dtype == np.int64


@METHODS
def test_equal_sizes_are_in_the_order_of_their_first_gene(method):
    found = method(ring_of_cliques(6, 6), resolution=1.5, top_k=None)
    assert found.tolist() == np.repeat(np.arange(6), 6).tolist()


@METHODS
def test_seeds(method):
    grn = make(random(150, 0, share=0.1))
    first = method(grn, seed=3)
    assert method(grn, seed=3).equals(first)
    assert any(not method(grn, seed=seed).equals(first) for seed in range(4, 9))


def test_leiden_leaves_the_random_numbers_of_python_alone():
    import igraph

    grn = make(random(80, 1))
    python_random.seed(11)
    state = python_random.getstate()
    tl.leiden(grn)
    tl.power_law(grn)
    assert python_random.getstate() == state
    drawn = igraph.Graph.Erdos_Renyi(n=30, m=50).get_edgelist()
    tl.leiden(grn, seed=5)
    python_random.setstate(state)
    assert igraph.Graph.Erdos_Renyi(n=30, m=50).get_edgelist() == drawn  # which igraph draws from again


def test_leiden_is_as_good_as_louvain_and_connected():
    grn = make(random(200, 2, share=0.05))
    graph = nx.from_scipy_sparse_array(symmetric_graph(grn.grn, 10))
    leiden, louvain = tl.leiden(grn), tl.louvain(grn)
    assert tl.modularity(grn, leiden) >= tl.modularity(grn, louvain) - 0.005
    for community in set(leiden):
        assert nx.is_connected(graph.subgraph(np.flatnonzero(leiden == community).tolist()))


@METHODS
@pytest.mark.parametrize("resolution", [0, -1, np.nan, np.inf])
def test_bad_resolutions(method, resolution):
    with pytest.raises(ValueError, match="resolution must be a positive number"):
        method(make(random(5, 0)), resolution=resolution)


@METHODS
@KINDS
@pytest.mark.parametrize("n", [0, 1, 3])
def test_genes_without_edges_are_communities_of_their_own(method, kind, n):
    grn = make(kind(np.eye(n, dtype=np.float32)))
    assert method(grn).tolist() == list(range(n))
    assert method(grn, top_k=None).tolist() == list(range(n))
    assert np.isnan(tl.modularity(grn, list(range(n))))


def test_the_graph_of_communities_by_hand():
    matrix = np.array([[5, 4, -3.0], [2, 0, 0], [0, 1, 0]])
    found = symmetric_graph(sparse.csr_matrix(matrix), 1).toarray()
    np.testing.assert_array_equal(found, [[0, 3, 0], [3, 0, 0.5], [0, 0.5, 0]])
    found = symmetric_graph(matrix, None).toarray()
    np.testing.assert_array_equal(found, [[0, 3, 1.5], [3, 0, 0.5], [1.5, 0.5, 0]])


@KINDS
@pytest.mark.parametrize("resolution", [0.5, 1, 2.5])
@pytest.mark.parametrize("top_k", [3, None])
def test_modularity_is_that_of_networkx(kind, resolution, top_k):
    matrix = random(40, 5)
    labels = np.random.default_rng(0).integers(0, 4, 40)
    graph = nx.from_scipy_sparse_array(symmetric_graph(kind(matrix), top_k))
    groups = [set(np.flatnonzero(labels == label).tolist()) for label in range(4)]
    theirs = nx.community.modularity(graph, groups, resolution=resolution)
    found = tl.modularity(make(kind(matrix)), labels, resolution=resolution, top_k=top_k)
    assert found == pytest.approx(theirs, abs=1e-6)


def test_modularity_takes_labels_of_any_kind_by_gene():
    grn = make(random(6, 0, share=1))
    labels = pd.Series(["x", "y", "x", "y", "x", "x"], index=grn.var_names)
    expected = tl.modularity(grn, [7, 1, 7, 1, 7, 7])
    assert tl.modularity(grn, labels) == pytest.approx(expected)
    assert tl.modularity(grn, labels[::-1]) == pytest.approx(expected)
    assert tl.modularity(grn, labels.astype("category")) == pytest.approx(expected)
    with pytest.raises(ValueError, match="no label for 2 of 6 genes: g4, g5"):
        tl.modularity(grn, labels.iloc[:4])
    with pytest.raises(ValueError, match="5 labels for 6 genes"):
        tl.modularity(grn, [0] * 5)
    with pytest.raises(ValueError, match="several labels"):
        tl.modularity(grn, pd.concat([labels, labels]))

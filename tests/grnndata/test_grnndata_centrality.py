"""Degrees, eigenvector centrality, PageRank, hubs and authorities, betweenness, and the table of them all."""

import tracemalloc

import networkx as nx
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

import grnndata
from grnndata import tl
from grnndata.tools.components import component_labels
from grnndata.tools.spectral import eigenvector_of_matrix, hits_of_matrix, pagerank_of_matrix

KINDS = pytest.mark.parametrize("kind", [np.asarray, sparse.csr_matrix])
DIRECTIONS = pytest.mark.parametrize("direction", ["in", "out"])


def make(matrix, names=None, **options):
    names = [f"g{i}" for i in range(matrix.shape[0])] if names is None else names
    return grnndata.from_matrix(matrix, names, **options)


def random(n, seed, share=0.5):
    rng = np.random.default_rng(seed)
    return np.where(rng.random((n, n)) < share, rng.normal(size=(n, n)), 0).astype(np.float32)


def graph_of(matrix, direction="in"):
    size = np.abs(matrix).astype(np.float64)
    return nx.from_numpy_array(size if direction == "in" else size.T, create_using=nx.DiGraph)


def values_of(mapping):
    return np.array([mapping[i] for i in range(len(mapping))])


@KINDS
def test_degree_by_hand_and_against_networkx(kind):
    grn = make(kind(np.array([[9.0, 1, -4], [0, 0, 3], [5, 0, 0]])), ["a", "b", "c"])
    assert tl.degree(grn).to_dict() == {"a": 2, "b": 1, "c": 1}
    assert tl.degree(grn, "in").to_dict() == {"a": 1, "b": 1, "c": 2}
    assert tl.degree(grn, "in", self_edges=True).to_dict() == {"a": 2, "b": 1, "c": 2}
    assert tl.degree(grn).name == "out_degree"
    matrix = random(20, 1)
    found = tl.degree(make(kind(matrix)), "out", self_edges=True)
    assert found.tolist() == values_of(dict(graph_of(matrix).out_degree())).tolist()
    with pytest.raises(ValueError, match="direction must be 'out'"):
        tl.degree(grn, "up")


@KINDS
@DIRECTIONS
@pytest.mark.parametrize(("n", "share"), [(5, 0.8), (40, 0.3), (150, 0.1)])
def test_eigenvector_is_that_of_networkx(kind, direction, n, share):
    matrix = random(n, n, share)
    found = tl.eigenvector(make(kind(matrix)), direction)
    theirs = nx.eigenvector_centrality(graph_of(matrix, direction), weight="weight", tol=1e-12, max_iter=10_000)
    np.testing.assert_allclose(found, values_of(theirs), atol=1e-6)
    assert found.name == f"{direction}_eigenvector"
    assert (found >= 0).all()
    assert np.square(found).sum() == pytest.approx(1)


@KINDS
def test_eigenvector_reaches_down_from_the_strongest_cycle_only(kind):
    # 0 ⇄ 1 with weights 2 and 8: eigenvalue 4, left vector (2, 1). 1 → 2 (8) → 3 (4); 4 → 0; 5 ⇄ 6 is weaker,
    # and 3 → 5.
    matrix = np.zeros((7, 7))
    matrix[0, 1], matrix[1, 0], matrix[1, 2], matrix[2, 3], matrix[4, 0] = 2, 8, -8, 4, 3
    matrix[5, 6] = matrix[6, 5] = 2
    matrix[3, 5] = 4
    found = tl.eigenvector(make(kind(matrix)))
    # x2 = 8 x1 / 4, x3 = 4 x2 / 4; then 4 x5 = 4 x3 + 2 x6 and 4 x6 = 2 x5.
    expected = np.array([2, 1, 2, 2, 0, 8 / 3, 4 / 3])
    np.testing.assert_allclose(found, expected / np.linalg.norm(expected), rtol=1e-9)
    upward = tl.eigenvector(make(kind(matrix)), "out")  # 4 x0 = 2 x1 and 4 x4 = 3 x0
    expected = np.array([1, 2, 0, 0, 0.75, 0, 0])
    np.testing.assert_allclose(upward, expected / np.linalg.norm(expected), rtol=1e-9)


@KINDS
def test_eigenvector_behind_a_long_cascade(kind):
    # A computed eigenvalue of the whole matrix is far off here: its 200 genes in a row are nearly defective.
    n = 200
    matrix = np.diag(np.ones(n - 1), k=1)
    matrix[0, 0] = 0.5
    found = tl.eigenvector(make(kind(matrix)))
    np.testing.assert_allclose(found.to_numpy()[1:] / found.to_numpy()[:-1], 2, rtol=1e-9)


@KINDS
@pytest.mark.parametrize(
    ("edges", "message"),
    [
        ([(0, 1), (1, 2), (0, 3)], "none of the 4 genes regulates itself"),
        ([], "none of the 4 genes regulates itself"),
        ([(0, 1), (1, 0), (2, 3), (3, 2)], r"2 separate groups of genes \(of 2, 2\) share the largest"),
        ([(0, 1), (1, 0), (1, 2), (2, 3), (3, 2)], "2 separate groups"),
        ([(0, 0), (1, 1), (2, 2)], r"3 separate groups of genes \(of 1, 1, 1\)"),
    ],
)
def test_eigenvectors_that_are_not_unique_are_refused(kind, edges, message):
    matrix = np.zeros((4, 4))
    for i, j in edges:
        matrix[i, j] = 1
    with pytest.raises(ValueError, match=message):
        tl.eigenvector(make(kind(matrix)))


def test_eigenvector_says_when_it_cannot_converge():
    matrix = np.zeros((4, 4))
    matrix[0, 1] = matrix[1, 0] = matrix[1, 2] = 1
    matrix[2, 3] = matrix[3, 2] = 1 - 1e-5
    with pytest.raises(RuntimeError, match="did not converge"):
        tl.eigenvector(make(matrix))
    assert tl.eigenvector(make(matrix), "out").iloc[2:].eq(0).all()  # upward nothing competes


@KINDS
@DIRECTIONS
@pytest.mark.parametrize("damping", [0, 0.5, 0.85, 0.99])
def test_pagerank_is_that_of_networkx(kind, direction, damping):
    matrix = random(40, 2, share=0.1)
    matrix[[3, 5]] = 0  # genes that regulate nothing
    found = tl.pagerank(make(kind(matrix)), damping, direction=direction)
    theirs = nx.pagerank(graph_of(matrix, direction), alpha=damping, tol=1e-12, max_iter=10_000)
    np.testing.assert_allclose(found, values_of(theirs), atol=1e-9)
    assert found.sum() == pytest.approx(1)
    assert found.name == f"{direction}_pagerank"


def test_pagerank_refuses_a_walk_that_never_jumps():
    for damping in (1, -0.1, np.nan):
        with pytest.raises(ValueError, match="damping must be from 0 to below 1"):
            tl.pagerank(make(random(5, 0)), damping)
    with pytest.raises(ValueError, match="direction must be"):
        tl.pagerank(make(random(5, 0)), direction="up")


@KINDS
@pytest.mark.parametrize(("n", "share"), [(6, 0.6), (50, 0.1), (120, 0.05)])
def test_hits_is_that_of_networkx(kind, n, share):
    matrix = random(n, n, share)
    found = tl.hits(make(kind(matrix)))
    hub, authority = nx.hits(graph_of(matrix), tol=1e-12, max_iter=10_000)
    np.testing.assert_allclose(found["hub"], values_of(hub), atol=1e-6)
    np.testing.assert_allclose(found["authority"], values_of(authority), atol=1e-6)


@KINDS
def test_hits_scores_the_strongest_part_only(kind):
    matrix = np.zeros((6, 6))
    matrix[0, 1], matrix[0, 2] = 3, -4  # singular value 5
    matrix[3, 4] = 4.9
    found = tl.hits(make(kind(matrix)))
    np.testing.assert_allclose(found["hub"], [1, 0, 0, 0, 0, 0], atol=1e-12)
    np.testing.assert_allclose(found["authority"], [0, 3 / 7, 4 / 7, 0, 0, 0], atol=1e-12)
    matrix[3, 4] = 5
    with pytest.raises(ValueError, match=r"2 separate groups of genes \(of 3, 2\) share the largest .*5"):
        tl.hits(make(kind(matrix)))
    with pytest.raises(ValueError, match="the network of 3 genes has no edges"):
        tl.hits(make(kind(np.zeros((3, 3)))))


@KINDS
@pytest.mark.parametrize("seed", range(4))
def test_components_are_those_of_networkx(kind, seed):
    matrix = random(60, seed, share=0.02 + 0.01 * seed)
    graph = nx.from_numpy_array(matrix != 0, create_using=nx.DiGraph)
    twice = nx.Graph()
    twice.add_nodes_from(range(120))
    twice.add_edges_from((i, 60 + j) for i, j in graph.edges)
    for connection, theirs in (
        ("weak", nx.weakly_connected_components(graph)),
        ("strong", nx.strongly_connected_components(graph)),
        ("bipartite", nx.connected_components(twice)),
    ):
        labels = component_labels(kind(matrix), connection)
        ours = {frozenset(np.flatnonzero(labels == label).tolist()) for label in set(labels.tolist())}
        assert ours == {frozenset(component) for component in theirs}


@KINDS
@pytest.mark.parametrize("normalised", [True, False])
@pytest.mark.parametrize("directed", [True, False])
def test_betweenness_is_that_of_networkx(kind, directed, normalised):
    matrix = random(25, 4, share=0.2)
    matrix = matrix if directed else (matrix + matrix.T) / 2
    graph = nx.from_numpy_array(np.abs(matrix).astype(float), create_using=nx.DiGraph if directed else nx.Graph)
    for _, _, data in graph.edges(data=True):
        data["length"] = 1 / data["weight"]
    theirs = nx.betweenness_centrality(graph, weight="length", normalized=normalised)
    found = tl.betweenness(make(kind(matrix), directed=directed), normalised=normalised)
    np.testing.assert_allclose(found, values_of(theirs), atol=1e-9)
    assert found.name == "betweenness"


def test_betweenness_prefers_strong_edges_and_can_use_few():
    matrix = np.zeros((4, 4))
    matrix[0, 1] = matrix[1, 3] = -4  # two steps of 1/4
    matrix[0, 3], matrix[0, 2], matrix[2, 3] = 1, 0.5, 9
    grn = make(matrix, ["a", "b", "c", "d"])
    assert tl.betweenness(grn, normalised=False).to_dict() == {"a": 0, "b": 1, "c": 0, "d": 0}
    assert tl.betweenness(grn)["b"] == pytest.approx(1 / 6)
    matrix[0, 1] = 0.6
    grn = make(matrix, ["a", "b", "c", "d"])
    assert tl.betweenness(grn, normalised=False)["b"] == 0  # a → d is direct
    assert tl.betweenness(grn, normalised=False, top_k=1)["b"] == 0  # and the only edge of a
    with pytest.raises(ValueError, match="k must be a positive whole number"):
        tl.betweenness(grn, top_k=0)


def test_the_table_holds_the_columns_asked_for():
    grn = make(random(30, 0))
    table = tl.centralities(grn)
    assert list(table) == ["out_degree", "in_degree", "out_strength", "in_strength", "out_pagerank", "in_pagerank"]
    assert table.index.equals(grn.var_names)
    everything = ["betweenness", "hub", "authority", "in_eigenvector", "out_eigenvector", *table]
    full = tl.centralities(grn, everything)
    assert list(full) == everything
    for column, expected in (
        ("in_eigenvector", tl.eigenvector(grn)),
        ("out_eigenvector", tl.eigenvector(grn, "out")),
        ("hub", tl.hits(grn)["hub"]),
        ("authority", tl.hits(grn)["authority"]),
        ("betweenness", tl.betweenness(grn)),
        ("in_degree", tl.degree(grn, "in")),
        ("out_degree", tl.degree(grn)),
        ("in_strength", tl.strength(grn, "in")),
        ("out_strength", tl.strength(grn)),
        ("in_pagerank", tl.pagerank(grn)),
        ("out_pagerank", tl.pagerank(grn, direction="out")),
    ):
        pd.testing.assert_series_equal(full[column], expected, check_names=False)
    for kinds in (["closeness"], ["hub", "hub"]):
        with pytest.raises(ValueError, match="kinds must be different ones of out_degree"):
            tl.centralities(grn, kinds)


@KINDS
@pytest.mark.parametrize("n", [0, 1])
def test_networks_of_no_and_one_gene(kind, n):
    grn = make(kind(np.ones((n, n))))
    assert tl.degree(grn).tolist() == [0] * n
    assert tl.pagerank(grn).tolist() == [1] * n
    assert tl.betweenness(grn).tolist() == [0] * n
    assert tl.centralities(grn).shape == (n, 6)
    if n:
        assert tl.eigenvector(grn).tolist() == [1]
        assert tl.hits(grn).to_numpy().tolist() == [[1, 1]]
    else:
        with pytest.raises(ValueError, match="none of the 0 genes"):
            tl.eigenvector(grn)
        with pytest.raises(ValueError, match="the network of 0 genes has no edges"):
            tl.hits(grn)


@pytest.mark.parametrize("work", [eigenvector_of_matrix, pagerank_of_matrix, hits_of_matrix])
def test_dense_networks_are_not_copied(work):
    network = np.random.default_rng(0).normal(size=(3000, 3000)).astype(np.float32)
    tracemalloc.start()
    work(network)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 0.7 * network.nbytes

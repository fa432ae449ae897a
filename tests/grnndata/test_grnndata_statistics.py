"""Statistics of a network, its degree distribution, and the power law fitted to it."""

import tracemalloc

import networkx as nx
import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from scipy.optimize import minimize_scalar
from scipy.special import zeta

import grnndata
from grnndata import tl
from grnndata.tools.clustering import triangles_and_degrees
from grnndata.tools.components import component_labels
from grnndata.tools.degree_distribution import fit_power_law

KINDS = pytest.mark.parametrize("kind", [np.asarray, sparse.csr_matrix])


def make(matrix, **options):
    return grnndata.from_matrix(matrix, [f"g{i}" for i in range(matrix.shape[0])], **options)


def random(n, seed, share=0.1):
    rng = np.random.default_rng(seed)
    return np.where(rng.random((n, n)) < share, rng.normal(size=(n, n)), 0).astype(np.float32)


@KINDS
def test_statistics_by_hand(kind):
    # 0 ⇄ 1 → 2 → 0, 3 → 3, 4 → 5 and a gene alone.
    matrix = np.zeros((7, 7))
    for i, j in [(0, 1), (1, 0), (1, 2), (2, 0), (3, 3), (4, 5)]:
        matrix[i, j] = -2
    found = tl.statistics(make(kind(matrix)))
    assert found.name == "statistics"
    expected = {
        "n_genes": 7,
        "n_edges": 5,
        "n_self_edges": 1,
        "density": 5 / 42,
        "mean_degree": 5 / 7,
        "reciprocity": 2 / 5,
        "clustering": 3 / 7,
        "transitivity": 1,
        "n_weak_components": 4,
        "largest_weak_component": 3,
        "n_strong_components": 5,
        "largest_strong_component": 3,
        # Weights 2, 1, 1 of the triangle and 1 of the pair: all within, less (4/5)² and (1/5)².
        "modularity": 1 - 16 / 25 - 1 / 25,
        "power_law_xmin": 1,
        "power_law_n_tail": 4,
    }
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, abs=1e-6), name
    assert list(found.index[-4:]) == [
        "power_law_alpha",
        "power_law_xmin",
        "power_law_ks_distance",
        "power_law_n_tail",
    ]


@KINDS
@pytest.mark.parametrize(("share", "seed"), [(0.005, 0), (0.05, 1), (0.4, 2)])
def test_statistics_are_those_of_networkx(kind, share, seed):
    matrix = random(60, seed, share)
    np.fill_diagonal(matrix, 0)
    found = tl.statistics(make(kind(matrix)))
    graph = nx.from_numpy_array(matrix != 0, create_using=nx.DiGraph)
    plain = graph.to_undirected()
    assert found["reciprocity"] == pytest.approx(nx.overall_reciprocity(graph))
    assert found["clustering"] == pytest.approx(nx.average_clustering(plain))
    assert found["transitivity"] == pytest.approx(nx.transitivity(plain))
    assert found["density"] == pytest.approx(nx.density(graph))
    assert found["n_weak_components"] == nx.number_weakly_connected_components(graph)
    assert found["n_strong_components"] == nx.number_strongly_connected_components(graph)
    assert found["largest_weak_component"] == max(map(len, nx.weakly_connected_components(graph)))
    assert found["largest_strong_component"] == max(map(len, nx.strongly_connected_components(graph)))


def test_statistics_take_communities_and_a_seed():
    grn = make(random(80, 3))
    labels = pd.Series(np.arange(80) % 3, index=grn.var_names)
    assert tl.statistics(grn, communities=labels)["modularity"] == pytest.approx(tl.modularity(grn, labels))
    ours = tl.statistics(grn, seed=4)["modularity"]
    assert ours == pytest.approx(tl.modularity(grn, tl.leiden(grn, seed=4)))
    fit = tl.power_law(grn)
    found = tl.statistics(grn)
    assert found["power_law_alpha"] == fit.alpha
    assert found["power_law_ks_distance"] == fit.ks_distance


@KINDS
@pytest.mark.parametrize("n", [0, 1, 4])
def test_networks_without_edges_have_no_ratios(kind, n):
    found = tl.statistics(make(kind(np.eye(n, dtype=np.float32))))
    assert found["n_genes"] == found["n_self_edges"] == found["n_weak_components"] == n
    assert found["n_edges"] == 0
    assert np.isnan(found[["reciprocity", "modularity", "power_law_alpha", "power_law_n_tail"]]).all()


def test_undirected_networks_are_reciprocal():
    matrix = random(30, 1)
    found = tl.statistics(make(matrix + matrix.T, directed=False))
    assert found["reciprocity"] == 1
    assert found["n_weak_components"] == found["n_strong_components"]


@KINDS
def test_degree_distribution_by_hand(kind):
    matrix = np.array([[9.0, 1, 1, 1], [0, 0, 0, -1], [0, 0, 0, 1], [0, 0, 0, 0]])
    out = tl.degree_distribution(make(kind(matrix)))
    assert out.to_dict("list") == {"degree": [0, 1, 3], "n_genes": [1, 2, 1], "share_at_least": [1, 0.75, 0.25]}
    into = tl.degree_distribution(make(kind(matrix)), "in")
    assert into.to_dict("list") == {"degree": [0, 1, 3], "n_genes": [1, 2, 1], "share_at_least": [1, 0.75, 0.25]}
    empty = tl.degree_distribution(make(kind(np.zeros((0, 0)))))
    assert list(empty) == ["degree", "n_genes", "share_at_least"]
    assert empty.empty


def slow_fit(degrees):
    """Maximise the likelihood for every smallest degree: equations 3.5 and 3.9 of Clauset et al."""
    best = (np.inf,)
    for xmin in np.unique(degrees)[:-1]:
        tail = degrees[degrees >= xmin]
        logs = np.log(tail).sum()

        def loss(alpha, xmin=xmin, tail=tail, logs=logs):
            return tail.size * np.log(zeta(alpha, xmin)) + alpha * logs

        alpha = minimize_scalar(loss, bounds=(1.01, 20), method="bounded", options={"xatol": 1e-10}).x
        values = np.unique(tail)
        law = 1 - zeta(alpha, values + 1) / zeta(alpha, xmin)
        data = np.searchsorted(np.sort(tail), values, side="right") / tail.size
        best = min(best, (np.abs(law - data).max(), alpha, xmin, tail.size))
    return best


def test_power_law_is_that_of_the_slow_fit():
    rng = np.random.default_rng(0)
    degrees = rng.zipf(2.3, 3000)
    degrees = np.where(degrees <= 8, rng.integers(1, 9, 3000), degrees)[degrees < 10_000]  # no law up to 8
    found = fit_power_law(degrees)
    _, alpha, xmin, n_tail = slow_fit(degrees)
    assert found.xmin == xmin
    assert found.n_tail == n_tail
    assert found.alpha == pytest.approx(alpha, rel=1e-3)
    assert found.alpha == pytest.approx(2.3, abs=0.3)
    assert 0 < found.ks_distance < 0.1


@KINDS
def test_power_law_of_out_and_in_degrees(kind):
    rng = np.random.default_rng(1)
    n = 1500
    matrix = np.zeros((n, n), dtype=np.float32)
    for row, count in enumerate(np.minimum(rng.zipf(2.5, n), 500)):
        matrix[row, rng.choice(n, count, replace=False)] = 1
    np.fill_diagonal(matrix, 0)
    grn = make(kind(matrix))
    assert tl.power_law(grn).alpha == pytest.approx(2.5, abs=0.2)
    assert tl.power_law(grn).n_tail == (tl.degree(grn) >= tl.power_law(grn).xmin).sum()
    turned = make(kind(matrix.T.copy()))
    assert tl.power_law(turned, "in") == tl.power_law(grn)
    with pytest.raises(ValueError, match="needs two different out-degrees above 0"):
        tl.power_law(make(kind(1 - np.eye(5, dtype=np.float32))))


def test_triangles_of_a_dense_network_are_counted_alike():
    matrix = random(300, 6, share=0.3)
    triangles, degrees = triangles_and_degrees(matrix)
    from_edges = triangles_and_degrees(sparse.csr_matrix(matrix))
    np.testing.assert_array_equal(triangles, from_edges[0])
    np.testing.assert_array_equal(degrees, from_edges[1])
    graph = nx.from_numpy_array((matrix != 0) | (matrix.T != 0))
    graph.remove_edges_from(nx.selfloop_edges(graph))
    theirs = nx.triangles(graph)
    assert triangles.tolist() == [theirs[i] for i in range(300)]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("work", "copies"),
    [
        (triangles_and_degrees, 1),
        (lambda w: component_labels(w, "strong"), 0),
        (lambda w: component_labels(w, "weak"), 0),
    ],
)
def test_dense_networks_are_copied_at_most_once(work, copies):
    network = np.random.default_rng(0).random((4000, 4000), dtype=np.float32)
    tracemalloc.start()
    work(network)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < (copies + 0.9) * network.nbytes

"""One network out of many."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse, stats

import grnndata
from grnndata import GRNAnnData
from grnndata.tools.consensus import consensus

KINDS = pytest.mark.parametrize("kind", [np.asarray, sparse.csr_matrix])
FIRST = np.array([[9.0, 4, 0], [1, 0, 0], [0, -6, 0]])
SECOND = np.array([[0.0, 2, 8], [0, 0, 0], [0, 5, 0]])


def make(matrix, names=None, **options):
    names = [f"g{i}" for i in range(matrix.shape[0])] if names is None else list(names)
    return grnndata.from_matrix(matrix, names, **options)


def array(grn):
    return np.asarray(sparse.csr_matrix(grn.grn).todense())


@KINDS
@pytest.mark.parametrize(
    ("how", "expected"),
    [
        ("mean", [[0, 3, 4], [0.5, 0, 0], [0, -0.5, 0]]),
        ("max", [[0, 4, 8], [1, 0, 0], [0, -6, 0]]),
        ("votes", [[0, 1, 0.5], [0.5, 0, 0], [0, 1, 0]]),
        # K = 3. Ranks: 0→1 2 and 3, 0→2 4 (absent) and 1, 1→0 3 and 4, 2→1 1 and 2.
        ("rank", [[0, (4 - 2.5) / 3, (4 - 2.5) / 3], [(4 - 3.5) / 3, 0, 0], [0, (4 - 1.5) / 3, 0]]),
    ],
)
def test_by_hand(kind, how, expected):
    found = consensus({"x": make(kind(FIRST)), "y": make(kind(SECOND))}, how=how)
    np.testing.assert_allclose(array(found), expected, rtol=1e-6)
    assert isinstance(found, GRNAnnData)
    assert found.shape == (0, 3)
    assert found.uns["grn"]["method"] == "consensus"
    assert found.uns["grn"]["parameters"]["how"] == how
    assert found.uns["grn"]["parameters"]["networks"] == ["x", "y"]
    assert sparse.issparse(found.grn) == (kind is sparse.csr_matrix or how == "rank")


@KINDS
def test_top_k_and_self_edges(kind):
    networks = [make(kind(FIRST)), make(kind(SECOND))]
    votes = consensus(networks, how="votes", top_k=1)
    np.testing.assert_array_equal(array(votes), [[0, 0, 0.5], [0, 0, 0], [0, 0.5, 0]])
    mean = consensus(networks, top_k=2, self_edges=True)
    np.testing.assert_array_equal(array(mean), [[4.5, 0, 4], [0, 0, 0], [0, -0.5, 0]])
    assert array(consensus(networks, self_edges=True))[0, 0] == 4.5
    # K = 1: the strongest of each is 1, all others share rank 2.
    rank = consensus(networks, how="rank", top_k=1)
    np.testing.assert_allclose(array(rank), [[0, 0, 0.5], [0, 0, 0], [0, 0.5, 0]])


@pytest.mark.parametrize("how", ["mean", "max", "votes"])
@pytest.mark.parametrize("genes", ["shared", "all"])
def test_sparse_dense_and_mixed_agree_over_other_genes(how, genes, monkeypatch):
    monkeypatch.setattr("grnndata.tools.align.BLOCK", 32)  # a few rows at a time
    rng = np.random.default_rng(0)
    names = [list("abcdefg"), list("gfchba"), list("xabcfgh")]
    matrices = [np.where(rng.random((len(n), len(n))) < 0.6, rng.integers(-4, 5, (len(n), len(n))), 0) for n in names]
    found = {}
    for label, kinds in {
        "sparse": [sparse.csr_matrix] * 3,
        "dense": [np.asarray] * 3,
        "mixed": [np.asarray, sparse.csr_matrix, np.asarray],
    }.items():
        networks = [make(kind(m.astype(float)), n) for kind, m, n in zip(kinds, matrices, names, strict=True)]
        found[label] = consensus(networks, how=how, genes=genes)
    listed = list("abcfg") if genes == "shared" else list("abcdefghx")
    expected = np.zeros((len(listed), len(listed)))
    for i, source in enumerate(listed):
        for j, target in enumerate(listed):
            weights = [
                m[n.index(source), n.index(target)] if source in n and target in n else 0
                for m, n in zip(matrices, names, strict=True)
            ]
            if source != target:
                largest = max(weights, key=abs)  # the first of equal ones
                expected[i, j] = {
                    "mean": np.mean(weights),
                    "max": largest,
                    "votes": np.count_nonzero(weights) / 3,
                }[how]
    for result in found.values():
        assert result.var_names.tolist() == listed
        np.testing.assert_allclose(array(result), expected, atol=1e-6)


def test_rank_equals_scipy_over_all_edges():
    rng = np.random.default_rng(1)
    matrices = [np.round(rng.normal(size=(15, 15)), 1) for _ in range(4)]  # rounding makes ties
    off = ~np.eye(15, dtype=bool)
    n_edges = [np.count_nonzero(m[off]) for m in matrices]
    ranks = []
    for m, n in zip(matrices, n_edges, strict=True):
        listed = np.where(m[off] != 0, stats.rankdata(-np.abs(m[off])), max(n_edges) + 1)
        assert listed[m[off] != 0].max() <= n
        ranks.append(listed)
    expected = (max(n_edges) + 1 - np.mean(ranks, axis=0)) / max(n_edges)
    found = consensus([make(m) for m in matrices], how="rank")
    np.testing.assert_allclose(array(found)[off], expected, atol=1e-6)
    assert found.uns["grn"]["parameters"]["top_k"] == 100_000


@KINDS
@pytest.mark.parametrize("how", ["mean", "max", "votes", "rank"])
def test_undirected_networks_stay_so_and_count_pairs(kind, how):
    rng = np.random.default_rng(2)
    matrices = []
    for _ in range(3):
        m = np.round(rng.normal(size=(10, 10)), 1)  # ties at the cut
        matrices.append(np.triu(m, 1) + np.triu(m, 1).T)
    found = consensus([make(kind(m), directed=False) for m in matrices], how=how, top_k=7)
    assert not found.directed
    # The same over one direction only: those of the upper triangles.
    upper = consensus([make(kind(np.triu(m))) for m in matrices], how=how, top_k=7)
    np.testing.assert_allclose(array(found), array(upper) + array(upper).T, rtol=1e-6)
    mixed = consensus([make(kind(matrices[0]), directed=False), make(kind(matrices[1]))], how=how)
    assert mixed.directed


@given(st.permutations(range(4)), st.sampled_from(["mean", "rank", "votes"]))
def test_the_order_of_networks_does_not_matter(order, how):
    rng = np.random.default_rng(3)
    networks = [make(np.where(rng.random((6, 6)) < 0.5, rng.normal(size=(6, 6)), 0)) for _ in range(4)]
    one, two = (array(consensus(listed, how=how)) for listed in (networks, [networks[i] for i in order]))
    np.testing.assert_allclose(one, two, atol=1e-6)


@pytest.mark.parametrize("how", ["mean", "max"])
def test_copies_of_a_network_give_it_back(how):
    matrix = np.random.default_rng(4).normal(size=(8, 8)).astype(np.float32)
    np.fill_diagonal(matrix, 0)
    for kind in (np.asarray, sparse.csr_matrix):
        np.testing.assert_allclose(array(consensus([make(kind(matrix))] * 3, how=how)), matrix, rtol=1e-6)


def test_an_object_with_several_networks_and_symbols():
    grn = make(FIRST)
    grn.var["symbol"] = ["SOX2", "PAX6", "OTX2"]
    grn.networks["x"] = FIRST
    grn.networks["y"] = SECOND
    found = consensus(grn)
    np.testing.assert_allclose(array(found), array(consensus([make(FIRST), make(SECOND)])))
    assert found.var["symbol"].tolist() == ["SOX2", "PAX6", "OTX2"]
    assert "symbol" not in consensus([grn, make(SECOND)]).var


@pytest.mark.parametrize("how", ["mean", "max", "votes", "rank"])
def test_empty_networks(how):
    for network in (sparse.csr_matrix((3, 3)), np.zeros((3, 3)), np.ones((1, 1))):
        found = consensus([make(network)] * 2, how=how)
        assert found.n_edges == 0
        assert found.n_vars == network.shape[0]


def test_inputs_are_left_alone():
    networks = [make(FIRST), make(SECOND)]
    before = [grn.grn.copy() for grn in networks]
    for how in ("mean", "max", "votes", "rank"):
        result = consensus(networks, how=how)
        assert not any(np.shares_memory(array(result), grn.grn) for grn in networks)
    for grn, old in zip(networks, before, strict=True):
        np.testing.assert_array_equal(grn.grn, old)


@pytest.mark.parametrize("genes", ["shared", "all"])
@pytest.mark.parametrize("how", ["mean", "max", "votes"])
def test_dense_networks_need_memory_for_the_result_only(how, genes, monkeypatch):
    monkeypatch.setattr("grnndata.tools.align.BLOCK", 2**15)
    n = 1500
    rng = np.random.default_rng(5)
    a, b = (make(rng.random((n, n), dtype=np.float32), range(s, n + s)) for s in (0, 20))
    tracemalloc.start()
    found = consensus([a, b], how=how, genes=genes)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found.grn.dtype == np.float32
    assert peak < 1.2 * found.grn.nbytes


def test_errors():
    a, b = make(FIRST), make(SECOND, "xyz")
    with pytest.raises(ValueError, match="how must be one of 'mean', 'max', 'rank', 'votes', got 'median'"):
        consensus([a], how="median")
    with pytest.raises(ValueError, match="genes must be one of 'shared', 'all', got 'some'"):
        consensus([a], genes="some")
    with pytest.raises(ValueError, match="top_k must be a positive whole number, got 0"):
        consensus([a], top_k=0)
    with pytest.raises(ValueError, match=r"no gene is in all 2 networks \(0: g0, g1, g2; 1: x, y, z\)"):
        consensus([a, b])
    with pytest.raises(ValueError, match="no networks"):
        consensus([])
    with pytest.raises(TypeError, match="GRNAnnData objects"):
        consensus([a, FIRST])

"""Fewer edges, or other weights: top-k, threshold, symmetrise, average product correction, known edges."""

import logging
import tracemalloc

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

import grnndata
from grnndata import tl
from grnndata.ranking import top_k_matrix
from grnndata.tools.apc import apc_matrix
from grnndata.tools.known import mask_matrix
from grnndata.tools.sparsify import threshold_matrix
from grnndata.tools.symmetrise import symmetrise_matrix

NAMES = ["a", "b", "c"]
BY_HAND = np.array([[7.0, 4.0, -1.0], [-2.0, 0.0, 0.0], [1.0, 5.0, -3.0]], dtype=np.float32)
KINDS = pytest.mark.parametrize("kind", [np.asarray, sparse.csr_matrix])


def make(matrix=BY_HAND, names=None, **options):
    names = [f"g{i}" for i in range(matrix.shape[0])] if names is None else names
    return grnndata.from_matrix(matrix, names, **options)


def random(n, seed, share=0.5):
    rng = np.random.default_rng(seed)
    return np.where(rng.random((n, n)) < share, rng.normal(size=(n, n)), 0).astype(np.float32)


def undirected(n, seed, share=0.5):
    matrix = random(n, seed, share)
    return (matrix + matrix.T) / 2


def array(grn):
    return grn.grn.toarray() if sparse.issparse(grn.grn) else grn.grn


def last_step(grn):
    return grn.uns["grn"]["steps"][-1]


@KINDS
@pytest.mark.parametrize(
    ("minimum", "absolute", "expected"),
    [
        (2, True, [[7, 4, 0], [-2, 0, 0], [0, 5, -3]]),
        (2, False, [[7, 4, 0], [0, 0, 0], [0, 5, 0]]),
        (-2, False, [[7, 4, -1], [-2, 0, 0], [1, 5, 0]]),
        (0, True, BY_HAND),
        (100, True, np.zeros((3, 3))),
    ],
)
def test_threshold_by_hand(kind, minimum, absolute, expected):
    grn = make(kind(BY_HAND), NAMES)
    found = tl.threshold(grn, minimum, absolute=absolute)
    np.testing.assert_array_equal(array(found), expected)
    assert last_step(found) == f"threshold(minimum={minimum}, absolute={absolute})"
    np.testing.assert_array_equal(array(grn), BY_HAND)


def test_threshold_takes_the_smaller_form():
    matrix = random(40, 0, share=1)
    assert isinstance(tl.threshold(make(matrix), 0.1).grn, np.ndarray)
    assert sparse.issparse(tl.threshold(make(matrix), 1).grn)
    assert sparse.issparse(tl.threshold(make(sparse.csr_matrix(matrix)), 0.1).grn)


@KINDS
def test_threshold_of_an_undirected_network_ignores_rounding(kind):
    matrix = np.array([[0, 0.5, 1], [0.5 - 1e-7, 0, 0], [1, 0, 0]], dtype=np.float32)
    found = tl.threshold(make(kind(matrix), directed=False), 0.5)
    np.testing.assert_array_equal(array(found), [[0, 0, 1], [0, 0, 0], [1, 0, 0]])
    assert not found.directed


def test_threshold_refuses_what_compares_with_nothing():
    with pytest.raises(ValueError, match="minimum must be a finite number, got nan"):
        tl.threshold(make(), np.nan)
    with pytest.raises(ValueError, match="got -1: pass absolute=False"):
        tl.threshold(make(), -1)


@pytest.mark.parametrize("per", ["regulator", "target", "all"])
def test_top_k_of_an_undirected_network(per):
    matrix = undirected(30, 3)
    np.fill_diagonal(matrix, 0)
    size = np.abs(matrix)
    if per == "all":
        cut = np.sort(size[np.triu_indices(30)])[-4]
        expected = np.where(size >= cut, matrix, 0)
    else:
        best = size >= np.sort(size, axis=1)[:, -4, None]
        expected = np.where(best | best.T, matrix, 0)
    for kind in (np.asarray, sparse.csr_matrix):
        found = tl.top_k(make(kind(matrix), directed=False), 4, per=per)
        np.testing.assert_array_equal(array(found), expected)
        assert not found.directed


@pytest.mark.parametrize("per", ["regulator", "target", "all"])
@pytest.mark.parametrize("k", [1, 7, 5000])
def test_top_k_is_the_same_in_blocks_of_any_size(per, k, monkeypatch):
    matrix = np.round(random(60, k), 1)  # ties across blocks
    whole = top_k_matrix(matrix, k, per=per)
    monkeypatch.setattr(grnndata.blocks.row_blocks, "__defaults__", (200,))
    in_blocks = top_k_matrix(matrix, k, per=per)
    from_sparse = top_k_matrix(sparse.csr_matrix(matrix), k, per=per)
    np.testing.assert_array_equal(in_blocks.toarray(), whole.toarray())
    np.testing.assert_array_equal(from_sparse.toarray(), whole.toarray())


@KINDS
@pytest.mark.parametrize(
    ("how", "expected"),
    [
        ("mean", [[7, 1, 0], [1, 0, 2.5], [0, 2.5, -3]]),
        ("sum", [[7, 2, 0], [2, 0, 5], [0, 5, -3]]),
        ("max", [[7, 4, 1], [4, 0, 5], [1, 5, -3]]),
        ("min", [[7, -2, 1], [-2, 0, 0], [1, 0, -3]]),
    ],
)
def test_symmetrise_by_hand(kind, how, expected):
    found = tl.symmetrise(make(kind(BY_HAND), NAMES), how)
    np.testing.assert_array_equal(array(found), expected)
    assert not found.directed
    assert last_step(found) == f"symmetrise(how='{how}')"
    assert sparse.issparse(found.grn) == (kind is sparse.csr_matrix)


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 10_000), how=st.sampled_from(["mean", "sum", "max", "min"]))
def test_symmetrise_equals_a_loop_and_keeps_symmetric_networks(seed, how):
    matrix = np.round(random(6, seed, share=0.6) * 2)  # whole numbers: many ties in absolute value
    expected = matrix.copy()
    for i in range(6):
        for j in range(i):
            pair = sorted([matrix[i, j], matrix[j, i]], key=lambda w: (abs(w), w))
            value = {"mean": sum(pair) / 2, "sum": sum(pair), "max": pair[1], "min": pair[0]}[how]
            if how == "min" and abs(pair[0]) == abs(pair[1]):
                value = pair[1]
            expected[i, j] = expected[j, i] = value
    for kind in (np.asarray, sparse.csr_matrix):
        found = symmetrise_matrix(kind(matrix), how)
        found = found if kind is np.asarray else found.toarray()
        np.testing.assert_array_equal(found, expected)
        if how != "sum":
            again = symmetrise_matrix(kind(expected), how)
            np.testing.assert_array_equal(again if kind is np.asarray else again.toarray(), expected)


def test_symmetrise_refuses_unknown_ways():
    with pytest.raises(ValueError, match="how must be 'mean', 'sum', 'max' or 'min', got 'average'"):
        tl.symmetrise(make(), "average")


def test_apc_by_hand():
    # Sums over pairs of different genes: rows 6, 6, 9; columns 3, 7, 11; all 21. Means: / 2, / 2, / 6.
    matrix = np.array([[100.0, 2, 4], [-1, 0, 7], [4, 5, 0]])
    product = np.outer([3, 3, 4.5], [1.5, 3.5, 5.5]) / 3.5
    expected = matrix - product
    np.fill_diagonal(expected, 0)
    for kind in (np.asarray, sparse.csr_matrix):
        found = tl.apc(make(kind(matrix)))
        assert isinstance(found.grn, np.ndarray)
        np.testing.assert_allclose(found.grn, expected, atol=1e-6)
        assert last_step(found) == "apc()"


@KINDS
def test_apc_of_a_product_of_factors_is_zero(kind):
    rng = np.random.default_rng(0)
    factors = rng.random(50)
    # Exactly so for equal factors; otherwise but for the missing diagonal, which weighs little in 50 genes.
    equal = np.full((50, 50), 0.3)
    np.testing.assert_allclose(apc_matrix(kind(equal)), 0, atol=1e-6)
    left = apc_matrix(kind(np.outer(factors, factors)))
    assert np.abs(left).mean() < 0.05 * np.outer(factors, factors).mean()


@KINDS
def test_apc_of_an_undirected_network_is_symmetric_and_the_same(kind):
    matrix = np.abs(undirected(20, 1, share=1))
    found = tl.apc(make(kind(matrix), directed=False))
    np.testing.assert_array_equal(found.grn, found.grn.T)
    np.testing.assert_allclose(found.grn, tl.apc(make(kind(matrix))).grn, atol=1e-6)
    nearly = np.full((8, 8), 1 / 3, dtype=np.float32)
    nearly[2, 5] += 1e-6  # symmetric within tolerance, while what is left after the correction is as small
    assert not tl.apc(make(kind(nearly), directed=False)).directed


def test_apc_refuses_weights_that_cancel_out():
    matrix = np.array([[0, 1.0], [-1.0, 0]])
    with pytest.raises(ValueError, match="the mean weight is 0"):
        tl.apc(make(matrix))
    assert not tl.apc(make(np.zeros((3, 3)))).grn.any()


@KINDS
def test_keep_known_by_hand(kind):
    grn = make(kind(BY_HAND), NAMES)
    known = pd.DataFrame({"source": ["a", "b", "b", "x", "a"], "target": ["b", "c", "a", "a", "b"]})
    np.testing.assert_array_equal(array(tl.keep_known(grn, known)), [[0, 4, 0], [-2, 0, 0], [0, 0, 0]])
    rest = tl.keep_known(grn, known, invert=True)
    np.testing.assert_array_equal(array(rest), [[7, 0, -1], [0, 0, 0], [1, 5, -3]])
    assert sparse.issparse(rest.grn) == (kind is sparse.csr_matrix)
    assert last_step(rest) == "keep_known(invert=True)"


@KINDS
def test_known_networks_may_be_undirected_and_in_another_order(kind):
    grn = make(kind(BY_HAND), NAMES)
    matrix = np.array([[0, 0, 1.0], [0, 0, 0], [1, 0, 0]])
    known = make(kind(matrix), ["c", "z", "b"], directed=False)
    np.testing.assert_array_equal(array(tl.keep_known(grn, known)), [[0, 0, 0], [0, 0, 0], [0, 5, 0]])
    one_way = make(kind(np.triu(matrix)), ["b", "z", "c"])
    assert tl.keep_known(grn, one_way).n_edges == 0  # b → c is no edge of it
    symmetric = make(kind(np.abs(BY_HAND) + np.abs(BY_HAND.T)), NAMES, directed=False)
    both = tl.keep_known(symmetric, one_way)
    assert both.edges()[["source", "target"]].to_numpy().tolist() == [["b", "c"], ["c", "b"]]


def test_keep_known_says_what_does_not_match(caplog):
    grn = make(BY_HAND, NAMES)
    with caplog.at_level(logging.INFO, logger="grnndata"):
        tl.keep_known(grn, pd.DataFrame({"source": ["a", "p"], "target": ["b", "q"]}))
    assert "2 of the 4 genes with known edges are not in the network: p, q" in caplog.text
    with pytest.raises(ValueError, match=r"2 of the 2 genes .*ENSG1, ENSG2; rename them .*a, b, c"):
        tl.keep_known(grn, pd.DataFrame({"source": ["ENSG1"], "target": ["ENSG2"]}))
    with pytest.raises(TypeError, match="not dict"):
        tl.keep_known(grn, {"a": "b"})
    with pytest.raises(ValueError, match="target"):
        tl.keep_known(grn, pd.DataFrame({"source": ["a"]}))


def test_keep_known_splits_a_network_in_two():
    matrix, mask = random(30, 1), sparse.csr_matrix(random(30, 2) != 0)
    for kind in (np.asarray, sparse.csr_matrix):
        inside, outside = (mask_matrix(kind(matrix), mask, invert=invert) for invert in (False, True))
        np.testing.assert_array_equal(inside.toarray() + sparse.csr_matrix(outside).toarray(), matrix)
        assert not inside.multiply(sparse.csr_matrix(outside)).nnz
        assert inside.nnz == (mask.toarray() & (matrix != 0)).sum()


@KINDS
@pytest.mark.parametrize("n", [0, 1])
def test_networks_of_no_and_one_gene(kind, n):
    grn = make(kind(np.ones((n, n), dtype=np.float32)))
    nobody = pd.DataFrame({"source": [], "target": []})
    for found, n_edges in (
        (tl.top_k(grn, 2), 0),
        (tl.top_k(grn, 2, per="all", self_edges=True), n),
        (tl.threshold(grn, 0.5), n),
        (tl.symmetrise(grn, "sum"), n),
        (tl.apc(grn), 0),
        (tl.keep_known(grn, nobody), 0),
        (tl.keep_known(grn, nobody, invert=True), n),
    ):
        assert (found.n_vars, found.n_edges) == (n, n_edges)


@KINDS
@pytest.mark.parametrize(
    "tool",
    [
        lambda grn: tl.top_k(grn, 2),
        lambda grn: tl.threshold(grn, 0.5),
        tl.symmetrise,
        tl.apc,
        tl.maximum_spanning_tree,
        tl.tmfg,
        tl.centralities,
        tl.eigenvector,
        tl.hits,
        tl.betweenness,
        tl.leiden,
        tl.statistics,
    ],
)
def test_views_give_what_their_copies_give(kind, tool):
    view = make(kind(random(30, 4)))[:, ["g7", "g2", "g11", "g5", "g20", "g1", "g3", "g14"]]
    copy = view.copy()  # sparse rows of it are not sorted, which a tool must not put right in part
    before = array(copy).copy()
    found, expected = tool(view), tool(copy)
    assert view.is_view
    np.testing.assert_array_equal(array(copy), before)
    if isinstance(expected, grnndata.GRNAnnData):
        np.testing.assert_array_equal(array(found), array(expected))
        assert found.var_names.equals(expected.var_names)
    else:
        (pd.testing.assert_frame_equal if expected.ndim == 2 else pd.testing.assert_series_equal)(found, expected)


@pytest.mark.parametrize(
    "tool", [tl.symmetrise, tl.apc, tl.pagerank, tl.leiden, tl.statistics, tl.maximum_spanning_tree]
)
def test_a_stack_of_networks_is_refused(tool):
    stack = grnndata.GRNAnnData(np.ones((2, 5)), np.ones((5, 5, 3)))
    with pytest.raises(ValueError, match="stack of 3 networks: choose one"):
        tool(stack)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("work", "copies"),
    [
        (lambda w: top_k_matrix(w, 10), 0),
        (lambda w: top_k_matrix(w, 10, per="target"), 0),
        (lambda w: top_k_matrix(w, 10_000, per="all"), 0),
        (lambda w: threshold_matrix(w, 0.2, absolute=True, both_ways=True), 1),
        (lambda w: threshold_matrix(w, 0.8, absolute=True, both_ways=False), 0.5),
        (lambda w: symmetrise_matrix(w, "max"), 1),
        (lambda w: apc_matrix(w, directed=False), 1),
    ],
)
def test_dense_networks_are_copied_at_most_once(work, copies):
    network = np.random.default_rng(0).random((6000, 6000), dtype=np.float32)
    tracemalloc.start()
    work(network)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    # The blocks worked on have one size, whatever that of the network.
    assert peak < copies * network.nbytes + 100e6 < (copies + 1) * network.nbytes

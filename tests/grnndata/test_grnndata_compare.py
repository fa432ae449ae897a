"""Comparing two networks, and differential hubs."""

import tracemalloc
from importlib import import_module
from itertools import product

import numpy as np
import pandas as pd
import pytest
from scipy import sparse, stats

import grnndata
from grnndata.tools import differential as differential_module
from grnndata.tools.compare import Comparison, compare, compare_all
from grnndata.tools.differential import differential_hubs

compare_module = import_module("grnndata.tools.compare")  # the package holds the function of that name
KINDS = pytest.mark.parametrize("kind", [np.asarray, sparse.csr_matrix])


def make(matrix, names=None, **options):
    names = [f"g{i:02d}" for i in range(matrix.shape[0])] if names is None else list(names)
    return grnndata.from_matrix(matrix, names, **options)


def random(n, seed, share=0.5):
    rng = np.random.default_rng(seed)
    matrix = np.where(rng.random((n, n)) < share, rng.normal(size=(n, n)), 0).astype(np.float32)
    np.fill_diagonal(matrix, 7)  # self-edges, which must not count
    return matrix


def by_hand(kind):
    a = np.zeros((4, 4))
    a[0, 1], a[0, 2], a[0, 3], a[1, 2], a[2, 0] = 5, -4, 9, 3, 1  # a: the edge to "x" is the strongest, and goes
    a[1, 1] = 8
    b = np.zeros((4, 4))
    b[1, 2], b[1, 3], b[2, 3], b[3, 1] = 2, 7, 6, 4
    return make(kind(a), ["p", "q", "r", "x"]), make(kind(b), ["y", "p", "q", "r"])


@KINDS
def test_compare_by_hand(kind):
    # Over p, q, r: a has p→q 5, p→r -4, q→r 3, r→p 1; b has p→q 2, p→r 7, q→r 6, r→p 4 and no more.
    a, b = by_hand(kind)
    found = compare(a, b, top_k=1)
    assert (found.n_genes_a, found.n_genes_b, found.n_shared_genes, found.share_of_genes) == (4, 4, 3, 3 / 5)
    # The strongest edges out of each gene are p→q, q→r, r→p in a and p→r, q→r, r→p in b.
    assert (found.top_k, found.n_common_edges) == (1, 2)
    assert found.share_of_common_edges == pytest.approx(2 / 3)
    assert found.jaccard == pytest.approx(2 / 4)
    assert found.spearman == pytest.approx(stats.spearmanr([5, -4, 3, 1], [2, 7, 6, 4])[0])
    assert compare(a, b).jaccard == 1  # all four edges are in both


@KINDS
def test_compare_counts_absent_edges_as_zero_and_self_edges_when_asked(kind):
    a = make(kind(np.array([[5.0, 1, 0], [0, 0, 2], [0, 0, 0]])))
    b = make(kind(np.array([[4.0, 3, -1], [0, 0, 0], [0, 0, 0]])))
    found = compare(a, b)
    assert found.spearman == pytest.approx(stats.spearmanr([1, 0, 2], [3, -1, 0])[0])
    assert found.n_common_edges == 1
    assert found.share_of_common_edges == pytest.approx(2 * 1 / (2 + 2))
    with_self = compare(a, b, self_edges=True)
    assert with_self.n_common_edges == 2
    assert with_self.spearman == pytest.approx(stats.spearmanr([5, 1, 0, 2], [4, 3, -1, 0])[0])


@pytest.mark.parametrize("mixed", [False, True])
def test_compare_equals_sets_and_scipy(mixed):
    n, k = 30, 4
    matrix_a, matrix_b = random(n, 1), random(n, 2)
    names_a = [f"g{i:02d}" for i in range(n)]
    names_b = list(np.random.default_rng(3).permutation([f"g{i:02d}" for i in range(5, n + 5)]))
    kinds = (sparse.csr_matrix, np.asarray) if mixed else (sparse.csr_matrix, sparse.csr_matrix)
    a, b = make(kinds[0](matrix_a), names_a), make(kinds[1](matrix_b), names_b)
    shared = [name for name in names_a if name in names_b]

    def table(grn):
        frame = pd.DataFrame(np.asarray(sparse.csr_matrix(grn.grn).todense()), grn.var_names, grn.var_names)
        frame = frame.loc[shared, shared].to_numpy().copy()
        np.fill_diagonal(frame, 0)
        return frame

    def strongest(values):
        rows = [sorted(np.flatnonzero(row), key=lambda j: -abs(row[j]))[:k] for row in values]
        return {(i, j) for i, row in enumerate(rows) for j in row}

    values_a, values_b = table(a), table(b)
    edges_a, edges_b = strongest(values_a), strongest(values_b)
    either = (values_a != 0) | (values_b != 0)
    found = compare(a, b, top_k=k)
    assert found.n_shared_genes == 25
    assert found.n_common_edges == len(edges_a & edges_b)
    assert found.share_of_common_edges == len(edges_a & edges_b) / (25 * k)  # every gene has k edges
    assert found.jaccard == len(edges_a & edges_b) / len(edges_a | edges_b)
    assert found.spearman == pytest.approx(stats.spearmanr(values_a[either], values_b[either])[0], abs=1e-12)
    turned = compare(b, a, top_k=k)
    assert turned.jaccard == found.jaccard
    assert turned.spearman == pytest.approx(found.spearman, abs=1e-12)


@KINDS
def test_spearman_of_many_edges_is_that_of_a_seeded_sample(kind, monkeypatch):
    rng = np.random.default_rng(0)
    first = rng.normal(size=(300, 300))
    a, b = make(kind(first)), make(kind(first + rng.normal(size=first.shape)))
    exact = compare(a, b).spearman
    monkeypatch.setattr(compare_module, "MAX_EDGES", 20_000)
    sampled = compare(a, b).spearman
    assert sampled != exact
    assert sampled == pytest.approx(exact, abs=0.02)
    assert compare(a, b).spearman == sampled
    assert compare(a, b, seed=1).spearman != sampled


@KINDS
def test_dense_networks_in_blocks_give_the_same(kind, monkeypatch):
    a = make(kind(random(23, 4)))
    b = make(kind(random(23, 5)), [f"g{i:02d}" for i in range(3, 26)])
    whole, hubs = compare(a, b, top_k=3), differential_hubs(a, b, direction="in", n_permutations=99)
    monkeypatch.setattr("grnndata.tools.align.BLOCK", 64)  # three rows at a time
    assert compare(a, b, top_k=3) == whole
    pd.testing.assert_frame_equal(differential_hubs(a, b, direction="in", n_permutations=99), hubs)


def test_equal_networks_have_everything_in_common():
    a = make(random(12, 6))
    found = compare(a, a, top_k=3)
    assert (found.share_of_genes, found.share_of_common_edges, found.jaccard) == (1, 1, 1)
    assert found.spearman == pytest.approx(1)
    assert found.n_common_edges == 12 * 3


def test_networks_without_edges_or_of_one_gene():
    empty, one = make(sparse.csr_matrix((3, 3))), make(np.ones((1, 1)))
    for a, b in ((empty, empty), (one, one), (empty, one)):
        found = compare(a, b)
        assert found.n_common_edges == 0
        assert np.isnan([found.share_of_common_edges, found.jaccard, found.spearman]).all()
        table = differential_hubs(a, b, n_permutations=9)
        assert (table["p_value"] == 1).all()
        assert (table["difference"] == 0).all()


def test_comparison_as_a_series_and_a_table():
    a, b = by_hand(np.asarray)
    series = compare(a, b, top_k=1).to_series()
    assert series["n_common_edges"] == 2
    assert isinstance(series["n_common_edges"], int)
    table = compare_all({"a": a, "b": b, "c": a}, top_k=1)
    assert list(zip(table["a"], table["b"], strict=True)) == [("a", "b"), ("a", "c"), ("b", "c")]
    assert table["jaccard"].tolist() == pytest.approx([0.5, 1, 0.5])
    assert list(table.columns[2:]) == list(Comparison.__dataclass_fields__)
    with pytest.raises(AttributeError):
        compare(a, b).top_k = 3


def test_errors_name_genes_and_networks():
    a, b = make(np.eye(2), ["SOX2", "PAX6"]), make(np.eye(2), ["ENSG1", "ENSG2"])
    with pytest.raises(ValueError, match=r"no gene is in all 2 networks \(a: SOX2, PAX6; b: ENSG1, ENSG2\)"):
        compare(a, b)
    with pytest.raises(ValueError, match="no gene is in all"):
        differential_hubs(a, b)
    with pytest.raises(ValueError, match=r"a = 'left' with b = 'right': no gene"):
        compare_all({"left": a, "right": b})
    twice = a[:, ["SOX2", "PAX6", "SOX2"]]
    with pytest.raises(ValueError, match="network b: 1 gene name occurs more than once: SOX2"):
        compare(a, twice)
    with pytest.raises(ValueError, match="top_k must be a positive whole number, got 0"):
        compare(a, a, top_k=0)
    with pytest.raises(ValueError, match="two networks or more, got 1: only"):
        compare_all({"only": a})
    with pytest.raises(ValueError, match="direction must be 'out'"):
        differential_hubs(a, a, direction="row")
    with pytest.raises(ValueError, match="n_permutations must be a positive"):
        differential_hubs(a, a, n_permutations=0)


@KINDS
def test_differential_hubs_by_hand(kind):
    # Out of p: |a| = 6, 3, 1 and |b| = 1, 1, 2, so d = 5, 2, -1: the sum 6 is reached in absolute value by the
    # signs + + -, + + + (8) and their opposites, 4 of 8.
    a = np.zeros((4, 4))
    b = np.zeros((4, 4))
    a[0], b[0] = [50, 6, -3, 1], [0, 1, 1, -2]
    a[1, 2] = 2  # out of q: d = 2, and -2 as often: p-value 1
    found = differential_hubs(make(kind(a), "pqrs"), make(kind(b), "pqrs"), n_permutations=20_000, normalise=False)
    assert found["gene"].tolist() == ["p", "q", "r", "s"]
    assert list(found.columns) == ["gene", "strength_a", "strength_b", "difference", "p_value", "q_value"]
    assert found["strength_a"].tolist() == [10, 2, 0, 0]
    assert found["strength_b"].tolist() == [4, 0, 0, 0]
    assert found["difference"].tolist() == [6, 2, 0, 0]
    assert found["p_value"].tolist()[1:] == [1, 1, 1]
    assert found["p_value"][0] == pytest.approx(4 / 8, abs=0.015)


@KINDS
@pytest.mark.parametrize("direction", ["out", "in"])
def test_p_values_are_those_of_all_permutations(kind, direction):
    rng = np.random.default_rng(8)
    # Tenths are no exact binary numbers: sums that are equal must count as equal all the same.
    matrix_a, matrix_b = (np.round(rng.normal(size=(9, 9)), 1) for _ in range(2))
    found = differential_hubs(
        make(kind(matrix_a)), make(kind(matrix_b)), direction=direction, n_permutations=20_000, normalise=False
    ).set_index("gene")
    signs = np.array(list(product([-1, 1], repeat=8)))
    for i in range(9):
        others = np.arange(9) != i
        d = (np.abs(matrix_a) - np.abs(matrix_b)) * 10
        d = np.round(d[i, others] if direction == "out" else d[others, i]).astype(int)
        exact = np.mean(np.abs(signs @ d) >= abs(d.sum()))
        assert found.loc[f"g{i:02d}", "difference"] == pytest.approx(d.sum() / 10, abs=1e-5)
        assert found.loc[f"g{i:02d}", "p_value"] == pytest.approx(exact, abs=0.015)


@KINDS
def test_null_p_values_are_uniform(kind):
    rng = np.random.default_rng(9)
    n = 400
    a, b = (make(kind(np.where(rng.random((n, n)) < 0.2, rng.exponential(size=(n, n)), 0))) for _ in range(2))
    found = differential_hubs(a, b, n_permutations=499)
    assert stats.kstest(found["p_value"], "uniform").pvalue > 0.01
    assert (found["q_value"] > 0.05).all()


@KINDS
def test_a_planted_hub_is_found_and_its_q_value_is_that_of_benjamini_and_hochberg(kind):
    rng = np.random.default_rng(10)
    n = 200
    matrix_a, matrix_b = (rng.exponential(size=(n, n)) * (rng.random((n, n)) < 0.3) for _ in range(2))
    matrix_a[17] *= 8
    matrix_b[:, 60] *= 8
    a, b = make(kind(matrix_a), [f"g{i}" for i in range(n)]), make(kind(matrix_b), [f"g{i}" for i in range(n)])
    out, into = differential_hubs(a, b), differential_hubs(a, b, direction="in")
    assert out["gene"][0] == "g17"
    assert out["difference"][0] > 0
    assert out["p_value"][0] == 1 / 1001
    assert out["q_value"][0] < 0.25
    assert into["gene"][0] == "g60"
    assert into["difference"][0] < 0
    ranks = stats.rankdata(out["p_value"], method="max")
    bound = (out["p_value"] * n / ranks).to_numpy()
    monotone = [bound[out["p_value"].to_numpy() >= p].min() for p in out["p_value"]]
    np.testing.assert_allclose(out["q_value"], np.minimum(monotone, 1))


@pytest.mark.parametrize("same_order", [True, False])
def test_swapping_the_networks_turns_the_sign_only(same_order):
    a = make(random(40, 11))
    b = make(sparse.csr_matrix(random(40, 12)))
    if not same_order:
        b = b[:, list(np.random.default_rng(0).permutation(b.var_names))].copy()
    one, two = differential_hubs(a, b, seed=5), differential_hubs(b, a, seed=5)
    assert one["gene"].tolist() == two["gene"].tolist()
    np.testing.assert_allclose(one["difference"], -two["difference"])
    np.testing.assert_array_equal(one["p_value"], two["p_value"])
    assert not differential_hubs(a, b, seed=6)["p_value"].equals(one["p_value"])


def test_sparse_and_dense_agree_whatever_the_chunks(monkeypatch):
    matrix_a, matrix_b = random(50, 13), random(50, 14)
    sparse_one = differential_hubs(make(sparse.csr_matrix(matrix_a)), make(sparse.csr_matrix(matrix_b)))
    dense = differential_hubs(make(matrix_a), make(matrix_b))
    pd.testing.assert_frame_equal(sparse_one, dense)
    monkeypatch.setattr(differential_module, "_CHUNK_DENSE", 7)
    pd.testing.assert_frame_equal(differential_hubs(make(matrix_a), make(matrix_b)), dense)


@pytest.mark.parametrize("direction", ["out", "in"])
def test_differential_hubs_of_dense_networks_copy_none_of_them(direction, monkeypatch):
    monkeypatch.setattr("grnndata.tools.align.BLOCK", 2**15)
    n = 1500
    rng = np.random.default_rng(16)
    a, b = (make(rng.random((n, n), dtype=np.float32), [f"g{i}" for i in range(s, n + s)]) for s in (0, 20))
    tracemalloc.start()
    found = differential_hubs(a, b, direction=direction, n_permutations=8)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(found) == n - 20
    assert peak < 0.5 * a.grn.nbytes


def test_normalising_takes_the_scale_away():
    matrix = random(30, 15)
    a = make(matrix)
    scaled = differential_hubs(a, make(matrix * np.float32(0.1)))
    assert scaled["strength_a"].mean() == pytest.approx(1)
    assert scaled["strength_b"].mean() == pytest.approx(1)
    np.testing.assert_allclose(scaled["difference"], 0, atol=1e-6)
    assert (scaled["p_value"] == 1).all()  # rounding of float32 is no difference
    raw = differential_hubs(a, make(matrix * np.float32(0.1)), normalise=False)
    assert (raw["p_value"] < 0.05).all()


def test_symbols_are_shown_and_only_shared_genes_count():
    a = make(np.ones((3, 3)), ["E1", "E2", "E3"])
    a.var["symbol"] = ["SOX2", "PAX6", "OTX2"]
    b = make(np.ones((3, 3)), ["E3", "E1", "E9"])
    found = differential_hubs(a, b, normalise=False, n_permutations=9).set_index("gene")
    assert found["symbol"].to_dict() == {"E1": "SOX2", "E3": "OTX2"}
    assert found["strength_a"].tolist() == [1, 1]  # neither self-edges nor edges with E2 and E9

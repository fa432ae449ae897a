"""Comparing two networks."""

from importlib import import_module

import numpy as np
import pandas as pd
import pytest
from scipy import sparse, stats

import grnndata
from grnndata.tools.compare import Comparison, compare, compare_all

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
    whole = compare(a, b, top_k=3)
    monkeypatch.setattr("grnndata.tools.align.BLOCK", 64)  # three rows at a time
    assert compare(a, b, top_k=3) == whole


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
    with pytest.raises(ValueError, match=r"a = 'left' with b = 'right': no gene"):
        compare_all({"left": a, "right": b})
    twice = a[:, ["SOX2", "PAX6", "SOX2"]]
    with pytest.raises(ValueError, match="network b: 1 gene name occurs more than once: SOX2"):
        compare(a, twice)
    with pytest.raises(ValueError, match="top_k must be a positive whole number, got 0"):
        compare(a, a, top_k=0)
    with pytest.raises(ValueError, match="two networks or more, got 1: only"):
        compare_all({"only": a})

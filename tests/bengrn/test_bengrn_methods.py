"""The baseline methods and how methods are found."""

from __future__ import annotations

from fractions import Fraction
from importlib.metadata import EntryPoint

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from anndata import AnnData

import bengrn
import bengrn.registry
from bengrn.methods.correlation import Pearson, absolute_correlation, log_cp10k, standardise
from bengrn.methods.random import Random
from bengrn.metrics import rank_positives
from grnndata import GRNMethod


@pytest.fixture
def cells() -> AnnData:
    counts = np.random.default_rng(0).poisson(3.0, (30, 5)).astype(np.float32)
    return AnnData(counts, var=pd.DataFrame(index=list("ABCDE")))


def test_normalisation_by_hand():
    # Cells of 4 and 2 counts; the empty one is left out.
    counts = np.array([[1, 3], [0, 0], [2, 0]])
    expected = np.log1p([[2_500, 7_500], [10_000, 0]])
    np.testing.assert_allclose(log_cp10k(counts), expected)
    np.testing.assert_allclose(log_cp10k(sp.csr_matrix(counts)), expected)


def test_correlation_is_numpy_s_without_sign():
    values = np.random.default_rng(0).normal(size=(50, 6))
    expected = np.abs(np.corrcoef(values.T))
    np.fill_diagonal(expected, 0)
    # Standardised columns lie on a grid, at most 2**-27 an entry away: that moves a dot product of columns of length 1
    # by 2 * sqrt(50) * 2**-27 at most.
    np.testing.assert_allclose(absolute_correlation(values), expected, atol=np.sqrt(50) * 2**-26)
    # Nothing is lost beside the grid.
    units = standardise(values)
    exact = [[abs(sum(Fraction(x) * Fraction(y) for x, y in zip(a, b, strict=True))) for b in units.T] for a in units.T]
    np.fill_diagonal(exact := np.array(exact, dtype=float), 0)
    np.testing.assert_array_equal(absolute_correlation(values), exact)


def test_a_correlation_is_the_same_in_any_order_of_summation():
    values = log_cp10k(np.random.default_rng(1).poisson(0.5, (997, 40)))
    expected = absolute_correlation(values)
    units = standardise(values)
    order = np.random.default_rng(2).permutation(len(values))
    blocks = sum(units[at : at + 64].T @ units[at : at + 64] for at in range(0, len(units), 64))
    one_by_one = np.array([np.add.reduce(units * column[:, None]) for column in units.T])
    for product in (units[order].T @ units[order], blocks, one_by_one, np.einsum("ci,cj->ij", units, units)):
        np.fill_diagonal(product, 0)
        np.testing.assert_array_equal(np.abs(product), expected)
    # The means and lengths of the columns are rounded otherwise in another order, which the grid hides.
    np.testing.assert_array_equal(absolute_correlation(values[order]), expected)
    np.testing.assert_array_equal(absolute_correlation(np.asfortranarray(values)), expected)


def test_genes_that_correlate_alike_tie():
    # Genes seen in one cell each: every two correlate by -1 / (n - 1). Genes of equal values in other cells
    # correlate alike with those. float64 alone orders such pairs by rounding.
    n, m = 30, 12
    values = np.zeros((n, m))
    values[np.arange(m), np.arange(m)] = np.random.default_rng(0).uniform(1, 9, m)
    found = absolute_correlation(values)[~np.eye(m, dtype=bool)]
    assert np.unique(found).size == 1
    assert found[0] == pytest.approx(1 / (n - 1), abs=np.sqrt(n) * 2**-26)
    assert np.unique(np.corrcoef(values.T)[~np.eye(m, dtype=bool)]).size > 1
    ranking = rank_positives(found, np.arange(found.size) % 3 == 0)
    assert (ranking.n_above.tolist(), ranking.n_tied.tolist()) == ([0], [m * (m - 1)])


def test_a_gene_that_does_not_vary_correlates_with_none():
    values = np.random.default_rng(0).normal(size=(50, 3))
    values[:, 1] = 0.1
    result = absolute_correlation(values)
    assert (result[1] == 0).all()
    assert result[0, 2] > 0


def test_pearson(cells):
    network = bengrn.get_method("pearson").infer(cells)
    expected = np.abs(np.corrcoef(np.log1p(cells.X / cells.X.sum(1, keepdims=True) * 1e4).T))
    np.fill_diagonal(expected, 0)
    np.testing.assert_allclose(network.grn, expected, atol=1e-5)
    np.testing.assert_array_equal(network.grn, network.grn.T)
    assert network.uns["grn"]["method"] == "pearson"
    assert not network.directed
    assert "GRN" not in cells.varp


def test_only_regulators_have_outgoing_edges(cells):
    for method in (Pearson(), Random()):
        network = method.infer(cells, regulators=["B", "D"], rng=0)
        assert list(network.regulators) == ["B", "D"]
        assert network.directed
        with pytest.raises(ValueError, match=r"1 of 2 regulators are not in var_names \(first: 'X'\)"):
            method.infer(cells, regulators=["A", "X"])


def test_random_is_seeded_and_uniform(cells):
    first, again, other = (Random().infer(cells, rng=seed).grn for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()
    assert (np.diag(first) == 0).all()
    wide = Random().infer(AnnData(shape=(0, 200)), rng=np.random.default_rng(0)).grn
    assert wide.sum() / (200 * 199) == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize(
    ("X", "message"),
    [
        (
            np.array([[0.5, 1.0], [2.0, 1.0]]),
            r"1 of 4 values in X are no counts \(first: 0.5\): pass raw counts",
        ),
        (np.array([[-1.0, 1.0], [2.0, 1.0]]), r"no counts \(first: -1\)"),
        (np.array([[np.nan, 1.0], [2.0, 1.0]]), "1 of 4 values in X are no counts"),
        (np.array([[1.0, 1.0], [0.0, 0.0]]), "1 of 2 cells have counts: a correlation needs at least two"),
        (None, "has no X"),
    ],
)
def test_what_a_correlation_cannot_use(X, message):
    adata = AnnData(X) if X is not None else AnnData(shape=(3, 2))
    with pytest.raises(ValueError, match=message):
        Pearson().infer(adata)


def test_methods_are_found_by_entry_point():
    assert bengrn.list_methods()["pearson"] == "bengrn.methods.correlation:Pearson"
    for name in ("pearson", "random"):
        method = bengrn.get_method(name)
        assert isinstance(method, GRNMethod)
        assert method.name == name
    with pytest.raises(ValueError, match=r"no method 'genie'; installed are: .*pearson, random"):
        bengrn.get_method("genie")


def test_what_is_no_method_is_refused(monkeypatch):
    point = EntryPoint("odd", "collections:OrderedDict", "bengrn.methods")
    monkeypatch.setattr(bengrn.registry, "entry_points", lambda **_: [point])
    assert bengrn.list_methods() == {"odd": "collections:OrderedDict"}
    with pytest.raises(TypeError, match="collections:OrderedDict is no method"):
        bengrn.get_method("odd")

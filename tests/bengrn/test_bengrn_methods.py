"""The baseline methods and how methods are found."""

from __future__ import annotations

from importlib.metadata import EntryPoint

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from anndata import AnnData

import bengrn
import bengrn.registry
from bengrn.methods.correlation import Pearson, absolute_correlation, log_cp10k
from bengrn.methods.random import Random
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
    np.testing.assert_allclose(absolute_correlation(values), expected, atol=1e-12)


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

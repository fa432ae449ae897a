"""The baseline methods and how methods are found."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from anndata import AnnData
from scipy.stats import multivariate_normal, norm, spearmanr

import bengrn
import bengrn.registry
from bengrn.methods.correlation import PEARSON, absolute_correlation, spearman, standardise
from bengrn.methods.expression import log_cp10k
from bengrn.methods.metacells import alike, metacell_pearson
from bengrn.methods.mutual_information import aracne, mutual_information, relatedness, without_indirect
from bengrn.methods.partial_correlation import optimal_shrinkage, partial_correlation
from bengrn.methods.random import RANDOM
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
    for method in (PEARSON, RANDOM):
        network = method.infer(cells, regulators=["B", "D"], rng=0)
        assert list(network.regulators) == ["B", "D"]
        assert network.directed
        with pytest.raises(ValueError, match=r"1 of 2 regulators are not in var_names \(first: 'X'\)"):
            method.infer(cells, regulators=["A", "X"])


def test_random_is_seeded_and_uniform(cells):
    first, again, other = (RANDOM.infer(cells, rng=seed).grn for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()
    assert (np.diag(first) == 0).all()
    named = AnnData(shape=(0, 7), var=pd.DataFrame(index=list("dagcfbe")))
    whole, turned = RANDOM.infer(named, rng=1), RANDOM.infer(named[:, [3, 1, 6, 0, 5, 2, 4]].copy(), rng=1)
    np.testing.assert_array_equal(turned[:, named.var_names].grn, whole.grn)  # weights go by names
    some, less = (RANDOM.infer(adata, regulators=["g", "b"], rng=1) for adata in (named, named[:, ::-1].copy()))
    assert some.edges().sort_values(["source", "target"]).equals(less.edges().sort_values(["source", "target"]))
    wide = RANDOM.infer(AnnData(shape=(0, 200)), rng=np.random.default_rng(0)).grn
    assert wide.sum() / (200 * 199) == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize(
    ("X", "message"),
    [
        (np.array([[np.nan, 1.0], [2.0, np.inf]]), "2 of 4 values in X are NaN or infinite"),
        (np.array([[1.0, 1.0], [0.0, 0.0]]), "1 of 2 cells have counts: a network needs at least two"),
        (np.array([[1.0, 1.0]]), "there are 1 cells: a network needs at least two"),
        (None, "has no X: pearson needs expression there"),
    ],
)
def test_what_a_correlation_cannot_use(X, message):
    adata = AnnData(X) if X is not None else AnnData(shape=(3, 2))
    with pytest.raises(ValueError, match=message):
        PEARSON.infer(adata)


@pytest.mark.parametrize(
    ("X", "told"),
    [
        ([[0.5, 1.0], [2.0, 1.0], [1.0, 3.0]], "1 of 6 values in X are no counts (first: 0.5)"),
        ([[-1.0, 1.0], [2.0, 1.0], [1.0, 3.0]], "1 of 6 values in X are no counts (first: -1)"),
    ],
)
def test_values_that_are_no_counts_are_correlated_as_they_are_and_told(X, told, caplog):
    network = PEARSON.infer(AnnData(np.array(X)))
    assert network.grn[0, 1] == pytest.approx(abs(np.corrcoef(np.array(X).T)[0, 1]), abs=1e-6)
    assert network.uns["grn"]["parameters"]["transform"] == f"values as given: {told}"
    assert f"pearson takes the values as given: {told}" in caplog.text
    with pytest.raises(ValueError, match=r"no counts \(first: .*\): this method takes raw counts"):
        bengrn.get_method("metacell-pearson").infer(AnnData(np.array(X)))
    with pytest.raises(ValueError, match=r"values in X are no counts \(first: .*\): pass raw counts"):
        log_cp10k(np.array(X))


def test_cells_without_counts_are_left_out_and_told(cells):
    counts = np.vstack([np.zeros(5), cells.X])
    network = PEARSON.infer(AnnData(counts, var=cells.var))
    np.testing.assert_array_equal(network.grn, PEARSON.infer(cells).grn)
    told = "log1p of counts per 10,000; 1 of 31 cells have no count and are left out"
    assert network.uns["grn"]["parameters"]["transform"] == told


def test_methods_are_found_by_entry_point():
    assert bengrn.list_methods()["pearson"] == "bengrn.methods.correlation:PEARSON"
    for name in ("pearson", "random"):
        method = bengrn.get_method(name)
        assert isinstance(method, GRNMethod)
        assert method.name == name
    with pytest.raises(ValueError, match=r"no method 'genie'; installed are: .*pearson, random"):
        bengrn.get_method("genie")


def offered(monkeypatch, *points):
    monkeypatch.setattr(bengrn.registry, "entry_points", lambda **_: [EntryPoint(*p, "bengrn.methods") for p in points])


def test_what_is_no_method_is_refused(monkeypatch):
    offered(monkeypatch, ("odd", "collections:OrderedDict"), ("number", "math:pi"), ("gone", "no_such_package.here:It"))
    assert bengrn.list_methods() == {
        "gone": "no_such_package.here:It",
        "number": "math:pi",
        "odd": "collections:OrderedDict",
    }
    with pytest.raises(TypeError, match="collections:OrderedDict is no method"):
        bengrn.get_method("odd")
    with pytest.raises(TypeError, match="math:pi is no method"):
        bengrn.get_method("number")
    broken = "method 'gone' of the package 'no_such_package' cannot be loaded from no_such_package.here:It: Module"
    with pytest.raises(ImportError, match=broken):
        bengrn.get_method("gone")
    trouble = bengrn.method_table().set_index("name")["trouble"]
    assert trouble["gone"].startswith(broken)
    assert trouble["number"].startswith("math:pi is no method")


def test_a_name_that_two_packages_offer_is_told(monkeypatch):
    offered(monkeypatch, ("mine", "one.place:It"), ("mine", "two.place:It"))
    assert bengrn.list_methods() == {"mine": "one.place:It and two.place:It"}
    clash = r"'mine' is offered twice, by one \(one.place:It\) and two \(two.place:It\)"
    with pytest.raises(ValueError, match=clash):
        bengrn.get_method("mine")
    # The same place twice, as after an installation over another, is one method.
    where = "bengrn.methods.correlation:PEARSON"
    offered(monkeypatch, ("pearson", where), ("pearson", where))
    assert bengrn.get_method("pearson") is not None


def test_a_method_has_one_name(monkeypatch):
    offered(monkeypatch, ("correlation", "bengrn.methods.correlation:PEARSON"))
    with pytest.raises(TypeError, match="calls itself 'pearson', and its entry point 'correlation'"):
        bengrn.get_method("correlation")


def test_settings_are_known_by_name_and_type(cells):
    assert bengrn.parse_settings("aracne", {"tolerance": "0.15", "bins": "5", "estimator": "gaussian"}) == {
        "tolerance": 0.15,
        "bins": 5,
        "estimator": "gaussian",
    }
    assert bengrn.parse_settings("partial_correlation", {"shrinkage": "0.5"}) == {"shrinkage": 0.5}
    with pytest.raises(TypeError, match=r"aracne has no setting 'tolerence' \(did you mean 'tolerance'\?\)"):
        bengrn.get_method("aracne", tolerence=0.1)
    with pytest.raises(TypeError, match="pearson has no setting 'n'; it has: none"):
        bengrn.parse_settings("pearson", {"n": "1"})
    for name, text in {"bins": "many", "estimator": "guess"}.items():
        with pytest.raises(ValueError, match=f"settings of aracne: .*--{name}"):
            bengrn.parse_settings("aracne", {name: text})
    parameters = bengrn.get_method("clr", bins=4).infer(cells).uns["grn"]["parameters"]
    assert parameters == {"transform": "log1p of counts per 10,000", "estimator": "bins", "bins": 4}


def test_the_table_tells_what_each_method_takes():
    table = bengrn.method_table().set_index("name")
    assert table.loc["random", ["takes", "deterministic"]].tolist() == ["genes", False]
    assert table.loc["metacell-pearson", ["takes", "directed"]].tolist() == ["counts", False]
    assert (table["trouble"] == "").all()
    own = table[table["package"] == "bengrn"]
    assert own["summary"].str.endswith(".").all()
    assert own["reference"].drop("random").str.len().min() > 20
    told = bengrn.describe_method("aracne")
    assert "Margolin et al." in told
    assert "tolerance = 0.0\n        Share by which the weakest of three edges" in told


def test_what_methods_import_early_can_be_imported():
    early = {point.name: getattr(point.load(), "imports", ()) for point in entry_points(group="bengrn.methods")}
    assert (early["pearson"], early["deepsem"]) == ((), ("torch",))
    for name in {module for modules in early.values() for module in modules}:
        assert find_spec(name) is not None, name


# ------------------------------------------------------------------------------------- what a function may return


def test_the_result_of_a_function_is_checked(cells):
    def returning(weights):
        return replace(PEARSON, function=lambda *_, **__: weights)

    ones = np.ones((5, 5))
    assert returning(ones).infer(cells).grn.sum() == 20  # no self edges
    table = returning(ones[:2]).infer(cells, regulators=["D", "B"]).grn
    assert sp.issparse(table)
    np.testing.assert_array_equal(table.toarray().sum(axis=1), [0, 4, 0, 4, 0])
    full = returning(sp.csr_matrix(np.arange(25.0).reshape(5, 5))).infer(cells, regulators=["D", "B"]).grn
    np.testing.assert_array_equal(full.toarray()[[1, 3]], [[5, 0, 7, 8, 9], [15, 16, 17, 0, 19]])
    for weights, regulators, message in [
        (
            np.ones((5, 2)),
            ["A", "B"],
            r"pearson returned weights of shape \(5, 2\), and not \(2, 5\): it looks transposed",
        ),
        (np.ones((4, 4)), None, r"shape \(4, 4\), and not \(5, 5\)"),
        (np.where(np.eye(5) > 0, np.nan, 1), None, "pearson returned 5 weights that are NaN or infinite"),
    ]:
        with pytest.raises(ValueError, match=message):
            returning(weights).infer(cells, regulators=regulators)
    with pytest.raises(ValueError, match="regulators names no gene"):
        PEARSON.infer(cells, regulators=[])


#: Methods with weights of their own are tested beside these.
WITH_WEIGHTS = {"geneformer", "scgpt", "scprint"}
#: What is learnt need not be good here.
SHORT = {"deepsem": {"epochs": 3, "hidden": 8, "device": "cpu"}, "regdiffusion": {"steps": 5, "device": "cpu"}}


@pytest.mark.parametrize("name", [name for name in bengrn.list_methods() if name not in {*WITH_WEIGHTS, "random"}])
def test_a_method_looks_at_cells_and_not_at_their_places(name):
    counts = np.random.default_rng(3).poisson(np.random.default_rng(4).gamma(1, 2, (90, 1)) * np.ones(8)).astype(float)
    cells = AnnData(counts, var=pd.DataFrame(index=list("ABCDEFGH")))
    method = bengrn.get_method(name, **SHORT.get(name, {}))
    whole = method.infer(cells, rng=1).grn
    shuffled = method.infer(cells[np.random.default_rng(5).permutation(90)].copy(), rng=1).grn
    np.testing.assert_allclose(shuffled, whole, atol=1e-6)
    assert (np.diag(whole) == 0).all()
    assert whole.max() > 0
    some = method.infer(cells, regulators=["H", "C"], rng=1)
    assert set(some.regulators) <= {"C", "H"}
    assert some.directed
    if name in ("pearson", "spearman", "partial-correlation", "mutual-information", "metacell-pearson"):
        np.testing.assert_array_equal(some.grn.toarray()[[2, 7]], whole[[2, 7]])
        np.testing.assert_array_equal(whole, whole.T)


# --------------------------------------------------------------------------------------------- the methods, by hand


def test_spearman_is_scipy_s():
    values = np.random.default_rng(0).poisson(1.0, (40, 6)).astype(float)
    expected = np.abs(spearmanr(values).statistic)
    np.fill_diagonal(expected, 0)
    np.testing.assert_allclose(spearman(values, None, None), expected, atol=1e-6)


def test_a_partial_correlation_is_that_of_the_inverse():
    values = np.random.default_rng(0).normal(size=(60, 5)) @ np.random.default_rng(1).normal(size=(5, 5))
    values = np.column_stack([values, np.full(60, 2.0)])  # a gene that does not vary
    r = 0.7 * np.corrcoef(values[:, :5].T) + 0.3 * np.eye(5)
    inverse = np.linalg.inv(r)
    expected = np.abs(inverse / np.sqrt(np.outer(np.diag(inverse), np.diag(inverse))))
    np.fill_diagonal(expected, 0)
    found = partial_correlation(values, None, None, shrinkage=0.3)
    np.testing.assert_allclose(found[:5, :5], expected, atol=1e-6)
    assert (found[5] == 0).all()
    np.testing.assert_array_equal(partial_correlation(values, np.array([1, 4]), None, shrinkage=0.3), found[[1, 4]])


def test_a_chain_has_no_partial_correlation_between_its_ends():
    rng = np.random.default_rng(0)
    a = rng.normal(size=4_000)
    b = a + rng.normal(size=4_000)
    c = b + rng.normal(size=4_000)
    chain = np.column_stack([a, b, c])
    found = partial_correlation(chain, None, None)
    # Given b, a and c are independent. r_ab = 1 / sqrt(2), r_bc = sqrt(2 / 3), r_ac = 1 / sqrt(3): given c, a and b
    # correlate by (1 / sqrt(2) - sqrt(2) / 3) / sqrt(2 / 9) = 1 / 2.
    assert found[0, 2] < 3 / np.sqrt(4_000)
    assert found[0, 1] == pytest.approx(0.5, abs=0.03)
    for shrinkage in (0.0, 1.5):
        with pytest.raises(ValueError, match="shrinkage is above 0 and at most 1"):
            partial_correlation(chain, None, None, shrinkage=shrinkage)


def test_the_best_shrinkage_is_that_of_schaefer_and_strimmer():
    values = np.random.default_rng(0).gamma(1, size=(12, 7))
    z = (values - values.mean(axis=0)) / values.std(axis=0, ddof=1)
    n = len(z)
    over = under = 0.0
    for i in range(7):
        for j in set(range(7)) - {i}:
            w = z[:, i] * z[:, j]
            over += n / (n - 1) ** 3 * ((w - w.mean()) ** 2).sum()
            under += (n / (n - 1) * w.mean()) ** 2
    units = standardise(values)
    assert optimal_shrinkage(units, units.T @ units) == pytest.approx(over / under, rel=1e-5)


def test_mutual_information_of_counts_by_hand():
    # Two genes of two values: joint counts 30, 10, 20, 40 of 100 cells.
    x = np.repeat([0, 0, 1, 1], [30, 10, 20, 40]).astype(float)
    y = np.repeat([0, 1, 0, 1], [30, 10, 20, 40]).astype(float)
    joint, px, py = np.array([[0.3, 0.1], [0.2, 0.4]]), np.array([0.4, 0.6]), np.array([0.5, 0.5])
    plain = (joint * np.log(joint / np.outer(px, py))).sum()
    corrected = plain - (4 - 2 - 2 + 1) / (2 * 100)  # Miller and Madow, in each of the three entropies
    found = mutual_information(np.column_stack([x, y]), None, None)
    assert found[0, 1] == pytest.approx(corrected, abs=1e-12)
    # A gene that does not vary says nothing of others; one that repeats another says all: its entropy.
    values = np.column_stack([x, x * 7, np.ones(100)])
    found = mutual_information(values, None, None)
    entropy = -(px * np.log(px)).sum() + (2 - 1) / (2 * 100)
    assert found[0, 1] == pytest.approx(entropy, abs=1e-12)
    assert (found[2] == 0).all()


def _of_tenths(r):
    """Mutual information of two normal variables that are known by their tenths only."""
    edges = norm.ppf(np.linspace(0, 1, 11)).clip(-9, 9)
    grid = np.array([[multivariate_normal([0, 0], [[1, r], [r, 1]]).cdf([x, y]) for y in edges] for x in edges])
    joint = np.diff(np.diff(grid, axis=0), axis=1).clip(1e-12)
    return (joint * np.log(joint / 0.01)).sum()


@pytest.mark.parametrize("estimator", ["bins", "gaussian"])
def test_mutual_information_of_a_normal_pair(estimator):
    rng = np.random.default_rng(1)
    for r in (0.2, 0.5, 0.8):
        exact = -0.5 * np.log(1 - r**2) if estimator == "gaussian" else _of_tenths(r)
        found = []
        for _ in range(20):
            x, e = rng.normal(size=(2, 2_000))
            values = np.column_stack([x, r * x + np.sqrt(1 - r**2) * e])
            found.append(mutual_information(values, None, rng, estimator=estimator, bins=10)[0, 1])
        # The correction for the number of cells is of the first order: what is left is below 2 %.
        assert np.mean(found) == pytest.approx(exact, abs=0.02 * exact + 4 * np.std(found) / np.sqrt(20))


def test_mutual_information_is_free_of_blocks(monkeypatch):
    values = np.random.default_rng(0).poisson(1.5, (50, 9)).astype(float)
    whole = mutual_information(values, None, None)
    monkeypatch.setattr("bengrn.methods.mutual_information._BLOCK", 1)
    np.testing.assert_array_equal(mutual_information(values, None, None), whole)
    np.testing.assert_array_equal(mutual_information(values, np.array([2, 5]), None), whole[[2, 5]])


def test_clr_is_its_formula():
    table = np.array([[0, 3, 1, 2], [3, 0, 5, 1], [1, 5, 0, 4], [2, 1, 4, 0]], dtype=float)
    expected = np.zeros((4, 4))
    z = np.zeros((4, 4))
    for i in range(4):
        others = [table[i, j] for j in range(4) if j != i]
        for j in set(range(4)) - {i}:
            z[i, j] = max(0, (table[i, j] - np.mean(others)) / np.std(others))
    for i, j in np.argwhere(~np.eye(4, dtype=bool)):
        expected[i, j] = np.sqrt(z[i, j] ** 2 + z[j, i] ** 2)
    np.testing.assert_allclose(relatedness(table), expected, atol=1e-12)
    # Hand-worked: gene 0 has 3, 1, 2 (mean 2, variance 2/3), gene 1 has 3, 5, 1 (mean 3).
    assert relatedness(table)[0, 1] == pytest.approx(np.sqrt(3 / 2))


def test_aracne_takes_the_ends_of_a_chain_apart():
    chain = np.array([[0, 0.9, 0.5], [0.9, 0, 0.7], [0.5, 0.7, 0]])
    expected = chain.copy()
    expected[0, 2] = expected[2, 0] = 0
    np.testing.assert_array_equal(without_indirect(chain), expected)
    # 0.5 is 29 % below 0.7.
    np.testing.assert_array_equal(without_indirect(chain, tolerance=0.2), expected)
    np.testing.assert_array_equal(without_indirect(chain, tolerance=0.3), chain)
    # With A the only regulator no third gene can take an edge.
    np.testing.assert_array_equal(without_indirect(chain[:1], np.array([0])), chain[:1])
    # With A and B regulators, B takes A-C.
    np.testing.assert_array_equal(without_indirect(chain[:2], np.array([0, 1])), expected[:2])


def test_aracne_of_cells_from_a_chain():
    rng = np.random.default_rng(0)
    a = rng.normal(size=2_000)
    b = a + 0.7 * rng.normal(size=2_000)
    c = b + 0.7 * rng.normal(size=2_000)
    values = np.column_stack([a, b, c])
    found = aracne(values, None, rng)
    assert found[0, 2] == 0
    assert min(found[0, 1], found[1, 2]) > 0.3
    np.testing.assert_array_equal(aracne(values, None, rng, inequality=False), mutual_information(values, None, rng))
    with pytest.raises(ValueError, match="tolerance is from 0 to below 1"):
        aracne(values, None, rng, tolerance=1.0)
    for options, message in [({"estimator": "guess"}, "estimator is 'bins'"), ({"bins": 1}, "at least 2, got 1")]:
        with pytest.raises(ValueError, match=message):
            aracne(values, None, rng, **options)


def test_metacells_are_cells_that_are_alike():
    # Two programmes that take turns: no metacell mixes them.
    rng = np.random.default_rng(0)
    kind = np.arange(64) % 2
    rates = np.where(kind[:, None] == np.arange(10) % 2, 20.0, 1.0)
    counts = rng.poisson(rates).astype(float)
    groups = alike(log_cp10k(counts), 8)
    assert sorted(np.concatenate(groups).tolist()) == list(range(64))
    assert {len(group) for group in groups} == {8}
    assert all(len(set(kind[group])) == 1 for group in groups)
    found = metacell_pearson(counts, None, rng, size=8)
    sums = np.array([counts[group].sum(axis=0) for group in groups])
    np.testing.assert_array_equal(found, absolute_correlation(log_cp10k(sums)))
    np.testing.assert_allclose(metacell_pearson(counts, None, rng, size=1), absolute_correlation(log_cp10k(counts)))
    # Noise of counts hides correlation in single cells, and less so in sums.
    assert found[0, 2] > metacell_pearson(counts, None, rng, size=1)[0, 2]
    with pytest.raises(ValueError, match="64 cells make 2 metacells of at most 32 cells"):
        metacell_pearson(counts, None, rng, size=32)
    with pytest.raises(ValueError, match="at least 1, got 0"):
        metacell_pearson(counts, None, rng, size=0)

"""Where the raw counts are found, and when a logarithm can be undone."""

import math

import anndata
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from scdataloader import Preprocessor, datasets
from scdataloader.expression.find_counts import Undo, find_counts, how_to_undo, recover
from scdataloader.sources import open_source

RNG = np.random.default_rng(0)
COUNTS = sparse.csr_matrix(RNG.negative_binomial(0.6, 0.15, (40, 300)).astype(np.float32))


def log_normalised(counts, target=1e4, dtype=np.float32, log=np.log1p):
    total = np.asarray(counts.sum(axis=1)).ravel()
    scaled = sparse.csr_matrix(sparse.diags_array(target / np.maximum(total, 1)) @ counts.astype(np.float64))
    scaled.data = log(scaled.data)
    return scaled.astype(dtype)


def cells(X, raw=None, **layers):
    out = anndata.AnnData(X if raw is None else raw)
    if raw is not None:
        out.raw = out.copy()
        out.X = X
    for name, values in layers.items():
        out.layers[name] = values
    return out


def found(adata, *arguments, **options):
    with open_source(adata) as source:
        counts = find_counts(source, *arguments, **options)
        blocks = [block for _, _, block in counts.blocks(3000)]
    return counts, sparse.vstack(blocks)


def same(left, right):
    return (sparse.csr_matrix(left, dtype=float) != sparse.csr_matrix(right, dtype=float)).nnz == 0


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (cells(COUNTS), "X"),
        (cells(log_normalised(COUNTS), counts=COUNTS), "layers/counts"),
        (cells(log_normalised(COUNTS), raw=COUNTS), "raw"),
        (cells(COUNTS, raw=log_normalised(COUNTS)), "X"),
        (cells(log_normalised(COUNTS), soup=COUNTS, scaled=log_normalised(COUNTS)), "layers/soup"),
        # a second layer of whole numbers does not matter where one has the customary name
        (cells(log_normalised(COUNTS), spliced=COUNTS * 2, counts=COUNTS), "layers/counts"),
    ],
)
def test_counts_are_found_where_they_are(data, name):
    counts, values = found(data)
    assert counts.name == name
    assert counts.undo is None
    assert same(values, COUNTS)


def test_raw_with_more_genes_is_preferred_to_x():
    data = cells(COUNTS, raw=COUNTS)[:, :100].copy()
    assert data.raw.shape == (40, 300)
    counts, values = found(data)
    assert (counts.name, values.shape) == ("raw", (40, 300))


def test_a_choice_between_layers_is_left_to_the_user():
    data = cells(log_normalised(COUNTS), spliced=COUNTS, unspliced=COUNTS * 3)
    with pytest.raises(ValueError, match=r"\['layers/spliced', 'layers/unspliced'\] all hold whole numbers"):
        found(data)
    for name in ("unspliced", "layers/unspliced"):
        assert same(found(data, name)[1], COUNTS * 3)
    with pytest.raises(ValueError, match=r"no matrix 'splice'.*did you mean 'spliced'"):
        found(data, "splice")
    with pytest.raises(ValueError, match="X is empty"):
        found(anndata.AnnData(obs=data.obs, var=data.var))


@pytest.mark.parametrize(
    ("values", "undo"),
    [
        (log_normalised(COUNTS), Undo(math.e, scaled=True)),
        (log_normalised(COUNTS, target=1e6), Undo(math.e, scaled=True)),
        (log_normalised(COUNTS, log=lambda x: np.log2(1 + x)), Undo(2.0, scaled=True)),
        (log_normalised(COUNTS, log=lambda x: np.log10(1 + x)), Undo(10.0, scaled=True)),
        (log_normalised(COUNTS, log=lambda x: x), Undo(None, scaled=True)),
        (COUNTS.log1p(), Undo(math.e, scaled=False)),
    ],
)
def test_normalisations_are_undone_exactly(values, undo):
    counts, recovered = found(cells(values))
    assert counts.undo == undo
    assert same(recovered, COUNTS)
    with pytest.raises(ValueError, match=r"not raw counts(?!.*could be undone)"):
        found(cells(values), undo_log=False)
    assert same(found(cells(values, counts=COUNTS * 2), "X")[1], COUNTS)


@settings(max_examples=60)
@given(
    st.lists(st.lists(st.integers(0, 120_000), min_size=6, max_size=12), min_size=1, max_size=4),
    st.floats(100, 1e6),
    st.sampled_from([math.e, 2.0, 10.0]),
)
def test_recovery_is_exact_or_says_that_it_is_not(rows, target, base):
    width = max(map(len, rows))
    counts = sparse.csr_matrix([[1, *row, *[0] * (width - len(row))] for row in rows], dtype=np.float64)
    logged = log_normalised(counts, target, log=lambda x: np.log1p(x) / math.log(base))
    values, exact = recover(logged, Undo(base, scaled=True))
    wrong = values.data != counts.data
    assert not (wrong & exact).any()
    assert (exact | (counts.data > 20_000)).all()  # float32 is sure up to there at the least


@pytest.mark.parametrize(
    "spoil",
    [
        lambda x: x * RNG.uniform(0.5, 2, x.shape[1]),  # scaling by gene length
        lambda x: x + RNG.normal(0, 0.05, x.shape),  # regression, integration
    ],
)
def test_what_cannot_be_undone_is_refused(spoil):
    values = sparse.csr_matrix(np.maximum(spoil(log_normalised(COUNTS).toarray()), 0))
    with pytest.raises(
        ValueError, match=r"X: these are not raw counts.*no logarithm or scale per cell could be undone"
    ):
        found(cells(values))


def test_values_that_fail_after_the_sample_are_named(monkeypatch):
    monkeypatch.setattr("scdataloader.expression.find_counts._SAMPLE_VALUES", 3000)
    spoiled = log_normalised(sparse.csr_matrix(sparse.vstack([COUNTS] * 5)))
    spoiled.data[spoiled.indptr[60] + 3] *= 1.01  # neither among the first cells, nor in the middle, nor the last
    with pytest.raises(ValueError, match=r"X, cells \d+ to \d+: 1 values do not turn into whole numbers when log1p of"):
        found(anndata.AnnData(spoiled))
    whole = sparse.csr_matrix(sparse.vstack([COUNTS] * 5))
    whole.data[whole.indptr[60] + 3] += 0.5
    with pytest.raises(ValueError, match=r"X, cells \d+ to \d+: these are not raw counts"):
        found(anndata.AnnData(whole))


def test_cells_of_few_values_prove_nothing():
    assert how_to_undo(sparse.csr_matrix([[0.7, 1.4, 0.0], [0.3, 0.9, 0.6]])) is None


def test_recovered_counts_of_a_real_set():
    retina = datasets.retina_1k()[:200].copy()
    logged = retina.copy()
    logged.X = log_normalised(sparse.csr_matrix(retina.X))
    clean, report = Preprocessor()(retina)
    again, undone = Preprocessor()(logged)
    assert same(again.X, clean.X)
    assert again.obs["total_counts"].tolist() == clean.obs["total_counts"].tolist()
    assert "recovered from log1p of counts scaled per cell" in str(undone)
    assert "recovered" not in str(report)


def test_published_log_counts(shared):
    path = shared / "data/expression/mccalla_chen_hESC.h5ad"
    clean, report = Preprocessor.preset("inference")(path)
    assert "recovered from log2(1 + x) of counts" in str(report)
    logged = anndata.read_h5ad(path).X
    assert clean.obs["total_counts"].sum() == np.rint(np.exp2(logged.data.astype(float)) - 1).sum()

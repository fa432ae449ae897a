"""Simulated cells beside real ones."""

import anndata
import numpy as np
import pytest
from scipy import sparse

from bengrn.simulate import plot_realism, realism


def cells(seed, depth=1.0, n=300):
    rng = np.random.default_rng(seed)
    mean = np.random.default_rng(0).lognormal(0, 1, 40)
    of_cell = rng.lognormal(0, 0.3, n) * depth
    return anndata.AnnData(rng.poisson(mean * of_cell[:, None]).astype(np.float32))


def test_cells_are_like_themselves_and_their_quantities_are_the_plain_ones():
    one = cells(1)
    table = realism(one, one)
    assert (table["distance"].dropna() == 0).all()
    assert table["distance"].isna().sum() == 2
    X = one.X
    assert table.loc["total count of a cell", "simulated"] == np.median(X.sum(axis=1))
    assert table.loc["genes found in a cell", "real"] == np.median((X > 0).sum(axis=1))
    assert table.loc["share of zeros of a gene", "real"] == pytest.approx(np.median((X == 0).mean(axis=0)))
    assert table.loc["variance over mean of a gene", "real"] == pytest.approx(np.median(X.var(0) / X.mean(0)), rel=1e-5)
    assert table.loc["spread of log total counts", "real"] == pytest.approx(np.log(X.sum(axis=1)).std(), rel=1e-5)


def test_what_differs_is_far_and_what_does_not_is_near():
    near, far = realism(cells(1), cells(2)), realism(cells(1, depth=5.0), cells(2))
    assert near.loc["total count of a cell", "distance"] < 0.15
    assert far.loc["total count of a cell", "distance"] > 0.9
    assert far.loc["total count of a cell", "simulated"] > 4 * far.loc["total count of a cell", "real"]


def test_sparse_cells_give_the_same_numbers():
    one, other = cells(1), cells(2)
    as_sparse = anndata.AnnData(sparse.csr_matrix(one.X))
    assert realism(as_sparse, other).equals(realism(one, other))


def test_the_picture_shows_both_sets(tmp_path):
    path = tmp_path / "realism.png"
    figure = plot_realism(cells(1), cells(2), path)
    assert path.read_bytes()[:4] == b"\x89PNG"
    variance, zeros, depth, correlation = figure.axes
    assert [text.get_text() for text in variance.get_legend().get_texts()] == ["real", "simulated", "Poisson"]
    assert [len(points.get_offsets()) for points in variance.collections] == [40, 40]
    assert depth.get_xlabel()
    assert zeros.get_xlabel()
    assert correlation.get_xlabel()


def test_what_is_no_set_of_counts_is_refused():
    bad = cells(1)
    bad.X[0, 0] = -1
    with pytest.raises(ValueError, match="the simulated cells hold values below 0"):
        realism(bad, cells(2))
    with pytest.raises(ValueError, match="the real cells are 2 × 40 genes"):
        realism(cells(1), cells(2, n=2))

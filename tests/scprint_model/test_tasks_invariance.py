"""Invariance: of readers whose answers are known, and of a model."""

import anndata
import numpy as np
import pytest
from scipy import sparse

from scprint_model import tasks
from scprint_model.tasks.changes import Panel, Thinned, WithoutGenes
from scprint_model.tasks.invariance import neighbours_kept


@pytest.fixture(scope="module")
def cells():
    rng = np.random.default_rng(0)
    counts = rng.poisson(rng.gamma(1, 5, size=(60, 400)))
    return anndata.AnnData(sparse.csr_matrix(counts.astype(np.float32)))


def test_changes_do_what_they_say(cells):
    rng = np.random.default_rng(1)
    thin = Thinned(8)(cells, rng)
    assert thin.X.sum() == pytest.approx(cells.X.sum() / 8, rel=0.02)
    assert (thin.X.toarray() <= cells.X.toarray()).all()
    np.testing.assert_array_equal(thin.obs["total_counts"], np.asarray(thin.X.sum(axis=1)).ravel())
    few = WithoutGenes(0.75)(cells, rng)
    assert few.shape == (60, 100)
    np.testing.assert_array_equal(few.X.toarray(), cells[:, few.var_names].X.toarray())
    np.testing.assert_array_equal(few.obs["total_counts"], np.asarray(cells.X.sum(axis=1)).ravel())
    unsigned = anndata.AnnData(sparse.csr_matrix(cells.X, dtype=np.uint16))
    panel = Panel(n_genes=10, among=20)(unsigned, rng)
    counted = np.asarray(cells.X.sum(axis=0)).ravel()
    assert panel.n_vars == 10
    assert counted[panel.var_names.astype(int)].min() >= np.sort(counted)[-20]


def test_neighbours_kept_by_hand():
    before = np.array([[0.0], [1.0], [2.1], [9.0], [9.9]])
    after = np.array([[0.0], [9.1], [9.3], [9.0], [0.2]])
    # the two nearest before: (1, 2) (0, 2) (1, 0) (4, 2) (3, 2); after: (4, 3) (3, 2) (1, 3) (1, 2) (0, 3)
    np.testing.assert_allclose(neighbours_kept(before, after, 2), [0, 0.5, 0.5, 0.5, 0.5])


def test_readers_that_see_everything_or_nothing(cells):
    rng = np.random.default_rng(2)
    fixed = rng.normal(size=(60, 3))
    table = tasks.invariance(lambda data: (fixed, np.zeros(data.n_obs)), cells, n_cells=60)
    assert (table["share"] == 1).all()
    assert (table.loc[table["measure"] == "labels unchanged", "low"] < 1).all()  # 60 cells do not prove it of all
    noisy = tasks.invariance(lambda data: (rng.normal(size=(data.n_obs, 3)), None), cells, n_cells=60)
    assert set(noisy["measure"]) == {"neighbours kept"}
    assert noisy["share"].to_numpy() == pytest.approx(10 / 59, abs=0.08)
    assert ((noisy["low"] < noisy["share"]) & (noisy["share"] < noisy["high"])).all()
    deep = tasks.invariance(lambda data: (None, np.asarray(data.X.sum(axis=1)).ravel() > 900), cells, n_cells=60)
    shares = deep.set_index("change")["share"]
    assert shares["thinned 8 times"] < 0.2 < 0.9 < shares["panel of 500 genes"]  # that one keeps all 400 genes


def test_of_a_model_and_refusals(small_model, retina):
    table = tasks.invariance(small_model, retina, n_cells=24, context=60, changes={"same": lambda data, _: data})
    assert table["share"].tolist() == [1.0, 1.0]
    assert table["n_cells"].tolist() == [24, 24]
    with pytest.raises(ValueError, match="9 cells have no 10 neighbours"):
        tasks.invariance(small_model, retina, n_cells=9)
    with pytest.raises(ValueError, match="'half' made 12 of 24 cells"):
        tasks.invariance(lambda _: (None, None), retina, n_cells=24, changes={"half": lambda data, _: data[:12]})

"""Neighbours in denoising: who they are, what they add, and the estimate that keeps a cell's own counts."""

import anndata
import numpy as np
import pytest
from scipy import sparse
from scipy.stats import dirichlet_multinomial

from scprint_model import tasks
from scprint_model.genes import match_genes
from scprint_model.tasks.neighbours import (
    WORTH,
    nearest_cells,
    neighbour_counts,
    posterior_counts,
    with_neighbours,
)


def test_geometric_mean_by_hand():
    # profiles 1/2, 1/2 and (8 + 1/2)/11, (2 + 1/2)/11: their geometric means are as sqrt(8.5) to sqrt(2.5)
    joint = with_neighbours(np.array([[3.0, 3.0]]), np.array([[8.0, 2.0]]))
    roots = np.sqrt([8.5, 2.5])
    np.testing.assert_allclose(joint, 6 * roots[None] / roots.sum())
    assert (with_neighbours(np.array([[3.0, 3.0]]), np.array([[8.0, 0.0]])) > 0).all()
    assert (with_neighbours(np.zeros((1, 2)), np.zeros((1, 2))) == 0).all()


def test_posterior_is_that_of_the_likeliest_worth():
    observed = np.array([[7, 0, 2, 1], [30, 1, 0, 9], [0, 0, 0, 0]])
    share = np.array([0.4, 0.3, 0.2, 0.1])
    found = posterior_counts(observed.astype(float), np.tile(share * 20, (3, 1)))
    for counts, row in zip(observed[:2], found, strict=False):
        likelihood = [dirichlet_multinomial.logpmf(counts, worth * share, counts.sum()) for worth in WORTH]
        worth = WORTH[int(np.argmax(likelihood))]
        np.testing.assert_allclose(row, 20 * (counts + worth * share) / (counts.sum() + worth))
    np.testing.assert_allclose(found[2], 20 * share)  # nothing was counted: the profile itself


@pytest.fixture(scope="module")
def clusters(small_model):
    """Two kinds of cells, each with genes of its own."""
    rng = np.random.default_rng(0)
    rates = np.full((40, 300), 0.2)
    rates[:20, :150], rates[20:, 150:] = 3, 3
    ids = list(small_model.vocabulary.ids[:300])
    obs = {"obs_names": [f"c{i}" for i in range(40)]}
    return anndata.AnnData(sparse.csr_matrix(rng.poisson(rates).astype(np.float32)), obs=obs, var={"var_names": ids})


def test_neighbours_are_of_the_same_kind_and_never_the_cell_itself(small_model, clusters, monkeypatch):
    known = match_genes(small_model.vocabulary, clusters)
    nearest = nearest_cells(clusters, known, 5)
    assert nearest.shape == (40, 5)
    assert ((nearest < 20) == (np.arange(40) < 20)[:, None]).all()
    assert (nearest != np.arange(40)[:, None]).all()
    at = np.array([3, 200])
    expected = clusters.X.toarray()[nearest[:4]].sum(axis=1)[:, known.columns[at]]
    np.testing.assert_array_equal(neighbour_counts(clusters, known, at, nearest[:4]), expected)
    monkeypatch.setattr("scprint_model.parts.PART_CELLS", 7)
    np.testing.assert_array_equal(nearest_cells(clusters, known, 5), nearest)
    with pytest.raises(ValueError, match="neighbours=0 of 40 cells"):
        nearest_cells(clusters, known, 0)


def test_denoise_joins_model_cell_and_neighbours(small_model, clusters):
    genes = clusters.var_names[[5, 160, 200]].tolist()
    joined = tasks.denoise(small_model, clusters, genes=genes, neighbours=4, depth_multiplier=1.0, batch_size=7)
    alone = tasks.denoise(small_model, clusters, genes=genes, depth_multiplier=1.0)
    known = match_genes(small_model.vocabulary, clusters)
    others = neighbour_counts(
        clusters,
        known,
        np.flatnonzero(clusters.var_names[known.columns].isin(genes)),
        nearest_cells(clusters, known, 4),
    )
    own = clusters[:, genes].X.toarray()
    np.testing.assert_allclose(joined.X, with_neighbours(alone.X, others + own), rtol=1e-5)
    kept = posterior_counts(own.astype(float), with_neighbours(alone.X, others))
    np.testing.assert_allclose(joined.layers["posterior"], kept, rtol=1e-5)
    assert joined.uns["denoised"]["neighbours"] == 4
    assert "posterior" not in alone.layers
    with pytest.raises(ValueError, match="goes without sample and uncertainty"):
        tasks.denoise(small_model, clusters, genes=genes, neighbours=4, sample=True)

"""P-values of edges on simulated cells with the nuisance of real ones: the quick version of the calibration."""

import numpy as np
import pytest
from benchmarks.calibration import edges, small_p
from benchmarks.calibration.cells import simulate_cells
from benchmarks.calibration.shares import holds


def test_simulated_cells_have_the_nuisance_that_they_say():
    rng = np.random.default_rng(0)
    cells = simulate_cells(rng, n_cells=4000, n_genes=20, n_batches=2, n_planted=2)
    assert 0.5 < np.log(cells.depth).std() < 0.85
    first, second = (cells.counts[cells.batch == i].sum(axis=0) / cells.depth[cells.batch == i].sum() for i in (0, 1))
    assert 0.2 < np.log(first / second).std() < 1.2
    assert cells.planted.sum() == 4
    shares = np.log1p(cells.counts / cells.depth[:, None] * 1e4)
    found = np.corrcoef(shares[cells.batch == 0].T)
    assert found[0, 1] > 0.25
    assert abs(found[4:, 4:][np.triu_indices(16, 1)]).max() < 0.2
    plain = simulate_cells(rng, n_cells=4000, n_genes=20, depth_sd=0.0, dispersion=0.0)
    assert np.median(plain.counts.var(axis=0) / plain.counts.mean(axis=0)) == pytest.approx(1, abs=0.1)


@pytest.mark.slow
def test_p_values_of_edges_mean_what_they_say():
    table = edges.calibrate(quick=True)
    held = holds(table)
    assert held[table["part"] == "all"].all(), table
    # of twenty rows within quartiles one may lie just beyond three standard errors, and none far
    assert held.mean() > 0.9
    null = table["kind"] == "no effect"
    assert (table["share"] - table["level"])[null].abs().max() < 0.02
    assert table.loc[table["part"] == "strong pairs", "share"].min() > 0.9


@pytest.mark.slow
def test_small_p_values_from_twenty_permutations_are_those_of_many():
    table = small_p.calibrate(quick=True)
    # 1,000 permutations count the smallest p-values badly themselves
    assert table.loc[table["part"].str.contains("within a factor of 2"), "share"].item() > 0.6
    assert table.loc[table["part"].str.contains("within a factor of 3"), "share"].item() > 0.85

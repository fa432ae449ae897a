"""Methods that the ceiling of invariance is made of, on cells whose answers are known by hand."""

import numpy as np
from benchmarks.ablation.ceiling import folds, kept, likeliest, logs, placed
from benchmarks.ablation.scores import Cells, evaluated
from scipy import sparse

LABELS = np.array(["CL:1", "CL:2"] * 20)


def cells(counts):
    counts = sparse.csr_matrix(np.asarray(counts, dtype=np.float32))
    totals = np.asarray(counts.sum(axis=1)).ravel()
    return Cells(counts, np.arange(counts.shape[1]), totals, LABELS[: counts.shape[0]])


def test_types_are_told_by_what_their_counts_make_likely():
    whole = cells(np.tile([[30, 10, 0], [10, 30, 5]], (20, 1)))
    one_count = cells(np.tile([[1, 0, 0], [0, 0, 1]], (20, 1)))
    first, second = likeliest(whole, [whole, one_count])
    assert (first == LABELS).all()
    assert (second == LABELS).all()


def test_a_cell_is_never_fitted_on():
    labels = np.append(LABELS, "CL:rare")
    tested = np.concatenate([these for _, these in folds(labels)])
    assert sorted(tested) == list(range(41))
    for others, these in folds(labels):
        assert not set(others) & set(these)
        assert len(set(labels[others]) & {"CL:1", "CL:2"}) == 2


def test_neighbours_kept_by_hand():
    line = np.arange(24.0)[:, None] ** 2
    assert kept(line, line) == 1
    # the far half in another order lies elsewhere; nearest ten of 24 at random would be 10 of 23
    mixed = line[np.random.default_rng(0).permutation(24)]
    assert kept(line, mixed) < 0.7


def test_a_regression_takes_a_scale_and_a_shift_back():
    whole = np.random.default_rng(0).normal(size=(200, 3))
    expected = placed(whole, 3 * whole[:, ::-1] + 5)
    np.testing.assert_allclose(expected, whole, atol=0.01)


def test_logs_by_hand_and_the_cells_that_are_scored():
    np.testing.assert_allclose(
        logs(cells([[1, 3], [0, 2]])).toarray(), np.log1p([[2500, 7500], [0, 10_000]]), rtol=1e-6
    )
    assert evaluated(300).tolist() == list(range(300))
    drawn = evaluated(5000)
    assert len(set(drawn)) == 300
    assert (np.diff(drawn) > 0).all()

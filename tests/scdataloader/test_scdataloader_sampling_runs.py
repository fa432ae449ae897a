"""Draws in runs of one data set: what they hold, how often, and that any part of them is the same."""

import numpy as np
import pytest

from scdataloader.sampling import DatasetRuns

DATASET = np.repeat([0, 1, 2], [1000, 50, 450])
LABELS = (np.arange(1500) % 7)[:, None]


def runs(**options):
    return DatasetRuns(LABELS, DATASET, **{"run": 8, "n_draws": 16_000, **options})


def test_each_run_is_of_one_data_set_and_any_part_is_the_same():
    sampler = runs(seed=3)
    drawn = sampler.indices(0, 16_000)
    assert all(len(set(DATASET[one])) == 1 for one in drawn.reshape(-1, 8))
    np.testing.assert_array_equal(sampler.indices(13, 1029), drawn[13:1029])
    sampler.set_epoch(1)
    assert (sampler.indices(0, 16_000) != drawn).mean() > 0.9
    assert runs(seed=3).fingerprint == sampler.fingerprint != runs(run=4).fingerprint


def test_data_sets_come_by_the_weights_of_their_groups_up_to_the_cap():
    """Seven groups of n / 7 cells each in every data set, of weight s n / (7 s + n) each."""
    n = np.array([1000, 50, 450])
    by_hand = 50 * n / (350 + n)
    share = np.bincount(DATASET[runs().indices(0, 16_000)], minlength=3) / 16_000
    np.testing.assert_allclose(share, by_hand / by_hand.sum(), atol=0.03)
    by_hand = np.minimum(7 * by_hand, 60.0)
    capped = np.bincount(DATASET[runs(cap=60).indices(0, 16_000)], minlength=3) / 16_000
    np.testing.assert_allclose(capped, by_hand / by_hand.sum(), atol=0.03)


def test_only_the_cells_of_the_subset_are_drawn():
    subset = np.flatnonzero((DATASET == 2) | (np.arange(1500) < 20))
    drawn = runs(subset=subset).indices(0, 4000)
    assert set(drawn.tolist()) <= set(subset.tolist())
    assert len(set(drawn.tolist())) > 400


def test_numbers_that_make_no_sense():
    with pytest.raises(ValueError, match="run=0 must be at least 1"):
        runs(run=0)
    with pytest.raises(ValueError, match="no cells to draw from"):
        runs(subset=np.empty(0, int))

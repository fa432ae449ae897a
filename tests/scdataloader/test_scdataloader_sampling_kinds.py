"""Samplers but the weighted one: pools, blocks, evaluation; and how random their batches are."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from scdataloader.sampling import (
    BlockSampler,
    Groups,
    SequentialSampler,
    ShuffledSampler,
    StratifiedSampler,
    UniformSampler,
    WeightedSampler,
    design_effect,
)
from scdataloader.sampling.stratified import proportional


@pytest.mark.parametrize("cells", [50, np.arange(100, 50, -1), np.arange(80) < 50])
def test_pools(cells):
    inside = np.arange(50) if isinstance(cells, int) else np.flatnonzero(cells) if cells.dtype == bool else cells
    assert list(SequentialSampler(cells)) == inside.tolist()
    shuffled = ShuffledSampler(cells, seed=4)
    first = list(shuffled)
    assert first != sorted(first)
    assert sorted(first) == sorted(inside.tolist())
    shuffled.set_epoch(1)
    assert list(shuffled) != first
    assert sorted(shuffled) == sorted(inside.tolist())
    drawn = UniformSampler(cells, n_draws=20_000).indices(0, 20_000)
    observed = np.bincount(drawn, minlength=101)
    assert stats.chisquare(observed[inside]).pvalue > 1e-3
    assert observed.sum() == observed[inside].sum()


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        (0, "there are no cells to draw from"),
        (np.empty(0, int), "there are no cells to draw from"),
        (np.zeros(3, bool), "there are no cells to draw from"),
        (np.array([-1, 3]), "cells holds -1"),
        (np.zeros((2, 2), int), r"cells has shape \(2, 2\)"),
        (np.array([0.5]), "type float64"),
    ],
)
def test_pools_that_are_none(cells, message):
    with pytest.raises(ValueError, match=message):
        UniformSampler(cells)


@given(st.integers(1, 700), st.integers(1, 40), st.integers(1, 9), st.integers(0, 5))
def test_blocks_are_complete_and_mixed_in_their_window_only(n, size, window, seed):
    sampler = BlockSampler(n, block_size=size, window=window, seed=seed)
    order = sampler.indices(0, n)
    assert sorted(order.tolist()) == list(range(n))
    middle = n // 2
    assert sampler.indices(middle, n).tolist() == order[middle:].tolist()
    # each window holds whole blocks: `window` of them, until all are through
    begin, left = 0, math.ceil(n / size)
    while begin < n:
        blocks = set()
        take = min(window, left)
        cells = take * size
        for lacking in {0, -n % size}:
            candidates = order[begin : begin + cells - lacking] // size
            if len(set(candidates.tolist())) == take and len(candidates) == cells - lacking:
                blocks = set(candidates.tolist())
                used = cells - lacking
                whole = np.concatenate([np.arange(b * size, min((b + 1) * size, n)) for b in sorted(blocks)])
                if sorted(order[begin : begin + used].tolist()) == whole.tolist():
                    break
        else:
            pytest.fail(f"no window of {take} whole blocks begins at {begin}")
        begin += used
        left -= take


def test_blocks_of_another_epoch_stand_elsewhere():
    sampler = BlockSampler(1000, block_size=10, window=5)
    first = sampler.indices(0, 50)
    assert len(set((first // 10).tolist())) == 5
    sampler.set_epoch(1)
    assert set((sampler.indices(0, 50) // 10).tolist()) != set((first // 10).tolist())
    with pytest.raises(ValueError, match="window=0 must be at least 1"):
        BlockSampler(10, window=0)


def test_the_loss_of_randomness_is_measured():
    n, batch = 400_000, 64
    labels = np.repeat(np.arange(50), n // 50)
    assert design_effect(SequentialSampler(n), labels, batch) == pytest.approx(64, rel=0.02)
    for sampler in (UniformSampler(n), ShuffledSampler(n), WeightedSampler(labels, n_draws=n)):
        assert design_effect(sampler, labels, batch) == pytest.approx(1, abs=0.03)
    for size, window in [(16, 64), (16, 256), (64, 16)]:
        # two cells of a batch are of one block with the chance (size - 1) / (size · window - 1), else independent
        expected = 1 + (batch - 1) * (size - 1) / (size * window - 1)
        sampler = BlockSampler(n, block_size=size, window=window)
        assert design_effect(sampler, labels, batch) == pytest.approx(expected, rel=0.06)
    with pytest.raises(ValueError, match="fewer than two batches"):
        design_effect(SequentialSampler(100), labels, batch)
    with pytest.raises(ValueError, match="the same label"):
        design_effect(SequentialSampler(1000), labels, batch)


def test_design_effect_by_hand():
    # batches AA, BB: frequency of A is 1, 0: variance 1/2, next to 1/4 / 2 for independent draws; the same for B
    assert design_effect(SequentialSampler(4), np.array([7, 7, 9, 9]), 2) == pytest.approx(4)
    assert design_effect(SequentialSampler(4), np.array([7, 9, 9, 7]), 2) == pytest.approx(0)


def test_evaluation_takes_as_many_of_each_group():
    labels = np.random.default_rng(0).permutation(np.repeat([0, 1, 2], [1000, 5, 100]))
    sampler = StratifiedSampler(labels, per_group=20, seed=1)
    cells = list(sampler)
    assert cells == sorted(set(cells))
    assert np.bincount(labels[cells]).tolist() == [20, 5, 20] == sampler.chosen.tolist()
    sampler.set_epoch(1)
    assert list(sampler) == cells
    assert list(StratifiedSampler(labels, per_group=20, seed=1)) == cells
    assert list(StratifiedSampler(labels, per_group=20, seed=2)) != cells
    inside = labels != 2
    assert np.bincount(labels[list(StratifiedSampler(labels, per_group=9, subset=inside))]).tolist() == [9, 5]


def test_evaluation_chooses_evenly_in_a_group():
    labels = np.repeat([0, 1], 12)
    chosen = np.concatenate([StratifiedSampler(labels, per_group=3, seed=s).indices(0, 6) for s in range(2000)])
    observed = np.bincount(chosen)
    assert observed[:12].sum() == observed[12:].sum() == 6000
    # without replacement counts vary less than independent ones
    assert stats.chisquare(observed[:12]).statistic * 11 / 9 < stats.chi2.ppf(0.999, 11)


def test_evaluation_in_proportion():
    # 10 · (6, 3, 1, 2)/12 = 5, 2.5, 0.83, 1.67: wholes are 8, the largest remainders get the other two
    assert proportional(np.array([6, 3, 1, 2]), 10).tolist() == [5, 2, 1, 2]
    labels = np.repeat([0, 1, 2, 3], [6, 3, 1, 2])
    cells = list(StratifiedSampler(labels, n_cells=10))
    assert np.bincount(labels[cells]).tolist() == [5, 2, 1, 2]
    for arguments, message in [
        ({}, "pass either per_group or n_cells; they are None and None"),
        ({"per_group": 1, "n_cells": 2}, "they are 1 and 2"),
        ({"per_group": 0}, "per_group=0 must be at least 1"),
        ({"n_cells": 13}, "n_cells=13 must lie between 1 and the 12 cells"),
    ]:
        with pytest.raises(ValueError, match=message):
            StratifiedSampler(labels, **arguments)
    with pytest.raises(ValueError, match="the groups are already made"):
        StratifiedSampler(Groups.from_labels(labels), per_group=1, subset=np.arange(3))


@given(st.lists(st.integers(1, 50), min_size=1, max_size=20), st.data())
def test_parts_in_proportion_are_within_one(counts, data):
    counts = np.array(counts)
    n = data.draw(st.integers(1, int(counts.sum())))
    parts = proportional(counts, n)
    assert parts.sum() == n
    assert (np.abs(parts - counts * n / counts.sum()) < 1).all()
    assert (parts <= counts).all()

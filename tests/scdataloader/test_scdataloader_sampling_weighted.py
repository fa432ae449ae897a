"""Weighted draws with replacement."""

import math
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from scdataloader.sampling import Groups, WeightedSampler, group_weights
from scdataloader.sampling.drawing import alias_table


def test_alias_table_by_hand():
    # shares 2, 1, 1 of 4, three slots of 1 each: 1.5, 0.75, 0.75; the first fills up both others and keeps 1
    table = alias_table(np.array([2.0, 1.0, 1.0]))
    assert (table.threshold[1:] / 2**64).tolist() == [0.75, 0.75]
    assert table.threshold[0] == 2**64 - 1
    assert table.other.tolist() == [0, 0, 0]
    # 4, 1, 0 of 5: 2.4, 0.6, 0: both small ones are filled by the first
    table = alias_table(np.array([4.0, 1.0, 0.0]))
    assert (table.threshold[1:] / 2**64).tolist() == pytest.approx([0.6, 0.0])
    assert table.other.tolist() == [0, 0, 0]


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=300).filter(lambda weights: sum(weights) > 1e-200))
def test_alias_table_holds_the_weights(weights):
    weights = np.array(weights)
    table = alias_table(weights)
    kept = table.threshold / 2.0**64
    chance = kept.copy()
    np.add.at(chance, table.other, 1 - kept)
    assert chance / len(weights) == pytest.approx(weights / weights.sum(), abs=1e-12)
    never = set(np.flatnonzero(weights == 0).tolist())
    reachable = set(table.other[table.threshold < 2**64 - 1].tolist()) | set(np.flatnonzero(table.threshold).tolist())
    assert not never & reachable


@pytest.fixture(scope="module")
def corpus():
    """Two million cells of 900 combinations with zipf sizes."""
    rng = np.random.default_rng(0)
    columns = [np.minimum(rng.zipf(1.4, 2_000_000), 100).astype(np.int16), rng.integers(0, 9, 2_000_000, np.int8)]
    return columns, Groups.from_labels(columns)


def test_groups_are_drawn_by_weight_and_cells_evenly(corpus):
    columns, groups = corpus
    sampler = WeightedSampler(groups, n_draws=3_000_000, seed=5)
    drawn = sampler.indices(0, 3_000_000)
    codes = (columns[0].astype(np.int64) - 1) * 9 + columns[1]
    _, dense = np.unique(codes, return_inverse=True)
    observed = np.bincount(dense[drawn], minlength=len(groups))
    assert stats.chisquare(observed, group_weights(groups.counts, 50) * len(drawn)).pvalue > 1e-3
    for group in (0, int(groups.counts.argmin())):
        cells = groups.cells(group)
        hits = np.searchsorted(cells, drawn[dense[drawn] == group])
        bins = np.bincount(hits * min(len(cells), 50) // len(cells))
        sizes = np.bincount(np.arange(len(cells)) * len(bins) // len(cells))
        assert stats.chisquare(bins, sizes / sizes.sum() * len(hits)).pvalue > 1e-3
    # neighbours in the sequence, and the same draw of two epochs, know nothing of each other
    largest = dense[drawn] < 5
    assert abs(np.corrcoef(largest[:-1], largest[1:])[0, 1]) < 4 / math.sqrt(len(drawn))
    sampler.set_epoch(1)
    again = dense[sampler.indices(0, 3_000_000)] < 5
    assert abs(np.corrcoef(largest, again)[0, 1]) < 4 / math.sqrt(len(drawn))


def test_a_draw_depends_on_seed_epoch_and_number_only(corpus):
    _, groups = corpus
    sampler = WeightedSampler(groups, n_draws=5000, seed=1)
    whole = sampler.indices(0, 5000)
    assert whole.dtype == np.int64
    for begin, end in [(0, 1), (250, 260), (4999, 5000), (77, 4000), (9, 9)]:
        assert sampler.indices(begin, end).tolist() == whole[begin:end].tolist()
    assert list(sampler) == whole.tolist()
    assert WeightedSampler(groups, n_draws=9, seed=1).indices(0, 9).tolist() == whole[:9].tolist()
    assert WeightedSampler(groups, n_draws=9, seed=2).indices(0, 9).tolist() != whole[:9].tolist()
    sampler.set_epoch(3)
    assert (sampler.indices(0, 5000) == whole).mean() < 0.01
    with pytest.raises(ValueError, match="draws 4000 to 5001 are not among the 5000"):
        sampler.indices(4000, 5001)
    for epoch in (-1, 2**32):
        with pytest.raises(ValueError, match=f"epoch={epoch} must lie between"):
            sampler.set_epoch(epoch)


def test_nothing_is_held_out_and_the_last_group_is_drawn():
    # the published loader gives the last real class the weight 0 then
    labels = np.repeat([0, 1, 2], 10)
    drawn = WeightedSampler(labels, n_draws=3000).indices(0, 3000)
    assert stats.chisquare(np.bincount(labels[drawn])).pvalue > 1e-3


def test_cells_held_out_are_never_drawn_and_count_in_no_weight():
    labels = np.repeat([0, 1, 2], [100, 100, 50])
    kept = np.ones(250, bool)
    kept[20:100] = kept[200:] = False
    sampler = WeightedSampler(labels, n_draws=20_000, subset=kept)
    assert sampler.counts.tolist() == [20, 100]
    # 50·20/70 = 100/7 and 50·100/150 = 100/3
    assert sampler.probabilities == pytest.approx([0.3, 0.7])
    drawn = sampler.indices(0, 20_000)
    assert kept[drawn].all()
    assert stats.chisquare(np.bincount(labels[drawn]), [6000, 14_000]).pvalue > 1e-3
    by_index = WeightedSampler(labels, n_draws=20_000, subset=np.flatnonzero(kept))
    assert by_index.indices(0, 20_000).tolist() == drawn.tolist()


def test_weights_may_be_any_function_of_the_counts():
    labels = np.repeat([0, 1, 2], [16, 100, 9])
    sampler = WeightedSampler(labels, weights=np.sqrt, n_draws=17_000)
    assert sampler.probabilities == pytest.approx(np.array([4, 10, 3]) / 17)
    assert stats.chisquare(np.bincount(labels[sampler.indices(0, 17_000)]), [4000, 10_000, 3000]).pvalue > 1e-3
    without = WeightedSampler(labels, weights=lambda counts: counts < 50, n_draws=1000)
    assert set(labels[without.indices(0, 1000)].tolist()) == {0, 2}
    for weights, message in [
        (lambda counts: counts - 50, "they go from -41.0 to 50.0"),
        (lambda counts: counts * 0, "they go from 0.0 to 0.0"),
        (lambda counts: counts / 0.0, "they go from inf to inf"),
        (lambda counts: counts[1:], r"have shape \(2,\), there are 3 groups"),
    ]:
        with pytest.raises(ValueError, match=message), np.errstate(divide="ignore"):
            WeightedSampler(labels, weights=weights, n_draws=1)


def test_cells_of_a_group_may_have_weights():
    rng = np.random.default_rng(1)
    labels = np.repeat([[3, 0], [3, 1], [5, 0]], [12, 30, 6], axis=0)
    weights = rng.uniform(0.01, 30, 48)
    weights[[4, 20]] = 0
    subset = np.arange(48) != 7
    sampler = WeightedSampler(labels, n_draws=400_000, cell_weights=weights, subset=subset)
    counts = np.array([10, 29, 6])
    assert sampler.counts.tolist() == counts.tolist()
    assert sampler.probabilities == pytest.approx(group_weights(counts, 50))
    group = np.repeat([0, 1, 2], [12, 30, 6])
    kept = weights * subset
    expected = group_weights(counts, 50)[group] * kept / np.bincount(group, weights=kept)[group]
    observed = np.bincount(sampler.indices(0, 400_000), minlength=48)
    assert observed[[4, 7, 20]].tolist() == [0, 0, 0]
    drawn = expected > 0
    assert stats.chisquare(observed[drawn], expected[drawn] * 400_000).pvalue > 1e-3
    assert sampler.indices(999, 1600).tolist() == sampler.indices(0, 1600)[999:].tolist()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"scale": 0}, "scale=0 must be positive"),
        ({"scale": math.nan}, "scale=nan must be positive"),
        ({"n_draws": -1}, "n_draws=-1 must not be negative"),
        ({"seed": -1}, "seed=-1 must not be negative"),
        ({"cell_weights": np.ones(2)}, r"cell_weights has shape \(2,\), there are 3 cells"),
        ({"cell_weights": np.array([1, -1, 1])}, "must be finite and not negative"),
        ({"cell_weights": np.array([1, np.nan, 1])}, "must be finite and not negative"),
        ({"cell_weights": np.zeros(3)}, "there are no cells to draw from"),
        ({"labels": Groups.from_labels(np.arange(3)), "subset": np.ones(3, bool)}, "the groups are already made"),
    ],
)
def test_settings_that_cannot_be(arguments, message):
    with pytest.raises(ValueError, match=message):
        WeightedSampler(**{"labels": np.arange(3), "n_draws": 1, **arguments})


def test_more_cells_than_torch_can_weigh():
    # 2^24 is where torch.multinomial ends; a published loader draws among a random part of such a class
    n = 2**24 + 1000
    labels = np.zeros(n, np.int8)
    labels[-1000:] = 1
    drawn = WeightedSampler(labels, n_draws=200_000, scale=1e12).indices(0, 200_000)
    assert stats.chisquare(np.histogram(drawn, bins=64, range=(0, n))[0]).pvalue > 1e-3
    rare = WeightedSampler(labels, n_draws=20_000, scale=1e-3).indices(0, 20_000)
    assert abs((rare >= 2**24).mean() - 0.5) < 0.02


def test_sampling_needs_no_torch_and_compiles_nothing_before_it_draws():
    code = "import sys, scdataloader.sampling as s; s.SequentialSampler(3).indices(0, 3); "
    code += "print([name for name in ('torch', 'numba', 'pandas', 'anndata') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"

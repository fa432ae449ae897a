"""Bootstrap over regulators: against replicates written out, on simulated truths, and at full size."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from scipy.stats import norm, t

from bengrn.metrics import average_precision, rank_matrix, rank_positives
from bengrn.metrics.pairs import as_pairs
from bengrn.uncertainty import METRICS, bootstrap, replicates, weighted_sums
from bengrn.uncertainty.bootstrap import draw_regulators
from bengrn.uncertainty.replicates import rank_replicates


def network(seed, n_rows=9, n_columns=23, kind="ties"):
    """Scores, truth and self columns: the first 6 regulators are targets too, in another order."""
    rng = np.random.default_rng(seed)
    scores = {
        "ties": lambda: rng.integers(-2, 5, (n_rows, n_columns)).astype(np.float32),
        "continuous": lambda: rng.normal(size=(n_rows, n_columns)),
        "integers": lambda: rng.integers(-300, 300, (n_rows, n_columns)),
        "constant": lambda: np.full((n_rows, n_columns), 2.5, dtype=np.float32),
        "infinite": lambda: rng.choice([-np.inf, 0.0, 1.0, np.inf], (n_rows, n_columns)),
    }[kind]()
    truth = rng.random((n_rows, n_columns)) < rng.uniform(0.05, 0.5, (n_rows, 1))
    self_columns = np.full(n_rows, -1)
    self_columns[:6] = rng.permutation(n_columns)[:6]
    truth[np.arange(6), self_columns[:6]] = False
    truth[0, (self_columns[0] + 1) % n_columns] = True
    return scores, truth, self_columns


def written_out(scores, truth, self_columns, weights):
    """Scores and labels of one replicate, every copy of every pair on its own."""
    kept = np.ones(scores.shape, dtype=bool)
    rows = np.flatnonzero(self_columns >= 0)
    kept[rows, self_columns[rows]] = False
    drawn = np.repeat(np.arange(len(scores)), weights)
    return scores[drawn][kept[drawn]], truth[drawn][kept[drawn]]


def assert_same_ranking(replicate, expected):
    assert (replicate.n_pairs, replicate.n_positives, replicate.n_predicted) == (
        expected.n_pairs,
        expected.n_positives,
        expected.n_predicted,
    )
    for field in ("value", "n_above", "n_tied", "p_above", "p_tied"):
        np.testing.assert_array_equal(getattr(replicate, field), getattr(expected, field), err_msg=field)


@pytest.mark.parametrize("kind", ["ties", "continuous", "integers", "constant", "infinite"])
@pytest.mark.parametrize("form", ["dense", "columns first", "sparse"])
@pytest.mark.parametrize("limits", ["one batch", "one row and replicate at a time", "double precision", "few ties"])
def test_replicates_rank_like_replicates_written_out(kind, form, limits, monkeypatch):
    if limits == "one row and replicate at a time":
        monkeypatch.setattr(replicates, "_COUNT_BYTES", 1)
        monkeypatch.setattr(replicates, "_SUM_BYTES", 1)
    elif limits == "double precision":
        monkeypatch.setattr(weighted_sums, "_EXACT_IN_FLOAT32", 0)
    elif limits == "few ties":
        monkeypatch.setattr(replicates, "_FEW", 0.1)
    for seed in range(3):
        scores, truth, self_columns = network(seed, kind=kind)
        weights = draw_regulators(len(scores), 20, seed)
        weights[0] = 0
        weights[0, 2] = len(scores)
        given = {"dense": scores, "columns first": np.asfortranarray(scores), "sparse": sp.csr_array(scores)}[form]
        ranking = rank_matrix(given, np.flatnonzero(truth), self_columns=self_columns)
        pairs = as_pairs(given, self_columns)
        found = list(rank_replicates(pairs, np.nonzero(truth), ranking, weights))
        assert len(found) == 20
        for replicate, weight in zip(found, weights, strict=True):
            values, labels = written_out(scores, truth, self_columns, weight)
            if not 0 < labels.sum() < labels.size:
                assert replicate is None
                continue
            expected = rank_positives(values, labels)
            assert_same_ranking(replicate, expected)
            for name, metric in METRICS.items():
                assert metric(replicate) == pytest.approx(metric(expected), rel=1e-12, abs=1e-12), name


def test_table_summarises_the_written_out_replicates():
    scores, truth, self_columns = network(3, kind="continuous")
    result = bootstrap(
        scores, np.nonzero(truth), self_columns=self_columns, n_replicates=50, level=0.8, rng=7, metrics=["ap", "epr"]
    )
    explicit = [
        rank_positives(*written_out(scores, truth, self_columns, weight))
        for weight in draw_regulators(len(scores), 50, 7)
    ]
    expected = np.array([[METRICS["ap"](ranking), METRICS["epr"](ranking)] for ranking in explicit])
    np.testing.assert_allclose(result.replicates.to_numpy(), expected, rtol=1e-12)
    ap = result.table.loc["ap"]
    observed = rank_positives(*written_out(scores, truth, self_columns, np.ones(len(scores), dtype=int)))
    assert ap["estimate"] == pytest.approx(average_precision(observed), rel=1e-12)
    n = int(truth.any(axis=1).sum())
    tail = norm.cdf(t.ppf(0.1, n - 1) * np.sqrt(n / (n - 1)))
    assert tail < 0.1
    assert (ap["low"], ap["high"]) == pytest.approx(tuple(np.quantile(expected[:, 0], [tail, 1 - tail])))
    assert ap["se"] == pytest.approx(np.std(expected[:, 0], ddof=1))
    assert result.n_regulators == int(truth.any(axis=1).sum())
    assert result.n_dropped == 0


def test_draws_are_uniform_over_regulators():
    drawn = draw_regulators(20, 4000, 0)
    assert (drawn.sum(axis=1) == 20).all()
    # 4,000 times a count of mean 1 and variance 0.95: the mean's standard error is 0.0154.
    assert np.abs(drawn.mean(axis=0) - 1).max() < 0.06
    assert drawn.var() == pytest.approx(0.95, abs=0.03)


def test_the_same_seed_gives_the_same_interval_and_gene_order_does_not_matter():
    scores, truth, _ = network(5)
    first = bootstrap(scores, np.nonzero(truth), rng=1).table
    pd.testing.assert_frame_equal(first, bootstrap(scores, np.nonzero(truth), rng=np.random.default_rng(1)).table)
    assert not first.equals(bootstrap(scores, np.nonzero(truth), rng=2).table)
    shuffled = np.random.default_rng(0).permutation(scores.shape[1])
    again = bootstrap(scores[:, shuffled], np.nonzero(truth[:, shuffled]), rng=1).table
    pd.testing.assert_frame_equal(first, again, check_exact=True)


def simulate(rng, n_regulators, n_targets=60):
    """Regulators differ in how well they are predicted, which is what makes their pairs dependent."""
    truth = rng.random((n_regulators, n_targets)) < 0.15
    skill = rng.normal(1.0, 1.0, (n_regulators, 1))
    return rng.normal(size=truth.shape) + truth * skill, truth


def test_intervals_cover_the_population_value():
    rng = np.random.default_rng(11)
    scores, truth = simulate(rng, 4000)
    population = rank_positives(scores.ravel(), truth.ravel())
    covered = dict.fromkeys(["ap", "auroc"], 0)
    too_narrow = 0
    for _ in range(100):
        scores, truth = simulate(rng, 40)
        table = bootstrap(scores, np.nonzero(truth), metrics=["ap", "auroc"], rng=rng).table
        for name in covered:
            covered[name] += table.loc[name, "low"] <= METRICS[name](population) <= table.loc[name, "high"]
        # Pairs drawn one by one, as if independent: each pair is a regulator of its own.
        flat = scores.reshape(-1, 1)
        naive = bootstrap(flat, np.flatnonzero(truth), metrics=["auroc"], rng=rng, n_replicates=60).table
        too_narrow += naive.loc["auroc", "se"] < 0.8 * table.loc["auroc", "se"]
    assert covered["ap"] >= 86
    assert covered["auroc"] >= 86
    assert too_narrow >= 80


@pytest.mark.slow
@pytest.mark.parametrize("n_regulators", [6, 12, 25])
def test_intervals_of_few_regulators_cover_as_often_as_they_say(n_regulators):
    rng = np.random.default_rng(13)
    scores, truth = simulate(rng, 4000)
    population = rank_positives(scores.ravel(), truth.ravel())
    names = ["ap", "ap_ratio", "auroc"]
    values = {name: METRICS[name](population) for name in names}
    covered, plain = dict.fromkeys(names, 0), dict.fromkeys(names, 0)
    for _ in range(200):
        scores, truth = simulate(rng, n_regulators)
        result = bootstrap(scores, np.nonzero(truth), metrics=names, rng=rng)
        for name in names:
            covered[name] += result.table.loc[name, "low"] <= values[name] <= result.table.loc[name, "high"]
            low, high = result.replicates[name].quantile([0.025, 0.975])
            plain[name] += low <= values[name] <= high
        assert bool(result.notes) == (n_regulators < 10)
    for name in names:
        # 190 of 200 are wanted, with standard deviation 3; plain percentiles of 6 regulators reach 165 to 175.
        assert 178 <= covered[name] <= 199, (name, covered, plain)
        assert covered[name] >= plain[name]
    assert n_regulators > 6 or max(plain.values()) < 182


def test_an_interval_without_width_is_none():
    # The best scores are all false: the early precision is 0 in the data and in each of its replicates.
    truth = np.tile([False] * 6 + [True] * 2, (12, 1))
    scores = np.random.default_rng(0).random((12, 8)) + np.where(truth, 0, 2)
    result = bootstrap(scores, np.nonzero(truth), metrics=["epr", "ap"])
    assert result.table.loc["epr", "estimate"] == 0
    assert result.table.loc["epr", ["low", "high", "se"]].isna().all()
    assert result.table.loc["ap"].notna().all()
    assert result.notes == ("every replicate gives the same epr: it has no interval",)


def test_few_regulators_get_no_interval(caplog):
    scores, truth, _ = network(2, n_rows=12)
    truth[4:] = False
    result = bootstrap(scores, np.nonzero(truth), metrics=["auroc"])
    assert result.n_regulators == 4
    assert result.table.loc["auroc", ["low", "high", "se"]].isna().all()
    assert np.isfinite(result.table.loc["auroc", "estimate"])
    assert "only 4 regulators" in caplog.text


def test_replicates_without_a_positive_are_dropped_and_counted():
    scores = np.random.default_rng(0).random((6, 5))
    truth = np.zeros((6, 5), dtype=bool)
    truth[0, 0] = True
    result = bootstrap(scores, np.nonzero(truth), n_replicates=500, rng=0)
    drawn = draw_regulators(6, 500, 0)[:, 0]
    # One regulator in six is missed with probability (5/6)^6 = 0.335.
    assert result.n_dropped == (drawn == 0).sum()
    assert 130 < result.n_dropped < 205
    assert len(result.replicates) == 500 - result.n_dropped
    # networks of the same draws are told apart by the others' number
    assert result.replicates.index.tolist() == np.flatnonzero(drawn).tolist()


def test_counts_beyond_float32_stay_exact():
    # 25 million pairs, nearly all of them tied at 0 with some of the positives.
    n = 5000
    rng = np.random.default_rng(0)
    where = rng.integers(0, n, (2, 4000))
    scores = sp.coo_array((rng.integers(1, 9, 4000) / 8, tuple(where)), shape=(n, n)).tocsr()
    positives = np.unique(rng.integers(0, n * n, 500))
    positives = np.unique(np.append(positives, where[0, :300] * n + where[1, :300]))
    weights = draw_regulators(n, 3, 0)
    ranking = rank_matrix(scores, positives)
    found = list(rank_replicates(as_pairs(scores), np.divmod(positives, n), ranking, weights))
    for replicate, weight in zip(found, weights, strict=True):
        drawn = np.repeat(np.arange(n), weight)
        rows, columns = np.divmod(positives, n)
        copies = [np.flatnonzero(drawn == row) * n + column for row, column in zip(rows, columns, strict=True)]
        assert_same_ranking(replicate, rank_matrix(scores[drawn], np.concatenate(copies)))


def test_self_pairs_may_be_nan_and_other_pairs_may_not():
    scores, truth, self_columns = network(1, kind="continuous")
    expected = bootstrap(scores, np.nonzero(truth), self_columns=self_columns).table
    scores[0, self_columns[0]] = np.nan
    pd.testing.assert_frame_equal(bootstrap(scores, np.nonzero(truth), self_columns=self_columns).table, expected)
    scores[8, 8] = np.nan
    with pytest.raises(ValueError, match="row 8, column 8"):
        bootstrap(scores, np.nonzero(truth), self_columns=self_columns)


def test_bad_requests_are_refused():
    scores, truth, _ = network(0)
    with pytest.raises(ValueError, match=r"'f1'.*'ap'"):
        bootstrap(scores, np.nonzero(truth), metrics=["f1"])
    with pytest.raises(ValueError, match="n_replicates = 1"):
        bootstrap(scores, np.nonzero(truth), n_replicates=1)
    with pytest.raises(ValueError, match="level = 95"):
        bootstrap(scores, np.nonzero(truth), level=95)
    with pytest.raises(ValueError, match="0 of 207 pairs are positive"):
        bootstrap(scores, np.zeros(0, dtype=int))


def test_200_replicates_of_5_million_pairs_take_little_memory():
    rng = np.random.default_rng(0)
    scores = rng.random((1000, 5000), dtype=np.float32)
    positives = np.flatnonzero(rng.random(scores.shape, dtype=np.float32) < 0.003)
    bootstrap(scores[:10], positives[positives < 50_000])  # what is loaded on first use is not counted
    tracemalloc.start()
    bootstrap(scores, positives)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1.6 * scores.nbytes

"""Prediction of held-out cells: planted networks gain, shuffled cells and random networks do not."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData

from bengrn.prediction import _folds, _with_random, hold_out, score_prediction

N_FACTORS, N_TARGETS = 40, 60
NAMES = [f"TF{i}" for i in range(N_FACTORS)] + [f"G{i}" for i in range(N_TARGETS)]


def planted(seed, n_cells=400):
    """Targets that are sums of three factors and noise; the weights are those of the sums, a little noise elsewhere."""
    rng = np.random.default_rng(seed)
    factors = rng.normal(size=(n_cells, N_FACTORS))
    parents = np.array([rng.permutation(N_FACTORS)[:3] for _ in range(N_TARGETS)])
    targets = factors[:, parents].sum(axis=2) + rng.normal(size=(n_cells, N_TARGETS)) * np.sqrt(3)
    weights = np.zeros((len(NAMES), len(NAMES)))
    weights[:N_FACTORS, N_FACTORS:] = rng.random((N_FACTORS, N_TARGETS)) * 0.1
    weights[parents.T, N_FACTORS + np.arange(N_TARGETS)] = rng.choice([-1, 1], (3, N_TARGETS))
    obs = pd.DataFrame({"donor": rng.choice(["a", "b", "c"], n_cells)}, index=[f"cell{i}" for i in range(n_cells)])
    return AnnData(np.hstack([factors, targets]), obs=obs, var=pd.DataFrame(index=NAMES)), weights


def shuffled(cells, seed):
    """Each gene's values dealt to other cells: what genes say of each other is gone."""
    values = np.random.default_rng(seed).permuted(cells.X, axis=0)
    return AnnData(values, obs=cells.obs, var=cells.var)


def test_a_planted_network_gains_what_its_factors_explain():
    cells, weights = planted(0)
    found = score_prediction((weights, NAMES), cells, top_k=3)
    # The three factors explain half of the variance, three others nothing.
    assert found.targets["r2"].mean() == pytest.approx(0.5, abs=0.05)
    assert found.targets["r2_random"].mean() == pytest.approx(0, abs=0.03)
    assert 0.4 < found.low < found.gain < found.high < 0.6
    assert found.gain == pytest.approx(found.targets["gain"].mean())
    assert (len(found.targets), found.n_cells, found.n_folds) == (N_TARGETS, 400, 5)
    assert set(found.targets.index) == set(NAMES[N_FACTORS:])
    again = score_prediction((weights, NAMES), cells, top_k=3)
    pd.testing.assert_frame_equal(found.targets, again.targets)


def test_on_shuffled_cells_nothing_is_gained():
    gains = []
    for seed in range(4):
        cells, _ = planted(seed)
        nothing = shuffled(cells, seed)
        held = hold_out(nothing, share=0.5, seed=seed)
        network = np.abs(np.corrcoef(nothing.X[~held].T))
        found = score_prediction((network, NAMES), nothing[held])
        gains.append(found.gain)
        assert found.low <= 0
    assert np.mean(gains) <= 0.002
    # In the cells that it was inferred from, the same network seems to gain: hence the held-out cells.
    assert score_prediction((network, NAMES), nothing[~held]).low > 0.05


def test_a_network_of_noise_gains_nothing_in_real_structure():
    cells, weights = planted(1)
    rng = np.random.default_rng(0)
    noise = np.zeros_like(weights)
    noise[:N_FACTORS] = rng.random((N_FACTORS, len(NAMES)))
    found = score_prediction((noise, NAMES), cells, top_k=3)
    assert found.low < 0 < found.high
    planted_gain = score_prediction((weights, NAMES), cells, top_k=3).gain
    assert planted_gain > 10 * found.gain


def test_r2_is_that_of_ridge_regression_written_out():
    from sklearn.linear_model import Ridge

    cells, weights = planted(2, n_cells=90)
    found = score_prediction((weights, NAMES), cells, top_k=3, by="donor", penalty=0.3)
    assert found.n_folds == 3
    target = N_FACTORS + 7
    best = np.argsort(-np.abs(weights[:, target]))[:3]
    left = total = 0.0
    for donor in "abc":
        test = (cells.obs["donor"] == donor).to_numpy()
        mean, spread = cells.X[~test].mean(axis=0), cells.X[~test].std(axis=0)
        Z = (cells.X - mean) / spread
        model = Ridge(alpha=0.3 * (~test).sum(), fit_intercept=False).fit(Z[~test][:, best], Z[~test, target])
        left += ((Z[test, target] - model.predict(Z[test][:, best])) ** 2).sum()
        total += (Z[test, target] ** 2).sum()
    assert found.targets.loc["G7", "r2"] == pytest.approx(1 - left / total, rel=1e-9)


def test_random_regulators_are_matched_and_others():
    rng = np.random.default_rng(0)
    mean = np.arange(300.0)
    pool = np.arange(0, 300, 2)
    own = np.array([10, 150, 290])
    ((target, draws),) = _with_random(np.array([12]), [np.array([0])] * 12 + [own], pool, mean, 200, rng)
    assert target == 12
    assert draws[0].tolist() == own.tolist()
    assert not np.isin(draws[1:], [*own, 12]).any()
    assert np.isin(draws[1:], pool).all()
    assert all(len(set(draw)) == 3 for draw in draws.tolist())
    assert np.abs(draws[1:] - own).max() <= 45
    # At the ends of the range the nearest are on one side.
    assert draws[1:, 1].mean() == pytest.approx(150, abs=3)
    # Five regulators cannot be matched by the four others.
    assert _with_random(np.array([0]), [np.arange(1, 6)], np.arange(10), np.arange(10.0), 5, rng) == []


def test_batches_stay_together():
    cells, _ = planted(0)
    cells.obs["plate"] = np.repeat(list("abcdefgh"), 50)
    folds = _folds(cells, np.ones(400, dtype=bool), "plate", 3, np.random.default_rng(0))
    assert pd.Series(folds).groupby(cells.obs["plate"].to_numpy()).nunique().eq(1).all()
    assert sorted(np.bincount(folds)) == [100, 150, 150]
    held = hold_out(cells, by="plate", share=0.3)
    whole = pd.Series(held).groupby(cells.obs["plate"].to_numpy()).mean()
    assert sorted(whole) == [0, 0, 0, 0, 0, 1, 1, 1]
    assert hold_out(cells, share=0.3).sum() == 120


def test_counts_signs_sparse_networks_and_names():
    import scipy.sparse as sp

    cells, weights = planted(3)
    whole = score_prediction((weights, NAMES), cells, top_k=3)
    same = score_prediction((sp.csr_array(-weights), NAMES), cells, top_k=3)
    np.testing.assert_allclose(same.targets["r2"], whole.targets["r2"])
    counts = np.random.default_rng(0).poisson(np.exp(cells.X / 2)).astype(np.float32)
    counts[5] = 0
    by_symbol = AnnData(counts, obs=cells.obs, var=pd.DataFrame({"symbol": NAMES}, index=[f"g{i}" for i in range(100)]))
    found = score_prediction((weights, NAMES), by_symbol, top_k=3, by="donor", n_targets=20)
    assert 0 < found.low < found.gain < whole.gain
    assert (found.n_cells, len(found.targets)) == (399, 20)
    assert "1 of 400 cells have no count and are left out" in found.notes[0]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"top_k": 0}, "top_k is at least 1, got 0"),
        ({"n_folds": 1}, "n_folds - 1 is at least 1, got 0"),
        ({"penalty": 0}, "penalty = 0 is not above 0"),
        ({"level": 95}, "level = 95 is not between 0 and 1"),
        ({"by": "patient"}, "no column 'patient' in obs; there are 'donor'"),
        ({"by": "same"}, r"obs\['same'\] is 'x' for all cells"),
        ({"layer": "raw"}, "no layer 'raw'; there are none"),
    ],
)
def test_bad_requests_are_refused(options, message):
    cells, weights = planted(0, n_cells=50)
    if options.get("by") == "same":
        cells.obs["same"] = "x"
    with pytest.raises(ValueError, match=message):
        score_prediction((weights, NAMES), cells, **options)


def test_networks_that_cannot_be_scored():
    cells, weights = planted(0, n_cells=50)
    with pytest.raises(ValueError, match="share no gene"):
        score_prediction((weights, [f"x{i}" for i in range(100)]), cells)
    with pytest.raises(ValueError, match="no gene can be predicted: of 100 shared genes"):
        score_prediction((np.zeros_like(weights), NAMES), cells)
    with pytest.raises(ValueError, match="share = 1 is not between"):
        hold_out(cells, share=1)

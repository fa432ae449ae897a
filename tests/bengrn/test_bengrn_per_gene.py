"""Scores of single regulators and targets: each row against the whole-ranking metrics, scikit-learn and scipy."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import false_discovery_control, hypergeom
from sklearn.metrics import average_precision_score, roc_auc_score

from bengrn.metrics import (
    auroc,
    average_precision,
    early_precision_ratio,
    macro_means,
    per_regulator,
    per_target,
    rank_positives,
)


@st.composite
def universes(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    n_rows, n_columns = draw(st.integers(1, 6)), draw(st.integers(2, 8))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    dtype = draw(st.sampled_from([np.float32, np.float64, np.int64]))
    scores = rng.integers(-2, draw(st.integers(1, 12)), (n_rows, n_columns)).astype(dtype)
    own = rng.permutation(max(n_rows, n_columns))[:n_rows]
    own = np.where((own < n_columns) & draw(st.booleans()), own, -1)
    truth = (rng.random(scores.shape) < draw(st.floats(0.0, 1.0))) & scored_mask(scores.shape, own)
    return scores, truth, own


def scored_mask(shape: tuple[int, int], own: np.ndarray) -> np.ndarray:
    scored = np.ones(shape, dtype=bool)
    scored[np.flatnonzero(own >= 0), own[own >= 0]] = False
    return scored


def slow_table(scores: np.ndarray, truth: np.ndarray, scored: np.ndarray, top_k: int) -> pd.DataFrame:
    """What per_regulator should give, one row after the other."""
    candidates = np.sort(scores[scored & (scores > 0)])[::-1]
    cut = candidates[min(top_k, candidates.size) - 1] if candidates.size else np.inf
    rows = []
    for score, positive, keep in zip(scores, truth, scored, strict=True):
        score, positive = score[keep], positive[keep]
        ap = roc = epr = p_value = np.nan
        top = (score >= cut) & (score > 0)
        if 0 < positive.sum() < positive.size:
            ranking = rank_positives(score, positive)
            ap, roc, epr = average_precision(ranking), auroc(ranking), early_precision_ratio(ranking)
            assert ap == pytest.approx(average_precision_score(positive, score), abs=1e-12)
            assert roc == pytest.approx(roc_auc_score(positive, score), abs=1e-12)
            p_value = hypergeom.sf((top & positive).sum() - 1, positive.size, positive.sum(), top.sum())
        prevalence = positive.mean() if positive.size else np.nan
        rows.append(
            [positive.size, positive.sum(), prevalence, ap, roc, epr, top.sum(), (top & positive).sum(), p_value]
        )
    columns = ["n_pairs", "n_positives", "prevalence", "ap", "auroc", "epr", "n_top", "n_top_positives", "p_value"]
    table = pd.DataFrame(rows, columns=columns)
    known = table["p_value"].notna()
    table["q_value"] = np.nan
    if known.any():
        table.loc[known, "q_value"] = false_discovery_control(table.loc[known, "p_value"])
    return table


@given(universes(), st.integers(1, 40), st.sampled_from([np.asarray, np.asfortranarray, sp.csr_array, sp.csc_matrix]))
def test_every_row_is_what_ranking_it_alone_gives(case, top_k, layout):
    scores, truth, own = case
    scored = scored_mask(scores.shape, own)
    positives = np.flatnonzero(truth)
    rows = per_regulator(layout(scores), positives, self_columns=own, top_k=top_k)
    columns = per_target(layout(scores), np.nonzero(truth), self_columns=own, top_k=top_k)
    for table, expected, name in (
        (rows, slow_table(scores, truth, scored, top_k), "regulator"),
        (columns, slow_table(scores.T, truth.T, scored.T, top_k), "target"),
    ):
        assert table.index.name == name
        assert table.columns.tolist() == expected.columns.tolist()
        for key in expected:
            np.testing.assert_allclose(table[key], expected[key], rtol=1e-9, atol=1e-12, err_msg=key)


def test_by_hand():
    # Row 0: a true edge first of three. Row 1: a true edge tied with a false one behind another false one.
    # Row 2: no true edge. Row 3: nothing but true edges.
    scores = np.array([[0.0, 0.9, 0.2, 0.1], [0.5, 0.0, 0.3, 0.3], [0.4, 0.4, 0.0, 0.4], [0.1, 0.2, 0.3, 0.0]])
    truth = np.array([[0, 1, 0, 0], [0, 0, 0, 1], [0, 0, 0, 0], [1, 1, 1, 0]])
    names = ["A", "B", "C", "D"]
    table = per_regulator(scores, np.flatnonzero(truth), self_columns=np.arange(4), top_k=2, names=names)
    assert table.index.tolist() == names
    assert table["ap"].tolist()[:2] == pytest.approx([1, 1 / 3])
    assert table["auroc"].tolist()[:2] == pytest.approx([1, 0.25])
    assert table["epr"].tolist()[:2] == pytest.approx([3, 0])
    assert table.loc[["C", "D"], ["ap", "auroc", "epr", "p_value", "q_value"]].isna().all(axis=None)
    assert table["n_positives"].tolist() == [1, 1, 0, 3]
    # The two best edges of all are 0.9 (A, true) and 0.5 (B, false).
    assert table["n_top"].tolist() == [1, 1, 0, 0]
    assert table["n_top_positives"].tolist() == [1, 0, 0, 0]
    assert table["p_value"].tolist()[:2] == pytest.approx([1 / 3, 1])
    assert table["q_value"].tolist()[:2] == pytest.approx([2 / 3, 1])
    means = macro_means(table)
    assert means == pytest.approx(
        {"ap": 2 / 3, "auroc": 0.625, "epr": 1.5, "prevalence": 1 / 3, "n": 2, "n_predictable": 0}
    )


def test_the_mean_gives_a_small_regulator_the_weight_of_a_large_one():
    # A regulator with many targets ranked perfectly, and one with a single target ranked last.
    scores = np.vstack([np.arange(100.0)[::-1] + 100, np.arange(100.0)[::-1]])
    truth = np.zeros((2, 100), dtype=bool)
    truth[0, :50], truth[1, -1] = True, True
    means = macro_means(per_regulator(scores, np.flatnonzero(truth)))
    assert means["ap"] == pytest.approx((1 + 0.01) / 2)
    assert means["n"] == 2
    assert means["n_predictable"] == 1


def test_a_random_network_has_hardly_a_predictable_regulator_and_a_good_one_has_all():
    rng = np.random.default_rng(0)
    truth = rng.random((60, 500)) < 0.05
    noise = rng.random(truth.shape)
    positives = np.flatnonzero(truth)
    assert macro_means(per_regulator(noise, positives))["n_predictable"] <= 2
    assert macro_means(per_regulator(noise + truth, positives))["n_predictable"] == 60


def test_edges_without_weight_are_not_among_the_best():
    scores = np.zeros((2, 6))
    scores[0, 1] = 1
    table = per_regulator(scores, [1, 7, 8], top_k=5)
    assert table["n_top"].tolist() == [1, 0]
    assert table["p_value"].tolist() == pytest.approx([1 / 6, 1])
    negative = per_regulator(scores - 2, [1, 7, 8], top_k=5)
    assert negative["n_top"].tolist() == [0, 0]


def test_a_truth_without_edges_has_no_means():
    table = per_regulator(np.ones((3, 4)), [])
    assert table["ap"].isna().all()
    means = macro_means(table)
    assert means["n"] == 0
    assert np.isnan(means["ap"])


def test_nan_is_refused_off_the_self_pairs_only():
    scores = np.eye(5) * np.nan + np.arange(25.0).reshape(5, 5)
    scores[~np.eye(5, dtype=bool)] = np.arange(20.0)
    own = np.arange(5)
    clean = np.nan_to_num(scores)
    pd.testing.assert_frame_equal(
        per_regulator(scores, [1, 7], self_columns=own), per_regulator(clean, [1, 7], self_columns=own)
    )
    pd.testing.assert_frame_equal(
        per_target(scores, [1, 7], self_columns=own), per_target(clean, [1, 7], self_columns=own)
    )
    scores[3, 1] = np.nan
    with pytest.raises(ValueError, match="1 of 20 scores are NaN, the first in row 3, column 1"):
        per_regulator(scores, [1, 7], self_columns=own)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"names": ["A"]}, "names has 1 entries for 2 regulators"),
        ({"top_k": 0}, "top_k = 0 is below 1"),
        ({"self_columns": [1, 0]}, "1 of 1 positives are self pairs"),
    ],
)
def test_what_does_not_fit_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        per_regulator(np.ones((2, 3)), [1], **options)


def test_a_thousand_random_regulators_are_at_chance():
    rng = np.random.default_rng(0)
    scores = rng.random((1_000, 5_000), dtype=np.float32)
    positives = rng.choice(scores.size, 15_000, replace=False)
    table = per_regulator(scores, positives)
    assert macro_means(table)["auroc"] == pytest.approx(0.5, abs=0.02)

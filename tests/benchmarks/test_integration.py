"""The arithmetic of the integration benchmark, on cases worked out by hand."""

from __future__ import annotations

import anndata
import numpy as np
import pandas as pd
import pytest
from benchmarks.integration.scores import gains, with_intervals
from benchmarks.integration.sets import kept, variable_genes


def test_halves_of_the_cells_give_intervals_that_hold_the_true_score_as_often_as_they_say():
    rng = np.random.default_rng(0)
    held, n = 0, 400
    for _ in range(n):
        values = rng.normal(1.0, 2.0, 100)
        halves = [{"Total": float(rng.permutation(values)[:50].mean())} for _ in range(6)]
        found = with_intervals({"Total": float(values.mean())}, halves)
        held += found["total_low"] <= 1.0 <= found["total_high"]
    assert 0.92 <= held / n <= 0.98  # 0.95 within nearly three standard errors of 400 runs


def test_gains_are_over_the_same_cells():
    ours = [{"Total": 0.7, "Bio conservation": 0.6, "Batch correction": 0.85}] * 3
    before = [{"Total": 0.5, "Bio conservation": 0.6, "Batch correction": 0.35}] * 3
    found = gains(ours, before)
    assert found["gain_total"] == pytest.approx(0.2)
    assert found["gain_total_high"] == pytest.approx(0.2)
    assert found["gain_bio_conservation"] == 0
    assert found["gain_batch_correction_low"] == pytest.approx(0.5)


def test_batches_and_labels_of_few_cells_are_left_out_until_none_is_left(monkeypatch):
    monkeypatch.setattr("benchmarks.integration.sets.LEAST_OF_BATCH", 3)
    monkeypatch.setattr("benchmarks.integration.sets.LEAST_OF_LABEL", 2)
    # label z has one cell; without it, batch 2 has two cells; without these, label y has one cell
    obs = pd.DataFrame({"batch": list("1111222"), "label": list("xxxyzyx")}, index=[str(i) for i in range(7)])
    found = kept(anndata.AnnData(np.zeros((7, 1)), obs=obs))
    assert found.obs_names.tolist() == ["0", "1", "2"]


def test_genes_that_vary_between_batches_alone_are_not_chosen(monkeypatch):
    monkeypatch.setattr("benchmarks.integration.sets.N_GENES", 1)
    counts = np.array([[9, 0, 1], [9, 2, 1], [0, 0, 1], [0, 2, 1]] * 2, dtype=np.float32)
    obs = pd.DataFrame({"batch": list("aabb") * 2}, index=[str(i) for i in range(8)])
    cells = anndata.AnnData(np.column_stack([counts, 1000 - counts.sum(axis=1)]), obs=obs)
    assert variable_genes(cells).tolist() == [1]

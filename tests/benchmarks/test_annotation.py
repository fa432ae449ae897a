"""The arithmetic of the annotation benchmark, on cases worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
from benchmarks.annotation.labels import nearest_labels, variable_genes
from benchmarks.annotation.measures import f1_scores, method_scores
from benchmarks.annotation.scores import COARSE
from sklearn.metrics import f1_score

from scdataloader.labels import find_term, roll_up
from scprint_model.tasks.calibration_error import calibration_error


def test_f1_scores_are_those_of_scikit_learn():
    rng = np.random.default_rng(0)
    truth, said = rng.integers(0, 4, 60), rng.integers(0, 6, 60)
    macro, weighted = f1_scores(truth, said, 8)
    assert macro == pytest.approx(f1_score(truth, said, average="macro"))
    assert weighted == pytest.approx(f1_score(truth, said, average="weighted"))


def test_calibration_error_by_hand():
    confidence, right = np.array([0.9, 0.92, 0.1, 1.0]), np.array([True, False, False, True])
    # bins from 0.9: 0.9 + 0.92 + 1.0 said, 2 right; bin from 0.1: 0.1 said, none right; over four cells
    assert calibration_error(confidence, right)[0] == pytest.approx((0.82 + 0.1) / 4)
    assert calibration_error(np.full(4, 0.5), np.array([True, False] * 2))[0] == 0.0


def test_scores_of_a_method_with_intervals_around_them_and_paired_differences():
    truth = np.arange(200) % 4
    said = np.where(np.arange(200) % 5 == 0, (truth + 1) % 4, truth)
    found = method_scores(truth, said, np.full(200, 0.8), {"coarse_accuracy": truth // 2 == said // 2}, truth == said)
    assert found["accuracy"] == 0.8
    assert found["accuracy_low"] < 0.8 < found["accuracy_high"]
    assert found["accuracy_high"] - found["accuracy_low"] == pytest.approx(2 * 1.96 * np.sqrt(0.16 / 200), rel=0.1)
    assert found["coarse_accuracy"] == 0.9
    assert (found["heads_less_this"], found["heads_less_this_low"], found["heads_less_this_high"]) == (0, 0, 0)
    assert found["calibration_error"] == pytest.approx(0, abs=1e-12)


def test_nearest_labels_say_the_share_of_neighbours():
    known = np.concatenate([np.zeros((12, 2)), np.ones((8, 2))])
    labels = np.array(["T cell"] * 12 + ["B cell"] * 8)
    said, share = nearest_labels(known, labels, np.array([[0.1, 0.0]]))
    assert said.tolist() == ["T cell"]
    assert share[0] == pytest.approx(12 / 15)


def test_variable_genes_are_the_ones_that_vary_most(monkeypatch):
    monkeypatch.setattr("benchmarks.annotation.labels.N_VARIABLE", 2)
    values = np.array([[0.0, 1.0, 5.0, 0.0], [0.0, 1.0, 0.0, 3.0], [0.1, 1.0, 5.0, 0.0]])
    assert variable_genes(values).tolist() == [2, 3]


@pytest.mark.parametrize(
    ("label", "coarse"),
    [
        ("CD4-positive, alpha-beta memory T cell", "CL:0000084"),
        ("plasma cell", "CL:0000945"),
        ("plasmacytoid dendritic cell", "CL:0000451"),
        ("CD14-positive monocyte", "CL:0000576"),
        ("pulmonary alveolar type 2 cell", "CL:0000066"),
        ("vein endothelial cell", "CL:0000115"),
        ("fibroblast of lung", "CL:0000057"),
    ],
)
def test_coarse_labels_are_those_that_biologists_name(label, coarse):
    assert roll_up([find_term(label, ("CL",))], COARSE) == [coarse]

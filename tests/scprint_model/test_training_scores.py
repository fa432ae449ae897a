"""What validation measures, against scikit-learn, SciPy and hand-worked cases."""

import math

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr
from sklearn.metrics import accuracy_score, f1_score

from scprint_model.demo import evaluate
from scprint_model.training.validation_scores import LabelCounts, neighbour_agreement, spearman


@pytest.mark.parametrize("seed", [0, 1])
def test_label_scores_are_scikit_learns_however_cells_are_batched(seed):
    rng = np.random.default_rng(seed)
    labels = rng.integers(-1, 9, 200)  # -1 unknown, 7 and 8 coarser labels
    predicted = np.where(rng.random(200) < 0.5, labels.clip(0, 6), rng.integers(0, 6, 200))  # 6 is said by luck only
    counts = [LabelCounts(7), LabelCounts(7)]
    for i, part in enumerate(np.array_split(np.arange(200), [13, 14, 120])):
        counts[i % 2].add(torch.from_numpy(predicted[part]), torch.from_numpy(labels[part]))
    counts[0].counts += counts[1].counts  # as two ranks are summed
    leaf = (labels >= 0) & (labels < 7)
    assert counts[0].scores() == {
        "accuracy": pytest.approx(accuracy_score(labels[leaf], predicted[leaf])),
        "macro_f1": pytest.approx(f1_score(labels[leaf], predicted[leaf], average="macro")),
    }


def test_no_leaf_label_gives_no_score():
    counts = LabelCounts(3)
    counts.add(torch.tensor([0, 1]), torch.tensor([-1, 3]))
    assert counts.scores() == {}


def test_spearman_is_scipys_over_the_expressed_genes():
    rng = np.random.default_rng(0)
    truth = rng.poisson(1.5, (20, 60)).astype(np.float32)
    values = np.round(truth * rng.random(truth.shape), 1).astype(np.float32)  # with ties, and zeros
    result = spearman(torch.from_numpy(truth), torch.from_numpy(values))
    for true_cell, cell, found in zip(truth, values, result.tolist(), strict=True):
        on = true_cell > 0
        assert found == pytest.approx(spearmanr(true_cell[on], cell[on]).statistic)


def test_spearman_without_a_correlation():
    truth = torch.tensor([[2.0, 2.0, 2.0, 0.0], [1.0, 2.0, 0.0, 0.0], [1.0, 2.0, 3.0, 0.0], [0.0, 0.0, 0.0, 0.0]])
    values = torch.tensor([[1.0, 2.0, 3.0, 4.0], [1.0, 2.0, 3.0, 4.0], [5.0, 5.0, 5.0, 0.0], [1.0, 2.0, 3.0, 4.0]])
    found = spearman(truth, values).tolist()
    assert [math.isnan(value) for value in found] == [True, True, False, True]
    assert found[2] == 0  # a constant prediction says nothing


def test_neighbours_are_those_of_the_demo():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 4, 120)
    points = rng.normal(size=(120, 5)) + labels[:, None]
    expected = evaluate.neighbour_agreement(points, labels)
    assert 0.3 < expected < 1
    with_unknown = torch.from_numpy(np.append(labels, [-1, -1]))
    found = neighbour_agreement(torch.from_numpy(np.vstack([points, points[:2]])), with_unknown)
    assert found == pytest.approx(expected, abs=2 / 120)  # float32, and ties of votes are broken by other codes
    assert math.isnan(neighbour_agreement(torch.zeros(2, 3), torch.tensor([1, -1])))


def test_neighbours_by_hand():
    points = torch.tensor([[0.0], [1.0], [1.5], [10.0]])
    # nearest of each: 1, 2, 1, 2
    assert neighbour_agreement(points, torch.tensor([0, 0, 1, 1]), n_neighbours=1) == 0.5

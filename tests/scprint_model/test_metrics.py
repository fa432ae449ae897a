"""Scores of embeddings, labels and denoised counts, against scikit-learn, SciPy and hand-worked cases."""

import math

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.spatial.distance import cdist
from scipy.stats import mode, spearmanr
from sklearn.metrics import accuracy_score, f1_score
from sklearn.neighbors import KNeighborsClassifier

from scprint_model.metrics import (
    LabelCounts,
    agreeing_cells,
    denoising_scores,
    depth_share,
    label_scores,
    neighbour_accuracy,
    neighbour_agreement,
    spearman,
)


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


def test_counts_may_be_unsigned():
    truth = torch.tensor([[3, 2, 1, 0]], dtype=torch.uint16)
    values = torch.tensor([[5, 7, 1, 9]], dtype=torch.uint16)
    assert spearman(truth, values).tolist() == pytest.approx([0.5])


def test_spearman_without_a_correlation():
    truth = torch.tensor([[2.0, 2.0, 2.0, 0.0], [1.0, 2.0, 0.0, 0.0], [1.0, 2.0, 3.0, 0.0], [0.0, 0.0, 0.0, 0.0]])
    values = torch.tensor([[1.0, 2.0, 3.0, 4.0], [1.0, 2.0, 3.0, 4.0], [5.0, 5.0, 5.0, 0.0], [1.0, 2.0, 3.0, 4.0]])
    found = spearman(truth, values).tolist()
    assert [math.isnan(value) for value in found] == [True, True, False, True]
    assert found[2] == 0  # a constant prediction says nothing


def test_neighbours_are_those_of_a_slow_search():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 4, 120)
    points = rng.normal(size=(120, 5)) + labels[:, None]
    nearest = np.argsort(cdist(points, points) + np.diag(np.full(120, np.inf)), axis=1)[:, :10]
    expected = float((mode(labels[nearest], axis=1).mode == labels).mean())  # of several modes SciPy takes the least
    assert 0.3 < expected < 1
    assert neighbour_agreement(points, labels) == expected  # as the demo calls it
    with_unknown = torch.from_numpy(np.append(labels, [-1, -1]))
    found = neighbour_agreement(torch.from_numpy(np.vstack([points, points[:2]])).float(), with_unknown)
    assert found == expected  # as training calls it: float32, with unknown labels
    assert math.isnan(neighbour_agreement(torch.zeros(2, 3), torch.tensor([1, -1])))


def test_names_are_numbered_as_they_come():
    points = np.array([[0.0], [1.0], [2.0], [3.0]])
    codes = np.array([1, 0, 1, 0])
    in_order = pd.factorize(codes)[0]
    names = np.array(["z", "a", "z", "a"])
    for k in (1, 2, 3):
        assert neighbour_agreement(points, names, n_neighbours=k) == neighbour_agreement(
            points, in_order, n_neighbours=k
        )
    # of the first cell's two neighbours one is "a", one "z": the name that came first
    assert neighbour_agreement(points[:3], names[:3], n_neighbours=2) == 2 / 3
    assert neighbour_agreement(points[:3], codes[:3], n_neighbours=2) == 0


def test_held_out_neighbours_are_scikit_learns():
    rng = np.random.default_rng(1)
    codes, truth = rng.integers(0, 5, 200), rng.integers(0, 5, 80)
    known, asked = rng.normal(size=(200, 4)) + codes[:, None], rng.normal(size=(80, 4)) + truth[:, None]
    expected = KNeighborsClassifier(n_neighbors=10).fit(known, codes).score(asked, truth)
    assert 0.3 < expected < 1
    tensors = [torch.from_numpy(values) for values in (known, codes, asked, truth)]
    assert neighbour_accuracy(*tensors) == expected
    assert neighbour_accuracy(tensors[0].float(), codes, tensors[2].float(), truth) == expected
    unknown = np.full(80, -1)
    assert math.isnan(neighbour_accuracy(known, codes, asked, unknown))


def test_coarser_labels_are_right_where_the_leaf_lies_below_and_leaves_score_as_counted():
    rng = np.random.default_rng(2)
    logits = torch.from_numpy(rng.normal(size=(150, 6)))
    labels = torch.from_numpy(rng.integers(-1, 8, 150))
    below = torch.zeros(2, 6, dtype=torch.bool)
    below[0, :3] = below[1, 3:5] = True
    scores = label_scores(logits, labels, below)
    said, given = logits.argmax(dim=1).numpy(), labels.numpy()
    leaf, known = (given >= 0) & (given < 6), given >= 0
    sets = {6: {0, 1, 2}, 7: {3, 4}}
    right = [s in sets.get(g, {g}) for s, g in zip(said[known], given[known], strict=True)]
    assert scores == {
        "accuracy": pytest.approx(np.mean(right)),
        "macro_f1": pytest.approx(f1_score(given[leaf], said[leaf], average="macro")),
        "n_cells": int(known.sum()),
    }
    none = label_scores(logits, torch.full((150,), -1), below)
    assert math.isnan(none["accuracy"])
    assert math.isnan(none["macro_f1"])
    assert none["n_cells"] == 0


def test_denoising_scores_are_the_mean_over_cells_of_scipys_spearman():
    rng = np.random.default_rng(3)
    truth = rng.poisson(1.5, (20, 60)).astype(np.float32)
    profiles = {"one": rng.random((20, 60)), "broadcast": np.broadcast_to(truth.mean(axis=0), truth.shape)}
    for name, found in denoising_scores(truth, profiles).items():
        each = [spearmanr(t[t > 0], v[t > 0]).statistic for t, v in zip(truth, profiles[name], strict=True)]
        assert found == pytest.approx(np.mean(each))


def test_neighbours_by_hand():
    points = torch.tensor([[0.0], [1.0], [1.5], [10.0]])
    # nearest of each: 1, 2, 1, 2
    assert neighbour_agreement(points, torch.tensor([0, 0, 1, 1]), n_neighbours=1) == 0.5


def test_depth_share_by_hand():
    depth = np.expm1(np.array([0.0, 1.0, 2.0, 3.0]))
    line = np.array([0.0, 2.0, 4.0, 6.0])
    free = np.array([1.0, -1.0, -1.0, 1.0])  # of no slope
    assert depth_share(line[:, None], depth) == pytest.approx(1)
    assert depth_share(free[:, None], depth) == pytest.approx(0)
    # variances 20 and 4: of 24, depth explains 20
    assert depth_share(np.stack([line, free], axis=1), depth) == pytest.approx(20 / 24)
    assert np.isnan(depth_share(np.ones((4, 2)), depth))


def test_neighbours_within_their_data_set_only():
    points = np.array([[0.0], [0.1], [5.0], [5.1], [0.05], [5.05]])
    labels = np.array([0, 0, 1, 1, 1, 0])
    assert agreeing_cells(points, labels, n_neighbours=1).tolist() == [False, False, False, False, False, False]
    # cells 4 and 5, of another data set, are each other's neighbours
    sets = np.array([0, 0, 0, 0, 1, 1])
    assert agreeing_cells(points, labels, n_neighbours=1, within=sets).tolist() == [True] * 4 + [False] * 2
    assert agreeing_cells(points, labels, n_neighbours=1, within=np.array([0, 0, 0, 0, 1, 2])).tolist() == [True] * 4

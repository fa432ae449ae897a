"""Confidence by data sets that were left out: against known probabilities, planted outliers, and by hand."""

import numpy as np
import pytest
from scipy.special import expit

from scprint_model.checkpoints.label_confidence import COVERAGES
from scprint_model.training.left_out import (
    Centres,
    LeftOut,
    best_sigmoid,
    fold_of_datasets,
    longest_distance,
    margins,
    right_outputs,
    study_numbers,
    trust,
    weighted_quantile,
)


def test_a_head_that_is_too_sure_becomes_as_right_as_it_says():
    rng = np.random.default_rng(0)
    logits = rng.normal(scale=4, size=(40_000, 3))
    chance = expit(0.4 * logits.max(axis=1) - 0.7)
    right = rng.random(len(chance)) < chance
    size, shift = best_sigmoid(logits, right, np.full(len(right), 1 / len(right)))
    assert size == pytest.approx(0.4, abs=0.02)
    assert shift == pytest.approx(-0.7, abs=0.06)
    confidence = expit(size * logits.max(axis=1) + shift)
    for low in (0.3, 0.5, 0.7):
        here = (confidence >= low) & (confidence < low + 0.2)
        assert abs(confidence[here].mean() - right[here].mean()) < 0.02
        assert abs(expit(logits.max(axis=1))[here].mean() - right[here].mean()) > 0.1
    # cells without weight say nothing, and right answers alone leave it finite
    assert best_sigmoid(logits, right | (np.arange(len(right)) > 99), np.arange(len(right)) < 100)[0] < 10
    assert np.isfinite(best_sigmoid(logits[:50], np.ones(50, bool), np.full(50, 0.02))).all()


def test_sets_hold_the_true_label_of_cells_of_other_data_sets_as_often_as_they_say():
    rng = np.random.default_rng(1)

    def drawn(n_studies):
        study = np.repeat(np.arange(n_studies), rng.integers(1, 60, n_studies))
        # each study is harder or easier as a whole
        return rng.exponential(np.exp(rng.normal(size=n_studies))[study]), study

    held, said = [], np.flatnonzero(np.isclose(COVERAGES, 0.8))[0]
    for _ in range(300):
        allowed = margins(*drawn(30))
        assert (np.diff(allowed) >= 0).all()
        short, study = drawn(20)
        held.append(np.mean([(short[study == one] <= allowed[said]).mean() for one in range(20)]))
    # at least, and little more: the mean of 300 draws is known to 0.01
    assert 0.79 <= np.mean(held) <= 0.8 + 2 / 31


def test_each_study_counts_alike_whatever_its_cells():
    short, study = np.concatenate((np.zeros(90), [1, 2, 3.0])), np.repeat([0, 1, 2, 3], [90, 1, 1, 1])
    found = margins(short, study)
    # of 4 studies each weighs 1/5: 0.2, 0.4, 0.6, 0.8
    assert found[np.flatnonzero(np.isclose(COVERAGES, 0.60))[0]] == 2
    assert found[np.flatnonzero(np.isclose(COVERAGES, 0.61))[0]] == 3
    assert found[-1] == 3  # 0.99 would be infinite
    assert weighted_quantile(np.array([3.0, 1, 2]), np.array([0.2, 0.2, 0.6]), 0.5) == 2


@pytest.fixture
def clusters():
    rng = np.random.default_rng(2)
    labels = np.repeat([0, 1, 2], 100)
    spread = np.array([5, 1, 1, 0.1, 1, 1, 1, 1])
    return (rng.normal(size=(300, 8)) + 6 * np.eye(3, 8)[labels]) * spread + 3, labels, spread, rng


def test_a_planted_cluster_lies_farther_than_any_seen_and_thinner_cells_do_not(clusters):
    x, labels, spread, rng = clusters
    centres = Centres(np.column_stack((x, np.full(300, 2.0))), labels)  # one feature does not vary

    def far(values):
        return centres.distance(np.column_stack((values, np.full(len(values), 2.0))))

    planted = (rng.normal(size=(100, 8)) + 6 * np.eye(3, 8)[[1]] + 7 * np.eye(8)[5]) * spread + 3
    assert far(planted).min() > np.quantile(far(x), 0.99)
    # less is known of a thinner cell, so that it lies nearer the middle of all
    thinned = x.mean(axis=0) + 0.9 * (x - x.mean(axis=0))
    assert far(thinned).mean() <= far(x).mean() * 1.02
    # the direction in which cells of a label spread most counts least
    moved = [far(x + 2 * np.eye(8)[i]).mean() - far(x).mean() for i in (0, 3)]
    assert moved[1] > 4 * moved[0]


def test_the_model_answers_four_of_five_right_cells_by_each_rule(clusters):
    x, labels, _, rng = clusters
    logits = rng.normal(size=(300, 3)) + 2 * np.eye(3)[labels]
    right = logits.argmax(axis=1) == labels
    true = logits[np.arange(300), labels]
    study = np.arange(300) % 6
    centres = Centres(x, labels)
    known = np.arange(300) != 7
    left = LeftOut(logits, centres.distance(x), right, true, known, study)
    assert left.enough
    assert left.weight.sum() == pytest.approx(1)
    assert left.weight[7] == 0
    found = trust(left, centres, ["base", "own"], size=0.5, shift=-0.2)
    assert (found.n_cells, found.n_sources, found.tokens) == (299, 6, ("base", "own"))
    confidence = expit(0.5 * logits.max(axis=1) - 0.2)
    outlier = found.outlier(x.reshape(300, 2, 4), ("base", "own"))
    np.testing.assert_allclose(outlier[:20] / outlier[0], centres.distance(x)[:20] / centres.distance(x)[0], rtol=0.02)
    assert (confidence[right] >= found.least).mean() == pytest.approx(0.8, abs=0.01)
    assert (outlier[right] <= 1).mean() == pytest.approx(0.8, abs=0.02)
    assert found.answers(np.array([0.0, 1, 1, 1]), np.array([0.5, 0.5, 1.5, np.nan])).tolist() == [
        False,
        True,
        False,
        True,
    ]
    sets = found.sets(0.5 * logits - 0.2, 0.9)
    assert sets[np.arange(300), labels].mean() >= 0.9
    assert sets[np.arange(300), logits.argmax(axis=1)].all()
    with pytest.raises(ValueError, match=r"sets=0.3 must be a probability of 0.50, 0.51, ..., 0.99"):
        found.sets(logits, 0.3)
    few = LeftOut(logits, centres.distance(x), right, true, known, np.zeros(300, np.int64))
    assert not few.enough  # of one study nothing can be learned of others


def left_out(distance, right, known, study):
    logits = np.zeros((len(right), 2))
    return LeftOut(logits, distance, right, logits[:, 0], known, study)


def test_distance_says_nothing_where_far_answers_are_certain():
    n = 200
    distance, study, every = np.arange(n) / n, np.arange(n) % 4, np.ones(n, bool)
    assert longest_distance(left_out(distance, every, every, study)) == distance.max()
    # 5 of the 39 farthest are wrong: 0.8 of the right ones lie within
    wrong = every.copy()
    wrong[-5:] = False
    assert longest_distance(left_out(distance, wrong, every, study)) == pytest.approx(0.8, abs=0.03)
    # so do types that no other study has, however right they would be
    assert longest_distance(left_out(distance, every, wrong, study)) == pytest.approx(0.8, abs=0.03)


def test_a_type_that_no_other_study_has_is_a_wrong_answer_and_studies_count_alike():
    # a study of 60 cells of a type that is known, and one of 20 of a type that is not
    study = np.repeat([0, 1], [60, 20])
    one = left_out(np.zeros(80), np.ones(80, bool), study == 0, study)
    assert one.named.tolist() == (study == 0).tolist()
    assert one.weight_of_all.sum() == pytest.approx(1)
    assert (one.weight_of_all * one.named).sum() == pytest.approx(0.5)
    assert (one.weight * one.named).sum() == pytest.approx(1)
    size, shift = best_sigmoid(one.logits, one.named, one.weight_of_all)
    assert expit(size * 0 + shift) == pytest.approx(0.5, abs=0.02)


def test_right_is_the_label_or_one_below_it_and_a_coarse_label_teaches_its_own_output():
    # outputs a, b, ab; coarser labels ab (an output) and x (of a and ab)
    below, own = np.array([[1, 1, 1], [1, 0, 1]], dtype=bool), np.array([2, -1])
    right, taught = right_outputs(below, own)
    assert right.astype(int).tolist() == [[1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 1], [1, 0, 1]]
    assert taught.astype(int).tolist() == [[1, 0, 0], [0, 1, 0], [0, 0, 1], [0, 0, 1], [1, 0, 1]]


def test_studies_stay_together(caplog):
    names = ["a", "b", "c", "d"]
    studies = study_numbers(names, [["d", "b"]])
    assert studies[1] == studies[3]
    assert len(np.unique(studies)) == 3
    fold = fold_of_datasets(np.array([10, 6, 9, 6]), studies, 2)
    assert fold[1] == fold[3] != fold[0] == fold[2]  # 12 cells, and 19
    assert sorted(study_numbers(names, [["e", "a"]]).tolist()) == [0, 1, 2, 3]
    assert "studies name e, which are not among the 4 data sets" in caplog.text
    with pytest.raises(ValueError, match=r"studies name \['a'\] more than once"):
        study_numbers(names, [["a", "b"], ["a", "c"]])

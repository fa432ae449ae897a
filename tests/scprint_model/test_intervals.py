"""Intervals of scores of cells: worked by hand, in any order of the cells, and as often right as they say."""

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import f1_score

from scprint_model.intervals import MIN_GROUPS, donors_of, interval_note, mean_interval, score_table, share_interval


def two_methods(n, *, seed=0, classes=3):
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, classes, n)
    said = {
        name: np.where(rng.random(n) < p, truth, rng.integers(0, classes, n)) for name, p in (("a", 0.6), ("b", 0.8))
    }
    return truth, said, {name: values == truth for name, values in said.items()}


def test_scores_are_those_of_scikit_learn_and_intervals_hold_them():
    truth, said, right = two_methods(150)
    truth[:10] = -1
    made = score_table(said, truth, right, reference="b", seed=1)
    assert made.n_cells == 140
    for row in made.table.to_dict("records"):
        values = said[row["method"]][10:]
        assert row["accuracy"] == pytest.approx((values == truth[10:]).mean())
        assert row["macro_f1"] == pytest.approx(f1_score(truth[10:], values, average="macro"))
        for score in ("accuracy", "macro_f1"):
            assert row[f"{score}_low"] < row[score] < row[f"{score}_high"]
    (gap,) = made.differences.to_dict("records")
    assert gap["difference"] == pytest.approx(right["b"][10:].mean() - right["a"][10:].mean())
    # paired: narrower than two independent ones, whose half widths would add as squares
    a, b = (made.table.loc[made.table["method"] == name].iloc[0] for name in "ab")
    apart = np.hypot(a["accuracy_high"] - a["accuracy_low"], b["accuracy_high"] - b["accuracy_low"])
    same = score_table(
        {"a": said["b"], "b": said["b"]}, truth, {"a": right["b"], "b": right["b"]}, reference="b"
    ).differences.iloc[0]
    assert same["difference_high"] - same["difference_low"] < 0.4 * apart
    assert (same["difference_low"], same["difference_high"]) == pytest.approx(
        (-(1 - 0.025 ** (1 / 140)), 1 - 0.025 ** (1 / 140))
    )


def test_cells_in_any_order_have_the_same_intervals():
    truth, said, right = two_methods(200)
    donors = np.array(list("abcdefgh") * 25)
    order = np.random.default_rng(5).permutation(200)
    for groups in (None, donors):
        one = score_table(said, truth, right, reference="a", groups=groups)
        other = score_table(
            {name: values[order] for name, values in said.items()},
            truth[order],
            {name: values[order] for name, values in right.items()},
            reference="a",
            groups=None if groups is None else groups[order],
        )
        assert one.table.equals(other.table)
        assert one.differences.equals(other.differences)


def test_donors_that_differ_widen_the_interval_and_few_of_them_are_told():
    donors = np.repeat(list("abcdefghij"), 30)
    right = np.isin(donors, list("abcdef"))  # all or nothing: a donor is worth one cell
    low, high = share_interval(right, groups=donors)
    of_cells = share_interval(right)
    assert high - low > 3 * (of_cells[1] - of_cells[0])
    said = {"a": right.astype(int)}
    table = score_table(said, np.ones(300, int), {"a": right}, reference="a", groups=donors, unit="donor_id")
    assert table.n_groups == 10
    assert table.note == "95% intervals: 10 groups by donor_id drawn with replacement"
    few = donors < "d"
    made = score_table(
        {"a": said["a"][few]}, np.ones(90, int), {"a": right[few]}, reference="a", groups=donors[few], unit="donor_id"
    )
    assert made.n_groups < MIN_GROUPS
    assert "within 3 groups by donor_id: they say nothing of others" in made.note
    rough = donors < "g"
    told = score_table(
        {"a": said["a"][rough]}, np.ones(180, int), {"a": right[rough]}, reference="a", groups=donors[rough]
    )
    assert told.note.endswith("; rough below 10")


def test_shares_of_none_and_all_have_exact_bounds():
    assert share_interval(np.ones(20, bool)) == (pytest.approx(0.025 ** (1 / 20)), 1.0)
    assert share_interval(np.zeros(20, bool)) == (0.0, pytest.approx(1 - 0.025 ** (1 / 20)))


@pytest.mark.parametrize(("n_donors", "lowest", "highest"), [(None, 0.90, 0.99), (8, 0.87, 0.99), (20, 0.88, 0.99)])
def test_intervals_cover_the_truth_as_often_as_they_say(n_donors, lowest, highest):
    """300 simulations with a known share; donors' own shares are spread around it."""
    rng = np.random.default_rng(0)
    covered = 0
    for _ in range(300):
        if n_donors is None:
            groups, right = None, rng.random(80) < 0.7
        else:
            groups = np.repeat(np.arange(n_donors), 15)
            right = rng.random(len(groups)) < rng.beta(7, 3, n_donors)[groups]
        low, high = share_interval(right, groups=groups)
        covered += low <= 0.7 <= high
    assert lowest < covered / 300 < highest


@pytest.mark.parametrize(("n_donors", "lowest", "highest"), [(None, 0.90, 0.985), (6, 0.87, 0.99), (20, 0.90, 0.985)])
def test_intervals_of_means_cover_the_truth_as_often_as_they_say(n_donors, lowest, highest):
    """400 simulations with a known mean; donors' own means are spread around it, and their cells are skewed."""
    rng = np.random.default_rng(1)
    covered = 0
    for _ in range(400):
        groups = None if n_donors is None else np.repeat(np.arange(n_donors), rng.integers(10, 40, n_donors))
        shift = 0.0 if groups is None else rng.normal(0, 0.2, n_donors)[groups]
        values = rng.gamma(4, 0.1, 60 if groups is None else len(groups)) + shift
        _, low, high = mean_interval(values, groups=groups)
        covered += low <= 0.4 <= high
    assert lowest < covered / 400 < highest


def test_donors_are_the_unit_where_they_are_told():
    obs = pd.DataFrame({"donor_id": ["unknown", "unknown"], "donor": ["x", "y"]})
    groups, unit = donors_of(obs)
    assert (groups.tolist(), unit) == (["x", "y"], "donor")
    assert donors_of(obs[["donor_id"]]) == (None, "cell")
    assert (
        interval_note(2, groups, unit)
        == "95% intervals: cells drawn within 2 groups by donor: they say nothing of others"
    )
    assert interval_note(30, None, "cell") == "95% intervals: 30 cells drawn with replacement"


def test_what_cannot_be_scored_is_refused():
    truth, said, right = two_methods(20)
    with pytest.raises(ValueError, match="'c' is not among"):
        score_table(said, truth, right, reference="c")
    with pytest.raises(ValueError, match="no cell has a label"):
        score_table(said, np.full(20, -1), right, reference="a")
    with pytest.raises(ValueError, match=r"level=1\.5"):
        score_table(said, truth, right, reference="a", level=1.5)


def test_interval_of_a_mean_is_that_of_its_standard_error_and_whole_groups_are_drawn():
    rng = np.random.default_rng(0)
    values = rng.normal(3, 2, size=400)
    mean, low, high = mean_interval(values)
    assert mean == values.mean()
    assert [low, high] == pytest.approx(mean + np.array([-1.96, 1.96]) * values.std() / 20, abs=0.03)
    # cells of a group are alike: 8 groups say as much as 8 cells
    groups = np.repeat(np.arange(8), 50)
    alike = groups.astype(float)
    _, low, high = mean_interval(alike, groups=groups)
    assert high - low > 2.5
    assert np.subtract(*mean_interval(alike)[:0:-1]) < 0.5
    assert mean_interval(np.ones(5)) == (1, 1, 1)

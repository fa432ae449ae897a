"""Plots of benchmarks for notebooks: what is drawn is what the table says."""

import numpy as np
import pytest
from tests.bengrn.benchmark_results import make_results

from bengrn import pl
from bengrn.benchmarking.report.reading import read_results

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("Agg")

from matplotlib import pyplot  # noqa: E402 - after its backend is chosen


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    return read_results(make_results(tmp_path_factory.mktemp("pl"), truths=("omnipath",)))


@pytest.fixture(scope="module")
def one(results):
    return results.select(group="rod cell", truth="omnipath", regulators="assayed")


@pytest.fixture
def ax():
    figure, ax = pyplot.subplots()
    yield ax
    pyplot.close(figure)


def row_of(results, label, orientation):
    table = results.table
    return table[(table["label"] == label) & (table["orientation"] == orientation)].iloc[0]


def test_scores_are_drawn_with_interval_and_chance(one, ax):
    assert pl.scores(one, "epr", ax=ax) is ax
    labels = [text.get_text() for text in ax.get_yticklabels()]
    assert labels[:2] == ["degrees of the truth", "genie3, n_trees=100"]
    assert labels[-1] == "scprint"
    assert [text.get_text() for text in ax.texts] == ["failed"]
    row = row_of(one, "clr", "symmetric")
    height = labels.index("clr")
    interval, point = (line for line in ax.lines if set(line.get_ydata()) == {height})
    assert list(interval.get_xdata()) == [row["epr_low"], row["epr_high"]]
    assert (list(point.get_xdata()), point.get_marker()) == ([row["epr"]], "o")
    assert point.get_markerfacecolor() != "white"  # its interval lies above chance
    assert ax.lines[0].get_xdata()[0] == row["epr_random"] == 1
    turned = [line.get_xdata()[0] for line in ax.lines if line.get_marker() == "D"]
    assert row_of(one, "genie3, n_trees=100", "transposed")["epr"] in turned
    assert ax.get_title(loc="left") == "retina_1k · rod cell · omnipath · assayed regulators"


def test_an_interval_over_chance_is_hollow(one, ax):
    pl.scores(one.select(method=["random", "pearson"], orientation=["as stored", "symmetric"]), ax=ax)
    faces = {line.get_ydata()[0]: line.get_markerfacecolor() for line in ax.lines if line.get_marker() == "o"}
    assert (faces[0] == "white", faces[1] == "white") == (False, True)


def test_rows_of_several_questions_are_not_drawn(results):
    with pytest.raises(ValueError, match=r"regulators is 'assayed', 'truth'.*choose with results.select\(group=...,"):
        pl.scores(results)
    with pytest.raises(ValueError, match="there is no score 'auprc': there are 'ap'"):
        pl.scores(results, "auprc")
    with pytest.raises(ValueError, match="there are no rows with scores against a truth"):
        pl.scores(results.select(truth="held-out cells"))


def test_time_is_over_a_logarithmic_axis(one, ax):
    pl.time_against_score(one, ax=ax)
    assert ax.get_xscale() == "log"
    points = {tuple(line.get_xydata()[0]) for line in ax.lines if line.get_marker() not in ("None", None, "")}
    row = row_of(one, "genie3, n_trees=100", "as stored")
    assert (row["wall_s"], row["ap"]) in points
    assert "degrees of the truth" not in [text.get_text() for text in ax.texts]  # no time was taken
    with pytest.raises(ValueError, match="no row has a time and a score"):
        pl.time_against_score(one.select(method="degrees of the truth"))


def test_curves_are_those_of_the_folder(one, ax):
    pl.precision_recall(one, ax=ax)
    row = row_of(one, "clr", "symmetric")
    (line,) = (line for line in ax.lines if line.get_label() == "clr")
    assert np.array_equal(line.get_ydata(), one.curves[row.name]["precision"])
    assert len(ax.lines) == 8  # seven networks as stored, and chance
    with pytest.raises(ValueError, match="no curve of these rows"):
        pl.precision_recall(one.select(orientation="transposed"))


def test_agreement_is_a_matrix_of_networks(results, one, ax):
    pl.agreement(one, ax=ax)
    (image,) = ax.images
    assert image.get_array().shape == (6, 6)
    assert np.array_equal(np.diag(image.get_array()), np.ones(6))
    assert sorted(text.get_text() for text in ax.get_yticklabels())[-1] == "random"
    with pytest.raises(ValueError, match=r"networks of several groups of cells \(retina_1k · Müller glia"):
        pl.agreement(results)
    with pytest.raises(ValueError, match="measure is 'shared' or 'order', and not 'both'"):
        pl.agreement(one, "both")


def test_regulators_with_most_edges_are_drawn_by_symbol_beside_their_tree(one, ax):
    pl.regulators(one, 3, ax=ax)
    places = [text.get_text() for text in ax.get_yticklabels()]
    assert sorted(places) == ["GENE1 (58)", "GENE2 (56)", "SYMBOL0 (60)"]
    names = [text.get_text() for text in ax.get_xticklabels()]
    row = row_of(one, "clr", "symmetric")
    ratio = one.regulators[row.name]["ap_ratio"][1]
    assert ax.images[0].get_array()[places.index("GENE1 (58)"), names.index("clr")] == pytest.approx(np.log2(ratio))
    # two links join three regulators, at the middles of their rows
    (beside,) = ax.child_axes
    assert len(beside.lines) == 2
    assert sorted({y for line in beside.lines for y in line.get_ydata()} & {0, 1, 2}) == [0, 1, 2]
    assert beside.get_ylim() == ax.get_ylim() == (2.5, -0.5)
    assert f"{ratio:.2g}" in [text.get_text() for text in ax.texts]
    with pytest.raises(ValueError, match="n is a number of regulators, 1 or more, and not 0"):
        pl.regulators(one, 0)

"""What a drawing shows: directions, marks, colours, labels that can be read."""

import sys
from itertools import combinations

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.colors import to_hex
from matplotlib.patches import FancyArrowPatch

import grnndata
from grnndata import pl, tl
from grnndata.plotting.layout import node_positions, spread_boxes

mpl.use("Agg")


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    mpl.pyplot.close("all")


def arrows(ax):
    return [patch for patch in ax.patches if isinstance(patch, FancyArrowPatch)]


def node_of(ax, name):
    text = next(text for text in ax.texts if text.get_text() == name)
    return np.array(text.xy)


def test_arrows_run_from_regulator_to_target():
    matrix = np.zeros((3, 3))
    matrix[0, 2], matrix[1, 2] = 4, -1
    grn = grnndata.from_matrix(matrix, ["a", "b", "c"])
    ax = pl.subnetwork(grn, ["a", "b", "c"])
    weak, strong = arrows(ax)
    assert type(strong.get_arrowstyle()).__name__ == "CurveFilledB"  # a head at the end only
    for arrow, source in ((strong, "a"), (weak, "b")):
        start, end = arrow._posA_posB
        np.testing.assert_allclose(start, node_of(ax, source))
        np.testing.assert_allclose(end, node_of(ax, "c"))
    assert strong.get_linestyle() == "-"
    assert weak.get_linestyle() != "-"
    assert "negative weight" in {text.get_text() for text in ax.get_legend().get_texts()}
    assert strong.get_linewidth() > weak.get_linewidth()


def test_an_undirected_pair_is_one_plain_line():
    matrix = np.array([[0, 2, 0], [2, 0, 1], [0, 1, 0]])
    grn = grnndata.from_matrix(matrix, ["a", "b", "c"], directed=False)
    lines = arrows(pl.subnetwork(grn, ["a", "b", "c"]))
    assert [type(line.get_arrowstyle()).__name__ for line in lines] == ["Curve", "Curve"]


def test_neighbours_are_the_strongest_targets_and_their_edges_come_first():
    matrix = np.zeros((5, 5))
    matrix[0, 1:4] = [1, 3, 2]
    matrix[2, 3] = 9
    grn = grnndata.from_matrix(matrix, list("abcde"))
    ax = pl.subnetwork(grn, ["a"], neighbours=2, top_edges=2)
    assert {text.get_text() for text in ax.texts} == {"a", "c", "d"}
    ends = [tuple(np.round(arrow._posA_posB[0], 6)) for arrow in arrows(ax)]
    assert ends == [tuple(np.round(node_of(ax, "a"), 6))] * 2
    assert len(arrows(pl.subnetwork(grn, ["a"], neighbours=2))) == 3


def test_regulators_are_diamonds_and_communities_are_colours():
    matrix = np.kron(np.eye(2), np.ones((3, 3)))
    grn = grnndata.from_matrix(matrix, list("abcdef"))
    grn.var["symbol"] = list("ABCDEF")
    communities = tl.louvain(grn)
    ax = pl.subnetwork(grn, list("abcdef"), regulators=["A", "d"], communities=communities)
    circles, diamonds = ax.collections
    assert len(circles.get_offsets()) == 4
    assert len(diamonds.get_offsets()) == 2
    assert len(diamonds.get_paths()[0].vertices) < len(circles.get_paths()[0].vertices)
    assert len({to_hex(colour) for colour in circles.get_facecolors()}) == 2
    said = [text.get_text() for text in ax.get_legend().get_texts()]
    assert said[:4] == ["community 0", "community 1", "regulator", "other gene"]
    with pytest.raises(ValueError, match="1 gene has no community: a"):
        pl.subnetwork(grn, ["a", "b"], communities=communities.drop("a"))


def test_labels_of_thirty_genes_do_not_overlap():
    rng = np.random.default_rng(0)
    names = [f"GENE{i}" for i in range(30)]
    grn = grnndata.from_matrix(rng.random((30, 30)) * (rng.random((30, 30)) < 0.1), names)
    ax = pl.subnetwork(grn, names)
    ax.figure.draw_without_rendering()
    boxes = [text.get_window_extent() for text in ax.texts]
    assert len(boxes) == 30
    overlapping = [(a, b) for a, b in combinations(boxes, 2) if a.overlaps(b)]
    assert overlapping == []
    frame = ax.get_window_extent()
    assert all(frame.x0 - 1 <= box.x0 and box.x1 <= frame.x1 + 1 for box in boxes)


def test_spread_boxes_moves_only_what_overlaps():
    sizes = np.full((3, 2), [10.0, 4.0])
    apart = np.array([[10.0, 10.0], [30.0, 10.0], [50.0, 10.0]])
    np.testing.assert_array_equal(spread_boxes(apart, sizes, (60, 20)), apart)
    together = spread_boxes(np.full((3, 2), 20.0), sizes, (60, 40))
    gaps = np.abs(together[:, None] - together[None]) >= sizes[0] - 1e-6
    assert all(gaps[i, j].any() for i, j in combinations(range(3), 2))
    assert ((together >= sizes / 2) & (together <= np.array([60, 40]) - sizes / 2)).all()


def test_layout_follows_graph_distance_and_keeps_separate_parts_apart():
    from scipy.sparse import csr_matrix

    path = np.diag(np.ones(4), 1)
    placed = node_positions(csr_matrix(path + path.T))
    from_start = np.linalg.norm(placed - placed[0], axis=1)
    assert (np.diff(from_start) > 0).all()
    parts = np.kron(np.eye(2), np.ones((3, 3)) - np.eye(3))
    placed = node_positions(csr_matrix(parts))
    inside = max(np.linalg.norm(placed[i] - placed[j]) for i, j in combinations(range(3), 2))
    between = min(np.linalg.norm(placed[i] - placed[j]) for i in range(3) for j in range(3, 6))
    assert between > inside
    assert node_positions(csr_matrix((1, 1))).tolist() == [[0.5, 0.5]]


def test_hub_bars_start_with_the_strongest_and_mark_regulators():
    grn = grnndata.from_matrix(np.array([[0, 1, 0], [2, 0, 3], [0, 0, 0]]), ["a", "b", "c"])
    ax = pl.hubs(grn, 2, regulators=["a"])
    assert [label.get_text() for label in ax.get_yticklabels()] == ["b", "a"]
    by_place = {round(bar.get_y() + bar.get_height() / 2): bar for bar in ax.patches}
    assert [by_place[0].get_width(), by_place[1].get_width()] == [5, 1]
    assert by_place[0].get_facecolor() != by_place[1].get_facecolor()
    assert ax.yaxis_inverted()


def test_without_matplotlib_the_message_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    grn = grnndata.from_matrix(np.eye(2), ["a", "b"])
    with pytest.raises(ImportError, match=r"pip install grnndata\[plots\]"):
        pl.hubs(grn)
    with pytest.raises(ImportError, match=r"pip install grnndata\[plots\]"):
        pl.subnetwork(grn, ["a"])

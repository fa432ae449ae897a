"""The tree of labels, as text and as a figure."""

import builtins
import xml.etree.ElementTree as ET

import pandas as pd
import pytest

from scdataloader import LabelSpace
from scdataloader.labels import LabelClass
from scdataloader.labels.tree import draw_tree, label_counts, tree_rows, tree_text

NEURON, ROD, MUELLER = "CL:0000540", "CL:0000604", "CL:0000636"
RESPONSIVE, SIGNALLING = "CL:0000393", "CL:0000404"  # two of the terms right above neuron
BIPOLAR, ON_BIPOLAR, OFF_BIPOLAR, ROD_BIPOLAR = "CL:0000748", "CL:0000749", "CL:0000750", "CL:0000751"
EUROPEAN, LATIN, ASIAN, CHINESE = "HANCESTRO:0005", "HANCESTRO:0014", "HANCESTRO:0008", "HANCESTRO:0021"
TREE = """\
3 leaf labels, 2 coarser ones; 1,027 cells labelled, 4 unknown
                                       own  total
Mueller cell (CL:0000636)            1,000  1,000
retinal bipolar neuron (CL:0000748)      2     27
├─ ON-bipolar cell (CL:0000749)          5     20
│  └─ rod bipolar cell (CL:0000751)     15     15
└─ OFF-bipolar cell (CL:0000750)         5      5"""


@pytest.fixture
def retina():
    counts = {MUELLER: 1000, BIPOLAR: 2, ON_BIPOLAR: 5, ROD_BIPOLAR: 15, OFF_BIPOLAR: 5, "unknown": 4}
    return LabelClass.from_terms(counts), counts


def test_tree_by_hand(retina):
    assert tree_text(*retina) == TREE


def test_labels_of_several_parents_stand_under_each_and_count_once():
    counts = {NEURON: 3, ROD: 10, RESPONSIVE: 1, SIGNALLING: 2}
    rows = tree_rows(LabelClass.from_terms(counts), counts)
    assert [(row.label, row.last, row.own, row.total, row.again) for row in rows] == [
        (SIGNALLING, (), 2, 15, False),
        (NEURON, (True,), 3, 13, False),
        (ROD, (True, True), 10, 10, False),
        (RESPONSIVE, (), 1, 14, False),
        (NEURON, (True,), 3, 13, True),
    ]
    text = tree_text(LabelClass.from_terms(counts), counts)
    assert text.count("neuron (CL:0000540) *") == 1
    assert text.count("retinal rod cell") == 1
    assert text.endswith("* listed above, under another label")


def test_several_terms_stand_under_what_is_above_all_of_them():
    both, mixed = f"{EUROPEAN},{LATIN}", f"{ASIAN},{CHINESE}"
    category = "HANCESTRO:0004"
    labels = LabelClass.from_terms([EUROPEAN, LATIN, both, CHINESE, ASIAN, mixed, category])
    counts = {EUROPEAN: 5, LATIN: 3, both: 2, CHINESE: 1, category: 1}
    found = {row.label: (row.name, len(row.last), row.own, row.total) for row in tree_rows(labels, counts)}
    assert found[category][1:] == (0, 1, 12)
    assert found[both] == ("European ancestry + Latin or Admixed American ancestry", 1, 2, 2)
    assert found[EUROPEAN][1:] == (1, 5, 5)
    assert mixed not in found  # Chinese is Asian: one term
    assert found[ASIAN][1:] == (1, 0, 1)


def test_counts_of_tables():
    tables = [
        pd.DataFrame({"cell_type": ["neuron", "Neuron", "what", None]}),
        pd.DataFrame({"cell_type_ontology_term_id": [NEURON, ROD, "unknown"]}),
        pd.DataFrame({"tissue": ["retina"]}),
    ]
    assert label_counts(tables, "cell_type") == {NEURON: 3, ROD: 1, "unknown": 4}
    labels = LabelClass.from_terms([NEURON, MUELLER])
    assert label_counts(tables[1:], "cell_type", labels) == {NEURON: 1, "unknown": 3}
    with pytest.raises(ValueError, match="none of 3 tables has a column 'disease_ontology_term_id' or 'disease'"):
        label_counts(tables, "disease")


def test_flat_labels():
    obs = pd.DataFrame({"cell_type": ["neuron", "b", "b", "a"]})
    labels = LabelSpace.from_obs([obs], ["cell_type"], flat=["cell_type"]).classes["cell_type"]
    counts = label_counts([obs], "cell_type", labels)
    assert counts == {"a": 1, "b": 2, "neuron": 1}
    assert [line.split() for line in tree_text(labels, counts).splitlines()[2:]] == [
        ["b", "2", "2"],
        ["a", "1", "1"],
        ["neuron", "1", "1"],
    ]


def test_labels_without_cells_and_classes_without_labels(tmp_path):
    labels = LabelClass.from_terms([ROD, MUELLER])
    assert [row.total for row in tree_rows(labels, {})] == [0, 0]
    assert draw_tree(labels, {}, tmp_path / "none.png").stat().st_size > 1000
    empty = LabelClass.from_terms([])
    assert tree_text(empty, {"unknown": 3}) == "0 leaf labels, 0 coarser ones; 0 cells labelled, 3 unknown"
    with pytest.raises(ValueError, match="no labels: there is nothing to draw"):
        draw_tree(empty, {}, tmp_path / "none.png")


def test_figure_has_each_label_and_count_in_the_order_of_the_tree(retina, tmp_path):
    labels, counts = retina
    path = draw_tree(labels, counts, tmp_path / "tree.svg", title="retina")
    texts = [element.text for element in ET.parse(path).iter("{http://www.w3.org/2000/svg}text")]  # noqa: S314
    rows = tree_rows(labels, counts)
    assert [text for text in texts if text in labels.names.values()] == [row.name for row in rows]
    shown = [text for text in texts if text in {f"{row.total:,}" for row in rows}]
    assert shown == ["1,000", "27", "20", "15", "5"]
    assert "retina" in texts
    assert draw_tree(labels, counts, tmp_path / "again.svg", title="retina").read_bytes() == path.read_bytes()


def test_figure_grows_with_the_labels(tmp_path):
    def height(n):
        obs = pd.DataFrame({"batch": [f"batch {i}" for i in range(n)]})
        labels = LabelSpace.from_obs([obs], ["batch"]).classes["batch"]
        path = draw_tree(labels, label_counts([obs], "batch"), tmp_path / f"{n}.svg")
        return float(ET.parse(path).getroot().attrib["height"].removesuffix("pt"))  # noqa: S314

    # 0.21 inches a line
    assert height(60) - height(20) == pytest.approx(40 * 0.21 * 72)


def test_only_picture_files_are_written(retina, tmp_path):
    with pytest.raises(ValueError, match=r"the ending must be one of \.png, \.svg, \.pdf"):
        draw_tree(*retina, tmp_path / "tree.txt")
    assert list(tmp_path.iterdir()) == []


def test_matplotlib_is_named_where_it_is_missing(retina, tmp_path, monkeypatch):
    real = builtins.__import__

    def without(name, *args, **kwargs):
        if name.split(".")[0] == "matplotlib":
            raise ModuleNotFoundError(f"No module named {name!r}")
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ImportError, match=r"pip install 'scdataloader\[plots\]'"):
        draw_tree(*retina, tmp_path / "tree.png")

"""Configurations: what is understood, and errors that say where and offer near names."""

from __future__ import annotations

import pytest

from bengrn.benchmarking.as_config import as_config
from bengrn.benchmarking.config_values import values_of
from bengrn.benchmarking.located_yaml import Section, read_yaml
from bengrn.benchmarking.preset import list_presets, load_preset

GOOD = """\
methods:
  - pearson
  - name: aracne
    settings: {tolerance: 0.15}
datasets:
  - path: cells.h5ad
    groupby: cell_type
    groups: rod
    n_genes: 20
    held_out: {by: donor}
truths:
  - omnipath-demo
  - path: mine.csv
limits: {time: 2 h, memory: 500 MB}
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "cells.h5ad").touch()
    (tmp_path / "mine.csv").write_text("source,target\nA,B\n")
    return tmp_path


def read(folder, text):
    (folder / "b.yaml").write_text(text)
    return as_config(read_yaml(folder / "b.yaml"))


def test_what_is_written_is_understood(folder):
    config = read(folder, GOOD)
    assert [one.label for one in config.methods] == ["pearson", "aracne (tolerance=0.15)"]
    assert config.datasets[0].path == folder / "cells.h5ad"
    assert (config.datasets[0].name, config.datasets[0].groups, config.datasets[0].n_genes) == ("cells", ("rod",), 20)
    assert [one.name for one in config.truths] == ["omnipath-demo", "mine"]
    assert (config.datasets[0].held_out.share, config.datasets[0].held_out.by) == (0.2, "donor")
    assert (config.time, config.memory) == (7200.0, 5e8)
    assert (config.regulators, config.seeds, config.baselines) == ("assayed", (0,), True)
    # as the record of a run holds it, from anywhere
    assert as_config(Section(values_of(config))) == config
    assert values_of(config)["methods"] == [{"name": "pearson"}, {"name": "aracne", "settings": {"tolerance": 0.15}}]


@pytest.mark.parametrize(
    ("old", "new", "line", "message"),
    [
        ("- pearson", "- persson", 2, "there is no method 'persson'; near ones: 'pearson'"),
        ("tolerance", "tolerence", 4, "no setting 'tolerence' .did you mean 'tolerance'"),
        ("groupby", "group_by", 7, "there is no 'group_by'; near ones: 'groupby'"),
        ("n_genes: 20", "n_genes: many", 9, "n_genes is a whole number from 2, and not 'many'"),
        ("path: cells.h5ad", "path: cell.h5ad", 6, "there is no file .*cell.h5ad; near ones: 'cells.h5ad'"),
        (
            "- omnipath-demo",
            "- omnipath-dema",
            12,
            "there is no truth 'omnipath-dema', and no such file; near ones: 'omni",
        ),
        ("by: donor", "share: 1.5", 10, "share is between 0 and 1, .* not 1.5"),
        ("by: donor", "bye: donor", 10, "there is no 'bye'; near ones: 'by'"),
        ("time: 2 h", "time: 2 weeks", 14, "the limit of time is such as .* not '2 weeks'"),
        ("truths:\n", "methods:\n", 11, "'methods' stands here twice"),
        ("limits: {", "limits: }", 14, "this is no YAML"),
        ("  - path: mine.csv\n", "  - omnipath-demo\n", 13, "two truths are called 'omnipath-demo'"),
    ],
)
def test_errors_have_a_line_and_near_names(folder, old, new, line, message):
    with pytest.raises(ValueError, match=rf"b.yaml, line {line}: .*{message}"):
        read(folder, GOOD.replace(old, new))


def test_an_empty_grid_is_refused(folder):
    with pytest.raises(ValueError, match=r"b.yaml, line 1: there is nothing to score"):
        read(folder, GOOD[GOOD.index("datasets") :])
    without_truths = GOOD[: GOOD.index("truths")]
    assert read(folder, without_truths).truths == ()  # held-out cells are something to score against
    with pytest.raises(ValueError, match="no truth to score against for 'cells'"):
        read(folder, without_truths.replace("    held_out: {by: donor}\n", ""))
    (folder / "net.tsv").write_text("source\ttarget\tweight\nA\tB\t1\n")
    with pytest.raises(ValueError, match="no truth to score against for 'cells'"):  # but not for networks of others
        read(folder, without_truths + "networks: [net.tsv]\n")
    with pytest.raises(ValueError, match="name data sets"):
        read(folder, "methods: [pearson]\ntruths: [omnipath-demo]\n")
    with pytest.raises(FileNotFoundError, match=r"there is no file nowhere.yaml"):
        as_config(read_yaml(folder.relative_to(folder) / "nowhere.yaml"))


def test_errors_of_python_say_the_place():
    given = {"methods": ["pearson"], "datasets": [{"name": "a", "genes": ["A"], "n_cell": 3}], "truths": ["trrust"]}
    with pytest.raises(ValueError, match=r"^datasets\[0\].n_cell: there is no 'n_cell'; near ones: 'n_cells'"):
        as_config(Section(given))


def test_networks_belong_to_a_data_set(folder):
    (folder / "net.tsv").write_text("source\ttarget\tweight\nA\tB\t1\n")
    text = GOOD + "networks: [{name: mine, path: net.tsv}]\n"
    assert read(folder, text).networks[0].dataset == "cells"
    two = text.replace("datasets:\n", "datasets:\n  - {name: other, path: cells.h5ad}\n")
    with pytest.raises(ValueError, match="line 16: a network is scored on the genes of a data set: say which"):
        read(folder, two)
    with pytest.raises(ValueError, match="there is no data set 'cell'; near ones: 'cells'"):
        read(folder, text.replace("path: net.tsv", "path: net.tsv, dataset: cell"))


def test_presets_are_configurations():
    assert "quick" in list_presets()
    config = as_config(load_preset("Quick"))
    assert config.datasets[0].path.is_file()
    with pytest.raises(ValueError, match="there is no preset 'quik'; near ones: 'quick'"):
        load_preset("quik")
    with pytest.raises(ValueError, match="comes with its data"):
        load_preset("quick", "data")

"""What ``--plot`` draws of embeddings, labels and networks."""

import re

import numpy as np
import pytest

from scprint_model._provenance import read
from scprint_model.cli import main
from scprint_model.commands import pictures


@pytest.fixture(autouse=True)
def light(monkeypatch):
    """Text of pictures as text."""
    matplotlib = pytest.importorskip("matplotlib")
    monkeypatch.setitem(matplotlib.rcParams, "svg.fonttype", "none")


@pytest.fixture
def words(small_model, retina, tmp_path):
    small_model.save_pretrained(tmp_path / "model")
    retina[:30].copy().write_h5ad(tmp_path / "cells.h5ad")
    return [str(tmp_path / "cells.h5ad"), "--model", str(tmp_path / "model"), "--out", str(tmp_path / "out.h5ad")]


def texts(path):
    return re.findall(r">([^<>]+)</text>", path.read_text())


def test_a_map_of_the_embedding_by_a_column(words, retina, tmp_path, capsys):
    plot = tmp_path / "map.svg"
    assert main(["embed", *words, "--context", "60", "--plot", str(plot), "--colour", "cell_type"]) == 0
    assert f"{plot}: t-SNE" in capsys.readouterr().out
    counts = retina.obs["cell_type"][:30].value_counts()
    drawn = texts(plot)
    assert {f"{name} ({n})" for name, n in counts[counts > 0].items()} <= set(drawn)
    assert {"cell_type", "t-SNE 1", "t-SNE 2"} <= set(drawn)
    assert main(["embed", *words, "--plot", str(plot), "--colour", "kind"]) == 2
    assert "--colour ['kind']: obs of" in capsys.readouterr().err


def test_predictions_and_their_reliability(words, tmp_path):
    plot = tmp_path / "map.svg"
    assert main(["annotate", *words, "--context", "60", "--plot", str(plot)]) == 0
    assert {"predicted cell_type", "cell_type, as given"} <= set(texts(plot))
    assert (
        read(plot)[-1]["task"]
        == read(plot.with_suffix(".reliability.svg"))[-1]["task"]
        == "scprint_model.tasks.annotate"
    )
    beside = set(texts(tmp_path / "map.reliability.svg"))
    assert {"mean confidence", "share that is right", "cell_type (30 cells)"} <= beside


def test_hubs_of_each_network(words, tmp_path):
    plot = tmp_path / "hubs.svg"
    some = ["--groupby", "cell_type", "--group", "retinal rod cell", "Mueller cell", "--n-genes", "20"]
    assert main(["network", *words, *some, "--plot", str(plot)]) == 0
    assert {"retinal rod cell", "Mueller cell"} <= set(texts(plot))
    assert read(plot)[-1]["task"] == "scprint_model.infer"


def test_what_cannot_be_drawn_is_refused_before_the_work(words, tmp_path, monkeypatch, capsys):
    assert main(["network", *words, "--plot", str(tmp_path / "hubs.txt")]) == 2
    assert "--plot draws .png, .svg, .pdf, and" in capsys.readouterr().err
    monkeypatch.setattr(pictures, "find_spec", lambda _: None)
    assert main(["embed", *words, "--plot", str(tmp_path / "map.png")]) == 2
    assert "--plot needs matplotlib: pip install 'scprint-model[demo]'" in capsys.readouterr().err
    assert not (tmp_path / "out.h5ad").exists()


def test_cells_of_a_map_and_their_components():
    assert pictures.cells_of_map(5000).tolist() == list(range(5000))
    assert len(pictures.cells_of_map(5001)) == 2501
    line = np.outer(np.arange(4.0), [3, 4])  # on a line: distances of 5
    first, second = pictures._coordinates(line, "PC").T
    np.testing.assert_allclose(np.abs(np.diff(first)), 5)
    np.testing.assert_allclose(second, 0, atol=1e-12)

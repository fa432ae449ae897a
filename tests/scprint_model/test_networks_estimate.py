"""What networks will take: the numbers of passes and builds by hand, the times of each given."""

import logging

import pytest

from scprint_model import infer
from scprint_model.cli import main
from scprint_model.genes import shared_genes
from scprint_model.networks import estimate, work


@pytest.fixture
def timed(monkeypatch):
    """A cell takes 2 seconds, the edges of a network 100."""
    monkeypatch.setattr(work, "time_cells", lambda *_: 2.0)
    monkeypatch.setattr(work, "time_edges", lambda *_: 100.0)


@pytest.mark.parametrize(
    ("options", "n_networks", "n_passes", "seconds"),
    [
        ({}, 1, 40, 40 * 2 + 100),
        ({"n_cells": 8}, 1, 8, 8 * 2 + 100),
        ({"permutations": 3}, 1, 160, 160 * 2 + 4 * 100),
        ({"stability": 2}, 1, 40, 40 * 2 + 3 * 100),
        ({"context": 20, "draws": 3}, 1, 120, 120 * 2 + 4 * 100),
        ({"context": 20, "draws": 3, "top_k": 5}, 1, 120, 120 * 2 + 100),
        ({"groupby": "cell_type", "n_cells": 3, "group": ["retinal rod cell", "Mueller cell"]}, 2, 6, 6 * 2 + 200),
    ],
    ids=str,
)
def test_the_parts_are_added_up(small_model, retina, timed, options, n_networks, n_passes, seconds):
    known = estimate(small_model, retina[:40], n_genes=30, **options)
    assert (known.n_networks, known.n_passes, known.seconds) == (n_networks, n_passes, seconds)
    assert (known.n_genes, known.context) == (30, options.get("context", 30))
    assert "of 30 genes" in str(known)


@pytest.mark.parametrize("options", [{}, {"context": 20}, {"attention": "mean_attention"}, {"normalize": "sinkhorn"}])
def test_times_are_measured_for_every_kind_of_network(small_model, retina, options):
    known = estimate(small_model, retina[:12], n_genes=40, **options)
    assert 0 < known.seconds < float("inf")
    assert known.context == options.get("context", 40)


def test_a_function_is_told_before_the_work(small_model, retina):
    told = []
    network = infer(small_model, retina[:6], n_genes=20, before=told.append)
    assert [one.n_passes for one in told] == [6]
    assert network.n_vars == 20


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.5, "0.5 s"), (90, "90 s"), (150, "2.5 min"), (7300, "2 h"), (900_000, "250 h")]
)
def test_durations(seconds, text):
    assert work.duration(seconds) == text


def test_more_genes_than_in_training_are_told(small_model, retina, caplog, monkeypatch):
    monkeypatch.setattr(small_model, "context", 25)
    with caplog.at_level(logging.WARNING):
        infer(small_model, retina[:6], n_genes=25)
        assert "in training" not in caplog.text
        infer(small_model, retina[:6], n_genes=30, context=25)
        assert "in training" not in caplog.text
        infer(small_model, retina[:6], n_genes=30)
    assert "the model saw at most 25 genes of a cell in training, here it sees 30" in caplog.text


def test_the_command_says_what_it_would_do(small_model, retina, tmp_path, capsys):
    small_model.save_pretrained(tmp_path / "model")
    cells = retina[:12].copy()
    cells.write_h5ad(tmp_path / "cells.h5ad")
    known = cells.var.iloc[shared_genes(small_model.vocabulary, cells)]
    others = known[~known.index.isin(infer(small_model, cells, n_genes=30).var_names)]
    names = others["symbol"].astype(str)
    (tmp_path / "factors.txt").write_text("\ufeff" + f"{names.iloc[0].lower()} \n{names.iloc[1]}(+)\n\n")
    out = tmp_path / "out.h5ad"
    words = ["network", str(tmp_path / "cells.h5ad"), "--out", str(out), "--model", str(tmp_path / "model")]
    words += ["--n-genes", "30", "--regulators", str(tmp_path / "factors.txt"), "--keep-regulators"]
    assert main([*words, "--dry-run"]) == 0
    assert f"{out}: 1 network of 32 genes, 12 passes of a cell with 32 genes: some" in capsys.readouterr().out
    assert not out.exists()

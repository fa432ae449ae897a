"""The arithmetic of the bundled model's card, on cases worked out by hand, and what a run that broke off does again."""

from __future__ import annotations

import argparse
import math
from pathlib import Path
from types import SimpleNamespace

import anndata
import benchmarks.card.__main__ as card
import benchmarks.card.measured as measured
import numpy as np
import pandas as pd
import pytest
from benchmarks.card.annotation import held_by, macro_f1
from benchmarks.card.energy import energy
from benchmarks.card.mixing import mixing
from benchmarks.card.networks import ATTENTION, over_genes, scored
from benchmarks.card.opened import Given
from benchmarks.card.rows import Units, drawn_places, mean_rows, score_rows
from benchmarks.card.sets import SETS, chosen
from benchmarks.card.tables import card_tables, sign

from bengrn import GroundTruth
from grnndata import GRNAnnData
from scdataloader.labels import LabelClass
from scprint_model.intervals import mean_interval


def test_two_batches_apart_do_not_mix_and_two_that_alternate_do():
    labels, batches = np.repeat("T cell", 40), np.tile(["a", "b"], 20)
    along = np.arange(40, dtype=float)[:, None]
    cells, mixed = mixing(along, labels, batches)
    assert cells.tolist() == list(range(40))
    # inside the row a cell has five neighbours on each side, of which three each are of the other batch
    assert mixed[20] == pytest.approx(0.6 / (20 / 39))
    apart = along + np.where(batches == "a", 0.0, 1000.0)[:, None]
    assert mixing(apart, labels, batches)[1].tolist() == [0.0] * 40


def test_mixing_asks_each_type_alone_and_leaves_out_those_of_one_batch_and_of_few_cells():
    labels = np.array(["T cell"] * 12 + ["B cell"] * 20 + ["monocyte"] * 11)
    batches = np.array(["a", "b"] * 6 + ["a"] * 20 + ["a", "b"] * 5 + ["a"])
    points = np.random.default_rng(0).normal(size=(43, 3))
    cells, mixed = mixing(points, labels, batches)
    assert cells.tolist() == list(range(12))
    assert 0.8 < mixed.mean() < 1.2  # dealt out: ten of eleven others are neighbours
    moved = points + np.where(labels == "B cell", 50.0, 0.0)[:, None]
    np.testing.assert_array_equal(mixing(moved, labels, batches)[1], mixed)


def test_paired_differences_are_those_of_the_same_cells():
    rng = np.random.default_rng(0)
    ours, other = rng.random(60) < 0.8, rng.random(60) < 0.5
    own, rival = mean_rows("kNN", {"scPRINT": ours, "rival": other}, Units(60))
    assert math.isnan(own["difference"])
    expected = mean_interval(ours.astype(float) - other.astype(float))
    assert (rival["difference"], rival["difference_low"], rival["difference_high"]) == expected
    assert rival["value"] == other.mean()
    assert rival["unit"] == "cell"


def test_a_score_that_is_a_mean_has_nearly_the_interval_of_a_mean():
    values = {name: np.random.default_rng(i).random(200) for i, name in enumerate(("scPRINT", "rival"))}
    means = mean_rows("x", values, Units(200))
    scores = score_rows(
        "x", {name: lambda at, own=own: float(own[at].mean()) for name, own in values.items()}, Units(200)
    )
    for one, other in zip(means, scores, strict=True):
        assert other["value"] == pytest.approx(one["value"])
        for end in ("low", "high"):
            assert other[end] == pytest.approx(one[end], abs=0.01)  # a sixth of the width, of 500 draws
    assert scores[1]["difference_low"] == pytest.approx(means[1]["difference_low"], abs=0.015)


def test_whole_donors_are_drawn_where_there_are_five():
    donors = np.repeat(list("abcde"), [1, 2, 3, 4, 5])
    units = Units(15, donors)
    assert units.name == "donor"
    for places in drawn_places(units, seed=0)[:20]:
        names, n = np.unique(donors[places], return_counts=True)
        sizes = dict(zip("abcde", (1, 2, 3, 4, 5), strict=True))
        times = [k / sizes[name] for name, k in zip(names, n, strict=True)]
        assert all(time == int(time) for time in times)
        assert sum(times) == 5
    assert Units(15, np.repeat(list("abcd"), [3, 4, 4, 4])).name == "cell"
    assert units.at(donors != "a").name == "cell"  # four are left


def test_macro_f1_by_hand_and_of_drawn_cells():
    truth, said = np.array(["A", "A", "B", "B"]), np.array(["A", "C", "B", "A"])
    # A: one of two said right, one of two given found: 1/2; B: one said, of two given: 2/3
    assert macro_f1(truth, said, np.arange(4)) == pytest.approx((1 / 2 + 2 / 3) / 2)
    assert macro_f1(truth, said, np.array([0, 0])) == 1.0


def test_a_set_holds_a_label_by_itself_or_by_one_below_it():
    # T cell and below it CD4-positive, alpha-beta T cell; B cell
    space = LabelClass.from_terms(["CL:0000084", "CL:0000624", "CL:0000236"], ("CL",), own_outputs=True)
    sets = np.array(["CL:0000236 || CL:0000624", "CL:0000084", "CL:0000236", ""])
    labels = np.array(["CL:0000084", "CL:0000624", "CL:0000236", "CL:0000236"])
    assert held_by(sets, labels, space).tolist() == [True, False, True, False]


def test_networks_are_beside_attention_on_the_same_pairs():
    rng, genes = np.random.default_rng(0), [f"G{i}" for i in range(30)]
    true = np.zeros((30, 30))
    true[:12] = rng.random((12, 30)) < 0.2
    np.fill_diagonal(true, 0)
    edges = pd.DataFrame([(genes[i], genes[j]) for i, j in np.argwhere(true)], columns=["source", "target"])
    truth = GroundTruth.from_edges(edges, name="toy", genes=set(genes), organism="human")
    weights = {ATTENTION: true + rng.random((30, 30)), "|Pearson|": rng.random((30, 30))}
    networks = {
        name: GRNAnnData(anndata.AnnData(var=pd.DataFrame(index=genes)), grn=one.astype(np.float32), method=name)
        for name, one in weights.items()
    }
    rows = pd.DataFrame(scored(networks, truth, "toy cells", seed=0)).set_index(["measure", "method"])
    precision = rows.loc["AP / prevalence, toy cells"]
    assert precision.loc[ATTENTION, "value"] == pytest.approx((30 * 12 - 12) / true.sum())  # all true edges first
    for name in ("|Pearson|", "random"):
        own = precision.loc[name]
        assert own["difference"] == pytest.approx(precision.loc[ATTENTION, "value"] - own["value"])
        assert 0 < own["difference_low"] < own["difference"] < own["difference_high"]
    assert math.isnan(precision.loc["degrees of the truth", "difference"])  # which knows the truth
    assert (precision["n"] == 12).all()
    tests = rows.loc["p beside truths of the same degrees, toy cells", "value"]
    assert tests[ATTENTION] == pytest.approx(1 / 201)
    assert tests["|Pearson|"] > 0.01
    assert list(tests.index) == list(weights)


def test_a_network_of_fewer_genes_has_no_edges_of_the_others():
    few = GRNAnnData(anndata.AnnData(var=pd.DataFrame(index=["C", "A"])), grn=np.array([[0, 5], [7, 0]], np.float32))
    found = over_genes(few, pd.DataFrame(index=["A", "B", "C"]))
    assert found.var_names.tolist() == ["A", "B", "C"]
    assert np.asarray(found.grn).tolist() == [[0, 0, 7], [0, 0, 0], [5, 0, 0]]


def test_sets_are_chosen_by_role_and_by_name():
    assert chosen(["choose"]) == ["Kang", "moncada"]
    assert chosen(["retina"]) == ["retina"]
    assert set(chosen(["all"])) == set(SETS)
    assert set(chosen(["choose"])).isdisjoint(chosen(["final"]))


def test_energy_by_hand():
    assert "about 0.09 kWh" in energy(3, 2, 15, 450)
    assert "about 40.5 g of CO2" in energy(3, 2, 15, 450)


def test_tables_say_where_the_model_is_ahead():
    assert [sign("mixing", *ends) for ends in ((0.1, 0.2), (-0.2, -0.1), (-0.1, 0.1))] == ["▲", "▼", "="]
    assert [sign("share of depth", *ends) for ends in ((0.1, 0.2), (-0.2, -0.1))] == ["▼", "▲"]  # less is better
    rows = mean_rows("kNN agreement", {"scPRINT": np.ones(50, bool), "rival": np.zeros(50, bool)}, Units(50))
    table = pd.DataFrame([{"set": "Kang", "part": "embedding", "seen": "no"} | row for row in rows])
    text = card_tables(table)
    assert "| kNN agreement | Kang (50) |" in text
    assert "| scPRINT | 1.00 (0.93–1.00) |" in text  # the exact interval of 50 in 50
    assert "| rival | 0.00 (0.00–0.07) ▲ |" in text


def test_parts_that_are_done_are_not_done_again(tmp_path, monkeypatch):
    cells = anndata.AnnData(np.ones((3, 2)), obs=pd.DataFrame({"cell_type": list("aab")}, index=list("xyz")))
    done = []

    def rows(opened, name, part, adata):
        done.append((name, part))
        if part == "denoising" and len(done) == 2:
            raise ValueError("broke off")
        return [{"measure": "x", "method": "scPRINT", "value": 0.5}]

    monkeypatch.setattr(measured, "drawn", lambda *_: cells)
    monkeypatch.setattr(measured, "part_rows", rows)
    monkeypatch.setattr(card, "Opened", lambda given: SimpleNamespace(given=given, components=None))
    (tmp_path / "model").mkdir()
    asked = argparse.Namespace(
        **dict.fromkeys(("model", "corpus", "features", "data"), tmp_path / "model"),
        **{"sets": ["moncada"], "parts": ["embedding", "denoising"], "cells": 10, "seed": 0, "jobs": 1, "hours": 0.0},
        **{"table": tmp_path / "card.csv", "runs": tmp_path / "runs", "markdown": tmp_path / "card.md"},
    )
    monkeypatch.setattr(card, "options", lambda: asked)
    assert card.main() == 1
    assert pd.read_csv(tmp_path / "card.csv")["part"].tolist() == ["embedding"]
    assert card.main() == 0
    assert done == [("moncada", "embedding"), ("moncada", "denoising"), ("moncada", "denoising")]
    table = pd.read_csv(tmp_path / "card.csv")
    assert table["part"].tolist() == ["embedding", "denoising"]
    assert (table["seen"] == "no").all()
    asked.seed = 1  # what was measured with another seed does not count
    assert card.main() == 0
    assert len(done) == 5


def test_results_of_two_models_are_kept_apart(tmp_path):
    asked = []
    for name in ("first", "second"):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "model.safetensors").write_text(name)
        same = dict.fromkeys(("corpus", "features", "data"), tmp_path)
        asked.append(argparse.Namespace(model=folder, **same, cells=10, seed=0))
    assert card.key(asked[0]) != card.key(asked[1])
    given = Given(model=Path(), corpus=Path(), features=Path(), data=Path(), kept=tmp_path)
    assert card.place(given, "Baron h1", "embedding").name == "Baron_h1-embedding.csv"

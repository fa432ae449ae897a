"""Rows on held-out cells: planted edges gain, random ones do not, and networks see only the other cells."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
import yaml
from anndata import AnnData

import bengrn
from bengrn.benchmarking.columns import HELD_OUT, SCORES
from bengrn.benchmarking.report.reproduce import configuration
from bengrn.benchmarking.run_command import shown

FACTORS, TARGETS = [f"TF{i}" for i in range(24)], [f"G{i}" for i in range(12)]


@pytest.fixture(scope="module")
def planted():
    """Cells whose gene Gi follows TFi; donors of 120, 60, 60, 30 and 30 cells."""
    rng = np.random.default_rng(0)
    rates = rng.gamma(2.0, 4.0, size=(300, 24))
    counts = rng.poisson(np.hstack([rates, 2 * rates[:, :12]])).astype(np.float32)
    obs = pd.DataFrame({"donor": np.repeat(list("abcde"), [120, 60, 60, 30, 30])})
    return AnnData(counts, obs=obs.set_index(obs.index.astype(str)), var=pd.DataFrame(index=FACTORS + TARGETS))


def run(planted, out, **data):
    dataset = {"name": "planted", "cells": planted, "regulators": FACTORS} | data
    return bengrn.benchmark(["pearson"], [dataset], out=out, workers=0, bootstrap=0, permutations=0)


def test_planted_edges_gain_in_cells_never_seen(planted, tmp_path):
    table = run(planted, tmp_path, held_out={"share": 0.2, "by": "donor"}).set_index("method")
    assert sorted(table.index) == ["pearson", "random"]
    assert set(table["truth"]) == {HELD_OUT}
    assert set(table["status"]) == {"ok"}
    assert set(table["regulators"]) == {""}
    assert table[list(SCORES)].isna().all(axis=None)
    assert table.loc["pearson", "gain_low"] > 0  # over all 36 genes, of which 12 have a regulator
    assert table.loc["random", "gain_low"] < 0 < table.loc["random", "gain_high"]
    best, *_ = shown(table.reset_index()).splitlines()[1:]
    assert best.split()[:2] == ["pearson", "held-out"]
    assert f"{table.loc['pearson', 'gain']:.3g} {table.loc['pearson', 'gain_low']:.3g} to" in " ".join(best.split())
    # the same by hand
    held = bengrn.hold_out(planted, share=0.2, by="donor")
    rest = planted[~held].copy()
    assert set(rest.obs["donor"]).isdisjoint(planted[held].obs["donor"])
    network = bengrn.infer(rest, "pearson", regulators=FACTORS)
    by = "donor" if planted[held].obs["donor"].nunique() > 1 else None
    expected = bengrn.score_prediction(network, planted[held].copy(), by=by, seed=0)
    row = table.loc["pearson"]
    found = (row["gain"], row["gain_low"], row["gain_high"], row["n_targets"], row["n_cells"])
    assert found == pytest.approx((expected.gain, expected.low, expected.high, len(expected.targets), rest.n_obs))
    # other donors: other folds and held-out cells, though their counts are the same
    other = planted.copy()
    other.obs["donor"] = other.obs["donor"].to_numpy()[::-1]
    again = run(other, tmp_path, held_out={"share": 0.2, "by": "donor"}).set_index("method")
    assert again.loc["pearson", "truth_sha256"] != row["truth_sha256"]


def test_beside_a_truth_both_have_their_networks(planted, tmp_path):
    truth = bengrn.GroundTruth.from_edges(
        pd.DataFrame({"source": FACTORS[:12], "target": TARGETS}), name="planted edges"
    )
    table = run(planted, tmp_path, truths=[truth], held_out=0.4)
    rows = table[(table["method"] == "pearson") & (table["orientation"] == "as stored")].set_index("truth")
    assert rows["n_cells"].to_dict() == {"planted edges": 300, HELD_OUT: 180}
    assert rows["network_sha256"].nunique() == 2
    assert rows.loc["planted edges", "ap"] > 0.9
    assert np.isnan(rows.loc["planted edges", "gain"])
    assert table[table["method"] == "degrees of the truth"]["truth"].tolist() == ["planted edges"]
    # how to make the row again asks for these cells, and for no truth
    record = json.loads((tmp_path / "run.json").read_text())["config"]
    named = rows.reset_index().set_index("truth", drop=False)
    told = {truth: yaml.safe_load(configuration(record, named.loc[truth])) for truth in named.index}
    assert told[HELD_OUT]["datasets"][0]["held_out"] == {"share": 0.4}
    assert "truths" not in told[HELD_OUT]
    assert "held_out" not in told["planted edges"]["datasets"][0]
    # what is there is found again
    pd.testing.assert_frame_equal(run(planted, tmp_path, truths=[truth], held_out=0.4), table)


def test_what_cannot_be_held_out_or_predicted_is_told(planted, tmp_path):
    with pytest.raises(ValueError, match=r"data set planted: there is no column 'batch' in obs"):
        run(planted, tmp_path, held_out={"by": "batch"})
    with pytest.raises(ValueError, match="held out of a data set that has cells"):
        bengrn.benchmark(["pearson"], [{"name": "none", "genes": ["A"], "held_out": 0.2}], out=tmp_path)
    two = planted[planted.obs["donor"].isin(["d", "e"])].copy()
    table = run(two, tmp_path, held_out={"by": "donor"})
    assert table["message"].str.startswith("the held-out cells are all of donor").all()
    few = run(two[::12].copy(), tmp_path, held_out=0.5)
    assert set(few["status"]) == {"failed"}
    assert few["message"].str.contains("no gene can be predicted").all()

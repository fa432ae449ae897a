"""The networks' part of the benchmarks: configurations, chosen heads, sums over networks, enrichment."""

from __future__ import annotations

import re
from types import SimpleNamespace

import anndata
import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from benchmarks.grn import data_sets, leaderboard, methods
from benchmarks.grn.enrichment import enrichment_rows
from benchmarks.grn.figures import parts
from benchmarks.suites import _LARGE, _NETWORK_METHODS, _SLOW, SUITES
from benchmarks.weights import METHODS as WEIGHTS

from bengrn.benchmarking.as_config import as_config
from bengrn.benchmarking.located_yaml import Section
from bengrn.benchmarking.work_files import WorkFiles, write_json, write_weights
from bengrn.truths import GroundTruth, load_truth
from grnndata import GRNAnnData


@pytest.fixture
def data(tmp_path, monkeypatch):
    """Stand in for files that users fetch: K562 cells with their guides, and BEELINE's and the paper's by name only."""
    obs = pd.DataFrame({"gene": ["non-targeting"] * 4 + ["MYC"] * 2}, index=list("abcdef"))
    cells = AnnData(np.ones((6, 4), np.float32), obs=obs, var=pd.DataFrame(index=["MYC", "JUN", "FOS", "TP53"]))
    cells.write_h5ad(tmp_path / "K562_gwps_raw_singlecell_01.h5ad")
    monkeypatch.setenv("SCPRINT_EVALUATION_DATA", str(tmp_path))
    return tmp_path


CONFIGS = sorted(
    {unit["config"] for suite in SUITES for units in suite.sizes.values() for unit in units if "config" in unit}
)


def test_each_configuration_that_needs_no_files_is_understood(data):
    cells = AnnData(np.ones((3, 2), np.float32), obs=pd.DataFrame({"cell_type": ["a"] * 3}, index=list("abc")))
    for config in CONFIGS:
        if config in ("omnipath_26", "beeline"):
            continue
        told = leaderboard.read(config)
        assert all(isinstance(why, str) for why in told.pop("not_run", {}).values()), config
        tests, few = told.pop("enrichment", ()), told.pop("few", {"methods": ()})
        assert set(tests) <= {"tf", "cell_types", "encode"}
        for one in told["datasets"]:
            one["cells"] = cells
            one.setdefault("truths", told.get("truths") or ["omnipath-demo"])
        found = as_config(Section(told))
        labels = {one.label for one in found.methods} | {"degrees of the truth"}
        assert {leaderboard._label(one) for one in told["methods"]} == labels - {"degrees of the truth"}, config
        assert set(few["methods"]) <= labels, config
        groups = [group for one in told["datasets"] for group in one.get("groups", ())]
        assert set(few.get("of", ())) <= {*groups, *(one["name"] for one in told["datasets"])}, config
        of_suites = [
            (suite, {label for unit in units for label in unit.get("methods", labels)})
            for suite in SUITES
            for size in suite.sizes.values()
            if (units := [unit for unit in size if unit.get("config") == config])
        ]
        for suite, run in of_suites:
            assert run <= labels, suite.name
            if config not in ("quick", "genome"):
                known = {*run, *WEIGHTS, "degrees of the truth"}
                assert set(suite.peers.values()) <= known, (config, suite.name)
    whole = {leaderboard._label(one) for one in leaderboard.read("full_cell_types")["methods"]}
    assert {*_LARGE, *_SLOW} == whole
    assert "not_run" in leaderboard.read("quick")
    there = {"correlation", "CLR", "degrees of the truth alone", "random", *WEIGHTS}
    assert set(_NETWORK_METHODS) - there <= set(leaderboard.read("quick")["not_run"])


def test_slow_methods_run_on_few_data_sets_and_the_rest_is_told(monkeypatch):
    ran, not_run = [], {}
    told = {
        "methods": [{"name": "deepsem", "label": "Slow"}, "pearson"],
        "datasets": [
            {"name": "blood", "path": "blood.h5ad", "groups": ["T cell", "B cell"]},
            {"name": "eye", "path": "eye.h5ad"},
            {"name": "hESC", "path": "hESC.h5ad"},
        ],
        "few": {"methods": ["Slow"], "of": ["B cell", "hESC"]},
    }

    def benchmark(**given):
        ran.append(
            [
                (method if isinstance(method, str) else method["label"], one["name"], one.get("groups"))
                for method in given["methods"]
                for one in given["datasets"]
            ]
        )
        row = dict.fromkeys((*leaderboard.NAMES, *leaderboard.SIZES, *leaderboard.COST, "message"), 0)
        return pd.DataFrame([row | {"status": "ok", "label": f"part {len(ran)}"}])

    monkeypatch.setattr(leaderboard, "read", lambda _: dict(told))
    monkeypatch.setattr(leaderboard, "benchmark", benchmark)
    monkeypatch.setattr(leaderboard, "NOT_RUN", not_run)
    monkeypatch.setattr(leaderboard, "tell_missing", lambda _: None)
    both = ["T cell", "B cell"]
    every = [("pearson", "blood", both), ("pearson", "eye", None), ("pearson", "hESC", None)]
    assert len(leaderboard.network_scores("some")) == 2
    assert ran == [every, [("Slow", "blood", ["B cell"]), ("Slow", "hESC", None)]]
    assert not_run["Slow on T cell, eye"] == "slow: in the full size"
    ran.clear()
    leaderboard.network_scores("some", dataset="hESC", methods=["Slow"])
    assert ran == [[("Slow", "hESC", None)]]
    ran.clear()
    leaderboard.network_scores("some", whole=True)
    assert ran == [[("Slow", "blood", both), ("Slow", "eye", None), ("Slow", "hESC", None), *every]]


def test_each_slow_method_is_a_unit_of_its_own_and_the_baselines_are_there_once_a_data_set():
    (suite,) = (one for one in SUITES if one.name == "networks_slow")
    units = [(unit["dataset"], tuple(unit["methods"])) for unit in suite.sizes["full"]]
    assert len(units) == len(set(units)) == 3 * 7
    assert {name for _, (name, *rest) in units if not rest} == set(_SLOW)
    assert [methods for _, methods in units if len(methods) > 1] == [("pearson", "random")] * 3
    assert all(unit["whole"] for unit in suite.sizes["full"])


def test_slow_methods_on_few_groups_see_the_genes_of_the_others(tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    genes = [f"G{i}" for i in range(24)]
    counts = rng.poisson(3.0, (60, 24)).astype(np.float32)
    counts[:30, :12] *= rng.integers(1, 9, (30, 12))  # each group has variable genes of its own
    counts[30:, 12:] *= rng.integers(1, 9, (30, 12))
    groups = pd.DataFrame({"cell_type": ["a"] * 30 + ["b"] * 30}, index=[str(i) for i in range(60)])
    AnnData(counts, obs=groups, var=pd.DataFrame(index=genes)).write_h5ad(tmp_path / "cells.h5ad")
    edges = [(one, other) for one in genes for other in genes[:: int(one[1:]) % 3 + 2] if one != other]
    pd.DataFrame(edges, columns=["source", "target"]).to_csv(tmp_path / "truth.csv", index=False)
    told = {
        "methods": ["pearson", {"name": "spearman", "label": "Slow"}],
        "datasets": [
            {"name": "d", "path": str(tmp_path / "cells.h5ad"), "groupby": "cell_type", "groups": ["a", "b"]}
            | {"n_genes": 10}
        ],
        "truths": [{"name": "t", "path": str(tmp_path / "truth.csv")}],
        "few": {"methods": ["Slow"], "of": ["a"]},
        "bootstrap": 0,
        "permutations": 0,
    }
    monkeypatch.setattr(leaderboard, "read", lambda _: dict(told))
    monkeypatch.setattr(leaderboard, "WORK", tmp_path / "work")
    monkeypatch.setattr(leaderboard, "NOT_RUN", {})
    alone = leaderboard.network_scores("some", methods=["pearson"], whole=True)
    assert set(alone["label"]) == {"pearson"}
    beside = leaderboard.network_scores("some", methods=["pearson", "random"], whole=True)
    assert set(beside["label"]) == {"pearson", "random weights", "degrees of the truth"}
    rows = leaderboard.network_scores("some")
    of_a = rows[(rows["group"] == "a") & rows["label"].isin(["pearson", "Slow"])]
    sizes = of_a[["n_genes", "n_positives", "n_regulators_with_edges", "prevalence"]].drop_duplicates()
    assert set(of_a["label"]) == {"pearson", "Slow"}
    assert len(sizes) == 1
    seen = [
        {tuple(anndata.read_h5ad(path).var_names) for path in one.glob("work/cells/*.h5ad")}
        for one in sorted((tmp_path / "work").iterdir())
    ]
    assert len(seen) == 2
    assert len(set.union(*seen)) == 1


def test_a_preset_has_the_cells_of_its_file_and_the_methods_of_the_comparison(data):
    told = leaderboard.read("k562")
    assert told["datasets"][0]["cells"].n_obs == 4  # those that no guide targets
    assert [one["name"] for one in told["truths"]] == ["perturb-seq", "ChIP-seq (ChIP-Atlas)"]
    assert told["methods"] == leaderboard.usual_methods()
    with pytest.raises(FileNotFoundError, match=re.escape("kidney.h5ad")):
        leaderboard.read("omnipath_26")


def test_no_row_is_of_heads_that_saw_its_edges(monkeypatch):
    genes = [f"G{i}" for i in range(40)]
    rng = np.random.default_rng(0)
    planes = rng.random((40, 40, 2)).astype(np.float32)
    names = ["layer 0 head 0", "layer 0 head 1"]
    stack = GRNAnnData(AnnData(var=pd.DataFrame(index=genes)), grn=planes, planes=names)
    edges = pd.DataFrame({"source": rng.choice(genes, 200), "target": rng.choice(genes, 200)})
    seen = []

    def select(_, given, **__):
        seen.append(set(given["source"]))
        return SimpleNamespace(heads=((0, len(seen) - 1),))  # the first half chooses head 0, the second head 1

    monkeypatch.setattr(methods, "get_method", lambda *_, **__: SimpleNamespace(infer=lambda *_, **__: stack))
    monkeypatch.setattr(methods, "load_truth", lambda *_, **__: SimpleNamespace(edges=edges))
    monkeypatch.setattr("scprint_model.networks.select_heads", select)
    cells = AnnData(np.ones((2, 40), np.float32), var=pd.DataFrame(index=genes))
    network = methods.OMNIPATH_HEADS.infer(cells)
    assert seen[0] | seen[1] == set(edges["source"])
    assert not seen[0] & seen[1]
    for i, gene in enumerate(genes):
        made_by = [head for head in (0, 1) if np.array_equal(network.grn[i], planes[i, :, head])]
        assert len(made_by) == 1
        assert gene not in seen[made_by[0]]


def test_only_factors_regulate_where_the_method_is_told_so():
    cells = AnnData(np.random.default_rng(0).poisson(3, (30, 3)).astype(np.float32))
    method = methods.OfFactors(name="x", method="shared-forest", settings={"n_trees": 20})
    # Akr1a1 is on the mouse's list, AKR1A1 not on that of human
    for names, factors in ((["AKR1A1", "JUN", "ACTB"], ["JUN"]), (["Akr1a1", "Jun", "Actb"], ["Akr1a1", "Jun"])):
        cells.var_names = names
        assert method.infer(cells, rng=0).regulators.tolist() == factors


def test_truths_in_capitals_are_spelled_as_the_mouse_s_genes(monkeypatch):
    edges = pd.DataFrame({"source": ["NANOG"], "target": ["POU5F1"]})
    capitals = GroundTruth.from_edges(edges, name="x", genes={"NANOG", "POU5F1", "SOX2"}, organism="mouse")
    monkeypatch.setattr("bengrn.truths.load_truth", lambda *_, **__: capitals)
    found = data_sets.mouse_spelling({"name": "ChIP", "truth": "beeline", "options": {}})["name"]
    assert (found.name, found.organism, found.genes) == ("ChIP", "mouse", {"Nanog", "Pou5f1", "Sox2"})
    assert found.edges[["source", "target"]].to_numpy().tolist() == [["Nanog", "Pou5f1"]]
    other = {"name": "both", "truth": "mccalla", "options": {}}
    assert data_sets.mouse_spelling(other) is other


def test_scores_are_summed_over_networks_with_the_interval_of_their_spread():
    row = {"dataset": "d", "truth": "T", "orientation": "as stored", "label": "ours", "status": "ok"}
    rows = [row | {"group": "a", "ap_ratio": 2.0}, row | {"group": "b", "ap_ratio": 4.0}]
    rows.append(row | {"group": "a", "ap_ratio": 99.0, "orientation": "transposed"})
    rows.append(row | {"group": "a", "label": "random", "ap_ratio": 1.0, "ap_ratio_low": 0.8, "ap_ratio_high": 1.1})
    _, plot, table = parts(rows)
    (ours, random) = table.blocks[0].rows
    number = ours.cells["ap_ratio"]
    # Student's t with 1 degree of freedom at 97.5 % is 12.706; the standard error of 2 and 4 is 1
    assert (ours.name, number.value, number.high) == ("ours", 3.0, pytest.approx(3 + 12.7062, abs=1e-3))
    assert (random.cells["ap_ratio"].low, random.badges) == (0.8, ("baseline",))
    assert random.name == "random (1 of 2 networks)"
    assert plot.panels[0].title == "T"
    assert parts([row | {"status": "failed"}]) == []


def test_enrichment_is_found_where_it_was_planted(tmp_path):
    truth = load_truth("encode").edges
    factors = truth["source"].value_counts().index[:30].tolist()
    genes = sorted({*factors, *truth["target"].value_counts().index[:300]})
    place = {gene: i for i, gene in enumerate(genes)}
    weights = np.random.default_rng(0).random((len(genes), len(genes))).astype(np.float32)
    known = truth[truth["source"].isin(genes) & truth["target"].isin(genes)]
    planted = weights.copy()
    planted[known["source"].map(place), known["target"].map(place)] += 1
    cells = AnnData(np.ones((2, len(genes)), np.float32))
    cells.var_names = genes
    files = WorkFiles(tmp_path)
    files.cells("c").parent.mkdir(parents=True)
    cells.write_h5ad(files.cells("c"))
    table = []
    for key, found in {"noise": weights, "planted": planted}.items():
        files.network(key).mkdir()
        made = {"status": "ok", "network_sha256": write_weights(files.network(key), found)}
        write_json(files.inference(key), made)
        write_json(files.network(key) / "job.json", {"cells": "c"})
        table.append({"dataset": "d", "group": "", "label": key, **made})
    rows = enrichment_rows(tmp_path, pd.DataFrame(table), ["encode"]).set_index("label")
    side_by_side = enrichment_rows(tmp_path, pd.DataFrame(table), ["encode"], workers=2).set_index("label")
    pd.testing.assert_frame_equal(side_by_side, rows)
    assert rows.loc["planted", "encode_low"] > 0.1
    assert rows.loc["planted", "encode_share"] > rows.loc["noise", "encode_share"]
    assert rows.loc["noise", "encode_low"] < 0 < rows.loc["noise", "encode_high"]

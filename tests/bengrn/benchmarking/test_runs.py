"""Benchmarks in this process: rows, what is kept, what runs again, what fails."""

from __future__ import annotations

import errno
import json

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from anndata import AnnData

import bengrn
from bengrn.benchmarking import executors, job
from bengrn.benchmarking.columns import COLUMNS, DEGREES, KEY, OF_THE_RUN
from bengrn.benchmarking.job import carry_out
from bengrn.cli import main

GENES = [f"G{i}" for i in range(24)]
METHODS = """
import time
import numpy as np
from bengrn.methods.method import Method

def fails(values, regulators, rng):
    raise RuntimeError("no such luck")

def sleeps(values, regulators, rng):
    time.sleep(60)

def grows(values, regulators, rng):
    held = []
    while True:
        held.append(np.ones(10_000_000))
        time.sleep(0.01)

def crashes(values, regulators, rng):
    import os
    os.abort()

def directs(values, regulators, rng):
    return np.arange(values.shape[1] ** 2, dtype=float).reshape(values.shape[1], -1)

def given(function):
    told = {"reference": "", "takes": "any", "directed": True, "deterministic": True}
    return Method(name=function.__name__, function=function, **told)

FAILS, SLEEPS, GROWS, CRASHES, DIRECTS = map(given, (fails, sleeps, grows, crashes, directs))
"""


def make_cells() -> AnnData:
    rng = np.random.default_rng(0)
    factors = rng.gamma(2.0, size=(80, 4))
    counts = rng.poisson(factors[:, np.arange(24) % 4]).astype(np.float32)
    obs = pd.DataFrame({"kind": ["rod", "glia"] * 40, "donor": ["a"] * 30 + ["b"] * 50})
    return AnnData(sp.csr_matrix(counts), obs=obs.set_index(obs.index.astype(str)), var=pd.DataFrame(index=GENES))


def make_truth(name: str = "four", shift: int = 4) -> bengrn.GroundTruth:
    edges = [(f"G{i}", f"G{(i + shift * k) % 24}") for i in range(12) for k in (1, 2)]
    # G20 is assayed and has no edge among the genes
    edges += [("G20", "elsewhere")]
    return bengrn.GroundTruth.from_edges(pd.DataFrame(edges, columns=["source", "target"]), name=name)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("benchmark")
    (path / "my_methods.py").write_text(METHODS)
    make_cells().write_h5ad(path / "cells.h5ad")
    make_truth().edges.to_csv(path / "four.csv", index=False)
    return path


GIVEN = {
    "methods": ["pearson", "random", {"object": "my_methods:DIRECTS"}, {"object": "my_methods:FAILS"}],
    "datasets": [{"name": "cells", "path": "cells.h5ad", "groupby": "kind"}],
    "truths": ["four.csv", bengrn.GroundTruth.from_edges(pd.DataFrame({"source": ["X"], "target": ["Y"]}), name="far")],
    "seeds": [3, 4],
    "bootstrap": 20,
    "permutations": 19,
    "workers": 0,
}


@pytest.fixture(scope="module")
def table(folder):
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        return bengrn.benchmark(**GIVEN, out="results")


def test_each_combination_has_its_rows(table, folder):
    assert list(table.columns) == list(COLUMNS)
    ok = table[table["truth"] == "four"]
    count = ok.groupby(["method", "orientation"])["group"].count().to_dict()
    assert count == {
        ("directs", "as stored"): 2,
        ("directs", "transposed"): 2,
        ("fails", "as stored"): 2,
        ("pearson", "symmetric"): 2,  # deterministic: one seed
        ("random", "as stored"): 4,
        ("random", "transposed"): 4,
        (DEGREES, "symmetric"): 2,
    }
    assert set(table.loc[table["truth"] == "far", "status"]) == {"no overlap", "failed"}
    failed = table[table["method"] == "fails"]
    assert set(failed["message"]) == {"RuntimeError: no such luck"}
    assert not table.duplicated(list(KEY)).any()
    pd.testing.assert_frame_equal(pd.read_parquet(folder / "results/table.parquet"), table, check_dtype=False)


def test_scores_are_those_of_score(table):
    cells = make_cells()
    rods = cells[cells.obs["kind"] == "rod"].copy()
    truth = make_truth()
    own = bengrn.score(bengrn.infer(rods, "pearson"), truth, regulators="assayed")
    row = table[(table["method"] == "pearson") & (table["group"] == "rod") & (table["truth"] == "four")].iloc[0]
    assert row["ap"] == own.ap
    assert row["odds_ratio_random"] == own.random_expectation["odds_ratio"]
    found = own.bootstrap(n_replicates=20, seed=3).table
    assert row["ap_low"] == found.loc["ap", "low"]
    assert row["p_degree"] == own.degree_preserving(n_permutations=19, seed=3).p_value
    assert row["p_degree_smallest"] == 1 / 20
    # 12 regulators with edges, and one that is assayed alone
    assert (row["n_regulators"], row["n_regulators_with_edges"], row["n_targets"]) == (13, 12, 24)
    assert (row["n_cells"], row["rough"]) == (40, False)
    turned = table[(table["method"] == "directs") & (table["group"] == "rod") & (table["truth"] == "four")]
    weights = np.arange(24.0**2).reshape(24, 24)
    expected = [
        bengrn.score((weights, GENES), truth, regulators="assayed", transpose=turn).ap for turn in (False, True)
    ]
    assert turned.sort_values("orientation")["ap"].tolist() == expected


def test_details_are_those_of_the_row(table, folder):
    row = table[(table["method"] == "pearson") & (table["group"] == "rod") & (table["truth"] == "four")].iloc[0]
    details = folder / "results/details"
    curve = pd.read_parquet(details / f"{row['details']}.curve.parquet")
    assert curve["recall"].is_monotonic_increasing
    assert len(curve) <= 200
    cells = make_cells()
    own = bengrn.score(bengrn.infer(cells[cells.obs["kind"] == "rod"]), make_truth(), regulators="assayed")
    np.testing.assert_array_equal(curve["precision"], own.curve.precision)
    regulators = pd.read_parquet(details / f"{row['details']}.regulators.parquet")
    assert regulators["n_positives"].sum() == row["n_positives"]
    edges = pd.read_parquet(details / f"{row['network_sha256'][:16]}.edges.parquet")
    assert edges["weight"].is_monotonic_decreasing
    assert (table.loc[table["orientation"] == "transposed", "details"] == "").all()


def test_only_what_is_missing_runs(table, folder, monkeypatch):
    monkeypatch.chdir(folder)
    done = []

    def counted(one, files):
        done.append((one.name, len(one.missing(files))))
        carry_out(one, files)

    monkeypatch.setattr(executors, "carry_out", counted)
    again = bengrn.benchmark(**GIVEN, out="results")
    assert done == []
    pd.testing.assert_frame_equal(again, table)
    more = GIVEN | {"truths": [*GIVEN["truths"], make_truth("eight", 8)], "methods": ["pearson"]}
    inferred = []
    monkeypatch.setattr(job, "_inferred", lambda *_: inferred.append(1))
    bengrn.benchmark(**more, out="results")
    # both groups' Pearson, random weights (two seeds) and degrees, for the new truth alone; nothing is inferred again
    assert sorted(done) == [("degrees", 1)] * 2 + [("pearson", 1)] * 2 + [("random weights", 1)] * 4
    assert inferred == []


@pytest.mark.slow
def test_files_that_vanish_are_made_again(folder, monkeypatch):
    monkeypatch.chdir(folder)
    far = pd.DataFrame({"source": ["X"], "target": ["Y"]})
    far.to_csv("far.csv", index=False)
    few = GIVEN | {"methods": [{"object": "my_methods:DIRECTS"}], "truths": ["four.csv", "far.csv"], "baselines": False}
    few |= {"bootstrap": 0, "permutations": 0}
    few["datasets"] = [GIVEN["datasets"][0] | {"groups": ["rod"]}]
    kept = [name for name in COLUMNS if name not in OF_THE_RUN]
    whole = bengrn.benchmark(**few, out="vanishing")
    assert whole["status"].tolist() == ["no overlap", "ok", "ok"]
    results = folder / "vanishing"
    kinds = [
        "work/*/inference.json", "work/*/weights.npy", "work/*/????????????????????????.json", "work/cells/*.h5ad",
        "work/plans/*.json", "work/truths/*.json", "work/truths/*.parquet", "details/*.edges.parquet",
        "details/*.curve.parquet", "details/*.regulators.parquet",
    ]  # fmt: skip
    everything = {path.relative_to(results) for kind in kinds for path in results.glob(kind)}
    assert len(everything) == 13  # of one network, two truths; jobs are written anew each time
    for kind in kinds:
        gone = sorted(results.glob(kind))
        assert gone, kind
        for path in gone:
            path.unlink()
        again = bengrn.benchmark(**few, out="vanishing")
        pd.testing.assert_frame_equal(again[kept], whole[kept])
        assert {path.relative_to(results) for one in kinds for path in results.glob(one)} == everything, kind
    # half a record is none
    (path,) = results.glob("work/*/inference.json")
    path.write_text(path.read_text()[:40])
    pd.testing.assert_frame_equal(bengrn.benchmark(**few, out="vanishing")[kept], whole[kept])


def test_scores_of_a_lost_network_are_taken_again(folder, monkeypatch):
    monkeypatch.chdir(folder)
    few = GIVEN | {"methods": [{"object": "my_methods:DIRECTS"}], "truths": ["four.csv"], "baselines": False}
    few |= {"bootstrap": 0, "permutations": 0}
    whole = bengrn.benchmark(**few, out="lost")
    for path in (folder / "lost/work").glob("*/inference.json"):
        path.unlink()
    infer = job._inferred
    monkeypatch.setattr(job, "_inferred", lambda *given: (-infer(*given)[0], infer(*given)[1]))
    again = bengrn.benchmark(**few, out="lost")
    assert not set(again["network_sha256"]) & set(whole["network_sha256"])
    assert (again["auroc"] != whole["auroc"]).all()


def test_a_full_disk_loses_nothing(folder, monkeypatch):
    monkeypatch.chdir(folder)
    write, left = job.write_json, [5]

    def full(path, values):
        left[0] -= 1
        if left[0] < 0:
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        write(path, values)

    monkeypatch.setattr(job, "write_json", full)
    given = GIVEN | {"methods": ["pearson", "spearman"], "baselines": False}
    with pytest.raises(
        OSError, match=r"the disk is full.* 1 network is done and kept in full, 3 are missing: make room"
    ):
        bengrn.benchmark(**given, out="full")
    status = pd.read_parquet("full/table.parquet")["status"].value_counts()
    assert status.to_dict() == {"not run": 5, "ok": 2, "no overlap": 1}
    monkeypatch.setattr(job, "write_json", write)
    rest = bengrn.benchmark(**given, out="full")
    whole = bengrn.benchmark(**given, out="whole")
    kept = [name for name in COLUMNS if name not in OF_THE_RUN]
    pd.testing.assert_frame_equal(rest[kept], whole[kept])


def test_replicates_are_donors_or_draws(folder, monkeypatch):
    monkeypatch.chdir(folder)
    few = GIVEN | {
        "methods": ["pearson"],
        "baselines": False,
        "truths": ["four.csv"],
        "bootstrap": 0,
        "permutations": 0,
    }
    cells = make_cells()
    data = {"name": "cells", "cells": cells, "groupby": "kind", "groups": ["rod"]}
    donors = bengrn.benchmark(**few | {"datasets": [data | {"replicates": "donor"}]}, out="donors")
    assert dict(zip(donors["replicate"], donors["n_cells"], strict=True)) == {"a": 15, "b": 25}
    alone = cells[(cells.obs["kind"] == "rod") & (cells.obs["donor"] == "b")].copy()
    expected = bengrn.score(bengrn.infer(alone), make_truth(), regulators="assayed").ap
    assert donors.set_index("replicate")["ap"]["b"] == expected
    assert "p_degree" in donors
    assert donors["p_degree"].isna().all()
    draws = bengrn.benchmark(**few | {"datasets": [data | {"replicates": 2, "n_cells": 20, "seed": 7}]}, out="draws")
    assert draws["replicate"].tolist() == ["draw 1", "draw 2"]
    second = bengrn.infer(cells, groupby="kind", group=["rod"], n_cells=20, seed=8)
    assert draws["ap"][1] == bengrn.score(second.networks["rod"], make_truth(), regulators="assayed").ap


def test_the_same_cells_in_two_data_sets_are_one_network_and_all_truths(folder, monkeypatch):
    monkeypatch.chdir(folder)
    few = GIVEN | {"methods": ["pearson"], "baselines": False, "bootstrap": 0, "permutations": 0, "truths": []}
    data = [
        {"name": name, "path": "cells.h5ad", "truths": [truth]}
        for name, truth in (("a", "four.csv"), ("b", make_truth("eight", 8)))
    ]
    lines: list[str] = []
    table = bengrn.benchmark(**few | {"datasets": data}, out="same", progress=lines.append)
    assert table[["dataset", "truth", "status"]].to_numpy().tolist() == [["a", "four", "ok"], ["b", "eight", "ok"]]
    assert table["network_sha256"].nunique() == 1
    assert lines == ["1 of 1 networks done (pearson, b)"]


def test_networks_of_others_are_scored_on_the_genes_of_the_cells(table, folder, monkeypatch):
    monkeypatch.chdir(folder)
    assert main(["infer", "cells.h5ad", "--groupby", "kind", "--format", "scenic", "-o", "net_{group}.tsv"]) == 0
    rods = pd.read_csv("net_rod.tsv", sep="\t")
    assert list(rods.columns) == ["TF", "target", "importance"]
    # as pySCENIC calls them, and only some of the genes
    rods[rods["TF"].isin(GENES[:12])].to_csv("adj.tsv", sep="\t", index=False)
    names = "\t".join(GENES[4:9])
    (folder / "regulons.gmt").write_text(f"G0(+)\tgmt\t{names}\nG1(+)\tgmt\t{names}\n")
    (folder / "reg.csv").write_text(
        ",,Enrichment,Enrichment\n,,TargetGenes,Context\nTF,MotifID,,\n"
        "G0,m1,\"[('G4', 2.0), ('G8', 1.0)]\",\"frozenset({'activating'})\"\n"
    )
    given = GIVEN | {"methods": [], "truths": ["four.csv"]}
    given["networks"] = [
        {"name": "ours", "path": "net_{group}.tsv"},
        *[{"path": name, "group": "rod"} for name in ("adj.tsv", "regulons.gmt", "reg.csv")],
    ]
    found = bengrn.benchmark(**given, out="networks")
    own = table[(table["method"] == "pearson") & (table["truth"] == "four")].set_index("group")
    ours = found[found["method"] == "ours"].set_index("group")
    for score in ("ap", "auroc", "epr"):  # the edges that were written are those that were inferred
        assert ours[score].to_dict() == own[score].to_dict()
    assert ours["wall_s"].isna().all()
    stored = found[found["orientation"] != "transposed"].set_index("method")
    assert set(stored["n_targets"]) == {24}
    assert set(stored["status"]) == {"ok"}
    weights = np.zeros((24, 24))
    weights[0, [4, 8]] = [2, 1]
    expected = bengrn.score((weights, GENES), make_truth(), regulators="assayed").ap
    assert stored.loc["reg", "ap"] == expected
    with pytest.raises(ValueError, match=r"network adj: say of which group of cells it is.*'glia', 'rod'"):
        bengrn.benchmark(**given | {"networks": [{"path": "adj.tsv"}]}, out="networks")
    alone = bengrn.benchmark(
        networks=[{"path": "adj.tsv"}], truths=["four.csv"], out="alone", workers=0, baselines=False
    )
    assert set(alone["dataset"]) == {""}


def test_what_cannot_run_is_told_before(folder, monkeypatch):
    monkeypatch.chdir(folder)
    with pytest.raises(ValueError, match="data set cells: no cell has kind = 'rot'; near ones: 'rod'"):
        bengrn.benchmark(**GIVEN | {"datasets": [GIVEN["datasets"][0] | {"groups": ["rot"]}]}, out="x")
    with pytest.raises(ValueError, match="truth omnipath-demo: no ground truth 'omnipath-demo' for 'mouse'"):
        bengrn.benchmark(
            **GIVEN | {"datasets": [GIVEN["datasets"][0] | {"organism": "mouse"}], "truths": ["omnipath-demo"]}, out="x"
        )
    local = bengrn.get_method("pearson")
    local.function = lambda values, *_: values
    with pytest.raises(TypeError, match=r"cannot be handed to another process.*Define it in a module"):
        bengrn.benchmark(**GIVEN | {"methods": [local]}, out="x")


def test_the_command_line(folder, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    (folder / "b.yaml").write_text(
        "methods: [pearson]\ndatasets: [{name: cells, path: cells.h5ad, groupby: kind}]\ntruths: [four.csv]\n"
        "bootstrap: 20\npermutations: 0\nworkers: 0\nout: of_command\n"
    )
    assert main(["run", "b.yaml", "--dry-run", "--workers", "2"]) == 0
    told = capsys.readouterr().out
    assert "24 × 24" in told
    assert "6 networks against 1 truth (four): 6 scorings" in told
    assert not (folder / "of_command/table.csv").exists()
    others = pd.DataFrame(
        {"method": ["other"], "dataset": "cells", "truth": "four", "regulators": "assayed", "ap": 0.9}
    )
    others.assign(colour="red").to_csv("others.csv", index=False)
    assert main(["run", "b.yaml", "--add", "others.csv"]) == 0
    told = capsys.readouterr().out
    assert "other" in told
    assert "(9 ok)" in told
    record = json.loads((folder / "of_command/run.json").read_text())
    assert record["provenance_steps"][0]["task"] == "bengrn run"
    assert main(["run", "b.yaml", "--preset", "quick"]) == 2
    assert main(["run", "--preset", "list"]) == 0
    assert "quick" in capsys.readouterr().out

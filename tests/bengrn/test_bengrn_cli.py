"""The command line: what it prints, and one clear line for input it cannot use."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import bengrn
import grnndata
from bengrn import _provenance as provenance
from bengrn.cli import main


@pytest.fixture(scope="module")
def edges() -> pd.DataFrame:
    """All true edges, weak or strong, and some wrong ones."""
    truth = bengrn.load_truth("omnipath-demo").edges[["source", "target"]]
    wrong = truth.rename(columns={"source": "target", "target": "source"})[["source", "target"]]
    table = pd.concat([truth, wrong]).drop_duplicates()
    return table.assign(weight=np.random.default_rng(0).random(len(table)).astype(np.float32) + 0.1)


@pytest.fixture
def network(tmp_path: Path, edges: pd.DataFrame) -> Path:
    path = tmp_path / "network.tsv.gz"
    edges.to_csv(path, sep="\t", index=False)
    return path


def test_json_is_what_the_library_says(network, edges, capsys):
    assert main(["score", str(network), "--truth", "omnipath-demo", "--json", "--no-baselines"]) == 0
    printed = json.loads(capsys.readouterr().out)
    scores = bengrn.score(edges, bengrn.load_truth("omnipath-demo")).to_dict()
    assert printed.pop(provenance.KEY)[-1]["task"] == "bengrn score"
    assert printed == scores | {"method": network.name}
    assert printed["truth"] == "omnipath-demo"
    assert printed["truth_version"] == "snapshot sha256:b47f3cd4120b"
    assert printed["truth_part"].startswith(
        "the interactions of OmniPath between the 4,778 genes of the bundled examples"
    )
    assert f"the truth holds a part: {printed['truth_part']}" in printed["notes"]


def test_intervals_and_baselines_are_those_of_the_library(network, edges, capsys):
    assert main(["score", str(network), "--truth", "omnipath-demo", "--json", "--bootstrap", "20", "--seed", "3"]) == 0
    printed = json.loads(capsys.readouterr().out)
    truth = bengrn.load_truth("omnipath-demo")
    intervals = bengrn.score(edges, truth).bootstrap(n_replicates=20, seed=3).table
    assert printed["intervals"]["ap"]["low"] == intervals.loc["ap", "low"]
    table = bengrn.score_table(edges, truth, seed=3)
    assert [row["ap"] for row in printed["baselines"]] == table["ap"].tolist()


def test_rewired_truths_and_factors_only(network, edges, capsys):
    options = ["--truth", "omnipath-demo", "--json", "--no-baselines", "--regulators", "tf", "--permutations", "20"]
    assert main(["score", str(network), *options]) == 0
    printed = json.loads(capsys.readouterr().out)
    scores = bengrn.score(edges, bengrn.load_truth("omnipath-demo"), regulators="tf")
    assert (printed["ap"], printed["n_regulators"]) == (scores.ap, scores.n_regulators)
    assert printed["degree_preserving"]["p_value"] == scores.degree_preserving(n_permutations=20).p_value
    factors = set(grnndata.transcription_factors("human"))
    assert set(scores.universe.regulators) <= factors
    everybody = set(bengrn.score(edges, bengrn.load_truth("omnipath-demo")).universe.regulators)
    assert set(scores.universe.regulators) == everybody & factors


def test_enrichment_is_written_to_a_table(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("GRNNDATA_CACHE", str(tmp_path / "empty"))
    monkeypatch.setattr("grnndata.cell_type_markers", _offline)
    rng = np.random.default_rng(0)
    genes = [*grnndata.transcription_factors("human")[:30], *(f"x{i}" for i in range(120))]
    weights = rng.random((150, 150)).astype(np.float32)
    weights[:30] *= 3
    grnndata.from_matrix(weights, genes).write_h5ad(tmp_path / "n.h5ad")
    assert main(["enrich", str(tmp_path / "n.h5ad"), "--out", str(tmp_path / "e.csv")]) == 0
    table = pd.read_csv(tmp_path / "e.csv")
    found = table[(table["test"] == "tf") & (table["ranking"] == "out_strength")]
    assert found["significant"].tolist() == [True]
    out = capsys.readouterr().out
    assert "out_strength" in out
    assert out.endswith(f"what made it: {tmp_path / 'e.csv.json'}\n")
    (step,) = provenance.read(tmp_path / "e.csv")
    again = ["enrich", str(tmp_path / "n.h5ad"), "--out", str(tmp_path / "again.csv")]
    assert main([*again, *_words(step["parameters"], tmp_path)]) == 0
    assert (tmp_path / "again.csv").read_bytes() == (tmp_path / "e.csv").read_bytes()


def _offline(*_, **__):
    raise ConnectionError("no network in tests")


def test_publications_are_followed(network, edges, capsys):
    assert main(["score", str(network), "--truth", "omnipath-demo", "--compat", "beeline", "--no-baselines"]) == 0
    out = capsys.readouterr().out
    scores = bengrn.score(edges, bengrn.load_truth("omnipath-demo"), compat="beeline")
    assert f"beeline: early_precision = {scores.published['early_precision']:.6g}" in out
    assert scores.epr == scores.published["epr"]


def test_a_file_of_true_edges_is_a_truth(network, tmp_path, capsys):
    bengrn.load_truth("omnipath-demo").edges[["source", "target"]].head(500).to_csv(tmp_path / "mine.csv", index=False)
    assert main(["score", str(network), "--truth", str(tmp_path / "mine.csv"), "--json", "--no-baselines"]) == 0
    assert json.loads(capsys.readouterr().out)["n_true_edges"] == 500


def test_networks_are_compared(network, tmp_path, capsys):
    other = tmp_path / "other.csv"
    pd.read_csv(network, sep="\t").iloc[::-1].assign(weight=1.0).to_csv(other, index=False)
    given = ["compare", str(network), str(other), "--truth", "omnipath-demo", "--bootstrap", "50"]
    assert main([*given, "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert [row["network"] for row in printed["scores"]] == [str(network), str(other)]
    (pair,) = printed["pairs"]
    assert pair["difference"] == pytest.approx(printed["scores"][0]["ap"] - printed["scores"][1]["ap"])
    tables = {"first": pd.read_csv(network, sep="\t"), "second": pd.read_csv(other)}
    expected = bengrn.compare(tables, bengrn.load_truth("omnipath-demo"), n_replicates=50).pairs
    assert [pair["low"], pair["high"]] == expected[["low", "high"]].iloc[0].tolist()
    assert main(given) == 0
    out = capsys.readouterr().out
    assert "p_holm" in out
    assert "true edges, of omnipath-demo (snapshot sha256:b47f3cd4120b)" in out
    assert "note: the truth holds a part: the interactions of OmniPath between the 4,778 genes" in out
    assert (printed["truth"], printed["truth_version"]) == ("omnipath-demo", "snapshot sha256:b47f3cd4120b")
    assert printed["truth_part"] == bengrn.load_truth("omnipath-demo").part
    assert main([*given[:-1], "0"]) == 2
    assert "n_replicates = 0 is below 2" in capsys.readouterr().err


def test_options_reach_the_library(network, edges, capsys):
    options = ["--truth", "omnipath-demo", "--json", "--transpose", "--regulators", "all", "--direct-only"]
    assert main(["score", str(network), *options]) == 0
    printed = json.loads(capsys.readouterr().out)
    truth = bengrn.load_truth("omnipath-demo", complexes=False)
    scores = bengrn.score(edges, truth, transpose=True, regulators="all")
    assert (printed["ap"], printed["n_pairs"]) == (scores.ap, scores.n_pairs)


def test_a_file_of_regulators_has_one_name_a_line_blanks_and_all(tmp_path, capsys):
    table = pd.DataFrame(
        {"source": ["HLA A", "HLA A", "TP53", "MYC"], "target": ["TP53", "MYC", "MYC", "TP53"], "weight": [4, 3, 2, 1]}
    )
    table.to_csv(tmp_path / "network.csv", index=False)
    table.iloc[[0, 2, 3], :2].to_csv(tmp_path / "truth.csv", index=False)
    (tmp_path / "regulators.txt").write_text("\ufeffHLA A \n\n  TP53\n", encoding="utf-8")
    options = ["--truth", str(tmp_path / "truth.csv"), "--regulators", str(tmp_path / "regulators.txt"), "--json"]
    assert main(["score", str(tmp_path / "network.csv"), *options, "--no-baselines"]) == 0
    assert json.loads(capsys.readouterr().out)["n_regulators"] == 2


def test_an_h5ad_prints_a_table(tmp_path, edges, capsys):
    path = tmp_path / "network.h5ad"
    grnndata.from_edges(edges, method="made up").write_h5ad(path)
    assert main(["score", str(path), "--truth", "omnipath-demo", "--bootstrap", "20"]) == 0
    out = capsys.readouterr().out
    scores = bengrn.score(edges, bengrn.load_truth("omnipath-demo"))
    assert out.startswith(
        "made up against omnipath-demo (as stored: rows are regulators)\ntruth: snapshot sha256:b47f3cd4120b\n"
    )
    assert "\nnote: the truth holds a part: the interactions of OmniPath between the 4,778 genes" in out
    assert f"{scores.n_positives:,} of {scores.n_true_edges:,} true edges" in out
    line = next(line for line in out.splitlines() if line.startswith("AP (average precision)"))
    expected = (
        bengrn.score_table(edges, bengrn.load_truth("omnipath-demo"))
        .set_index("method")
        .loc["random expectation", "ap"]
    )
    assert line.split()[-2:] == [f"{scores.ap:.4g}", f"{expected:.4g}"]


def test_truths_and_methods(capsys):
    assert main(["truths"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert any(line.split()[:2] == ["omnipath-demo", "human"] and "bundled" in line for line in lines)
    assert any(line.split()[:2] == ["omnipath", "human"] and "bundled" not in line for line in lines)
    assert main(["truths", "trrust"]) == 0
    assert "8,427 edges" in capsys.readouterr().out
    assert main(["methods"]) == 0
    assert "pearson" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["score", "nowhere.h5ad", "--truth", "omnipath-demo"], "no file"),
        (["score", "nowhere.csv", "--truth", "omnipath-demo"], "no file"),
        (["score", "network.png", "--truth", "omnipath-demo"], "cannot tell what network.png is"),
        (["score", "nowhere.csv", "--truth", "omni"], "no ground truth 'omni' for 'human'"),
        (["score", "nowhere.csv"], "truth"),
        (["score", "nowhere.csv", "--truth", "omnipath-demo", "--regulators", "some"], "regulators"),
        (["rate"], "rate"),
    ],
)
def test_bad_input_is_one_line_on_stderr(arguments, message, capsys):
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert err.startswith("bengrn: ")
    assert message in err


@pytest.mark.slow
def test_no_traceback_from_a_process_either(tmp_path):
    path = tmp_path / "strangers.csv"
    path.write_text("source,target,weight\nfoo,bar,1\n")
    command = [sys.executable, "-m", "bengrn.cli", "score", str(path), "--truth", "omnipath-demo"]
    run = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert run.returncode == 2
    assert "share no gene" in run.stderr
    assert "var_names: bar, foo" in run.stderr
    assert "Traceback" not in run.stderr


def _words(parameters, folder):
    """Return the options of a record as words of the command line."""
    words = []
    for name, value in parameters.items():
        option = f"--{name.replace('_', '-')}"
        if isinstance(value, list):
            (folder / f"{name}.txt").write_text("\n".join(value))
            words.append(f"{option}={folder / f'{name}.txt'}")
        elif value is True:
            words.append(option)
        elif value not in (None, False, {}):
            words.append(f"{option}={json.dumps(value) if isinstance(value, dict) else value}")
    return words


def test_scores_are_made_again_from_their_record(network, tmp_path, capsys):
    genes = bengrn.load_truth("omnipath-demo").edges["source"].unique()[:40].tolist()
    (tmp_path / "factors.txt").write_text("\n".join(genes))
    options = ["--regulators", str(tmp_path / "factors.txt"), "--absolute", "--bootstrap", "5", "--seed", "3"]
    assert main(["score", str(network), "--truth", "omnipath-demo", "--json", *options]) == 0
    first = capsys.readouterr().out
    (step,) = json.loads(first)[provenance.KEY]
    assert step["parameters"]["regulators"] == genes
    assert step["inputs"] == [{"file": network.name, "sha256": hashlib.sha256(network.read_bytes()).hexdigest()}]
    command = step["task"].split()[1]
    assert main([command, str(network), "--json", *_words(step["parameters"], tmp_path)]) == 0
    assert capsys.readouterr().out == first
    (tmp_path / "scores.json").write_text(first)
    assert main(["inspect", str(tmp_path / "scores.json")]) == 0
    shown = capsys.readouterr().out.splitlines()
    assert shown[0].startswith("1. bengrn score (bengrn ")
    assert "   absolute: True" in shown


def test_comparisons_are_made_again_from_their_record(network, tmp_path, capsys):
    other, truth = tmp_path / "other.csv", tmp_path / "mine.csv"
    pd.read_csv(network, sep="\t").iloc[::-1].assign(weight=1.0).to_csv(other, index=False)
    bengrn.load_truth("omnipath-demo").edges[["source", "target"]].head(500).to_csv(truth, index=False)
    places = ["compare", str(network), str(other), "--json"]
    assert main([*places, "--truth", str(truth), "--metric", "auroc"]) == 0
    first = capsys.readouterr().out
    step = json.loads(first)[provenance.KEY][-1]
    assert [one["file"] for one in step["inputs"]] == [network.name, "other.csv", "mine.csv"]
    assert main([*places, *_words(step["parameters"], tmp_path)]) == 0
    assert capsys.readouterr().out == first

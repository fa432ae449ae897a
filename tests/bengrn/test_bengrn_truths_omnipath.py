"""All of OmniPath from a file that the user has, without a connection; the accessions that come with the package."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

import bengrn
from bengrn.cli import main
from bengrn.truths import omnipath, uniprot

SCRIPT = Path(__file__).parents[2] / "packages/bengrn/scripts/build_uniprot_genes.py"
FEW = ["TP53", "CDKN1A", "MDM2", "GSK3B", "MYC", "TERT", "RHO", "CRX"]
ACCESSION = "P04637"  # TP53, which the snapshot names by nothing else
ROWS = pd.DataFrame(
    [
        (ACCESSION, "CDKN1A", True, False, "transcriptional", "DoRothEA"),
        (f"COMPLEX:{ACCESSION}_P01106", "TERT", False, True, "transcriptional", "SIGNOR"),
        ("GSK3B", f"{ACCESSION}-2", False, True, "post_translational", "KEA"),
        ("Q9ZZZ9", "MYC", True, False, "post_translational", "KEA"),
    ],
    columns=["source", "target", "is_stimulation", "is_inhibition", "type", "sources"],
)
BY_HAND = {
    ("TP53", "CDKN1A"): (1, False),
    ("TP53", "TERT"): (-1, True),
    ("MYC", "TERT"): (-1, True),
    ("GSK3B", "TP53"): (-1, False),
}


@pytest.fixture(autouse=True)
def nothing_at_hand(monkeypatch, tmp_path):
    monkeypatch.delenv("BENGRN_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def signs(truth) -> dict[tuple[str, str], tuple[int, bool]]:
    return {(row.source, row.target): (row.sign, row.from_complex) for row in truth.edges.itertuples()}


@pytest.mark.parametrize("name", ["mine.parquet", "mine.tsv", "mine.csv.gz", "mine.tsv.xz"])
def test_a_file_of_the_users_own_in_any_form(tmp_path, name):
    path = tmp_path / name
    if path.suffix == ".parquet":
        ROWS.to_parquet(path)
    else:
        ROWS.to_csv(path, sep="," if ".csv" in name else "\t", index=False)
    truth = bengrn.load_truth("omnipath", path=path)
    assert signs(truth) == BY_HAND
    assert truth.genes == {"TP53", "CDKN1A", "MYC", "TERT", "GSK3B"}
    assert truth.version.startswith(f"{name}, sha256:")
    assert truth.part == ""
    kind = bengrn.load_truth("omnipath-ppi", path=path)
    assert set(signs(kind)) == {("GSK3B", "TP53")}
    assert kind.part == "the post-translational interactions of OmniPath"
    direct = bengrn.load_truth("omnipath", path=path, complexes=False)
    assert set(signs(direct)) == {("TP53", "CDKN1A"), ("GSK3B", "TP53")}
    assert direct.part == "without edges known only for protein complexes"


def test_a_row_without_a_name_is_no_edge_and_one_without_a_kind_or_resource_keeps_none(tmp_path):
    rows = ROWS.copy()
    rows.loc[0, ["type", "sources"]] = None
    rows.loc[len(rows)] = (None, "TP53", True, False, "transcriptional", "KEA")
    rows.loc[len(rows)] = ("COMPLEX:A_B", None, True, False, "transcriptional", "KEA")
    rows.loc[len(rows)] = ("GSK3B", "TP53", False, True, "post_translational", "SIGNOR;KEA")
    rows.to_parquet(tmp_path / "mine.parquet")
    truth = bengrn.load_truth("omnipath", path=tmp_path / "mine.parquet")
    assert signs(truth) == BY_HAND
    told = truth.edges.set_index(["source", "target"])[["kind", "resources"]]
    assert told.loc[("TP53", "CDKN1A")].tolist() == ["", ""]
    assert told.loc[("GSK3B", "TP53")].tolist() == ["post_translational", "KEA;SIGNOR"]
    assert told.loc[("MYC", "TERT")].tolist() == ["transcriptional", "SIGNOR"]


def test_a_folder_of_the_users_own(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"holds none of omnipath_interactions_human.tsv, omnipath.parquet"):
        bengrn.load_truth("omnipath", path=tmp_path)
    with pytest.raises(FileNotFoundError, match=r"there is no file .*nowhere\.tsv"):
        bengrn.load_truth("omnipath", path=tmp_path / "nowhere.tsv")
    ROWS.to_parquet(tmp_path / "omnipath.parquet")
    assert signs(bengrn.load_truth("omnipath", path=tmp_path)) == BY_HAND
    ROWS.drop(columns="type").to_csv(tmp_path / "bad.csv", index=False)
    with pytest.raises(ValueError, match=r"bad.csv has the columns 'source', 'target', .*interactions has type too"):
        bengrn.load_truth("omnipath", path=tmp_path / "bad.csv")


def test_what_the_table_says_of_an_accession_comes_before_the_package(tmp_path):
    # A gene may have been renamed since the packaged table was made.
    rows = ROWS.assign(source_genesymbol=["NEW53", "COMPLEX:NEW53_MYC", "GSK3B", "MYC2"], target_genesymbol="x")
    rows["target_genesymbol"] = ["CDKN1A", "TERT", "NEW53", "MYC"]
    rows.iloc[:2].to_csv(tmp_path / "named.csv", index=False)
    found = signs(bengrn.load_truth("omnipath", path=tmp_path / "named.csv"))
    assert found == {("NEW53", "CDKN1A"): (1, False), ("NEW53", "TERT"): (-1, True), ("MYC", "TERT"): (-1, True)}


def test_without_file_and_connection_the_error_says_what_works(monkeypatch):
    closed = dataclasses.replace(omnipath.INTERACTIONS, url="http://127.0.0.1:9/interactions")
    monkeypatch.setattr(omnipath, "INTERACTIONS", closed)
    monkeypatch.setattr(omnipath, "fetch", lambda source, cache: bengrn.fetch.fetch(source, cache=cache, attempts=1))
    with pytest.raises(ConnectionError) as error:
        bengrn.load_truth("omnipath")
    said = str(error.value)
    assert "http://127.0.0.1:9/interactions could not be read in 1 try" in said
    assert "put it, as omnipath_interactions_human.tsv, into" in said
    assert "Get it by hand from https://omnipathdb.org" in said
    assert "is read with path=" in said
    assert "'omnipath-demo', the part between the genes of the bundled examples, needs no connection" in said


def test_a_score_against_the_users_file_says_so(tmp_path, capsys):
    ROWS.to_parquet(tmp_path / "omnipath.parquet")
    pd.DataFrame({"source": ["TP53", "MYC"], "target": ["CDKN1A", "TP53"], "weight": [1.0, 0.5]}).to_csv(
        tmp_path / "network.csv", index=False
    )
    options = ["--options", f'{{"path": "{tmp_path}"}}', "--no-baselines"]
    assert main(["score", str(tmp_path / "network.csv"), "--truth", "omnipath", *options]) == 0
    out = capsys.readouterr().out
    assert "network.csv against omnipath (as stored" in out
    assert "\ntruth: omnipath.parquet, sha256:" in out
    assert "note:" not in out


@pytest.mark.parametrize("name", ["omnipath.parquet", "mine.tsv.gz"])
def test_omnipaths_own_table_named_as_the_truth_is_read_as_omnipath(tmp_path, capsys, name):
    path = tmp_path / name
    ROWS.to_parquet(path) if path.suffix == ".parquet" else ROWS.to_csv(path, sep="\t", index=False)
    network = tmp_path / "network.csv"
    pd.DataFrame({"source": ["TP53", "MYC"], "target": ["CDKN1A", "TP53"], "weight": [1.0, 0.5]}).to_csv(network)
    assert main(["score", str(network), "--truth", str(path), "--no-baselines"]) == 0
    out = capsys.readouterr().out
    assert "network.csv against omnipath (as stored" in out
    assert f"\ntruth: {name}, sha256:" in out
    assert main(["score", str(network), "--truth", str(path), "--no-baselines", "--direct-only", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["truth_part"] == "without edges known only for protein complexes"
    # a plain table of edges stays what it is
    edges = tmp_path / "edges.csv"
    pd.DataFrame({"source": ["TP53"], "target": ["CDKN1A"]}).to_csv(edges, index=False)
    assert main(["score", str(network), "--truth", str(edges), "--no-baselines"]) == 0
    assert "network.csv against edges (as stored" in capsys.readouterr().out


def test_the_packaged_accessions_are_those_of_the_script(shared, tmp_path, capsys):
    spec = importlib.util.spec_from_file_location("build_uniprot_genes", SCRIPT)
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    proteins = shared / "data/protein/human_gene_to_swissprot.tsv.gz"
    for name in ("one", "two"):
        script.main(["--proteins", str(proteins), "--out", str(tmp_path / name)])
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    assert "19,155 pairs" in capsys.readouterr().out
    packaged = pq.read_table(Path(uniprot.__file__).parent / "data/uniprot_human.parquet")
    built = pq.read_table(tmp_path / "one")
    assert built.equals(packaged, check_metadata=True)
    accessions = uniprot.human_accessions()
    assert accessions.set_index("uniprot").loc[ACCESSION].tolist() == ["TP53", True]
    raw = pd.read_csv(proteins, sep="\t", keep_default_na=False)
    assert set(zip(accessions["uniprot"], accessions["symbol"], strict=True)) == set(
        zip(raw["uniprot"], raw["symbol"], strict=True)
    )


@pytest.mark.slow
def test_a_score_against_the_whole_offline_with_tp53_among_the_regulators(shared):
    file = shared / "data/networks/omnipath.parquet"
    truth = bengrn.load_truth("omnipath", path=file)
    assert truth.version == omnipath.SNAPSHOT_VERSION
    assert truth.part == ""
    # TP53's own targets, read off the snapshot by its accession.
    raw = pd.read_parquet(file, columns=["source", "target"])
    proteins = pd.read_csv(shared / "data/protein/human_gene_to_swissprot.tsv.gz", sep="\t")
    symbols = dict(zip(proteins["uniprot"], proteins["symbol"], strict=True))
    mine = {symbols.get(name, name) for name in raw.loc[raw["source"] == ACCESSION, "target"]} & set(FEW)
    assert {"CDKN1A", "MDM2"} <= mine < set(FEW)
    wanted = truth.edges[(truth.edges["source"] == "TP53") & truth.edges["target"].isin(FEW)]
    assert set(wanted.loc[~wanted["from_complex"], "target"]) == mine
    weights = np.zeros((len(FEW), len(FEW)))
    weights[0] = [name in set(wanted["target"]) for name in FEW]
    scores = bengrn.score((weights, FEW), truth, regulators=["TP53"])
    assert list(scores.universe.regulators) == ["TP53"]
    assert (scores.ap, scores.n_positives) == (1.0, len(wanted))
    assert "TP53" in set(bengrn.score((weights, FEW), truth).universe.regulators)
    assert (scores.truth, scores.truth_version, scores.truth_part) == ("omnipath", truth.version, "")
    assert not [note for note in scores.notes if "part" in note]

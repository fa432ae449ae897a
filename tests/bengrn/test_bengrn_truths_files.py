"""Ground truths read from full copies of their files: counts that were found elsewhere, and edges anyone can check."""

from __future__ import annotations

import os
import sys
import types

import pandas as pd
import pytest

from bengrn.fetch import content_hash
from bengrn.truths import fetch_truths, list_truths, load_truth, truth_records
from bengrn.truths.collectri import MEMBERS

FULL = ("collectri", "dorothea", "trrust", "mccalla", "dream5")


@pytest.fixture(autouse=True)
def offline(shared, monkeypatch, tmp_path):
    folders = [shared / "data/networks", shared / "data/protein"]
    monkeypatch.setenv("BENGRN_DATA", os.pathsep.join(map(str, folders)))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


def pairs(truth) -> set[tuple[str, str]]:
    return set(zip(truth.edges["source"], truth.edges["target"], strict=True))


@pytest.mark.parametrize(
    "names", [FULL, pytest.param(("omnipath", "omnipath-tf-target", "omnipath-ppi"), marks=pytest.mark.slow)]
)
def test_the_sizes_that_records_state_are_those_of_the_files(names):
    records = [record for record in truth_records() if record.name in names]
    assert {record.name for record in records} == set(names)
    for record in records:
        truth = load_truth(record.name, record.organism, **record.options)
        genes = None if truth.genes is None else len(truth.genes)
        found = (len(truth), truth.edges["source"].nunique(), truth.edges["target"].nunique(), genes)
        assert found == (record.edges, record.regulators, record.targets, record.genes), record
        assert ("sign" in truth.edges) == record.signed
        assert (truth.organism, truth.citation) == (record.organism, record.citation)


# From an independent count of the published files.
@pytest.mark.parametrize(
    ("cell", "kind", "edges", "regulators", "targets", "loops"),
    [
        ("hESC", "intersection", 12_986, 35, 6_529, 19),
        ("hESC", "perturbation", 201_805, 179, 21_002, 98),
        ("mESC", "intersection", 11_634, 47, 6_109, 15),
        ("mESC", "perturbation", 201_873, 179, 21_019, 98),
        ("mESC", "chip", 197_597, 54, 31_367, 23),
        ("mDC", "intersection", 76_929, 23, 9_371, 0),
        ("yeast", "intersection", 2_876, 115, 1_657, 23),
    ],
)
def test_mccalla(cell, kind, edges, regulators, targets, loops):
    truth = load_truth("mccalla", cell=cell, kind=kind)
    table = truth.edges
    assert (len(table), table["source"].nunique(), table["target"].nunique()) == (edges, regulators, targets)
    assert (table["source"] == table["target"]).sum() == loops
    assert truth.organism == {"h": "human", "m": "mouse", "y": "yeast"}[cell[0]]
    assert truth.name == f"mccalla {cell} {kind}"
    if (cell, kind) == ("hESC", "intersection"):
        assert table["source"].value_counts().max() == 2_237


def test_mccalla_says_what_it_has():
    assert load_truth("mccalla", "mouse").name == "mccalla mESC intersection"
    with pytest.raises(ValueError, match="no 'chip' file of hESC; there are intersection, perturbation"):
        load_truth("mccalla", cell="hESC", kind="chip")
    with pytest.raises(ValueError, match="cell='hESC' is human, not mouse"):
        load_truth("mccalla", "mouse", cell="hESC")
    with pytest.raises(ValueError, match="cell='liver' does not exist; choose from 'hESC'"):
        load_truth("mccalla", cell="liver")


@pytest.mark.slow
def test_all_of_omnipath_has_tp53(shared):
    truth = load_truth("omnipath")
    direct = truth.edges[~truth.edges["from_complex"]]
    found = set(zip(direct["source"], direct["target"], strict=True))
    assert {("TP53", "CDKN1A"), ("TP53", "MDM2"), ("MDM2", "TP53"), ("GSK3B", "TP53"), ("MYC", "TERT")} <= found
    assert {"NRF1", "REST", "TP73", "CDKN1A"} <= truth.genes
    # No accession, complex, miRNA or compound is left.
    assert not [name for name in truth.genes if name.startswith(("COMPLEX", "MIMAT", "hsa-", "CHEBI"))]
    # Symbols such as H2AC18 look like accessions; they are symbols nonetheless.
    named = pd.Series(sorted(truth.genes))
    alike = named[named.str.fullmatch(r"(?:[OPQ]\d[A-Z\d]{3}\d|[A-NR-Z]\d(?:[A-Z][A-Z\d]{2}\d){1,2})")]
    proteins = pd.read_csv(shared / "data/protein/human_gene_to_swissprot.tsv.gz", sep="\t")
    assert set(alike) <= set(proteins["symbol"])
    assert not set(named) & (set(proteins["uniprot"]) - set(proteins["symbol"]))
    assert not truth.edges.duplicated(["source", "target"]).any()
    assert (truth.edges["source"] != truth.edges["target"]).all()
    assert truth.version == "snapshot sha256:b47f3cd4120b"
    assert 180_000 < len(direct) < len(truth)
    # The bundled part is a cut of this one.
    bundled = load_truth("omnipath-demo").edges
    whole = set(zip(truth.edges["source"], truth.edges["target"], strict=True))
    there = [pair in whole for pair in zip(bundled["source"], bundled["target"], strict=True)]
    assert sum(there) / len(there) > 0.995


@pytest.mark.slow
def test_kinds_of_all_of_omnipath(shared):
    table = pd.read_parquet(shared / "data/networks/omnipath.parquet", columns=["type"])
    assert table["type"].value_counts()[["transcriptional", "post_translational"]].tolist() == [128_218, 134_282]
    transcriptional = load_truth("omnipath-tf-target")
    assert set(transcriptional.edges["kind"]) == {"transcriptional"}
    assert ("TP53", "CDKN1A") in pairs(transcriptional)
    edge = transcriptional.edges.set_index(["source", "target"]).loc[("TP53", "CDKN1A")]
    assert edge["sign"] == 1
    assert {"CollecTRI", "DoRothEA"} <= set(edge["resources"].split(";"))
    direct = load_truth("omnipath-tf-target", complexes=False)
    assert not direct.edges["from_complex"].any()
    assert len(direct) == (~transcriptional.edges["from_complex"]).sum()
    assert direct.genes <= transcriptional.genes


def test_collectri():
    truth = load_truth("CollecTRI")
    signs = truth.edges.set_index(["source", "target"])["sign"]
    assert signs.value_counts().to_dict() == {1: 37_360, -1: 5_818}
    assert signs["TP53", "CDKN1A"] == 1
    assert signs["MYC", "TERT"] == 1
    assert (truth.edges["source"] == "AP1").sum() == 596
    assert (truth.edges["source"] == "NFKB").sum() == 799


def test_collectri_complexes_go_to_their_members():
    plain, expanded = load_truth("collectri"), load_truth("collectri", expand_complexes=True)
    table = expanded.edges
    assert not table["source"].isin(MEMBERS).any()
    own = pairs(plain)
    added = {
        (member, target) for source, target in own if source in MEMBERS for member in MEMBERS[source]
    } - own  # fmt: skip
    assert pairs(expanded) == {pair for pair in own if pair[0] not in MEMBERS} | added
    assert set(map(tuple, table.loc[table["from_complex"], ["source", "target"]].to_numpy())) == added
    # A member's own sign stays.
    before = plain.edges.set_index(["source", "target"])["sign"]
    after = table[~table["from_complex"]].set_index(["source", "target"])["sign"]
    assert (before.loc[after.index] == after).all()


def test_dorothea_levels():
    best = load_truth("dorothea", levels="A")
    assert len(best) == 456 + 4_978
    assert best.edges["sign"].value_counts().to_dict() == {1: 4_978, -1: 456}
    assert len(load_truth("dorothea", levels=["a", "B"])) == 456 + 4_978 + 541 + 433
    assert len(load_truth("dorothea", levels="ABCDE")) == 454_504
    assert len(load_truth("dorothea", "mouse", levels="A")) == 473 + 5_096
    assert ("Trp53", "Cdkn1a") in pairs(load_truth("dorothea", "mouse"))
    with pytest.raises(ValueError, match="levels='F' does not exist"):
        load_truth("dorothea", levels="F")


def test_trrust_joins_the_modes_of_a_pair(shared):
    truth = load_truth("trrust")
    edges = truth.edges.set_index(["source", "target"])
    raw = pd.read_csv(shared / "data/networks/trrust_rawdata.human.tsv.gz", sep="\t")
    modes = raw.groupby(["TF", "gene_symbol"])["interaction"].agg(set)
    expected = modes.map(lambda found: ("Activation" in found) - ("Repression" in found))
    assert edges["sign"].to_dict() == expected.to_dict()
    assert edges.loc[("TP53", "CDKN1A"), "sign"] in (0, 1)
    assert edges.loc[("AATF", "BAX"), ["sign", "n_papers"]].tolist() == [-1, 1]
    assert len(load_truth("trrust", "mouse")) == 6_490


def test_beeline_cut_to_an_experiment():
    truth = load_truth("beeline", cut=500)
    assert truth.name == "beeline hESC specific TFs+500"
    assert {*truth.edges["source"], *truth.edges["target"]} <= truth.genes
    wider = load_truth("beeline", cut=1000)
    assert truth.genes < wider.genes
    other = load_truth("beeline", data_set="hESC", kind="non-specific", cut=500)
    assert ("AES", "LEF1") in pairs(other)
    # Each of the seven data sets is found, whatever the capitals of its folder.
    assert len(load_truth("beeline", data_set="hHep", cut=500)) > 100
    lofgof = load_truth("beeline", "mouse", kind="lofgof", cut=1000)
    assert lofgof.organism == "mouse"
    with pytest.raises(ValueError, match="no 'lofgof' network of hESC"):
        load_truth("beeline", kind="lofgof", cut=500)
    with pytest.raises(ValueError, match="data_set='hESC' is of human, not mouse"):
        load_truth("beeline", "mouse", data_set="hESC")
    with pytest.raises(ValueError, match="cut=750 does not exist"):
        load_truth("beeline", cut=750)


def test_dream5_knows_its_false_edges_too(shared):
    truth = load_truth("dream5", "ecoli")
    assert len(truth) == 2_066
    assert ("G92", "G2") in pairs(truth)
    raw = pd.read_csv(shared / "data/networks/DREAM5_GoldStandard_Network3_ecoli.tsv.gz", sep=r"\s+", header=None)
    assert truth.genes == {f"G{gene}" for gene in {*raw[0], *raw[1]}}


def test_availability_follows_the_offline_folder(monkeypatch):
    here = list_truths().set_index("name")["available"]
    assert set(here["mccalla"]) == {"cached"}
    assert here["collectri"] == "cached"
    assert here["perturb-seq"] == "to fetch"
    assert here["encode"] == "bundled"
    monkeypatch.delenv("BENGRN_DATA")
    assert set(list_truths().set_index("name")["available"]["mccalla"]) == {"to fetch"}


def test_fetching_by_name_lists_the_files(shared):
    table = fetch_truths(["collectri", "McCalla"], "human")
    assert table["file"].tolist() == [
        "CollecTRI_regulons.csv",
        "mccalla/hESC_intersect.txt",
        "mccalla/hESC_perturbation.txt",
    ]
    assert table["path"].str.startswith(str(shared)).all()
    assert (table["bytes"] > 10_000).all()
    assert fetch_truths("encode").empty


def test_pins_of_the_copies_are_those_of_the_files(shared):
    checked = 0
    for record in truth_records():
        for source in record.sources:
            for name, pin in source.copies:
                path = shared / "data/networks" / name
                if pin is not None and path.is_file():
                    assert content_hash(path) == pin, name
                    checked += 1
    assert checked >= 17


COLUMNS = (
    "source target source_genesymbol target_genesymbol is_directed is_stimulation is_inhibition sources type",
    "P04637 P38936 TP53 CDKN1A True True False CollecTRI;SIGNOR transcriptional",
    "COMPLEX:P01100_P05412 P38936 FOS_JUN CDKN1A 1 1 0 CollecTRI transcriptional",
    "P01100 P05412 FOS JUN True False True X post_translational",
    "P05412 P01100 JUN FOS True False False X post_translational",
    "MIMAT0000062 P04637 hsa-let-7a TP53 True False True Y post_transcriptional",
)
SERVICE = "".join("\t".join(line.split()) + "\n" for line in COLUMNS)


def test_omnipath_as_the_web_service_sends_it(tmp_path, monkeypatch):
    (tmp_path / "omnipath_interactions_human.tsv").write_text(SERVICE)
    monkeypatch.setenv("BENGRN_DATA", str(tmp_path))
    truth = load_truth("omnipath")
    found = {
        (row.source, row.target): (row.sign, row.from_complex) for row in truth.edges.itertuples()
    }  # fmt: skip
    assert found == {
        ("TP53", "CDKN1A"): (1, False),
        ("FOS", "CDKN1A"): (1, True),
        ("JUN", "CDKN1A"): (1, True),
        ("FOS", "JUN"): (-1, False),
        ("JUN", "FOS"): (0, False),
    }
    assert truth.genes == {"TP53", "CDKN1A", "FOS", "JUN"}
    assert truth.version.startswith("web service, 20")
    (tmp_path / "omnipath_interactions_human.tsv").write_text("source\ttarget\nP04637\tP38936\n")
    with pytest.raises(ValueError, match=r"has is_stimulation, is_inhibition, type, sources too\. Delete it"):
        load_truth("omnipath")


def test_omnipath_by_its_client(tmp_path, monkeypatch):
    (tmp_path / "table.tsv").write_text(SERVICE)
    asked = {}

    def get(**options):
        asked.update(options)
        return pd.read_csv(tmp_path / "table.tsv", sep="\t")

    client = types.ModuleType("omnipath")
    client.__version__ = "9.9"
    client.interactions = types.SimpleNamespace(AllInteractions=types.SimpleNamespace(get=get))
    monkeypatch.setitem(sys.modules, "omnipath", client)
    truth = load_truth("omnipath-ppi", via="client")
    assert pairs(truth) == {("FOS", "JUN"), ("JUN", "FOS")}
    assert truth.version.startswith("omnipath client 9.9")
    assert asked["genesymbols"]
    assert "type" in asked["fields"]
    monkeypatch.setitem(sys.modules, "omnipath", None)
    with pytest.raises(ImportError, match=r"pip install 'bengrn\[omnipath\]'"):
        load_truth("omnipath", via="client")


def test_dorothea_as_the_web_service_sends_it(tmp_path, monkeypatch):
    (tmp_path / "dorothea_human.tsv").write_text(
        "source\ttarget\tsource_genesymbol\ttarget_genesymbol\t"
        "consensus_stimulation\tconsensus_inhibition\tdorothea_level\n"
        "P04637\tP38936\tTP53\tCDKN1A\tTrue\tFalse\tA;D\n"
        "P01106\tO14746\tMYC\tTERT\tFalse\tTrue\tB\n"
        "P01106\tO14746\tMYC\tTERT\tFalse\tTrue\tD\n"
        "P01100\tP05412\tFOS\tJUN\tTrue\tTrue\tD\n"
    )
    monkeypatch.setenv("BENGRN_DATA", str(tmp_path))
    table = load_truth("dorothea", levels="ABD").edges
    assert table[["source", "target", "sign", "level"]].to_numpy().tolist() == [
        ["TP53", "CDKN1A", 1, "A"],
        ["MYC", "TERT", -1, "B"],
        ["FOS", "JUN", 0, "D"],
    ]
    with pytest.raises(ValueError, match="no edge of level E in this copy"):
        load_truth("dorothea", levels="AE")

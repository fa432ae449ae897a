"""Ground truths: the checks of the table, the registry, the bundled part of OmniPath."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pandas as pd
import pytest

import bengrn
from bengrn.truths import describe_truth, truth_records
from bengrn.truths.encode import ANTIBODIES
from grnndata import transcription_factors

EDGES = pd.DataFrame({"source": ["A", "B"], "target": ["B", "C"]})


def test_from_edges_keeps_what_it_is_given():
    truth = bengrn.GroundTruth.from_edges(EDGES.assign(sign=[1, -1]), name="mine", genes=["A", "B", "C", "D"])
    assert truth.edges["sign"].tolist() == [1, -1]
    assert truth.genes == {"A", "B", "C", "D"}
    assert repr(truth) == "GroundTruth('mine', human, 2 edges, 4 genes known)"
    assert "sign" not in EDGES


@pytest.mark.parametrize(
    ("table", "options", "message"),
    [
        (EDGES[["source"]], {}, r"lacks \['target'\]"),
        (EDGES.iloc[:0], {}, "has no edge"),
        (EDGES.assign(target=["B", None]), {}, "1 of 2 edges .* lack a gene name"),
        (EDGES.assign(target=["", "C"]), {}, "1 of 2 edges .* lack a gene name"),
        (EDGES.assign(source_id=["1", "2"]), {}, "has the column source_id only"),
        (EDGES, {"genes": ["A", "B"]}, r"1 gene with edges .* not among its 2 genes \(first: C\)"),
        (EDGES, {"gene_ids": ["A", "B"]}, "states gene_ids but its edges have no source_id"),
    ],
)
def test_bad_tables_are_refused(table, options, message):
    with pytest.raises(ValueError, match=message):
        bengrn.GroundTruth.from_edges(table, **options)


def test_unknown_truths_organisms_and_options():
    with pytest.raises(ValueError, match=r"no ground truth 'omni' for 'human'; there are: .*omnipath \(human\)"):
        bengrn.load_truth("omni")
    with pytest.raises(ValueError, match="no ground truth 'omnipath' for 'mouse', only for human"):
        bengrn.load_truth("omnipath", organism="mouse")
    with pytest.raises(TypeError, match="complex"):
        bengrn.load_truth("omnipath", complex=True)
    with pytest.raises(ValueError, match="path= reads a file and via='client' fetches"):
        bengrn.load_truth("omnipath", via="client", path="omnipath.parquet")
    with pytest.raises(TypeError, match="path"):
        bengrn.load_truth("omnipath-demo", path="omnipath.parquet")
    with pytest.raises(ValueError, match=r"merge='both' does not exist; choose from 'union', 'intersection', None"):
        bengrn.load_truth("encode", merge="both")
    with pytest.raises(ValueError, match=r"no ground truth for 'fly'"):
        truth_records(organism="fly")


def test_names_forgive_capitals_and_underscores():
    assert bengrn.load_truth("OmniPath_demo_TF_target").name == "omnipath-demo-tf-target"


def test_the_bundled_omnipath_is_clean():
    truth = bengrn.load_truth("omnipath-demo")
    edges = truth.edges
    assert len(edges) > 500
    assert not edges.duplicated(["source_id", "target_id"]).any()
    assert (edges["source_id"] != edges["target_id"]).all()
    assert edges[["source_id", "target_id"]].stack().str.fullmatch(r"ENSG\d{11}").all()
    raw = re.compile(r"COMPLEX|MIMAT|hsa-|CHEBI|^[OPQ]\d{5}$")
    assert [name for name in truth.genes if raw.search(name)] == []
    assert set(edges["sign"]) == {-1, 0, 1}
    kinds = set(edges["kind"].str.split(";").explode())
    assert (
        {"transcriptional", "post_translational"}
        <= kinds
        <= {
            "transcriptional",
            "post_translational",
            "post_transcriptional",
        }
    )
    assert len(truth.genes) == len(truth.gene_ids)
    # Transcriptional edges straight from a gene mostly come from transcription factors.
    regulators = edges[(edges["kind"] == "transcriptional") & ~edges["from_complex"]]["source"]
    assert regulators.isin(transcription_factors("human")).mean() > 0.7


def test_complexes_can_be_left_out():
    every, direct = bengrn.load_truth("omnipath-demo"), bengrn.load_truth("omnipath-demo", complexes=False)
    assert direct.part == f"{every.part}; without edges known only for protein complexes"
    assert len(direct) == (~every.edges["from_complex"]).sum() < len(every)
    assert direct.genes <= every.genes


def test_the_kinds_of_omnipath():
    every = bengrn.load_truth("omnipath-demo").edges
    for name, kind in [("omnipath-demo-tf-target", "transcriptional"), ("omnipath-demo-ppi", "post_translational")]:
        truth = bengrn.load_truth(name)
        assert truth.part.startswith(f"the {kind.replace('_', '-')} interactions of OmniPath between the 4,778 genes")
        kinds = truth.edges["kind"].str.split(";")
        assert kinds.map(lambda found, kind=kind: kind in found).all()
        assert len(truth) == every["kind"].str.split(";").map(lambda found, kind=kind: kind in found).sum()


def test_the_list_of_truths_carries_terms():
    table = bengrn.list_truths().set_index("name")
    row = table.loc["omnipath-demo"]
    assert row["edges"] == len(bengrn.load_truth("omnipath-demo"))
    assert row["genes"] == len(bengrn.load_truth("omnipath-demo").genes)
    assert "13:966" in row["citation"]
    assert "licences of their own" in row["licence"]
    assert row["version"].startswith("snapshot sha256:")
    assert row["paper_transpose"]
    for column in ("citation", "licence", "version", "orientation", "title", "organism"):
        assert (table[column].str.len() > 0).all(), column
    assert set(table["available"]) <= {"bundled", "cached", "to fetch"}
    # What is bundled may ship, and the other way round nothing else claims to.
    assert (table["may_ship"] == (table["available"] == "bundled")).all()
    assert (table.loc["mccalla", "paper_transpose"] == False).all()  # noqa: E712  # None must not pass


def test_what_is_bundled_is_of_the_size_its_record_states():
    bundled = [record for record in truth_records() if record.bundled]
    parts = {f"omnipath-demo{kind}" for kind in ("", "-tf-target", "-ppi")}
    assert {record.name for record in bundled} == parts | {"encode"}
    for record in bundled:
        truth = bengrn.load_truth(record.name, record.organism)
        found = (len(truth), truth.edges["source"].nunique(), truth.edges["target"].nunique())
        assert found == (record.edges, record.regulators, record.targets), record.name
        assert truth.version == record.version
        assert truth.orientation == record.orientation
        assert truth.part == record.part
        assert record.genes is None or truth.genes is None or len(truth.genes) == record.genes


def test_listing_reads_no_data_and_loads_nothing_heavy(tmp_path):
    code = """
import builtins, sys
opened = []
real = builtins.open
def watched(file, *args, **kwargs):
    opened.append(str(file))
    return real(file, *args, **kwargs)
import bengrn, pandas, bengrn.truths
builtins.open = watched
table = bengrn.truths.list_truths()
assert len(table) > 30
assert not [name for name in opened if "truths/data" in name or name.endswith((".gz", ".parquet"))], opened
heavy = {"omnipath", "requests", "anndata", "scipy", "sklearn", "gseapy", "torch"} & set(sys.modules)
assert not heavy, heavy
"""
    environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path), "BENGRN_DATA": ""}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment)
    assert list(tmp_path.iterdir()) == []


def test_a_truth_in_words(tmp_path, monkeypatch):
    monkeypatch.delenv("BENGRN_DATA", raising=False)
    said = describe_truth("trrust", "mouse", cache=tmp_path)
    assert "load_truth('trrust', 'mouse')" in said
    assert "6,490 edges, 827 regulators, 2,092 targets" in said
    assert "to fetch from https://www.grnpedia.org/trrust/data/trrust_rawdata.mouse.tsv" in said
    assert "not pinned" in said
    part = describe_truth("omnipath-demo", cache=tmp_path)
    assert "part: the interactions of OmniPath between the 4,778 genes of the bundled examples" in part
    assert "'omnipath' has all" in part
    assert "comes with the package" in part
    whole = describe_truth("omnipath", cache=tmp_path)
    assert "212,944 edges, 7,485 regulators, 16,227 targets" in whole
    assert "to fetch from https://omnipathdb.org" in whole
    assert "part:" not in whole
    assert "UniProt: CC BY 4.0" in whole
    assert describe_truth("mccalla", cache=tmp_path).count("load_truth(") == 11


def test_encode_by_hand():
    published = bengrn.load_truth("encode", merge=None, names="published").edges
    assert len(published) == 113_847
    assert published["source"].nunique() == 95
    assert len(published[["source", "cell"]].drop_duplicates()) == 166
    genes = bengrn.load_truth("encode").edges
    assert "NRSF" not in set(genes["source"])
    assert {"REST", "EP300", "NR2C2", "RELA", "ESR1"} <= set(genes["source"])
    assert genes["source"].nunique() == 94
    assert not genes.duplicated(["source", "target"]).any()
    assert genes["target"].str.fullmatch(r"C\d+orf\d+.*").sum() > 500
    assert not genes["target"].str.contains(r"^C\d+ORF").any()
    assert published["target"].str.contains(r"^C\d+ORF").sum() > 500


def test_encode_union_and_intersection():
    every = bengrn.load_truth("encode", merge=None).edges
    union = bengrn.load_truth("encode").edges
    both = bengrn.load_truth("encode", merge="intersection").edges
    # CTCF-like: take one factor of several cells and do it with sets.
    cells = every.groupby("source")["cell"].nunique()
    factor = cells[cells == 3].index[0]
    lists = [set(rows["target"]) for _, rows in every[every["source"] == factor].groupby("cell")]
    assert set(union.loc[union["source"] == factor, "target"]) == set.union(*lists)
    assert set(both.loc[both["source"] == factor, "target"]) == set.intersection(*lists)
    alone = cells[cells == 1].index
    assert (both["source"].isin(alone)).sum() == (union["source"].isin(alone)).sum()
    one = bengrn.load_truth("encode", cell="K562")
    assert one.name == "encode K562"
    assert len(one) == len(every[every["cell"] == "K562"])


def test_every_antibody_name_is_in_the_data_and_a_gene():
    published = bengrn.load_truth("encode", merge=None, names="published").edges
    assert set(ANTIBODIES) <= set(published["source"])
    known = bengrn.load_truth("omnipath-demo").genes.union(transcription_factors("human"))
    # Factors that are not transcription factors themselves.
    others = {"SMARCC1", "SMARCC2", "SMARCA4", "RCOR1", "KAT2A", "TRIM28", "KMT2E", "ILF3", "EP300", "PPARGC1A",
              "POLR2A", "POLR3G", "POLR3A", "SIN3A", "SUPT20H", "GTF3C2"}  # fmt: skip
    assert set(ANTIBODIES.values()) <= known | others

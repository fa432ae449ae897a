"""Ground truths: the checks of the table, the registry, the bundled part of OmniPath."""

from __future__ import annotations

import re

import pandas as pd
import pytest

import bengrn
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
        (EDGES, {"genes": ["A", "B"]}, r"1 genes with edges .* not among its 2 genes \(first: C\)"),
        (EDGES, {"gene_ids": ["A", "B"]}, "states gene_ids but its edges have no source_id"),
    ],
)
def test_bad_tables_are_refused(table, options, message):
    with pytest.raises(ValueError, match=message):
        bengrn.GroundTruth.from_edges(table, **options)


def test_unknown_truths_organisms_and_options():
    with pytest.raises(ValueError, match=r"no ground truth 'omni' for 'human'; there are: omnipath \(human\)"):
        bengrn.load_truth("omni")
    with pytest.raises(ValueError, match="no ground truth 'omnipath' for 'mouse'"):
        bengrn.load_truth("omnipath", organism="mouse")
    with pytest.raises(TypeError, match="complex"):
        bengrn.load_truth("omnipath", complex=True)


def test_the_bundled_omnipath_is_clean():
    truth = bengrn.load_truth("omnipath")
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
    every, direct = bengrn.load_truth("omnipath"), bengrn.load_truth("omnipath", complexes=False)
    assert len(direct) == (~every.edges["from_complex"]).sum() < len(every)
    assert direct.genes <= every.genes


def test_the_list_of_truths_carries_terms():
    row = bengrn.list_truths().set_index("name").loc["omnipath"]
    assert row["edges"] == len(bengrn.load_truth("omnipath"))
    assert "13:966" in row["citation"]
    assert "licences of their own" in row["licence"]
    assert row["version"].startswith("snapshot sha256:")

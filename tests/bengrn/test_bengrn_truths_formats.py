"""Truths whose files are not at hand, from small files of their forms; and edge tables of users."""

from __future__ import annotations

import gzip
import lzma
import re
import zipfile

import anndata
import numpy as np
import pandas as pd
import pytest

from bengrn.truths import GroundTruth, load_truth
from bengrn.truths.beeline import read_reference_network
from bengrn.truths.perturbseq import load_perturbseq


@pytest.fixture(autouse=True)
def offline(monkeypatch, tmp_path):
    monkeypatch.setenv("BENGRN_DATA", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def pairs(truth) -> list[tuple[str, str]]:
    return list(zip(truth.edges["source"], truth.edges["target"], strict=True))


# --- edge tables


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("headless.tsv", "A\tB\nNA\tC\n"),
        ("headless.csv", "A,B\nNA,C\n"),
        ("headless.txt", "A B\nNA  C\n"),
        ("three.tsv", "A\tB\t0.3\nNA\tC\t0.1\n"),
        ("names.csv", "TF,Target\nA,B\nNA,C\n"),
        ("quoted.csv", '"Gene1","Gene2"\n"A","B"\n"NA","C"\n'),
        ("indexed.tsv", "x\tregulator\ttarget_gene\n7\tA\tB\n8\tNA\tC\n"),
        ("genie3.tsv", "regulatoryGene\ttargetGene\tweight\nA\tB\t1\nNA\tC\t2\n"),
        ("bom.csv", "\ufeffsource,target\nA,B\nNA,C\n"),
    ],
)
@pytest.mark.parametrize("packing", ["plain", "gzip", "xz"])
def test_a_table_on_disk(tmp_path, name, content, packing):
    path = tmp_path / name
    pack = {"plain": bytes, "gzip": gzip.compress, "xz": lzma.compress}[packing]
    path.write_bytes(pack(content.encode("utf-8")))
    assert pairs(GroundTruth.read(path)) == [("A", "B"), ("NA", "C")]


def test_parquet_options_and_the_name(tmp_path):
    path = tmp_path / "mine.v1.parquet"
    pd.DataFrame({"source": ["A"], "target": ["B"], "mor": [-2.5], "note": ["x"]}).to_parquet(path)
    truth = GroundTruth.read(path, organism="mouse", directed=False, genes=["A", "B", "C"])
    assert (truth.name, truth.organism, truth.directed) == ("mine", "mouse", False)
    assert truth.edges.iloc[0].to_dict() == {"source": "A", "target": "B", "sign": -1, "note": "x"}
    assert truth.genes == {"A", "B", "C"}


def test_genes_that_look_like_numbers(tmp_path):
    path = tmp_path / "edges.csv"
    path.write_text("source,target,type\n007,1.0,+\n")
    assert GroundTruth.read(path).edges.iloc[0].to_dict() == {"source": "007", "target": "1.0", "sign": 1}


def test_chosen_columns(tmp_path):
    path = tmp_path / "edges.csv"
    path.write_text("target,cause,effect_on\nx,A,B\n")
    assert pairs(GroundTruth.read(path, columns=("cause", "effect_on"))) == [("A", "B")]
    path.write_text("x,A,B\n")
    assert pairs(GroundTruth.read(path, columns=(2, 1))) == [("B", "A")]
    path.write_text("A|B\n")
    assert pairs(GroundTruth.read(path, separator="|")) == [("A", "B")]


@pytest.mark.parametrize(
    ("content", "options", "message"),
    [
        ("", {}, "is empty"),
        ("A\nB\n", {}, "has one column"),
        ("source,target\nA,B\n", {"columns": ("source", "gene")}, r"has no column \['gene'\]; it has"),
        ("A,B\n,C\n", {}, "1 of 2 edges .* lack a gene name"),
        ("source,target\n", {}, "has no edge"),
    ],
)
def test_tables_that_are_none(tmp_path, content, options, message):
    path = tmp_path / "edges.csv"
    path.write_text(content)
    with pytest.raises(ValueError, match=message):
        GroundTruth.read(path, **options)


def test_unclear_parquet_and_no_file(tmp_path):
    pd.DataFrame({"a": ["A"], "b": ["B"]}).to_parquet(tmp_path / "edges.parquet")
    with pytest.raises(ValueError, match=r"has the columns \['a', 'b'\]: say which"):
        GroundTruth.read(tmp_path / "edges.parquet")
    with pytest.raises(FileNotFoundError, match="there is no file"):
        GroundTruth.read(tmp_path / "none.csv")


def test_beelines_reference_network(tmp_path, shared):
    (tmp_path / "refNetwork.csv").write_text("Gene1,Gene2,Type\ng1,g2,+\ng2,g1,-\ng2,g2,+\n")
    truth = read_reference_network(tmp_path / "refNetwork.csv")
    assert truth.edges["sign"].tolist() == [1, -1, 1]
    assert truth.genes == {"g1", "g2"}
    import tarfile

    with tarfile.open(shared / "data/networks/beeline_example_GSD.tar.xz") as archive:
        archive.extract("GSD/GroundTruthNetwork.csv", tmp_path, filter="data")
    real = read_reference_network(tmp_path / "GSD/GroundTruthNetwork.csv")
    # The gonadal sex determination model has 19 genes.
    assert len(real.genes) == 19
    assert ("SOX9", "AMH") in pairs(real)
    assert set(real.edges["sign"]) == {1, -1}


# --- perturb-seq


def matrix() -> pd.DataFrame:
    return pd.DataFrame(
        [[0.001, 0.2, 0.049, 0.0], [0.05, 0.04, np.nan, 0.0], [0.9, 0.0499999999, 1.0, 0.0]],
        index=["ENSG00000000001", "ENSG00000000002", "ENSG00000000003"],
        columns=[
            "1_AAA_P1_ENSG00000000001",
            "2_BBB_P1P2_ENSG00000000009",
            "3_AAA_P2_ENSG00000000001",
            "10_non-targeting_non-targeting_non-targeting",
        ],
    )


EXPECTED = {(1, 1), (9, 2), (9, 3)}


def numbered(truth, source="source", target="target") -> set[tuple[int, int]]:
    return {(int(a[4:]), int(b[4:])) for a, b in zip(truth.edges[source], truth.edges[target], strict=True)}


@pytest.mark.parametrize("form", ["csv", "csv.gz", "parquet", "column.parquet"])
@pytest.mark.parametrize("perturbations", ["columns", "rows"])
def test_perturbseq_by_hand(tmp_path, form, perturbations):
    path = tmp_path / f"p_values.{form}"
    table = matrix() if perturbations == "columns" else matrix().T
    if form == "column.parquet":
        table.rename_axis("gene").reset_index().to_parquet(path)
    elif form == "parquet":
        table.to_parquet(path)
    else:
        table.to_csv(path)
    truth = load_truth("perturb-seq", path=path, perturbations=perturbations)
    # 0.05 itself is not below 0.05; two guides of gene 1 count once; controls are no gene.
    assert numbered(truth) == EXPECTED
    assert len(truth) == 3
    assert {int(gene[4:]) for gene in truth.genes} == {1, 2, 3, 9}
    assert truth.name == "perturb-seq p_values"
    assert len(load_truth("gwps", path=path, perturbations=perturbations, cutoff=0.01)) == 1


def test_perturbseq_with_symbols(tmp_path):
    matrix().to_csv(tmp_path / "p.csv")
    truth = load_perturbseq(path=tmp_path / "p.csv", symbols={"ENSG00000000001": "AAA", "ENSG00000000002": ""})
    assert numbered(truth, "source_id", "target_id") == EXPECTED
    assert ("AAA", "AAA") in pairs(truth)
    assert ("ENSG00000000009", "ENSG00000000002") in pairs(truth)
    assert truth.genes == {"AAA", "ENSG00000000002", "ENSG00000000003", "ENSG00000000009"}


def test_perturbseq_over_several_slices(tmp_path):
    rng = np.random.default_rng(0)
    values = rng.random((700, 30))
    table = pd.DataFrame(values, index=[f"g{i}" for i in range(700)], columns=[f"r{j}" for j in range(30)])
    table.to_parquet(tmp_path / "p.parquet")
    truth = load_perturbseq(path=tmp_path / "p.parquet", cutoff=0.1)
    rows, columns = np.nonzero(values < 0.1)
    assert set(pairs(truth)) == {(f"r{j}", f"g{i}") for i, j in zip(rows, columns, strict=True)}


def test_perturbseq_refuses_what_is_no_p_value(tmp_path):
    (matrix() * 30).to_csv(tmp_path / "p.csv")
    with pytest.raises(ValueError, match="values outside 0 to 1"):
        load_perturbseq(path=tmp_path / "p.csv")
    with pytest.raises(ValueError, match="cutoff=5 is no p value"):
        load_perturbseq(path=tmp_path / "p.csv", cutoff=5)
    (matrix().iloc[:, :3] / 2 + 0.5).to_csv(tmp_path / "p.csv")
    with pytest.raises(ValueError, match=r"no value of .* is below 0.05"):
        load_perturbseq(path=tmp_path / "p.csv")
    with pytest.raises(FileNotFoundError):
        load_perturbseq(path=tmp_path / "none.csv")


# --- RegNetwork, STRING, BEELINE, Open Problems


def test_regnetwork(tmp_path):
    lines = ["USF1\t7391\tS100A6\t6277", "hsa-miR-21\t1\tPTEN\t5728", "USF1\t7391\tS100A6\t6277", "MYC\t4609\tMIR17\t2"]
    with zipfile.ZipFile(tmp_path / "human.zip", "w") as archive:
        archive.writestr("human.node", "x")
        archive.writestr("human.source", "\n".join(lines) + "\n")
    assert pairs(load_truth("regnetwork")) == [("USF1", "S100A6")]
    assert len(load_truth("regnetwork", mirna=True)) == 3
    with zipfile.ZipFile(tmp_path / "RegulatoryDirections.zip", "w") as archive:
        archive.writestr("__MACOSX/new_kegg.human.reg.direction.txt", "junk")
        archive.writestr(
            "new_kegg.human.reg.direction.txt",
            "#TF ID Target ID Direction\nAHR 196 CDKN1B 1027 -->\nAR 367 KLK3 354 --|\nARNT 405 ALDOA 226 -/-\n",
        )
    signed = load_truth("regnetwork", kind="signed")
    assert pairs(signed) == [("AHR", "CDKN1B"), ("AR", "KLK3"), ("ARNT", "ALDOA")]
    assert signed.edges["sign"].tolist() == [1, -1, 0]
    with pytest.raises(ValueError, match=r"holds no new_kegg.mouse.reg.direction.txt, only"):
        load_truth("regnetwork", "mouse", kind="signed")


def test_string(tmp_path):
    names = {"9606.P1": "TP53", "9606.P2": "MDM2", "9606.P3": "LONELY", "9606.P4": "NA"}
    rows = "".join(f"{protein}\t{symbol}\t100\ttext\n" for protein, symbol in names.items())
    header = "#string_protein_id\tpreferred_name\tprotein_size\tannotation\n"
    (tmp_path / "9606.protein.info.v12.0.txt.gz").write_bytes(gzip.compress((header + rows).encode()))
    links = ["P1 P2 999", "P2 P1 999", "P1 P3 699", "P3 P1 699", "P4 P1 700", "P1 P4 700"]
    text = "protein1 protein2 combined_score\n" + "".join(re.sub(r"P(\d)", r"9606.P\1", f"{line}\n") for line in links)
    (tmp_path / "9606.protein.links.v12.0.txt.gz").write_bytes(gzip.compress(text.encode()))
    truth = load_truth("STRING")
    assert {frozenset(pair) for pair in pairs(truth)} == {frozenset(("TP53", "MDM2")), frozenset(("TP53", "NA"))}
    assert len(truth) == 2
    assert not truth.directed
    assert truth.genes == {"TP53", "MDM2", "LONELY", "NA"}
    assert len(load_truth("string", min_score=600)) == 3
    with pytest.raises(ValueError, match=r"min_score=0.7 is not on STRING's scale"):
        load_truth("string", min_score=0.7)


def test_beelines_archive(tmp_path, monkeypatch):
    import dataclasses

    from bengrn.truths import beeline

    path = tmp_path / "BEELINE-Networks.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("Networks/human/HepG2-ChIP-seq-network.csv", "Gene1,Gene2\nMYC,TERT\nMYC,TERT\n")
        archive.writestr("Networks/human/Non-specific-ChIP-seq-network.csv", "Gene1,Gene2\nFOS,JUN\n")
        archive.writestr("Networks/mouse/mHSC-ChIP-seq-network.csv", "Gene1,Gene2,Score\nGATA1,KLF1,5\n")
    with pytest.raises(ValueError, match=r"in the offline folder is not the expected BEELINE-Networks.zip"):
        load_truth("beeline", data_set="hHep")
    monkeypatch.setattr(beeline, "NETWORKS", dataclasses.replace(beeline.NETWORKS, known_hash=None))
    assert pairs(load_truth("beeline", data_set="hHep")) == [("MYC", "TERT")]
    assert pairs(load_truth("beeline", data_set="hESC", kind="non-specific")) == [("FOS", "JUN")]
    truth = load_truth("beeline", data_set="mHSC-E")
    assert pairs(truth) == [("GATA1", "KLF1")]
    assert truth.organism == "mouse"
    with pytest.raises(ValueError, match=r"holds no human/string-network.csv; it holds Networks/human/HepG2"):
        load_truth("beeline", kind="string")


def test_open_problems(tmp_path):
    (tmp_path / "openproblems").mkdir()
    (tmp_path / "openproblems/K562_remap.csv").write_text("source,target\nGATA1,HBG1\nKLF1,HBB\n")
    truth = load_truth("openproblems", cell="K562", resource="remap")
    assert pairs(truth) == [("GATA1", "HBG1"), ("KLF1", "HBB")]
    assert truth.name == "openproblems K562 remap"
    with pytest.raises(ValueError, match="top=1 needs weights"):
        load_truth("openproblems", resource="remap", top=1)


def test_open_problems_prediction_file(tmp_path):
    table = pd.DataFrame({"source": ["A", "B", "C"], "target": ["x", "y", "z"], "weight": ["0.1", "-0.9", "0.5"]})
    anndata.AnnData(np.zeros((1, 1)), uns={"prediction": table, "method_id": "grnboost2"}).write_h5ad(
        tmp_path / "p.h5ad"
    )
    truth = load_truth("openproblems", path=tmp_path / "p.h5ad", top=2)
    assert pairs(truth) == [("B", "y"), ("C", "z")]
    anndata.AnnData(np.zeros((1, 1)), uns={"other": 1}).write_h5ad(tmp_path / "q.h5ad")
    with pytest.raises(ValueError, match=r"has no uns\['prediction'\]; uns holds 'other'"):
        load_truth("openproblems", path=tmp_path / "q.h5ad")

"""The script that cuts OmniPath down: a table small enough to do by hand, and TP53 in the real one."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pandas as pd
import pyarrow.parquet as pq
import pytest

from bengrn.truths.omnipath_table import gene_names

SCRIPT = Path(__file__).parents[2] / "packages/bengrn/scripts/build_omnipath_subset.py"


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("build_omnipath_subset", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    import sys

    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


GENES = pd.DataFrame(
    {
        "gene_id": ["E1", "E2", "E3", "E4", "E5", "E6"],
        "symbol": ["TP53", "MDM2", "CDKN1A", "HLA-A", "LONELY", "R3HDM1"],
    }
)
UNIPROT = pd.DataFrame(
    [
        ("E1", "TP53", "P04637", True),
        ("E2", "MDM2", "Q00987", True),
        ("E3", "CDKN1A", "P38936", True),
        ("E9", "ELSEWHERE", "P99999", True),
        # One protein of two genes, neither named after it: no way to tell which.
        ("E4", "HLA-A", "P00001", False),
        ("E5", "LONELY", "P00001", False),
    ],
    columns=["ensembl_id", "symbol", "uniprot", "name_match"],
)


def rows(*lines: tuple) -> pd.DataFrame:
    table = pd.DataFrame(lines, columns=["source", "target", "up", "down", "type", "sources"])
    return table.rename(columns={"up": "is_stimulation", "down": "is_inhibition"})


OMNIPATH = rows(
    ("P04637", "MDM2", True, False, "transcriptional", "DoRothEA"),
    ("TP53", "Q00987", False, False, "post_translational", "SIGNOR;KEA"),
    ("P04637-2", "HLA-A", False, True, "transcriptional", "CollecTRI"),
    ("COMPLEX:P04637_MDM2", "CDKN1A", True, False, "post_translational", "SIGNOR"),
    ("MDM2", "CDKN1A", False, True, "post_translational", "HPRD"),
    ("COMPLEX:P04637_Q00987", "COMPLEX:TP53_CHEBI:1234", True, False, "post_translational", "X"),
    ("MDM2", "MDM2", False, True, "post_translational", "X"),
    ("MIMAT0000062", "TP53", False, True, "post_transcriptional", "X"),
    ("TP53", "P99999", True, False, "transcriptional", "X"),
    ("TP53", "Q9ZZZ9", True, False, "transcriptional", "X"),
    ("P00001", "TP53", True, False, "post_translational", "X"),
    ("R3HDM1", "TP53", True, False, "post_translational", "X"),
)


def test_by_hand(script):
    edges, known, report = script.build(OMNIPATH, UNIPROT, GENES)
    found = {
        (row.source, row.target): (row.sign, row.kind, row.from_complex, row.resources)
        for row in edges.itertuples(index=False)
    }
    assert found == {
        ("TP53", "MDM2"): (1, "post_translational;transcriptional", False, "DoRothEA;KEA;SIGNOR"),
        ("TP53", "HLA-A"): (-1, "transcriptional", False, "CollecTRI"),
        ("TP53", "CDKN1A"): (1, "post_translational", True, "SIGNOR"),
        # The complex says "activates", the row about MDM2 itself "represses": its own row counts alone.
        ("MDM2", "CDKN1A"): (-1, "post_translational", False, "HPRD"),
        ("MDM2", "TP53"): (1, "post_translational", True, "X"),
        # A symbol that looks like an accession.
        ("R3HDM1", "TP53"): (1, "post_translational", False, "X"),
    }
    assert dict(zip(known["symbol"], known["only_in_complexes"], strict=True)) == {
        "TP53": False,
        "MDM2": False,
        "CDKN1A": False,
        "HLA-A": False,
        "R3HDM1": False,
    }
    # 12 rows; complexes add 1 + 3; a miRNA and two members that are small molecules go; one accession has no
    # gene; two genes are not in the list; MDM2 on itself and TP53 on itself through the complex; two pairs
    # have two rows.
    assert [after - before for _, before, after in report.lines] == [12, 4, -3, -1, -2, -2, -2]
    assert "genes outside the list" in str(report)


def test_a_shared_accession_goes_to_the_gene_of_that_name():
    uniprot = UNIPROT.assign(name_match=UNIPROT["name_match"] | (UNIPROT["symbol"] == "LONELY"))
    assert gene_names(uniprot, GENES)["P00001"] == "E5"
    assert "P00001" not in gene_names(UNIPROT, GENES)


def test_repeated_ids_are_refused():
    with pytest.raises(ValueError, match="repeats 6 ids, first E1"):
        gene_names(UNIPROT, pd.concat([GENES, GENES]))


def test_the_command_writes_both_files(script, tmp_path, capsys):
    OMNIPATH.to_parquet(tmp_path / "omnipath.parquet")
    UNIPROT.to_csv(tmp_path / "uniprot.tsv.gz", sep="\t", index=False)
    GENES.to_csv(tmp_path / "genes.tsv", sep="\t", index=False)
    out = tmp_path / "cut.parquet"
    files = {"omnipath": "omnipath.parquet", "uniprot": "uniprot.tsv.gz", "genes": "genes.tsv"}
    options = [part for name, file in files.items() for part in (f"--{name}", str(tmp_path / file))]
    script.main([*options, "--out", str(out)])
    table = pq.read_table(out)
    assert table.num_rows == 6
    assert table.schema.metadata[b"version"].startswith(b"snapshot sha256:")
    assert len(pd.read_csv(tmp_path / "cut_genes.tsv", sep="\t")) == 5
    assert "6 edges, 2 of them only through complexes" in capsys.readouterr().out
    assert not list(tmp_path.glob("*.part"))


def test_tp53_is_there_in_the_real_one(script, shared):
    genes = pd.DataFrame(
        {
            "gene_id": ["ENSG00000141510", "ENSG00000135679", "ENSG00000124762", "ENSG00000082701"],
            "symbol": ["TP53", "MDM2", "CDKN1A", "GSK3B"],
        }
    )
    edges, _, _ = script.build(
        pd.read_parquet(shared / "data/networks/omnipath.parquet"),
        pd.read_csv(shared / "data/protein/human_gene_to_swissprot.tsv.gz", sep="\t"),
        genes,
    )
    direct = edges[~edges["from_complex"]]
    pairs = set(zip(direct["source"], direct["target"], strict=True))
    assert {("TP53", "MDM2"), ("TP53", "CDKN1A"), ("MDM2", "TP53"), ("GSK3B", "TP53")} <= pairs
    sign = direct.set_index(["source", "target"])["sign"]
    assert sign["TP53", "CDKN1A"] >= 0

"""Pairs of genes from tables with and without a header: names are kept as they are written."""

import bz2
import gzip
import lzma

import pandas as pd
import pytest

from grnndata import read_edges, read_pairs
from grnndata._content import open_content
from grnndata.edge_columns import KNOWN_COLUMNS


def listed(table) -> list[tuple[str, str]]:
    return list(zip(table["source"], table["target"], strict=True))


@pytest.mark.parametrize("names", sorted({known[:2] for known in KNOWN_COLUMNS.values()}))
@pytest.mark.parametrize("upper", [False, True])
def test_headers_of_all_tools_are_known(tmp_path, names, upper):
    source, target = (name.upper() if upper else name for name in names)
    path = tmp_path / "edges.tsv"
    path.write_text(f"score\t{target}\t{source}\n0.5\tRHO\tNRL\n")
    table = read_pairs(path)
    assert listed(table) == [("NRL", "RHO")]
    assert table.columns.tolist() == ["source", "target", "score"]
    assert table["score"].tolist() == [0.5]


def test_gives_the_pairs_of_read_edges(tmp_path):
    path = tmp_path / "edges.csv"
    path.write_text("TF,target,importance\nNA,RHO,0.5\n007,NAN,2\nNRL,1e3,1\n")
    assert listed(read_pairs(path)) == listed(read_edges(path)) == [("NA", "RHO"), ("007", "NAN"), ("NRL", "1e3")]


def test_names_that_look_like_numbers_without_a_header(tmp_path):
    path = tmp_path / "edges.txt"
    path.write_text("01 02\n1.0 1e3\n")
    assert listed(read_pairs(path)) == [("01", "02"), ("1.0", "1e3")]


def test_columns_that_are_left_come_along(tmp_path):
    path = tmp_path / "edges.csv"
    path.write_text("cause,effect_on,target,papers\nA,B,x,3\n,D,y,\n")
    table = read_pairs(path, columns=("cause", "effect_on"))
    assert listed(table) == [("A", "B"), ("", "D")]
    assert table.columns.tolist() == ["source", "target", "papers"]
    pd.DataFrame({"source": [1, 2], "target": ["A", None], "sign": ["+", "-"]}).to_parquet(tmp_path / "edges.parquet")
    table = read_pairs(tmp_path / "edges.parquet")
    assert listed(table) == [("1", "A"), ("2", "")]
    assert table["sign"].tolist() == ["+", "-"]


@pytest.mark.parametrize("pack", [bytes, gzip.compress, lzma.compress, bz2.compress])
def test_content_is_opened_by_its_first_bytes(tmp_path, pack):
    path = tmp_path / "any.name"
    path.write_bytes(pack(b"A B\n"))
    with open_content(path) as file:
        assert file.read() == b"A B\n"
    assert listed(read_pairs(path)) == [("A", "B")]


@pytest.mark.parametrize(
    ("content", "options", "message"),
    [
        ("", {}, "is empty: an edge table needs"),
        ("A\nB\n", {}, r"has one column \(0\) only"),
        ("source,target\nA,B\n", {"columns": ("source", "gene")}, r"has no column \['gene'\]; it has \['source'"),
        ("A,B\n", {"columns": (0, 2)}, r"has no column \[2\]; it has \[0, 1\]"),
    ],
)
def test_tables_that_are_none(tmp_path, content, options, message):
    path = tmp_path / "edges.csv"
    path.write_text(content)
    with pytest.raises(ValueError, match=message):
        read_pairs(path, **options)
    with pytest.raises(FileNotFoundError, match="there is no file"):
        read_pairs(tmp_path / "none.csv")

"""Genes by their names: each spelling finds the gene that it is of, and no other."""

import logging

import pytest

from grnndata import find_genes

IDS = ["ENSG00000105392.8", "ENSG00000163914", "ENSG00000169031", "ENSG00000182378", "ENSMUSG00000030324", ""]
SYMBOLS = ["CRX", "RHO", "COL4A3", "", "Rho", "PINX1"]


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("ENSG00000163914", 1),
        ("ENSG00000105392", 0),  # there with a version
        ("ENSG00000105392.1", 0),  # of another release
        ("ENSG00000182378.15_PAR_Y", 3),
        ("ensg00000163914", 1),
        ("RHO", 1),
        ("Rho", 4),  # as it is written, before any case
        (" COL4A3\n", 2),
        ("\ufeffCRX", 0),
        ('"CRX"', 0),
        ("CRX(+)", 0),
        ("CRX_(-)", 0),
        ("CRX_extended (27g)", 0),
        ("crx", 0),
        ("Col4a3(+)", 2),
        ("pinx1", 5),
        ("rho", -1),  # of human and of mouse
        ("CR", -1),
        ("", -1),
        ("ENSG00000000001", -1),
        ("ENSG0000010539", -1),
    ],
)
def test_each_spelling(name, place):
    found = find_genes([name, "RHO"], IDS, SYMBOLS)
    assert found.at.tolist() == [place, 1]


def test_what_is_said_of_names(caplog):
    with caplog.at_level(logging.WARNING):
        found = find_genes(["crx", "RHO", "COL4A", "rho", "ENSG00000163914", "x" * 3000], IDS, SYMBOLS, what="factors")
    assert found.missing == ["COL4A", "rho", "x" * 3000]
    assert found.places.tolist() == [0, 1, 1]
    assert dict(found.respelled) == {"crx": "CRX"}
    assert dict(found.ambiguous) == {"rho": ["ENSG00000163914", "ENSMUSG00000030324"]}
    assert "1 factors are called otherwise there: crx is CRX" in caplog.text
    with pytest.raises(
        ValueError, match=r"3 of 6 factors are not in the data, such as \['COL4A', 'rho', 'x{37}\.\.\.'\]"
    ) as error:
        found.all_found("in the data")
    assert "'rho' is of ['ENSG00000163914', 'ENSMUSG00000030324']: name the gene by its id" in str(error.value)
    assert "near names are ['COL4A3'] for 'COL4A'" in str(error.value)
    assert len(str(error.value)) < 400


def test_names_from_elsewhere_are_added(caplog):
    found = find_genes(["OTX3", "RHO", "RHO", "nobody", "opsin"], IDS, SYMBOLS)
    with caplog.at_level(logging.WARNING):
        more = found.also({"OTX3": [0], "RHO": [2], "opsin": [1, 4]})
    assert found.at.tolist() == [-1, 1, 1, -1, -1]
    assert more.at.tolist() == [0, 1, 1, -1, -1]  # what was found stays
    assert more.missing == ["nobody", "opsin"]
    assert "'opsin' is of ['ENSG00000163914', 'ENSMUSG00000030324']" in more.hint()
    assert "OTX3 is ENSG00000105392.8" in caplog.text
    assert find_genes(["RHO"], IDS, SYMBOLS).all_found("there").tolist() == [1]


def test_two_columns_of_one_name_are_of_none():
    found = find_genes(["A", "b"], ["A", "A", "B", "b"])
    assert found.at.tolist() == [-1, 3]
    assert dict(found.ambiguous) == {"A": ["A", "A"]}


def test_a_string_is_no_list():
    with pytest.raises(
        TypeError, match=r"regulators must be a list of gene names, not the string 'CRX': pass \['CRX'\]"
    ):
        find_genes("CRX", SYMBOLS, what="regulators")

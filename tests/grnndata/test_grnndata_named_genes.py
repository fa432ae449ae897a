"""Genes by their names: each spelling finds the gene that it is of, and no other."""

import json
import logging
import re

import numpy as np
import pytest

from grnndata import find_genes, from_matrix, pl

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
    assert "1 of the factors is called otherwise there: 'crx' is 'CRX'" in caplog.text
    with pytest.raises(
        ValueError, match=r"3 of 6 factors are not in the data, such as \['COL4A', 'rho', 'x{58}…\]"
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
    assert "'OTX3' is 'ENSG00000105392.8'" in caplog.text
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


@pytest.fixture
def network():
    """Three genes named by ids, with symbols; A regulates both others."""
    grn = from_matrix(np.array([[0, 3, 1], [0, 0, 0], [0, 0, 0]], dtype=np.float32), IDS[:3])
    grn.var["symbol"] = SYMBOLS[:3]
    return grn


@pytest.mark.parametrize("name", ["ENSG00000163914.6", "RHO", "rho", "RHO(+)"])
def test_drawings_take_every_name(network, name, tmp_path):
    pytest.importorskip("matplotlib").use("Agg")
    from matplotlib import pyplot

    labels = [text.get_text() for text in pl.matrix(network, genes=[name, "CRX"]).get_yticklabels()]
    assert labels == ["CRX", "RHO"]  # the strongest first
    assert {text.get_text() for text in pl.subnetwork(network, [name]).texts} >= {"RHO"}
    page = pl.network_html(network, tmp_path / "page.html", genes=[name, "CRX"], neighbours=0, regulators=[name])
    nodes = json.loads(re.search(r'\{"directed".*\}', page.read_text())[0])["nodes"]
    assert {node["label"]: node["regulator"] for node in nodes} == {"RHO": True, "CRX": False}
    panels = pl.differential(network, network, [name, "CRX"], neighbours=0).child_axes
    assert {"RHO", "CRX"} <= {text.get_text() for text in panels[0].texts}
    bars = pl.hubs(network, 3, regulators=[name, "nobody"])
    coloured = {bar.get_facecolor() for bar in bars.patches if bar.get_y() + bar.get_height() / 2 == 1}
    assert len({bar.get_facecolor() for bar in bars.patches} - coloured) == 1  # RHO's bar alone has another colour
    pyplot.close("all")


def test_drawings_refuse_names_that_are_not_there(network, tmp_path):
    pytest.importorskip("matplotlib").use("Agg")
    for draw in (
        lambda names: pl.matrix(network, genes=names),
        lambda names: pl.subnetwork(network, names),
        lambda names: pl.network_html(network, tmp_path / "page.html", genes=names),
        lambda names: pl.differential(network, network, names),
    ):
        with pytest.raises(ValueError, match=r"1 gene is not in var_names: COL4A; near names are \['COL4A3'\]"):
            draw(["CRX", "COL4A"])
    for draw in (
        lambda names: pl.hubs(network, 3, regulators=names),
        lambda names: pl.subnetwork(network, ["CRX"], regulators=names),
        lambda names: pl.network_html(network, tmp_path / "page.html", regulators=names),
    ):
        with pytest.raises(ValueError, match=r"none of the 2 regulators is a gene of the network, such as \['COL4A'"):
            draw(["COL4A", "nobody"])

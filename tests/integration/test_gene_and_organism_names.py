"""Packages that must not know each other read ids and organisms alike."""

import pandas as pd
import pytest

import bengrn.gene_names
import grnndata
from grnndata.resources import _NAMES
from scdataloader.genes import organisms
from scdataloader.genes.identifiers import map_identifiers
from scprint_model.genes import without_version

IDS = {
    "ENSG00000141510.19": "ENSG00000141510",
    "ENSG00000141510": "ENSG00000141510",
    "ENSMUSG00000059552.15": "ENSMUSG00000059552",
    "ENSDARG00000035559.2": "ENSDARG00000035559",
    "ENST00000269305.9": "ENST00000269305",
    "Y74C9A.3": "Y74C9A.3",
    "AC004556.1": "AC004556.1",
    "ENSG123.4": "ENSG123.4",
}


def test_versions_come_off_alike():
    assert [without_version(name) for name in IDS] == list(IDS.values())
    assert [grnndata.plain_gene_name(name) for name in IDS] == list(IDS.values())
    assert bengrn.gene_names.without_version(pd.Index(IDS)).tolist() == list(IDS.values())


@pytest.mark.parametrize(
    "name",
    [
        "ENSG00000182378",
        "ENSG00000182378.15",
        "ENSG00000182378.15_PAR_Y",
        "ENSG00000182378_PAR_Y",
        "ENSGR0000182378.10",
    ],
)
def test_the_preprocessor_and_the_model_see_the_same_gene(name):
    table = pd.DataFrame({"symbol": ["PLCXD1"], "biotype": "protein_coding"}, index=pd.Index(["ENSG00000182378"]))
    assert list(map_identifiers([name], table).ids) == ["ENSG00000182378"] == [without_version(name)]
    assert grnndata.plain_gene_name(name) == "ENSG00000182378"


def test_organisms_have_the_same_names():
    assert {organisms.find(name).name for name in _NAMES} == {"human", "mouse"}
    for organism in organisms.KNOWN[:2]:
        for name in (organism.taxon, organism.name, organism.scientific, organism.taxon.lower()):
            assert grnndata.organism_name(name, "lists") == organisms.find(name).name == organism.name

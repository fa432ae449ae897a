"""Ontology look-ups and the label space."""

import numpy as np
import pandas as pd
import pytest

from scdataloader import LabelSpace, datasets
from scdataloader.ontology import LabelClass, ancestors, current_term, roll_up, term_name

NEURON, ROD, AMACRINE, MUELLER = "CL:0000540", "CL:0000604", "CL:0000561", "CL:0000636"
BIPOLAR, ON_BIPOLAR, OFF_BIPOLAR, ROD_BIPOLAR = "CL:0000748", "CL:0000749", "CL:0000750", "CL:0000751"


def test_hierarchy_and_names():
    assert NEURON in ancestors(ROD)
    assert ROD not in ancestors(ROD)
    assert term_name(ROD) == "retinal rod cell"
    assert term_name("NCBITaxon:9606") == "Homo sapiens"
    assert ancestors("NCBITaxon:9606") == frozenset()
    assert ancestors("no such term") == frozenset()


def test_roll_up_takes_the_first_match():
    assert roll_up([ROD, MUELLER, "unknown"], [NEURON, "CL:0000125"]) == [NEURON, "CL:0000125", None]


def test_obsolete_terms_are_replaced():
    from cellxgene_ontology_guide.ontology_parser import OntologyParser

    parser = OntologyParser()
    terms = [f"CL:{i:07d}" for i in range(0, 3000)]
    old = next(
        t
        for t in terms
        if parser.is_valid_term_id(t) and parser.is_term_deprecated(t) and parser.get_term_replacement(t)
    )
    new = parser.get_term_replacement(old)
    assert current_term(old) == new
    assert (
        LabelClass.from_terms([old, ROD]).encode([old]).tolist()
        == LabelClass.from_terms([new, ROD]).encode([new]).tolist()
    )


def test_leaves_and_parents_by_hand():
    labels = LabelClass.from_terms([ROD, NEURON, MUELLER, "unknown", AMACRINE])
    assert labels.leaves == (AMACRINE, ROD, MUELLER)
    assert labels.parents == (NEURON,)
    assert labels.descendants.tolist() == [[True, True, False]]
    assert labels.encode([ROD, NEURON, "unknown", "na", "CL:0000001", np.nan]).tolist() == [1, 3, -1, -1, -1, -1]
    assert labels.decode([1, 3, -1]) == [ROD, NEURON, "unknown"]


def test_order_of_the_corpus_does_not_matter():
    terms = datasets.retina_1k().obs["cell_type_ontology_term_id"].unique().tolist()
    one, other = LabelClass.from_terms(terms), LabelClass.from_terms(reversed(terms))
    assert one.leaves == other.leaves
    assert (one.descendants == other.descendants).all()


def test_space_of_a_corpus_round_trips(tmp_path):
    obs = datasets.retina_1k().obs
    more = pd.DataFrame(
        {"cell_type_ontology_term_id": ["CL:0000236", BIPOLAR], "assay_ontology_term_id": ["EFO:0009899"] * 2}
    )
    space = LabelSpace.from_obs([obs, more], ["cell_type", "assay"])
    # ten of the retina's eleven types and B cell; the ON-bipolar cell has the rod bipolar cell below it
    assert space.sizes == {"cell_type": 11, "assay": 2}
    labels = space.classes["cell_type"]
    assert labels.parents == (BIPOLAR, ON_BIPOLAR)
    below = [set(np.array(labels.leaves)[row]) for row in labels.descendants]
    assert below == [{ROD_BIPOLAR, OFF_BIPOLAR}, {ROD_BIPOLAR}]
    codes = space.encode(more)
    assert codes.shape == (2, 2)
    assert codes[1, 0] == 11
    assert space.encode(more[["assay_ontology_term_id"]])[:, 0].tolist() == [-1, -1]
    space.save(tmp_path / "labels.json")
    again = LabelSpace.load(tmp_path / "labels.json")
    assert (again.encode(obs) == space.encode(obs)).all()
    assert again.classes["cell_type"].names[ROD] == "retinal rod cell"
    assert (again.classes["cell_type"].descendants == space.classes["cell_type"].descendants).all()


def test_a_class_without_choice_is_refused():
    with pytest.raises(ValueError, match=r"class 'organism' has 1 leaf label\(s\).*leave the class out or add data"):
        LabelSpace.from_obs([datasets.retina_1k().obs], ["cell_type", "organism"])

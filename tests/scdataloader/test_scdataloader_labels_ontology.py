"""Ontology look-ups: what lies above a term, what replaced it, and which term a label means."""

import pytest
from cellxgene_ontology_guide.ontology_parser import OntologyParser
from cellxgene_ontology_guide.supported_versions import CXGSchema
from hypothesis import given
from hypothesis import strategies as st

from scdataloader.labels.ontology import (
    CLASS_SCOPES,
    ancestors,
    current_term,
    find_term,
    is_obsolete,
    is_unknown,
    match_terms,
    name_scope,
    nearest_terms,
    ontology_of,
    roll_up,
    standard_label,
    term_name,
)

NEURON, ROD, MUELLER = "CL:0000540", "CL:0000604", "CL:0000636"
HUMAN, MOUSE = "NCBITaxon:9606", "NCBITaxon:10090"


def test_hierarchy_and_names():
    assert NEURON in ancestors(ROD)
    assert ROD not in ancestors(ROD)
    assert term_name(ROD) == "retinal rod cell"
    assert term_name(HUMAN) == "Homo sapiens"
    assert ancestors(HUMAN) == frozenset()
    assert ancestors("no such term") == frozenset()
    assert term_name("no such term") == "no such term"


@pytest.mark.parametrize(
    ("below", "above"),
    [
        ("MONDO:0005061", "MONDO:0004992"),  # lung adenocarcinoma, cancer
        ("EFO:0009899", "EFO:0030003"),  # 10x 3' v2, 10x 3' transcription profiling
        ("UBERON:0002037", "UBERON:0000955"),  # cerebellum, brain
        ("HANCESTRO:0009", "HANCESTRO:0008"),  # East Asian, Asian
        ("HsapDv:0000149", "HsapDv:0000258"),  # 55 years old, mature
        ("MmusDv:0000155", "MmusDv:0000001"),  # nine weeks old, life cycle
        ("PATO:0000384", "PATO:0001894"),  # male, phenotypic sex
    ],
)
def test_each_ontology_has_its_hierarchy(below, above):
    assert above in ancestors(below)
    assert below not in ancestors(above)


def climb(parser, term):
    """All terms above, by walking over direct parents: slow and obvious."""
    found = set()
    for parent in parser.get_term_parents(term):
        found |= {parent} | climb(parser, parent)
    return found


@pytest.mark.parametrize(
    "term", [ROD, "CL:0000895", "MONDO:0005061", "UBERON:0001898", "HANCESTRO:0568", "HsapDv:0000149"]
)
def test_ancestors_are_what_a_walk_over_parents_finds(term):
    assert ancestors(term) == climb(OntologyParser(), term)


def test_ancestors_reach_over_terms_of_other_ontologies():
    # between RNA assay and planned process, EFO has terms of OBI, which the package leaves out: a walk ends there
    walked = climb(OntologyParser(), "EFO:0030059")
    assert ancestors("EFO:0030059") - walked == {"EFO:0004542", "EFO:0002694", "EFO:0000001"}
    assert walked < ancestors("EFO:0030059")


def test_roll_up_takes_the_first_match():
    assert roll_up([ROD, MUELLER, "unknown"], [NEURON, "CL:0000125"]) == [NEURON, "CL:0000125", None]


def test_chains_of_obsolete_terms_are_followed_to_the_end():
    parser = OntologyParser()
    chain = ["MONDO:0000017", "MONDO:0011791", "MONDO:0019588"]
    assert [parser.get_term_replacement(term) for term in chain] == [*chain[1:], None]
    assert [current_term(term) for term in chain] == [chain[-1]] * 3
    assert [is_obsolete(term) for term in chain] == [True, True, False]


@pytest.mark.parametrize(
    "term",
    [
        "CL:0000274",  # its chain ends in the plant ontology
        "EFO:0000099",  # replaced by itself
        "HANCESTRO:0033",  # replaced by "the:Caribbean"
        ROD,  # not obsolete
        "CL:9999999",
        "unknown",
    ],
)
def test_terms_without_a_known_successor_stay(term):
    assert current_term(term) == term


def test_terms_to_consider_are_no_replacement():
    entries = CXGSchema().ontology("UBERON")
    doubtful = [t for t, e in entries.items() if e.get("consider") and e["deprecated"] and not e.get("replaced_by")]
    assert len(doubtful) > 100
    assert [current_term(t) for t in doubtful] == doubtful


@pytest.mark.parametrize(
    ("label", "name", "term"),
    [
        ("CL:0000084", "cell_type", "CL:0000084"),
        (" t CELL ", "cell_type", "CL:0000084"),
        ("T lymphocyte", "cell_type", "CL:0000084"),  # synonym
        ("native cell", "cell_type", "CL:0000000"),  # the name of a replaced term
        ("CD4-positive, alpha-beta T cell", "cell_type", "CL:0000624"),
        ("FBbt:00005106", "cell_type", "FBbt:00005106"),  # a fly's neuron, known by its id
        ("neuron", "cell_type", NEURON),
        ("normal", "disease", "PATO:0000461"),
        ("Male", "sex", "PATO:0000384"),
        ("nuc-seq", "assay", "EFO:0008835"),  # the exact name goes before another case
        ("Nuc-Seq", "assay", "EFO:0009991"),
        ("human", "organism", HUMAN),
        ("mus musculus", "organism", MOUSE),
        ("NCBITaxon:1", "organism", "NCBITaxon:1"),
        ("epithelial cell", "tissue", "CL:0000066"),  # of a culture
    ],
)
def test_labels_are_ids_names_or_synonyms(label, name, term):
    assert find_term(label, CLASS_SCOPES[name]) == term


@pytest.mark.parametrize(
    ("label", "name", "problem"),
    [
        ("Caucasian", "self_reported_ethnicity", r"fits European ancestry \(HANCESTRO:0005\) and European American"),
        ("NUC-SEQ", "assay", r"fits nuc-seq \(EFO:0008835\) and Nuc-Seq \(EFO:0009991\): give the id"),
        ("extravillous trophoblast", "tissue", "fits .*CL:0008036.* and .*UBERON:0000426"),
        ("fetal stage", "development_stage", "fits .*HsapDv:0000037.* and .*MmusDv:0000031"),
        ("T cells", "cell_type", r"no term or name of CL; nearest: T cell \(CL:0000084\)"),
        ("CL:540", "cell_type", r"no term.*nearest: neuron \(CL:0000540\)"),
        ("CL_0000604", "cell_type", r"nearest: retinal rod cell \(CL:0000604\)"),
        ("CL:0009604", "cell_type", r"nearest: .*retinal rod cell"),
        ("UBERON:0000955", "cell_type", "is 'brain' of UBERON, which is not under CL, "),
        ("PATO:0000384", "disease", "is 'male' of PATO, which is not under MONDO, PATO:0000461"),
        ("Alzeimer diseas", "disease", r"nearest: Alzheimer disease \(MONDO:0004975\)"),
        ("humen", "organism", r"nearest: Homo sapiens \(NCBITaxon:9606\)"),
        ("qqqqqqqqqqqqq", "cell_type", r"^'q+' is no term or name of CL$"),
    ],
)
def test_labels_that_are_not_one_term_are_refused_with_the_nearest(label, name, problem):
    with pytest.raises(ValueError, match=problem):
        find_term(label, CLASS_SCOPES[name])


def test_nearest_terms_are_in_scope_and_at_most_n():
    assert nearest_terms("T cells", ("CL",), 1) == ("CL:0000084",)
    assert nearest_terms("mal", CLASS_SCOPES["sex"], 2)[0] == "PATO:0000384"
    assert nearest_terms("PATO:0000383x", ("PATO:0001894",)) == ()


def test_stages_of_man_and_mouse_are_told_apart_by_the_organism():
    scope = CLASS_SCOPES["development_stage"]
    assert name_scope(scope, frozenset({HUMAN})) == ("HsapDv",)
    assert match_terms("fetal stage", scope, name_scope(scope, frozenset({MOUSE}))) == ["MmusDv:0000031"]
    for organisms in ({HUMAN, "unknown"}, {HUMAN, "NCBITaxon:7955"}, set()):
        assert name_scope(scope, frozenset(organisms)) == ("HsapDv", "MmusDv", "UBERON")


@pytest.mark.parametrize("label", [None, float("nan"), "", " Unknown", "NA", "n/a", "None", "multiethnic", "<NA>"])
def test_ways_to_say_unknown(label):
    assert is_unknown(label)
    assert standard_label(str(label), CLASS_SCOPES["cell_type"]) == ("unknown", "")
    assert standard_label(str(label), ()) == ("unknown", "")


ETHNICITY = CLASS_SCOPES["self_reported_ethnicity"]


@pytest.mark.parametrize(
    ("label", "scope", "standard"),
    [
        ("HANCESTRO:0014,HANCESTRO:0005", ETHNICITY, "HANCESTRO:0005,HANCESTRO:0014"),
        ("HANCESTRO:0005 || HANCESTRO:0014", ETHNICITY, "HANCESTRO:0005,HANCESTRO:0014"),
        ("european ancestry || African American", ETHNICITY, "HANCESTRO:0005,HANCESTRO:0568"),
        ("European, African American", ETHNICITY, "HANCESTRO:0005,HANCESTRO:0568"),
        ("HANCESTRO:0005,HANCESTRO:0005", ETHNICITY, "HANCESTRO:0005"),
        ("HANCESTRO:0008,HANCESTRO:0009", ETHNICITY, "HANCESTRO:0009"),  # East Asian is Asian
        ("HANCESTRO:0005,unknown", ETHNICITY, "unknown"),
        ("HANCESTRO:0005,HANCESTRO:0014", None, "HANCESTRO:0005,HANCESTRO:0014"),
        ("mine, yours", None, "mine, yours"),
        ("a,b", (), "a,b"),
        (" a ", (), " a "),
        ("MONDO:0000017 || PATO:0000461", CLASS_SCOPES["disease"], "MONDO:0019588,PATO:0000461"),
        ("dendritic cell, human", ("CL",), "CL:0001056"),  # one name with a comma, not two
    ],
)
def test_standard_labels(label, scope, standard):
    assert standard_label(label, scope) == (standard, "")


def test_of_several_terms_each_must_be_known():
    assert standard_label("HANCESTRO:0005,HANCESTRO:0999x", ETHNICITY)[0] == "unknown"
    assert "'HANCESTRO:0999x' is no term" in standard_label("HANCESTRO:0005,HANCESTRO:0999x", ETHNICITY)[1]
    # where the parts are no names either, the label is named whole
    assert "'T cell, angry' is no term" in standard_label("T cell, angry", ("CL",), suggest=False)[1]


def test_the_table_of_taxa_is_never_read(monkeypatch):
    read = CXGSchema.ontology

    def refuse(self, name):
        assert name != "NCBITaxon"
        return read(self, name)

    monkeypatch.setattr(CXGSchema, "ontology", refuse)
    scope = CLASS_SCOPES["organism"]
    for label in ("human", "martian", "NCBITaxon:7", "NCBITaxon:9606", "NCBITaxon:x"):
        standard_label(label, scope)
        current_term(label), ancestors(label), is_obsolete(label), ontology_of(label), term_name(label)


CL = {t: e for t, e in CXGSchema().ontology("CL").items() if not e["deprecated"]}


@given(st.sampled_from(sorted(CL)))
def test_every_name_finds_its_term(term):
    assert match_terms(term_name(term), ("CL",)) == [term]
    assert match_terms(term_name(term).upper(), ("CL",)) == [term]
    assert standard_label(term, ("CL",)) == (term, "")

"""Label classes and label spaces: leaves and coarser labels, codes, files, and labels that are not understood."""

import json
import os
import subprocess
import sys
from importlib.resources import files

import numpy as np
import pandas as pd
import pytest
from cellxgene_ontology_guide.ontology_parser import OntologyParser
from cellxgene_ontology_guide.supported_versions import CXGSchema
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from scdataloader import LabelSpace, datasets
from scdataloader.labels import CLASSES, LabelClass, check_labels, label_column
from scdataloader.labels import label_class as spaces

NEURON, ROD, AMACRINE, MUELLER = "CL:0000540", "CL:0000604", "CL:0000561", "CL:0000636"
BIPOLAR, ON_BIPOLAR, OFF_BIPOLAR, ROD_BIPOLAR = "CL:0000748", "CL:0000749", "CL:0000750", "CL:0000751"
EUROPEAN, LATIN, EAST_ASIAN, ASIAN, CHINESE = (f"HANCESTRO:{n}" for n in ("0005", "0014", "0009", "0008", "0021"))
ID = "_ontology_term_id"
TERMS = {
    name: sorted(t for t, e in CXGSchema().ontology(name).items() if not e["deprecated"])
    for name in ("CL", "HANCESTRO", "HsapDv")
}


def table(name, values):
    return pd.DataFrame({name: values})


def below(labels):
    """Leaves under each coarser label."""
    return {
        parent: [labels.leaves[i] for i in np.flatnonzero(row)]
        for parent, row in zip(labels.parents, labels.descendants.toarray(), strict=True)
    }


def test_leaves_and_parents_by_hand():
    labels = LabelClass.from_terms([ROD, NEURON, MUELLER, "unknown", AMACRINE])
    assert labels.leaves == (AMACRINE, ROD, MUELLER)
    assert labels.parents == (NEURON,)
    assert isinstance(labels.descendants, sparse.csr_array)
    assert labels.descendants.dtype == bool
    assert labels.descendants.toarray().tolist() == [[True, True, False]]
    assert labels.encode([ROD, NEURON, "unknown", "na", "CL:0000001", np.nan, None]).tolist() == [1, 3, *[-1] * 5]
    assert labels.decode([1, 3, -1]) == [ROD, NEURON, "unknown"]


def slow_class(terms):
    """Leaves, coarser labels, and pairs of both, by walking from each term over its parents' parents."""
    parser = OntologyParser()

    def climb(term):
        return set().union(*({p} | climb(p) for p in parser.get_term_parents(term)))

    above = {term: climb(term) for term in terms}
    parents = sorted(t for t in terms if any(t in others for others in above.values()))
    leaves = sorted(set(terms) - set(parents))
    return leaves, parents, {(p, leaf) for p in parents for leaf in leaves if p in above[leaf]}


@given(st.sampled_from(sorted(TERMS)).flatmap(lambda o: st.lists(st.sampled_from(TERMS[o]), min_size=1, max_size=25)))
def test_split_agrees_with_a_slow_walk(terms):
    fast = LabelClass.from_terms(terms)
    leaves, parents, pairs = slow_class(set(terms))
    assert (list(fast.leaves), list(fast.parents)) == (leaves, parents)
    assert {(p, leaf) for p, under in below(fast).items() for leaf in under} == pairs


@given(st.lists(st.sampled_from(TERMS["CL"]), min_size=1, max_size=12, unique=True), st.data())
def test_codes_decode_to_their_labels(terms, data):
    labels = LabelClass.from_terms(terms, ("CL",))
    cells = data.draw(st.lists(st.sampled_from([*terms, "unknown"]), max_size=30))
    codes = labels.encode(cells)
    assert codes.dtype == np.int64
    assert labels.decode(codes) == cells
    assert (labels.encode(pd.Series(pd.Categorical(cells, categories=[*terms, "unknown", "unused"]))) == codes).all()
    by_name = [labels.names.get(term, term).upper() for term in cells]
    assert (labels.encode(by_name) == codes).all()
    assert labels.encode(labels.decode(range(len(terms)))).tolist() == list(range(len(terms)))


def test_obsolete_terms_are_replaced():
    old, new, other = "MONDO:0000017", "MONDO:0019588", "MONDO:0004992"
    assert LabelClass.from_terms([old, other]).leaves == tuple(sorted([new, other]))
    both = LabelClass.from_terms([old, new, other])
    assert both.leaves == tuple(sorted([new, other]))
    assert both.encode([old]).tolist() == both.encode([new]).tolist() == [both.leaves.index(new)]


def test_a_saved_space_knows_the_successors_of_its_terms():
    old, new = "MONDO:0000017", "MONDO:0019588"
    saved = LabelClass((old, "MONDO:0004992"), (), sparse.csr_array((0, 2), dtype=bool), {}, ("MONDO",))
    assert saved.encode([old, new, "Alzheimer disease"]).tolist() == [0, 0, -1]


def test_order_of_the_corpus_does_not_matter():
    obs = datasets.retina_1k().obs
    more = table("cell_type", ["B cell", "bipolar neuron", "CL:0000084"])
    one, other = (LabelSpace.from_obs(tables, ["cell_type"]) for tables in ([obs, more], [more.iloc[::-1], obs]))
    assert one.classes["cell_type"].codes == other.classes["cell_type"].codes
    assert below(one.classes["cell_type"]) == below(other.classes["cell_type"])


SCRIPT = """
import sys
import pandas as pd
from scdataloader import LabelSpace
from scdataloader.labels.tree import label_counts, tree_text
terms = ["CL:0000540", "CL:0000604", "CL:0000561", "CL:0000393", "CL:0000404", "CL:0000636", "CL:0000748", "B cell"]
groups = ["HANCESTRO:0005", "HANCESTRO:0014", "HANCESTRO:0009", "HANCESTRO:0008", "HANCESTRO:0005,HANCESTRO:0014"]
groups += ["HANCESTRO:0014 || HANCESTRO:0009", "HANCESTRO:0568", "odd"]
obs = pd.DataFrame({"cell_type": terms, "self_reported_ethnicity": groups, "batch": list("hgfedcba")})
space = LabelSpace.from_obs([obs], list(obs))
space.save(sys.argv[1])
for name, labels in space.classes.items():
    print(tree_text(labels, label_counts([obs], name, labels)))
print(space.encode(obs).tolist())
"""


@pytest.mark.slow
def test_nothing_depends_on_the_hash_seed(tmp_path):
    outputs = []
    for seed in ("1", "2"):
        path = tmp_path / f"{seed}.json"
        run = subprocess.run(
            [sys.executable, "-c", SCRIPT, str(path)],
            env=os.environ | {"PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        )
        outputs.append((path.read_bytes(), run.stdout, run.stderr))
    assert outputs[0] == outputs[1]
    assert "HANCESTRO:0005,HANCESTRO:0014" in outputs[0][1]


def test_space_of_a_corpus_round_trips(tmp_path):
    obs = datasets.retina_1k().obs
    more = table("cell_type" + ID, ["CL:0000236", BIPOLAR]).assign(assay_ontology_term_id=["EFO:0009899"] * 2)
    space = LabelSpace.from_obs([obs, more], ["cell_type", "assay"])
    # ten of the retina's eleven types and B cell; the ON-bipolar cell has the rod bipolar cell below it
    assert space.sizes == {"cell_type": 11, "assay": 2}
    assert below(space.classes["cell_type"]) == {BIPOLAR: [OFF_BIPOLAR, ROD_BIPOLAR], ON_BIPOLAR: [ROD_BIPOLAR]}
    codes = space.encode(more)
    assert codes.shape == (2, 2)
    assert codes[1, 0] == 11
    assert space.encode(more[["assay" + ID]])[:, 0].tolist() == [-1, -1]
    space.save(tmp_path / "labels.json")
    again = LabelSpace.load(tmp_path / "labels.json")
    assert (again.encode(obs) == space.encode(obs)).all()
    for name, made in space.classes.items():
        loaded = again.classes[name]
        assert (loaded.leaves, loaded.parents, loaded.names) == (made.leaves, made.parents, made.names)
        assert loaded.scope == made.scope
        assert (loaded.descendants.toarray() == made.descendants.toarray()).all()
    again.save(tmp_path / "again.json")
    assert (tmp_path / "again.json").read_bytes() == (tmp_path / "labels.json").read_bytes()


def test_files_of_before_are_read_with_the_same_codes(tmp_path):
    old = {
        "cell_type": {"leaves": [ROD, AMACRINE], "parents": {NEURON: [0, 1], "CL:0000000": []}, "names": {ROD: "rod"}},
        "mine": {"leaves": ["x", "y"], "parents": {}, "names": {}},
    }
    (tmp_path / "old.json").write_text(json.dumps(old))
    space = LabelSpace.load(tmp_path / "old.json")
    assert list(space.classes) == ["cell_type", "mine"]
    assert below(space.classes["cell_type"]) == {NEURON: [ROD, AMACRINE], "CL:0000000": []}
    assert space.classes["cell_type"].encode([AMACRINE, ROD, NEURON, "neuron"]).tolist() == [1, 0, 2, 2]
    assert space.classes["mine"].encode(["y", "x", "z"]).tolist() == [1, 0, -1]


def test_labels_of_the_bundled_model_keep_their_codes():
    path = files("scprint_model") / "pretrained" / "bundled" / "labels.json"
    content = json.loads(path.read_text(encoding="utf-8"))["classes"]
    space = LabelSpace.load(str(path))
    assert list(space.classes) == list(content)
    own = 0
    for name, entry in content.items():
        labels = space.classes[name]
        codes = {term: i for i, term in enumerate([*entry["leaves"], *entry["parents"]])}  # as a parent, if it is both
        assert labels.encode(list(codes)).tolist() == list(codes.values())
        rows = {p: [labels.leaves.index(leaf) for leaf in under] for p, under in below(labels).items()}
        assert rows == entry["parents"]
        own += sum(entry["leaves"].index(parent) in rows[parent] for parent in rows if parent in entry["leaves"])
    assert own > 20  # labels with cells of their own and others below them


def test_several_terms_are_a_coarser_label_of_them():
    obs = table("self_reported_ethnicity" + ID, [EUROPEAN, LATIN, EAST_ASIAN, f"{LATIN},{EUROPEAN}"])
    labels = LabelSpace.from_obs([obs], ["self_reported_ethnicity"]).classes["self_reported_ethnicity"]
    both = f"{EUROPEAN},{LATIN}"
    assert labels.leaves == (EUROPEAN, EAST_ASIAN, LATIN)
    assert below(labels) == {both: [EUROPEAN, LATIN]}
    assert labels.names[both] == "European ancestry + Latin or Admixed American ancestry"
    # as CELLxGENE wrote it until schema 5, and since; in any order; as names
    written = [f"{LATIN} || {EUROPEAN}", f"{EUROPEAN}, {LATIN}", "European || Latin or Admixed American"]
    assert labels.encode(written).tolist() == [3, 3, 3]
    assert labels.encode([f"{EUROPEAN},{EAST_ASIAN}"]).tolist() == [-1]


def test_several_terms_of_which_one_is_coarser_or_absent():
    one = LabelClass.from_terms(
        [EUROPEAN, EAST_ASIAN, CHINESE, LATIN, f"{EUROPEAN},{ASIAN}", f"{EUROPEAN},{EAST_ASIAN}"]
    )
    # Asian itself is no label of the corpus, but Chinese lies below it
    assert below(one) == {EAST_ASIAN: [CHINESE]} | {
        f"{EUROPEAN},{ASIAN}": [EUROPEAN, CHINESE],
        f"{EUROPEAN},{EAST_ASIAN}": [EUROPEAN, CHINESE],
    }
    # nobody is of Latin ancestry alone: a model cannot say so
    other = LabelClass.from_terms([EUROPEAN, EAST_ASIAN, f"{EUROPEAN},{LATIN}"])
    assert (other.leaves, other.parents) == ((EUROPEAN, EAST_ASIAN), ())
    assert other.encode([f"{EUROPEAN},{LATIN}"]).tolist() == [-1]


def test_names_count_as_the_terms_they_stand_for():
    ids = table("cell_type" + ID, [ROD, MUELLER])
    names = table("cell_type", ["Retinal Rod Cell", "nerve cell", "unknown"])
    space = LabelSpace.from_obs([ids, names], ["cell_type"])
    assert space.classes["cell_type"].codes == {ROD: 0, MUELLER: 1, NEURON: 2}
    assert space.encode(names)[:, 0].tolist() == [0, 2, -1]
    # ids are preferred to names
    assert space.encode(ids.assign(cell_type="nerve cell"))[:, 0].tolist() == [0, 1]


def test_classes_that_are_not_of_an_ontology_are_flat():
    obs = pd.DataFrame(
        {
            "batch": ["b2", "b10", "b2", None, "a,b"],
            "plate": [3, 1, 3, 1, 1],
            "cell_type": pd.Categorical(["rods", "cones", "rods", "unknown", "CL:0000540"]),
            "donor_id": ["CL:0000540", "CL:0000604", "x", "x", "NA"],
        }
    )
    space = LabelSpace.from_obs([obs], list(obs), flat=["cell_type"])
    assert space.sizes == {"batch": 3, "plate": 2, "cell_type": 3, "donor_id": 3}
    assert all(not labels.parents and labels.scope == () for labels in space.classes.values())
    assert space.classes["batch"].leaves == ("a,b", "b10", "b2")
    assert space.classes["donor_id"].names["CL:0000540"] == "CL:0000540"
    assert space.encode(obs).tolist() == [[2, 1, 2, 0], [1, 0, 1, 1], [2, 1, 2, 2], [-1, 0, -1, 2], [0, 0, 0, -1]]
    assert len(space.not_found(obs)) == 0


def test_own_columns_of_ids_have_the_hierarchy():
    obs = table("predicted" + ID, [ROD, NEURON, "MONDO:0000017", "my own", "other"])
    labels = LabelSpace.from_obs([obs], ["predicted"]).classes["predicted"]
    assert labels.leaves == (ROD, "MONDO:0019588", "my own", "other")
    assert below(labels) == {NEURON: [ROD]}


def test_stages_are_named_for_the_organism_of_the_table():
    human = pd.DataFrame({"development_stage": ["fetal stage"], "organism": ["human"]})
    mouse = pd.DataFrame({"development_stage": ["fetal stage"], "organism_ontology_term_id": ["NCBITaxon:10090"]})
    space = LabelSpace.from_obs([human, mouse], ["development_stage"])
    assert space.classes["development_stage"].leaves == ("HsapDv:0000037", "MmusDv:0000031")
    assert [int(space.encode(obs)[0, 0]) for obs in (human, mouse, human)] == [0, 1, 0]
    unsaid = human.drop(columns="organism")
    assert space.encode(unsaid).tolist() == [[-1]]
    assert "fits fetal stage (HsapDv:0000037) and" in space.not_found(unsaid)["problem"].tolist()[0]


ODD = ["T cells"] * 3 + ["UBERON:0000955"] + ["B cell", ROD, "unknown"] + ["CL:9999999"] * 2


def test_labels_that_are_not_understood_are_logged_and_unknown(caplog):
    obs = table("cell_type", ODD)
    space = LabelSpace.from_obs([obs], ["cell_type"])
    assert space.classes["cell_type"].leaves == ("CL:0000236", ROD)
    assert space.encode(obs)[:, 0].tolist() == [-1, -1, -1, -1, 0, 1, -1, -1, -1]
    assert "3 labels of 6 cells are not understood: 3 cells: 'T cells' is no term" in caplog.text
    assert "nearest: T cell (CL:0000084)" in caplog.text


def test_strict_refuses_them():
    with pytest.raises(ValueError, match=r"3 labels of 6 cells .*nearest: T cell \(CL:0000084\).*is 'brain' of UBERON"):
        LabelSpace.from_obs([table("cell_type", ODD)], ["cell_type"], strict=True)


def test_check_lists_them_commonest_first():
    tables = [table("cell_type", ODD), table("cell_type" + ID, ["CL:9999999"] * 2), table("tissue", ["brain"])]
    found = check_labels(tables, ["cell_type", "tissue"])
    assert found[["class", "label", "n_cells"]].to_numpy().tolist() == [
        ["cell_type", "CL:9999999", 4],
        ["cell_type", "T cells", 3],
        ["cell_type", "UBERON:0000955", 1],
    ]
    assert found["n_cells"].dtype == np.int64
    assert len(check_labels(tables[2:], ["tissue"])) == 0


def test_labels_outside_the_space_can_be_listed_or_refused():
    space = LabelSpace.from_obs([table("cell_type", ["B cell", "T cell"])], ["cell_type"])
    obs = table("cell_type", ["B cell", "na", "neuron", "neuron", "T cells"])
    missing = space.not_found(obs)
    assert missing[["label", "n_cells"]].to_numpy().tolist() == [["neuron", 2], ["T cells", 1]]
    assert missing["problem"].tolist()[0] == "not in the label space"
    assert "nearest: T cell" in missing["problem"].tolist()[1]
    assert space.encode(obs)[:, 0].tolist() == [1, -1, -1, -1, -1]
    with pytest.raises(ValueError, match=r"2 labels .* 'neuron' of 2 cells: not in the label space; .*'T cells' of 1"):
        space.encode(obs, strict=True)
    good = obs.head(2)
    assert (space.encode(good, strict=True) == space.encode(good)).all()
    assert len(space.not_found(table("tissue", ["brain"]))) == 0


def test_obsolete_terms_without_successor_are_told(caplog):
    obs = table("self_reported_ethnicity" + ID, ["HANCESTRO:0033", EUROPEAN])
    space = LabelSpace.from_obs([obs], ["self_reported_ethnicity"])
    assert space.sizes == {"self_reported_ethnicity": 2}
    assert "obsolete Latin America and the Caribbean (HANCESTRO:0033) is obsolete, without a known" in caplog.text


def test_wrong_columns_are_named_with_the_nearest():
    obs = pd.DataFrame({"celltype" + ID: [ROD], "tissue": ["retina"]})
    with pytest.raises(ValueError, match=r"class 'cell_type'; did you mean 'celltype'\? They have \['celltype_onto"):
        LabelSpace.from_obs([obs], ["cell_type"])
    with pytest.raises(ValueError, match="none of 1 tables has a column 'batch_ontology_term_id' or 'batch'"):
        check_labels([obs], ["batch"])


def test_a_class_without_choice_is_refused():
    obs = datasets.retina_1k().obs
    with pytest.raises(ValueError, match=r"class 'organism' has 1 leaf label\(s\).*leave the class out or add data"):
        LabelSpace.from_obs([obs], ["cell_type", "organism"])
    assert LabelSpace.from_obs([obs], ["organism"], min_leaves=1).sizes == {"organism": 1}


def test_label_column_prefers_ids():
    assert label_column(["cell_type", "cell_type" + ID], "cell_type") == "cell_type" + ID
    assert label_column(["cell_type"], "cell_type") == "cell_type"
    assert label_column(["cell_types"], "cell_type") is None
    assert "cell_type" in CLASSES


@pytest.mark.parametrize("kind", ["category", object, "str"])
def test_labels_are_looked_up_once_each_not_once_a_cell(kind, monkeypatch):
    space = LabelSpace.from_obs([table("cell_type", ["B cell", "T cell", "neuron"])], ["cell_type"])
    asked = []
    look_up = spaces.standard_label
    monkeypatch.setattr(spaces, "standard_label", lambda label, *a, **k: asked.append(label) or look_up(label, *a, **k))
    cells = ["T lymphocyte", "B cell", "nerve cell", "what", None] * 20_000
    obs = table("cell_type", pd.Series(cells, dtype=kind))
    codes = space.encode(obs)[:, 0]
    assert codes.tolist() == [0, 1, 2, -1, -1] * 20_000
    assert sorted(asked) == ["B cell", "T lymphocyte", "nerve cell", "what"]
    space.encode(obs)
    assert len(asked) == 4


def test_labels_of_the_public_data_sets(shared):
    named = pd.read_csv(shared / "data" / "expression" / "labels.tsv", sep="\t", keep_default_na=False)
    named = named[["cell_type" + ID, "cell_type"]]
    space = LabelSpace.from_obs([named], ["cell_type"], strict=True)
    # each name stands for its id
    by_id, by_name = space.encode(named[["cell_type" + ID]]), space.encode(named[["cell_type"]], strict=True)
    assert (by_id == by_name).all()
    assert (by_id[named["cell_type"] == "unknown"] == -1).all()
    assert (by_id[named["cell_type"] != "unknown"] >= 0).all()


def test_every_label_with_cells_can_be_an_output_of_its_own(tmp_path):
    """Macrophages are taught as macrophages or any kind of them, not as the one kind that the corpus has."""
    macrophage, microglia, b_cell, both = "CL:0000235", "CL:0000129", "CL:0000236", "CL:0000235,CL:0000236"
    labels = LabelClass.from_terms([macrophage, microglia, b_cell, both], ("CL",), own_outputs=True)
    assert labels.leaves == (microglia, macrophage, b_cell)
    assert labels.parents == (macrophage, both)
    np.testing.assert_array_equal(labels.descendants.toarray(), [[True, True, False], [True, True, True]])
    np.testing.assert_array_equal(labels.own_outputs, [1, -1])
    np.testing.assert_array_equal(labels.encode([macrophage, microglia, b_cell, both, "x"]), [3, 0, 2, 4, -1])
    assert labels.decode([1, 3]) == [macrophage, macrophage]
    outputs = labels.outputs(np.array([3, 0, 2, 4, -1]))
    np.testing.assert_array_equal(outputs, [1, 0, 2, -1, -1])  # no output says "one of the two"
    np.testing.assert_array_equal(labels.said(outputs[:3]), [3, 0, 2])
    space = LabelSpace({"cell_type": labels})
    assert (space.format, space.sizes) == (2, {"cell_type": 3})
    space.save(tmp_path / "labels.json")
    again = LabelSpace.load(tmp_path / "labels.json")
    assert again.classes["cell_type"].codes == labels.codes
    np.testing.assert_array_equal(again.classes["cell_type"].own_outputs, [1, -1])
    (tmp_path / "labels.json").write_text('{"format": 3, "classes": {}}', encoding="utf-8")
    with pytest.raises(ValueError, match="format 3, this version reads up to 2: upgrade"):
        LabelSpace.load(tmp_path / "labels.json")


def test_outputs_that_are_leaves_alone_are_saved_as_ever(tmp_path):
    space = LabelSpace({"cell_type": LabelClass.from_terms(["CL:0000235", "CL:0000129", "CL:0000236"], ("CL",))})
    assert (space.format, space.sizes) == (1, {"cell_type": 2})
    space.save(tmp_path / "labels.json")
    assert list(json.loads((tmp_path / "labels.json").read_text(encoding="utf-8"))) == ["cell_type"]
    np.testing.assert_array_equal(space.classes["cell_type"].own_outputs, [-1])

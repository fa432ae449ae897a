"""Labels of cells: hand-worked cases, and scores of scikit-learn."""

import copy
import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from anndata import AnnData
from scipy.special import expit
from sklearn.metrics import accuracy_score, f1_score

from scdataloader import LabelSpace
from scdataloader.labels import LabelClass
from scdataloader.labels.ontology import term_name
from scprint_model import ModelConfig, ScPrint
from scprint_model.checkpoints.folder import load_folder, save_folder
from scprint_model.checkpoints.label_confidence import COVERAGES, LabelConfidence
from scprint_model.intervals import share_interval
from scprint_model.losses.hierarchical import hierarchical_loss
from scprint_model.tasks import EncodedCells, annotate, calibration
from scprint_model.tasks.calibration_error import calibration_error
from scprint_model.tasks.coarsen import OTHER, coarse_labels

CD4, CD8, B_CELL, HEPATOCYTE = "CL:0000624", "CL:0000625", "CL:0000236", "CL:0000182"
T_CELL, LYMPHOCYTE, LEUKOCYTE = "CL:0000084", "CL:0000542", "CL:0000738"
TERMS = [CD4, CD8, B_CELL, HEPATOCYTE]


@pytest.fixture(scope="module")
def model():
    """A model of two classes, whose network is never run: four cell types, of which two are T cells, and batches."""
    labels = LabelSpace(
        {
            "cell_type_ontology_term_id": LabelClass.from_terms([*TERMS, T_CELL], ("CL",)),
            "batch": LabelClass.from_terms(["one", "two"], ()),
        }
    )
    assert labels.classes["cell_type_ontology_term_id"].leaves == (HEPATOCYTE, B_CELL, CD4, CD8)
    config = ModelConfig(n_genes=5, d_model=16, n_layers=1, n_heads=2, class_sizes=labels.sizes)
    model = ScPrint(config, gene_positions=torch.arange(5)).eval()
    model.label_space = labels
    model.vocabulary = object()
    return model


def encoded_of(logits, batch=None, empty=None):
    """What `encode` would give; columns of the logits: hepatocyte, B cell, CD4, CD8."""
    logits = np.asarray(logits, dtype=np.float32)
    n = len(logits)
    return EncodedCells(
        np.zeros((n, 4, 16), np.float32),
        ("base", "depth", "cell_type_ontology_term_id", "batch"),
        {
            "cell_type_ontology_term_id": logits,
            "batch": np.tile(np.float32([1, 0]), (n, 1)) if batch is None else np.asarray(batch, np.float32),
        },
        np.zeros(n, bool) if empty is None else np.asarray(empty),
    )


def cells(n, **obs):
    return AnnData(obs=pd.DataFrame(obs, index=[f"cell {i}" for i in range(n)]))


def test_the_next_best_labels(model):
    data = cells(2)
    predicted = annotate(model, data, top_k=3, encoded=encoded_of([[0, 2, 1, -1], [40, 50, 30, 60]], [[0, 3], [2, 1]]))
    assert predicted["predicted_cell_type_ontology_term_id"].tolist() == [
        B_CELL,
        CD8,
    ]  # not the first of equal sigmoids
    assert predicted["predicted_cell_type_2_ontology_term_id"].tolist() == [CD4, B_CELL]
    assert predicted["predicted_cell_type_3"].tolist() == ["hepatocyte", "hepatocyte"]
    np.testing.assert_allclose(predicted["predicted_cell_type_2_confidence"], expit([1, 50]), rtol=1e-6)
    assert predicted["predicted_batch"].tolist() == ["two", "one"]
    assert predicted["predicted_batch_2"].tolist() == ["one", "two"]
    assert "predicted_batch_3" not in predicted  # there are two
    assert data.obs.columns.tolist() == predicted.columns.tolist()
    assert len(predicted.columns) == 3 * (3 + 2)


def test_all_probabilities_with_their_labels(model):
    data = cells(3)
    logits = np.float32([[0, 2, 1, -1], [4, 5, 3, 6], [1, 1, 1, 1]])
    annotate(
        model, data, classes=["cell_type"], probabilities=True, encoded=encoded_of(logits, empty=[False, False, True])
    )
    np.testing.assert_allclose(data.obsm["predicted_cell_type"], [*expit(logits[:2]), np.zeros(4)], rtol=1e-6)
    assert data.obsm["predicted_cell_type"].dtype == np.float32
    labels = data.uns["predicted_cell_type"]
    assert labels["ontology_term_ids"].tolist() == [HEPATOCYTE, B_CELL, CD4, CD8]
    assert labels["names"].tolist() == [term_name(term) for term in labels["ontology_term_ids"]]
    assert list(data.obsm) == ["predicted_cell_type"]


def test_nothing_is_kept_that_nobody_asked_for(model):
    data = cells(1)
    annotate(model, data, encoded=encoded_of([[0, 2, 1, -1]]))
    assert not data.obsm
    assert set(data.uns) == {"provenance_steps"}


def test_coarser_labels_by_hand(model):
    # two T cells of logit 1 together: log(2e) = 1.69, more than the B cell's 1.5
    data = cells(2)
    predicted = annotate(
        model,
        data,
        classes=["cell_type"],
        coarsen={"cell_type": ["T cell", B_CELL]},
        top_k=2,
        probabilities=True,
        encoded=encoded_of([[0, 1.5, 1, 1], [2, 1, 0, 0]]),
    )
    assert predicted["predicted_cell_type"].tolist() == ["B cell", "hepatocyte"]
    assert predicted["predicted_cell_type_coarse"].tolist() == ["T cell", OTHER]
    assert predicted["predicted_cell_type_coarse_ontology_term_id"].tolist() == [T_CELL, OTHER]
    assert predicted["predicted_cell_type_coarse_2"].tolist() == ["B cell", "B cell"]
    np.testing.assert_allclose(
        predicted["predicted_cell_type_coarse_confidence"], expit([np.log(2 * np.e), 2]), rtol=1e-6
    )
    np.testing.assert_allclose(
        data.obsm["predicted_cell_type_coarse"],
        expit([[1 + np.log(2), 1.5, 0], [np.log(2), 1, 2]]),
        rtol=1e-6,
    )
    assert data.uns["predicted_cell_type_coarse"]["names"].tolist() == ["T cell", "B cell", "other"]


def test_coarser_labels_are_what_the_training_loss_has(model):
    space = model.label_space.classes["cell_type_ontology_term_id"]
    logits = np.random.default_rng(0).normal(scale=3, size=(6, 4))
    coarse = coarse_labels(space, [T_CELL], "cell_type").logits(logits)[:, 0]
    # the loss of the label "T cell": that term as the positive, hepatocyte and B cell as negatives, of 4 + 1 entries
    for i, own in enumerate(coarse):
        loss = hierarchical_loss(
            torch.from_numpy(logits[i : i + 1]), torch.tensor([4]), torch.from_numpy(space.descendants.toarray())
        )
        by_hand = (-np.log(expit(own)) - np.log(expit(-logits[i, :2])).sum()) / 5
        np.testing.assert_allclose(float(loss), by_hand, rtol=1e-9)


def test_terms_that_the_model_never_saw_gather_what_lies_under_them(model):
    space = model.label_space.classes["cell_type_ontology_term_id"]
    assert LYMPHOCYTE not in space.parents
    gathered = coarse_labels(space, ["lymphocyte", "hepatocyte"], "cell_type")
    assert gathered.ids == (LYMPHOCYTE, HEPATOCYTE)  # nothing is left for another
    assert [leaves.tolist() for leaves in gathered.leaves] == [[1, 2, 3], [0]]


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"cell_type": ["T cell", "lymphocyte"]}, r"T cell \(CL:0000084\) is lymphocyte \(CL:0000542\) too"),
        ({"cell_type": ["lymphocyte", CD4]}, r"\(CL:0000624\) is lymphocyte"),
        ({"cell_type": ["neuron"]}, r"none of the model's 4 labels of .* is neuron \(CL:0000540\)"),
        ({"cell_type": ["T cll"]}, "'T cll' is no term or name of CL; nearest: .*T cell"),
        ({"cell_type": "T cell"}, r"must list labels, such as"),
        ({"cell_type": []}, r"must list labels, such as"),
        ({"batch": ["one"]}, "labels of class 'batch' are free text"),
        ({"sex": ["male"]}, r"classes \['sex'\] are not of the model"),
    ],
)
def test_impossible_coarser_labels(model, asked, message):
    with pytest.raises(ValueError, match=message):
        annotate(model, cells(1), coarsen=asked, encoded=encoded_of([[0, 1, 2, 3]]))


def test_low_confidence_becomes_unknown(model):
    predicted = annotate(
        model, cells(3), abstain=0.6, top_k=2, encoded=encoded_of([[0, 2, 1, -1], [0.3, 0, 0, 0], [-3, -1, -2, 4]])
    )
    assert predicted["predicted_cell_type"].tolist() == ["B cell", "unknown", term_name(CD8)]
    assert predicted["predicted_cell_type_ontology_term_id"].tolist() == [B_CELL, "unknown", CD8]
    np.testing.assert_allclose(predicted["predicted_cell_type_confidence"], expit([2, 0.3, 4]), rtol=1e-6)
    assert predicted["predicted_cell_type_2_ontology_term_id"].tolist() == [CD4, B_CELL, B_CELL]  # for looking up
    exact = annotate(model, cells(1), abstain=0.5, encoded=encoded_of([[-1, -1, 0, -1]]))
    assert exact["predicted_cell_type_ontology_term_id"].tolist() == [CD4]  # not lower


@pytest.fixture
def knowing(model):
    """The same model, which answers from a confidence of 0.6 on, to cells at most 1 from 0 in the first number."""
    whiten = np.zeros((32, 32), np.float16)
    whiten[0, 0] = 0.5
    margins = np.where(COVERAGES < 0.9, 0.5, 1.5).astype(np.float32)
    known = LabelConfidence(
        tokens=("base", "cell_type_ontology_term_id"),
        mean=np.zeros(32, np.float32),
        whiten=whiten,
        centres=np.zeros((1, 32), np.float16),
        least=0.6,
        margins=margins,
        n_cells=90,
        n_sources=5,
    )
    found = copy.copy(model)
    found.confidence = {"cell_type_ontology_term_id": known}
    return found


def far_cells(logits, first, **more):
    """What `encode` would give of cells whose embeddings begin with these numbers."""
    said = encoded_of(logits, **more)
    said.embeddings[:, 0, 0] = first
    return said


def test_by_default_a_model_abstains_by_its_own_rule(model, knowing):
    logits, empty = [[0, 2, 1, -1], [0.3, 0, 0, 0], [-3, -1, -2, 4], [9, 0, 0, 0]], [False, False, False, True]
    said = far_cells(logits, [2, 0, 2.5, 0], empty=empty)
    predicted = annotate(knowing, cells(4), encoded=said)
    assert predicted["predicted_cell_type"].tolist() == ["B cell", "unknown", "unknown", "unknown"]  # too low, too far
    np.testing.assert_allclose(predicted["predicted_cell_type_confidence"], [*expit([2, 0.3, 4]), 0], rtol=1e-6)
    np.testing.assert_allclose(predicted["predicted_cell_type_outlier"], [1, 0, 1.25, np.nan], rtol=1e-3)
    assert predicted["predicted_batch"].tolist() == ["one"] * 3 + ["unknown"]  # of batches it knows nothing
    assert "predicted_batch_outlier" not in predicted
    for never in (None, 0, False):
        answered = annotate(knowing, cells(4), abstain=never, encoded=said)["predicted_cell_type"].tolist()
        assert answered == ["B cell", "hepatocyte", term_name(CD8), "unknown"]
    low = annotate(knowing, cells(4), abstain=0.9, encoded=said)["predicted_cell_type"].tolist()
    assert low == ["unknown", "unknown", term_name(CD8), "unknown"]  # a number alone is compared with confidences
    plain = annotate(model, cells(4), encoded=said)
    assert plain["predicted_cell_type"].tolist() == ["B cell", "hepatocyte", term_name(CD8), "unknown"]
    assert not [name for name in plain if "outlier" in name or "set" in name]


def test_votes_and_coarser_labels_are_held_to_the_same_rule(knowing):
    logits = [[0, 2, 0, 0], [0, 2, 0, 0], [0, 2, 0, 0], [0, 2, 0, 0]]
    said = far_cells(logits, [1, 2.8, 1, 3.2])
    data = cells(4, cluster=["a", "a", "b", "b"])
    predicted = annotate(knowing, data, vote="cluster", coarsen={"cell_type": ["lymphocyte"]}, encoded=said)
    assert predicted["predicted_cell_type"].tolist() == ["B cell", "unknown", "B cell", "unknown"]
    assert predicted["predicted_cell_type_coarse"].tolist() == ["lymphocyte", "unknown", "lymphocyte", "unknown"]
    # mean distances 0.95 and 1.05
    assert predicted["predicted_cell_type_vote"].tolist() == ["B cell", "B cell", "unknown", "unknown"]


def test_sets_of_labels_best_first(model, knowing):
    logits, empty = [[0, 2, 1, -1], [4, 5, 4.6, 4.7], [9, 0, 0, 0]], [False, False, True]
    said = encoded_of(logits, empty=empty)
    predicted = annotate(knowing, cells(3), classes=["cell_type"], sets=0.9, encoded=said)
    assert predicted["predicted_cell_type_set_ontology_term_id"].tolist() == [
        f"{B_CELL} || {CD4}",
        f"{B_CELL} || {CD8} || {CD4} || {HEPATOCYTE}",
        "",
    ]
    assert predicted["predicted_cell_type_set"].tolist()[0] == f"B cell || {term_name(CD4)}"
    assert predicted["predicted_cell_type_set_size"].tolist() == [2, 4, 0]
    smaller = annotate(knowing, cells(3), classes=["cell_type"], sets=0.8, encoded=said)
    assert smaller["predicted_cell_type_set_size"].tolist() == [1, 3, 0]
    with pytest.raises(ValueError, match=r"sets=0.9: this model does not know .* about \['batch'\]"):
        annotate(knowing, cells(3), sets=0.9, encoded=said)
    with pytest.raises(ValueError, match=r"sets=0.9: this model does not know"):
        annotate(model, cells(3), classes=["cell_type"], sets=0.9, encoded=said)


def test_the_report_says_what_abstaining_changes_and_what_sets_hold(knowing):
    logits = [[0, 2, 1, -1], [0.3, 0.2, 0, -9], [0, 3, 0, 0], [0, 0, 0, 4]]
    data = cells(4, cell_type=["CD4-positive, alpha-beta T cell", "hepatocyte", "hepatocyte", "T cell"])
    annotate(knowing, data, classes=["cell_type"], sets=0.9, encoded=far_cells(logits, [0, 0, 9, 0]))
    score = calibration(data, labels=knowing.label_space)["cell_type"]
    assert (score.n_cells, score.coverage, score.accuracy) == (4, 0.5, 0.5)  # two unknown; of the others CD8 is right
    # CD4 is in the first set, hepatocyte is best of three in the second, not in the third; CD8 is a T cell
    assert score.sets["held"] == 0.75
    assert score.sets["size"] == (2 + 3 + 1 + 1) / 4
    assert score.sets["accuracy_of_all"] == 0.5
    assert (score.sets["held_low"], score.sets["held_high"]) == share_interval(np.array([True, True, False, True]))
    assert "sets of labels: 0.750 [" in str(score)
    assert "if none were left unknown: accuracy 0.500 [" in str(score)
    assert score.as_dict()["sets"]["held"] == 0.75
    assert list(calibration(data, labels=knowing.label_space)) == ["cell_type"]


def test_what_a_model_knows_of_itself_is_stored_with_it(small_model, tmp_path):
    model, rng = copy.copy(small_model), np.random.default_rng(0)
    known = LabelConfidence(
        tokens=("base", "cell_type"),
        mean=rng.normal(size=32).astype(np.float32),
        whiten=rng.normal(size=(32, 32)).astype(np.float16),
        centres=rng.normal(size=(3, 32)).astype(np.float16),
        least=0.4,
        margins=np.sort(rng.random(len(COVERAGES))).astype(np.float32),
        n_cells=70,
        n_sources=4,
    )
    model.confidence = {"cell_type": known}
    save_folder(model, tmp_path / "model", card={})
    (found,) = load_folder(tmp_path / "model", ScPrint).confidence.values()
    for name, value in vars(known).items():
        np.testing.assert_array_equal(getattr(found, name), value)
        assert type(getattr(found, name)) is type(value)
    embeddings, tokens = rng.normal(size=(9, 3, 16)).astype(np.float32), small_model.token_names
    read = embeddings[:, [tokens.index("base"), tokens.index("cell_type")]].reshape(9, 32) - known.mean
    apart = (read @ known.whiten.astype(float))[:, None] - known.centres.astype(float)
    np.testing.assert_allclose(
        found.outlier(embeddings, tokens), np.sqrt((apart**2).sum(axis=2)).min(axis=1), rtol=1e-4
    )
    # a model without it replaces one that has it; one of another width is refused
    save_folder(small_model, tmp_path / "model", card={})
    assert not load_folder(tmp_path / "model", ScPrint).confidence
    model.confidence = {"cell_type": replace(known, tokens=("base",))}
    save_folder(model, tmp_path / "other", card={})
    with pytest.raises(ValueError, match=r"is of class 'cell_type', tokens \('base',\) and \(32,\) numbers"):
        load_folder(tmp_path / "other", ScPrint)


def test_clusters_vote_by_mean_probability(model):
    clusters = ["a", "a", "a", None, "b", "c"]
    logits = [[0, 2, -9, -9], [0, -2, 1, -9], [0, -2, 1, -9], [3, 0, 0, 0], [9, 9, 9, 9], [0, 0, 0, 1]]
    data = cells(6, cluster=clusters)
    predicted = annotate(
        model,
        data,
        classes=["cell_type"],
        vote="cluster",
        abstain=0.55,
        encoded=encoded_of(logits, empty=[False, False, False, False, True, False]),
    )
    mean = expit(np.array(logits[:3])).mean(axis=0)
    assert mean.argmax() == 0  # hepatocyte is nobody's best: 0.5 in each; B cell 0.37, CD4 0.49
    assert predicted["predicted_cell_type_ontology_term_id"].tolist()[:3] == [B_CELL, CD4, CD4]
    # 0.5 is too little to answer; a cell without a cluster keeps its own; nobody could vote in b
    assert predicted["predicted_cell_type_vote"].tolist() == [*["unknown"] * 3, "hepatocyte", "unknown", term_name(CD8)]
    np.testing.assert_allclose(
        predicted["predicted_cell_type_vote_confidence"], [0.5, 0.5, 0.5, expit(3), 0, expit(1)], rtol=1e-6
    )
    voted = annotate(model, data, classes=["cell_type"], vote="cluster", encoded=encoded_of(logits))
    assert voted["predicted_cell_type_vote"].tolist()[:3] == ["hepatocyte"] * 3
    with pytest.raises(ValueError, match=r"vote='clusters': obs has no such column; near ones are \['cluster'\]"):
        annotate(model, data, vote="clusters", encoded=encoded_of(logits))


def test_an_empty_cell_takes_its_clusters_label_and_has_no_say(model):
    logits = [[0, 2, 0, 0], [9, 0, 0, 0]]
    data = cells(2, cluster=["a", "a"])
    predicted = annotate(model, data, vote="cluster", encoded=encoded_of(logits, empty=[False, True]))
    assert predicted["predicted_cell_type"].tolist() == ["B cell", "unknown"]
    assert predicted["predicted_cell_type_vote"].tolist() == ["B cell", "B cell"]
    np.testing.assert_allclose(predicted["predicted_cell_type_vote_confidence"], expit(2), rtol=1e-6)


@pytest.mark.parametrize(
    ("setting", "message"),
    [({"top_k": 0}, "top_k=0 must be at least 1"), ({"abstain": 40}, "abstain=40 is compared with confidences")],
)
def test_settings_out_of_range(model, setting, message):
    with pytest.raises(ValueError, match=message):
        annotate(model, cells(1), encoded=encoded_of([[0, 1, 2, 3]]), **setting)


def predictions(said, confidence, name="cell_type"):
    index = [f"cell {i}" for i in range(len(said))]
    return pd.DataFrame(
        {f"predicted_{name}_ontology_term_id": pd.Categorical(said), f"predicted_{name}_confidence": confidence},
        index=index,
    )


def truth(labels, column="cell_type_ontology_term_id"):
    return pd.DataFrame({column: labels}, index=[f"cell {i}" for i in range(len(labels))])


def test_calibration_by_hand():
    said = [CD4, CD4, B_CELL, "unknown", CD8, B_CELL]
    true = [CD4, CD8, B_CELL, B_CELL, CD8, "unknown"]
    confidence = [0.95, 0.85, 0.85, 0.1, 0.3, 0.9]
    found = calibration(predictions(said, confidence), truth(true), bins=10)["cell_type"]
    assert found.n_cells == 5
    assert found.coverage == 4 / 5
    assert found.accuracy == 3 / 4
    # CD4: 1 right, 1 said wrongly: 2/3; CD8: 1 right, 1 missed: 2/3; B cell: 1
    np.testing.assert_allclose(found.macro_f1, (2 / 3 + 2 / 3 + 1) / 3)
    # bins: [.3, .4) 1 cell, all right, .3; [.8, .9) 2 cells, half right, .85; [.9, 1] 1 cell, right, .95
    np.testing.assert_allclose(found.expected_calibration_error, (0.7 + 2 * 0.35 + 0.05) / 4)
    np.testing.assert_allclose(found.overconfidence[0], (0.3 + 0.85 + 0.85 + 0.95) / 4 - 3 / 4)
    table = found.reliability
    np.testing.assert_allclose(table["low"], [0.3, 0.8, 0.9])
    assert table["n_cells"].tolist() == [1, 2, 1]
    np.testing.assert_allclose(table["confidence"], [0.3, 0.85, 0.95])
    np.testing.assert_allclose(table["accuracy"], [1, 0.5, 1])
    np.testing.assert_allclose(table["coverage_above"], [4 / 5, 3 / 5, 1 / 5])
    np.testing.assert_allclose(table["accuracy_above"], [3 / 4, 2 / 3, 1])
    assert found.n_coarse == 0
    assert found.n_beyond is None
    assert "accuracy 0.750, macro F1 0.778" in str(found)
    assert "80.0% of 5 cells" in str(found)


def test_calibration_error_beside_what_right_confidences_give():
    rng = np.random.default_rng(0)

    def one(n, over):
        confidence = rng.beta(4, 1.5, n)
        said = np.where(rng.random(n) < np.clip(confidence - over, 0, 1), CD4, B_CELL)
        return calibration(predictions(said, confidence), truth([CD4] * n))["cell_type"]

    errors = []
    for _ in range(400):
        confidence = rng.beta(4, 1.5, 150)
        error, (mean, most) = calibration_error(confidence, rng.random(150) < confidence, 10, seed=0)
        errors.append((error > most, error, mean))
    exceeded, error, expected = np.mean(errors, axis=0)
    assert 0.02 <= exceeded <= 0.09
    assert error == pytest.approx(expected, rel=0.05)
    held = [one(150, 0.0).overconfidence for _ in range(40)]
    assert np.mean([low <= 0 <= high for _, low, high in held]) >= 0.85
    off = [one(150, 0.2) for _ in range(20)]
    assert np.mean([each.expected_calibration_error > each.error_if_calibrated[1] for each in off]) >= 0.9
    assert all(each.overconfidence[1] > 0 for each in off)


def test_calibration_error_of_one_cell_by_hand():
    found = calibration(predictions([CD4], [0.8]), truth([CD4]))["cell_type"]
    # right in 8 of 10 draws, which is off by 0.2; else off by 0.8
    np.testing.assert_allclose(found.error_if_calibrated, [0.8 * 0.2 + 0.2 * 0.8, 0.8], atol=0.03)
    content = found.as_dict()
    assert content["overconfidence"] == pytest.approx(-0.2)
    assert content["overconfidence_high"] == pytest.approx(-0.2)
    assert content["error_if_calibrated_high"] == pytest.approx(0.8)


def test_scores_stand_beside_rivals_with_intervals():
    rng = np.random.default_rng(0)
    true = rng.choice([CD4, CD8, B_CELL], 160, p=[0.5, 0.3, 0.2])
    said = np.where(rng.random(160) < 0.7, true, rng.choice([CD4, CD8, B_CELL], 160))
    features = rng.normal(size=(160, 3)) + 3 * np.eye(3)[np.unique(true, return_inverse=True)[1]]
    features[150:] = np.nan
    given = truth(true).assign(donor_id=np.repeat(list("abcdefgh"), 20))
    found = calibration(predictions(said, rng.random(160)), given, features={"own": features})["cell_type"]
    assert found.interval == "95% intervals: 8 groups by donor_id drawn with replacement; rough below 10"
    assert found.accuracy_interval == share_interval(said == true, groups=given["donor_id"].to_numpy())
    low, high = found.macro_f1_interval
    assert low < found.macro_f1 < high
    commonest, own = found.rivals.to_dict("records")
    assert (commonest["method"], commonest["n_cells"]) == ("commonest label", 160)
    assert commonest["accuracy"] == pytest.approx((true == CD4).mean())
    assert commonest["difference"] == pytest.approx((said == true).mean() - (true == CD4).mean())
    assert own["n_cells"] == 150
    assert own["accuracy"] > 0.9
    assert own["difference"] == pytest.approx((said == true)[:150].mean() - own["accuracy"])
    assert own["difference_high"] < 0
    table = found.reliability
    assert ((table["accuracy_low"] <= table["accuracy"]) & (table["accuracy"] <= table["accuracy_high"])).all()
    content = json.loads(json.dumps(found.as_dict(), allow_nan=False))
    assert content["rivals"][1]["method"] == "own"
    assert content["accuracy_low"] == found.accuracy_interval[0]


def test_abstaining_at_a_bin_gives_the_scores_of_the_table(model):
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(300, 4)) * 2
    true = truth(np.array([HEPATOCYTE, B_CELL, CD4, CD8])[(logits + rng.normal(size=(300, 4))).argmax(axis=1)])
    every = calibration(annotate(model, cells(300), encoded=encoded_of(logits)), true)["cell_type"]
    assert len(every.reliability) > 4
    for row in every.reliability.to_dict("records"):
        some = calibration(annotate(model, cells(300), abstain=row["low"], encoded=encoded_of(logits)), true)[
            "cell_type"
        ]
        assert some.coverage == row["coverage_above"]
        np.testing.assert_allclose(some.accuracy, row["accuracy_above"])


def test_flat_labels_score_as_in_scikit_learn():
    rng = np.random.default_rng(0)
    true = rng.choice(TERMS, 200)
    said = np.where(rng.random(200) < 0.6, true, rng.choice(TERMS, 200))
    found = calibration(predictions(said, rng.random(200)), truth(true))["cell_type"]
    np.testing.assert_allclose(found.accuracy, accuracy_score(true, said))
    np.testing.assert_allclose(found.macro_f1, f1_score(true, said, average="macro"))


def test_a_coarser_truth_asks_for_no_more():
    # right: under T cell, under lymphocyte, itself; wrong: a hepatocyte is no leukocyte
    said = [CD4, B_CELL, CD8, HEPATOCYTE]
    true = [T_CELL, "lymphocyte", CD8, LEUKOCYTE]
    found = calibration(predictions(said, [0.9] * 4), truth(true, "cell_type"))["cell_type"]
    assert found.accuracy == 3 / 4
    assert found.n_coarse == 2
    assert "2 cells under a coarser true label" in str(found)
    # the hepatocyte that is said wrongly counts against no other label; leukocyte itself is missed
    np.testing.assert_allclose(found.macro_f1, 3 / 4)


def test_a_wrong_label_counts_against_all_that_it_lies_under():
    said = [CD4, CD4, HEPATOCYTE]
    true = [T_CELL, HEPATOCYTE, HEPATOCYTE]  # T cell: 1 right, 1 said wrongly: 2/3; hepatocyte: 1 right, 1 missed: 2/3
    found = calibration(predictions(said, [0.9] * 3), truth(true))["cell_type"]
    np.testing.assert_allclose(found.macro_f1, 2 / 3)


def test_truth_finer_than_the_model_and_beyond_it(model):
    naive_cd4, neuron = "CL:0000895", "CL:0000540"
    said, true = [CD4, CD8, CD4], [naive_cd4, naive_cd4, neuron]
    found = calibration(predictions(said, [0.9] * 3), truth(true), labels=model.label_space)["cell_type"]
    assert found.accuracy == 1 / 3
    assert found.n_beyond == 1
    assert "; no label to choose from fits the true one of 1 cell" in str(found)


def test_several_terms_at_once_are_right_with_any_of_them():
    said, true = [CD4, HEPATOCYTE], [f"{T_CELL},{B_CELL}", f"{T_CELL} || {B_CELL}"]
    assert calibration(predictions(said, [0.9] * 2), truth(true))["cell_type"].accuracy == 1 / 2


def test_coarse_and_voted_labels_have_scores_of_their_own(model):
    data = cells(4, cluster=list("aabb"))
    data.obs["cell_type"] = [term_name(CD4), "B cell", "hepatocyte", "hepatocyte"]
    data.obs["batch"] = ["one", "two", "one", "three"]
    annotate(
        model,
        data,
        coarsen={"cell_type": [T_CELL, B_CELL]},
        vote="cluster",
        encoded=encoded_of([[0, 0, 0, 3], [0, 0, 0, 1], [5, 0, 0, 0], [0, 5, 0, 0]]),
    )
    scores = calibration(data, labels=model.label_space)
    assert set(scores) == {
        "cell_type", "cell_type_vote", "cell_type_coarse", "cell_type_coarse_vote", "batch", "batch_vote"
    }  # fmt: skip
    assert data.obs["predicted_cell_type_ontology_term_id"].tolist() == [CD8, CD8, HEPATOCYTE, B_CELL]
    assert scores["cell_type"].accuracy == 1 / 4
    assert data.obs["predicted_cell_type_coarse"].tolist() == ["T cell", "T cell", OTHER, "B cell"]
    assert scores["cell_type_coarse"].accuracy == 2 / 4  # a CD4 cell is a T cell, a hepatocyte another
    assert scores["cell_type"].n_beyond == scores["cell_type_coarse"].n_beyond == 0
    without_b_cells = calibration(
        annotate(model, data, coarsen={"cell_type": [CD8, "lymphocyte of B lineage"]}, encoded=encoded_of(np.eye(4))),
        data.obs.assign(cell_type=["neuron", T_CELL, "neuron", CD4]),
        labels=model.label_space,
    )
    assert without_b_cells["cell_type"].n_beyond == 2  # neurons
    assert without_b_cells["cell_type_coarse"].n_beyond == 0  # they are another
    assert scores["batch"].accuracy == 2 / 4
    assert scores["batch"].n_beyond == 1


def test_other_is_wrong_for_what_was_to_choose_from():
    said = pd.Categorical([OTHER, OTHER], categories=[T_CELL, B_CELL, OTHER, "unknown"])
    table = predictions(said, [0.9, 0.9], "cell_type_coarse")
    assert calibration(table, truth([CD4, HEPATOCYTE]))["cell_type_coarse"].accuracy == 1 / 2


def test_only_true_labels_count():
    table = predictions([CD4, CD4], [0.9, 0.9])
    assert calibration(table, truth(["unknown", None])) == {}
    assert calibration(table, truth(["no such type", CD4]))["cell_type"].n_cells == 1
    assert calibration(table, truth(["x", "y"], "donor")) == {}


def test_no_answer_at_all_has_no_score():
    found = calibration(predictions(["unknown"] * 2, [0.1, 0.2]), truth([CD4, CD8]))["cell_type"]
    assert found.coverage == 0
    assert np.isnan(found.accuracy)
    assert str(found) == "of 2 cells with a true label none got one"
    content = json.loads(json.dumps(found.as_dict(), allow_nan=False))
    assert content["accuracy"] is None
    assert content["reliability"] == []


def test_unusable_predictions_are_refused():
    table = predictions([CD4, CD4], [0.9, 0.9])
    with pytest.raises(ValueError, match="the 2 cells with predictions are not the 3 cells of the truth"):
        calibration(table, truth([CD4] * 3))
    with pytest.raises(ValueError, match=r"no column predicted_<class>_ontology_term_id among .*: run annotate first"):
        calibration(truth([CD4]), truth([CD4]))
    with pytest.raises(ValueError, match="truth is needed"):
        calibration(table)
    with pytest.raises(ValueError, match="bins=0"):
        calibration(table, truth([CD4, CD4]), bins=0)

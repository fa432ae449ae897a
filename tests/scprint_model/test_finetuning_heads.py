"""Heads that start as a logistic regression: beside scikit-learn's, with a known truth, and on shuffled cells."""

import json
from types import MappingProxyType

import numpy as np
import pytest
import torch
from scipy import sparse
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from scdataloader import LabelSpace
from scdataloader.labels import LabelClass
from scprint_model import ModelConfig, ScPrint
from scprint_model.finetuning import finetune, load_adapter
from scprint_model.finetuning.cells import Parts, divide
from scprint_model.finetuning.extend import extend, use_all_tokens
from scprint_model.finetuning.first_stage import train_heads
from scprint_model.finetuning.labels import extend_class
from scprint_model.finetuning.regression import draw_cells, fit_regression, fold
from scprint_model.finetuning.scores import text_of
from scprint_model.finetuning.train import Aims, is_gain
from scprint_model.layers.class_head import AllTokensHead
from scprint_model.training.start import start_from_model

QUICK = {"context": 64, "batch_size": 64, "epochs": 1}


def simulated(n, *, labels=3, tokens=4, d=6, strength=1.5, seed=0):
    """Embeddings whose dimensions differ in place and spread, labels of a known softmax, and the best guess."""
    rng = np.random.default_rng(seed)
    weights = np.random.default_rng(99).normal(size=(tokens * d, labels)) * strength / np.sqrt(tokens * d)
    z = rng.normal(size=(n, tokens * d))
    logits = 4 * z @ weights
    codes = (logits + rng.gumbel(size=logits.shape)).argmax(axis=1)
    spread, place = np.geomspace(0.05, 3, tokens * d), np.random.default_rng(98).normal(size=tokens * d)
    features = (z * spread + place).astype(np.float32)
    return torch.from_numpy(features.reshape(n, tokens, d)), codes, logits.argmax(axis=1)


def scikit_learn(features, codes):
    return make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)).fit(features.flatten(1).numpy(), codes)


def trained(embeddings, codes, parts, *, n_labels, descendants=None, owns=MappingProxyType({})):
    """A model whose heads are fitted to these embeddings, and what train_heads returns.

    `owns` tells which rows of `descendants` are outputs of their own.
    """
    below = np.zeros((0, n_labels), bool) if descendants is None else descendants
    config = ModelConfig(
        n_genes=4, d_model=embeddings.shape[2], n_layers=1, n_heads=1, class_sizes={"state": n_labels, "other": 2}
    )
    model = ScPrint(config, gene_positions=torch.arange(4)).eval()
    use_all_tokens(model, ["state"])
    leaves = tuple(f"label {i}" for i in range(n_labels))
    parents = tuple(leaves[own] if (own := owns.get(row, -1)) >= 0 else f"coarse {row}" for row in range(len(below)))
    labels = LabelClass(leaves, parents, sparse.csr_array(below), {}, ())
    aims = Aims(
        names=("state",),
        codes=torch.from_numpy(codes.astype(np.int64))[:, None],
        classes=(labels,),
        batches=None,
        batch_weight=0.0,
        denoising=0.0,
    )
    keys = np.arange(len(codes), dtype=np.uint64)
    return model, *train_heads(model, embeddings, aims, parts, keys=keys, seed=0)


def parts_of(n, train, validation):
    return Parts(np.arange(train), np.arange(train, train + validation), np.arange(train + validation, n))


def test_a_coarse_label_with_an_output_of_its_own_is_learned():
    """Macrophages, of which some are told to be of the lung: the cells of both labels are learned from."""
    embeddings, codes, _ = simulated(600, labels=3)
    below = np.array([[True, False, True]])  # label 2 is above label 0, and its cells have its code as a parent
    given = np.where(codes == 2, 3, codes)
    parts = parts_of(600, 300, 100)
    model, regressions, _ = trained(embeddings, given, parts, n_labels=3, descendants=below, owns={0: 2})
    oracle = scikit_learn(embeddings[:300], codes[:300])
    held, flat = embeddings[400:], embeddings[400:].flatten(1).numpy()
    assert regressions["state"].codes.tolist() == [0, 1, 2]
    assert np.array_equal(regressions["state"].predict(flat), oracle.predict(flat))
    said = model.classify(held, ["state"])["state"].argmax(dim=1).numpy()
    right = (said == codes[400:]) | ((codes[400:] == 2) & (said == 0))
    assert right.mean() > 0.8
    assert (said == 2).any()
    # without an output of its own there is none to learn it as
    _, regressions, _ = trained(embeddings, given, parts, n_labels=3, descendants=below)
    assert regressions["state"].codes.tolist() == [0, 1]


@pytest.mark.parametrize("labels", [2, 5])
def test_the_folded_head_has_the_logits_of_scikit_learn(labels):
    embeddings, codes, _ = simulated(300, labels=labels)
    oracle = scikit_learn(embeddings[:200], codes[:200])
    found = fit_regression(embeddings[:200].flatten(1).numpy(), codes[:200])
    weight, bias = fold(*found.all_labels(labels + 1), found.mean, found.scale)
    head = AllTokensHead(4, 6, labels + 1)
    with torch.no_grad():
        head.out.weight.copy_(torch.from_numpy(weight))
        head.out.bias.copy_(torch.from_numpy(bias))
        logits = head(embeddings[200:]).numpy()
    expected = oracle.decision_function(embeddings[200:].flatten(1).numpy())
    if labels == 2:
        expected = np.stack([-expected, expected], axis=1)
    np.testing.assert_allclose(logits[:, :labels], expected, atol=1e-5 * np.abs(expected).max())
    assert (logits[:, labels] < expected.min(axis=1)).all()  # a label without a cell is never said
    said = oracle.predict(embeddings[200:].flatten(1).numpy())
    assert (logits.argmax(axis=1) == said).all()
    assert (logits.argmax(axis=1) == codes[200:]).mean() == (said == codes[200:]).mean()


@pytest.mark.parametrize("seed", range(4))
def test_heads_are_never_below_the_regression_on_validation_cells_and_near_the_best_elsewhere(seed):
    embeddings, codes, best = simulated(4100, seed=seed)
    parts = parts_of(4100, 1000, 100)
    model, regressions, history = trained(embeddings, codes, parts, n_labels=3)
    oracle = scikit_learn(embeddings[:1000], codes[:1000])
    with torch.no_grad():
        logits = model.classify(embeddings, ["state"])["state"]
    said = logits.argmax(dim=1).numpy()
    expected = oracle.predict(embeddings.flatten(1).numpy())
    right = lambda values, at: float((values[at] == codes[at]).mean())  # noqa: E731
    assert right(said, parts.validation) >= right(expected, parts.validation)
    assert right(said, parts.held_out) > right(expected, parts.held_out) - 0.02
    assert right(best, parts.held_out) - 0.04 < right(said, parts.held_out) <= right(best, parts.held_out) + 0.01
    assert (regressions["state"].predict(embeddings.flatten(1).numpy()) == expected).all()
    start, fitted, calibrated = history["state"]["validation"]
    assert calibrated <= (start, fitted)[history["state"]["kept"]] + 1e-9
    confidence = torch.sigmoid(logits.max(dim=1).values[torch.from_numpy(parts.held_out)])
    assert abs(float(confidence.mean()) - right(said, parts.held_out)) < 0.15


def test_a_label_that_other_tokens_hold_is_learned():
    """The head of before read the class's own token alone, which knows nothing here."""
    embeddings, _, _ = simulated(400)
    z = (embeddings - embeddings.mean(dim=0)) / embeddings.std(dim=0)
    codes = (z[:, 0, :3] + z[:, 3, 1:4]).argmax(dim=1).numpy()  # base and other; the class's own is the third
    model, _, _ = trained(embeddings, codes, parts_of(400, 250, 50), n_labels=3)
    with torch.no_grad():
        said = model.classify(embeddings)["state"].argmax(dim=1).numpy()
    assert (said[300:] == codes[300:]).mean() > 0.85
    own = scikit_learn(embeddings[:250, 2:3], codes[:250])
    assert (own.predict(embeddings[300:, 2]) == codes[300:]).mean() < 0.5


def test_unknown_coarse_and_single_labels():
    embeddings, codes, _ = simulated(400, strength=6)
    parts = parts_of(400, 300, 50)
    known = codes.copy()
    known[::7] = -1
    coarse = known.copy()
    coarse[(known == 2) & (np.arange(400) % 2 == 0)] = 3  # a label above 1 and 2
    below = np.array([[False, True, True]])
    model, regressions, _ = trained(embeddings, coarse, parts, n_labels=3, descendants=below)
    with torch.no_grad():
        said = model.classify(embeddings)["state"].argmax(dim=1).numpy()
    assert (said[350:] == codes[350:]).mean() > 0.7
    of_leaves = coarse[:300] < 3
    oracle = scikit_learn(
        embeddings[:300][of_leaves & (coarse[:300] >= 0)], coarse[:300][of_leaves & (coarse[:300] >= 0)]
    )
    np.testing.assert_allclose(regressions["state"].weight, oracle[-1].coef_, atol=1e-6)
    only = np.where(np.arange(400) < 350, 1, codes)
    model, _, _ = trained(embeddings, only, parts, n_labels=3)
    with torch.no_grad():
        assert set(model.classify(embeddings)["state"].argmax(dim=1).tolist()) == {1}
    none = np.where(np.arange(400) < 350, -1, codes)
    with pytest.raises(ValueError, match=r"none of the 300 cells to learn from has a label of class 'state'"):
        trained(embeddings, none, parts, n_labels=3)


def test_many_cells_are_drawn_by_what_they_hold():
    keys = np.random.default_rng(0).integers(1 << 62, size=500).astype(np.uint64)
    order = np.random.default_rng(1).permutation(500)
    one, other = draw_cells(np.arange(500), keys, 50, 3), draw_cells(np.arange(500), keys[order], 50, 3)
    assert len(one) == 50
    assert set(keys[one]) == set(keys[order][other])
    assert set(keys[one]) != set(keys[draw_cells(np.arange(500), keys, 50, 4)])


def test_the_split_hangs_on_the_cells_and_not_on_their_order():
    rng = np.random.default_rng(0)
    keys = rng.integers(1 << 62, size=300).astype(np.uint64)
    codes = rng.integers(0, 3, 300)
    keys[200:250], codes[200:250] = keys[100:150], codes[100:150]  # copies
    order = rng.permutation(300)
    one, other = (
        divide(codes, held_out=0.3, groups=None, keys=keys),
        divide(codes[order], held_out=0.3, groups=None, keys=keys[order]),
    )
    for part in ("train", "validation", "held_out"):
        assert sorted(keys[getattr(one, part)]) == sorted(keys[order][getattr(other, part)])
    parts = [set(keys[at].tolist()) for at in (one.train, one.validation, one.held_out)]
    assert not parts[0] & parts[1] | parts[0] & parts[2] | parts[1] & parts[2]
    assert 70 <= len(one.held_out) <= 100
    # most of the cells keep their part when others are added
    longer = np.append(keys, np.arange(20, dtype=np.uint64))
    more = divide(np.append(codes, [0] * 20), held_out=0.3, groups=None, keys=longer)
    assert len(parts[2] & set(longer[more.held_out].tolist())) > 0.8 * len(parts[2])


def test_whole_donors_tell_when_to_stop_where_there_are_enough():
    donors = np.repeat([f"donor {i}" for i in range(9)], [40, 1, 30, 30, 30, 30, 20, 20, 20])
    parts = divide(np.zeros(len(donors), int), held_out=0.2, groups=donors, seed=1)
    sets = [set(donors[at].tolist()) for at in (parts.train, parts.validation, parts.held_out)]
    assert not sets[0] & sets[1] | sets[0] & sets[2] | sets[1] & sets[2]
    assert len(sets[2]) == 2
    assert 0.1 * (len(donors) - len(parts.held_out)) <= len(parts.validation) < len(parts.train)
    few = donors < "donor 5"
    parts = divide(np.zeros(int(few.sum()), int), held_out=0.2, groups=donors[few], seed=1)
    assert set(donors[few][parts.validation].tolist()) & set(donors[few][parts.train].tolist())


def test_a_gain_is_more_than_chance_and_costs_no_class():
    before = torch.zeros(20, 2, dtype=torch.bool)
    before[10:] = True
    better, other = before.clone(), before.clone()
    better[:3, 0] = True
    assert is_gain(before, better)  # 3 > 1.64 √3
    other[:2, 0] = True
    assert not is_gain(before, other)  # 2 < 1.64 √2
    better[10:12, 0] = False
    assert not is_gain(before, better)  # 1 < 1.64 √5
    better[:9, 0], better[10, 1] = True, False
    assert not is_gain(before, better)  # the second class has lost a cell
    assert not is_gain(before, before)


@pytest.fixture(scope="module")
def cells(retina):
    made = retina.copy()
    types = made.obs["cell_type"].astype(str)
    made.obs["type"] = types.where(types.map(types.value_counts()) > 8, "unknown").to_numpy()
    made.obs["donor_id"] = np.array([f"donor {i % 4}" for i in range(made.n_obs)])
    return made


@pytest.mark.parametrize(
    "options", [{"train": "heads"}, pytest.param({"train": "lora", "held_out_by": "donor_id"}, marks=pytest.mark.slow)]
)
def test_shuffled_cells_give_the_same_report_and_weights(small_model, cells, options):
    order = np.random.default_rng(3).permutation(cells.n_obs)
    genes = np.random.default_rng(4).permutation(cells.n_vars)
    one = finetune(small_model, cells, labels="type", **options, **QUICK)
    other = finetune(small_model, cells[order][:, genes].copy(), labels="type", **options, **QUICK)
    first, second = one.card["finetuned"], other.card["finetuned"]
    assert first == second
    weights, same = one.state_dict(), other.state_dict()
    assert all(torch.equal(weights[key], same[key]) for key in weights)
    scores = first["scores"]["class_type"]
    assert scores["validation"]["after"] >= scores["validation"]["embedding + logistic regression"]
    methods = [row["method"] for row in scores["held_out"]]
    assert methods[:3] == [
        "commonest label",
        "principal components + logistic regression",
        "embedding + logistic regression",
    ]
    assert methods[3:] == ["before", "after"]
    assert scores["is_new"]
    assert "'before' is a random head, and means nothing" in text_of(scores)
    assert "random head" not in text_of(scores | {"is_new": False})
    after = scores["held_out"][-1]
    assert after["accuracy"] == pytest.approx(first["after"]["class_type"]["accuracy"])
    assert after["macro_f1"] == pytest.approx(first["after"]["class_type"]["macro_f1"])
    assert after["accuracy_low"] <= after["accuracy"] <= after["accuracy_high"]
    assert scores["interval"]["unit"] == "donor_id"
    json.dumps(first, allow_nan=False)


@pytest.mark.parametrize("place", ["layer", "raw", "auto", "file"])
def test_counts_of_a_layer_or_of_raw_are_learned_from(small_model, cells, place, tmp_path):
    usual = finetune(small_model, cells, labels="type", train="heads", **QUICK)
    other = cells.copy()
    other.layers["counts"] = cells.X.copy()
    other.raw = cells
    other.X = cells.X * 0.37
    given = {"raw": {"counts": "raw"}, "auto": {"counts": "auto"}}.get(place, {"layer": "counts"})
    if place == "file":
        other.write_h5ad(tmp_path / "input.h5ad")
    data = tmp_path / "input.h5ad" if place == "file" else other
    made = finetune(small_model, data, labels="type", train="heads", **given, **QUICK)
    assert made.card["finetuned"] == usual.card["finetuned"]
    parameters = made.card["provenance_steps"][-1]["parameters"]
    assert {key: parameters[key] for key in given} == given
    with pytest.raises(ValueError, match="counts"):
        finetune(small_model, other, labels="type", train="heads", **QUICK)


@pytest.mark.slow
def test_files_in_another_order_give_the_same_weights(small_model, cells):
    halves = {"one": cells[:120].copy(), "two": cells[120:].copy()}
    one = finetune(small_model, halves, labels="type", train="heads", **QUICK)
    other = finetune(small_model, dict(reversed(halves.items())), labels="type", train="heads", **QUICK)
    assert all(torch.equal(one.state_dict()[key], other.state_dict()[key]) for key in one.state_dict())


def test_a_fine_tuned_model_is_extended_saved_and_started_from(small_model, cells, tmp_path):
    made = finetune(small_model, cells, labels="type", train="heads", out=tmp_path / "made", **QUICK)
    assert made.config.all_token_classes == ("class_type",)
    assert ModelConfig.from_dict(json.loads(json.dumps(made.config.to_dict()))) == made.config
    opened = load_adapter(tmp_path / "made", small_model)
    made.save_pretrained(tmp_path / "whole")
    whole = ScPrint.from_pretrained(tmp_path / "whole")
    for again in (opened, whole):
        assert all(torch.equal(again.state_dict()[key], value) for key, value in made.state_dict().items())
    classes = dict(made.label_space.classes)
    classes["state"] = extend_class(None, ["a", "b"], ())
    longer = extend(made, made.vocabulary, LabelSpace(classes))
    weight, old = longer.class_heads["class_type"].out.weight, made.class_heads["class_type"].out.weight
    assert torch.equal(weight[:, : old.shape[1]], old)
    assert not weight[:, old.shape[1] :].any()
    fresh = start_from_model(made, made.vocabulary, made.label_space)
    assert fresh.config.all_token_classes == ("class_type",)  # the classes are the same, so the tokens are
    again, head = (one.class_heads["class_type"].out for one in (fresh, made))
    assert torch.equal(again.weight, head.weight)
    assert torch.equal(again.bias, head.bias)
    known = made.label_space.classes
    fewer = LabelSpace({name: known[name] for name in list(known)[1:]})
    assert start_from_model(made, made.vocabulary, fewer).config.all_token_classes == ()
    assert torch.equal(fresh.gene_encoder.table.weight, made.gene_encoder.table.weight)
    twice = finetune(made, cells, labels="type", train="heads", **QUICK)
    assert twice.card["finetuned"]["before"]["class_type"]["accuracy"] > 0.3


def test_a_coarse_label_that_cells_have_is_an_output_of_its_own():
    neuron, amacrine, rod = "CL:0000540", "CL:0000561", "CL:0000604"
    scope = ("CL",)
    made = extend_class(None, [neuron, amacrine, rod], scope, coarse_outputs=True)
    assert set(made.leaves) == {neuron, amacrine, rod}
    assert made.parents == ()
    old = extend_class(None, [neuron, amacrine, rod], scope)
    assert old.parents == (neuron,)
    again = extend_class(old, [neuron, rod], scope, coarse_outputs=True)
    assert again.leaves == (*old.leaves, neuron)
    assert again.parents == ()
    same = extend_class(old, [rod], scope, coarse_outputs=True)
    assert same is old


def test_classes_of_all_tokens_must_be_classes():
    with pytest.raises(ValueError, match="all_token_classes has 'sex'"):
        ModelConfig(n_genes=1, class_sizes={"tissue": 2}, all_token_classes=("sex",))
    assert "all_token_classes" not in ModelConfig(n_genes=1).to_dict()

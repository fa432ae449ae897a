"""The end of a training: heads that are fitted to the end, and an embedding that is measured."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy import sparse
from scipy.special import expit
from sklearn.linear_model import LogisticRegression

from scdataloader import CellDataModule, LabelSpace
from scdataloader.labels import LabelClass
from scdataloader.options import Holdout
from scprint_model import tasks
from scprint_model.training.finish import PENALTY, FinishNetwork, choose_cells, fit_map, look
from scprint_model.training.module import PretrainingModule
from scprint_model.training.objective import LossWeights, Objective
from scprint_model.training.recipes import RECIPES, ObjectiveConfig

#: The outputs are a, b, c and ab, the label above a and b: codes 0 to 3, and 4 for cells that are called ab.
LABELS = LabelSpace(
    {"cell_type": LabelClass(("a", "b", "c", "ab"), ("ab",), sparse.csr_array([[True, True, False, True]]), {})}
)


#: So often does each cell occur that the penalty is that of C = 0.1 with each of them once.
TIMES = PENALTY // 10


def objective(**weights: float) -> Objective:
    return Objective(LABELS, replace(RECIPES["paper"], weights=LossWeights(**weights)))


@pytest.fixture
def separable() -> tuple[torch.Tensor, torch.Tensor]:
    """Inputs of cells of three labels, on scales far apart, one of which does not vary: 90 cells, many times each."""
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1, 2], 30)
    inputs = rng.normal(size=(90, 5)) + np.eye(3, 5)[labels] * 1.5
    inputs = inputs * [1, 100, 0.01, 1, 0] + [0, 50, 3, -2, 7]
    return torch.from_numpy(np.tile(inputs, (TIMES, 1))), torch.from_numpy(np.tile(labels, TIMES))


def test_it_is_the_logistic_regression_of_scikit_learn_but_for_one_scale_and_shift(separable):
    inputs, labels = separable
    weight, bias, loss = fit_map(inputs, labels, objective(), "cell_type")
    logits = (inputs @ weight.T + bias).numpy()
    scaled = ((inputs - inputs.mean(dim=0)) / inputs.std(dim=0, correction=0)).nan_to_num(0)
    regression = LogisticRegression(C=1 / PENALTY, max_iter=1000, tol=1e-8).fit(scaled, labels)
    assert (logits.argmax(axis=1) == regression.predict(scaled)).all()
    found, expected = (
        (x - x.mean(axis=1, keepdims=True)) for x in (logits[:, :3], regression.decision_function(scaled))
    )
    scale = (found * expected).sum() / (expected**2).sum()
    assert scale > 0.2
    np.testing.assert_allclose(found, scale * expected, atol=0.05 * scale * np.abs(expected).max())
    probabilities = regression.predict_proba(scaled)
    penalty = PENALTY * (regression.coef_**2).sum() / (2 * len(labels))
    assert loss == pytest.approx(-np.log(probabilities[np.arange(len(labels)), labels]).mean() + penalty, rel=0.02)
    # where the binary loss is least over shifts, the sigmoids of a cell are those of one label, on average
    assert expit(logits).sum(axis=1).mean() == pytest.approx(1, abs=2e-3)


def test_of_a_coarse_label_any_output_below_it_is_right_as_in_the_training(separable):
    inputs, labels = separable
    coarse = torch.where((labels == 0) & (torch.arange(len(labels)) % 2 == 0), 4, labels)
    trained = objective(label_sigmoids=0.5)
    weight, bias, loss = fit_map(inputs, coarse, trained, "cell_type")
    best = (inputs @ weight.T + bias).argmax(dim=1)
    assert np.isin(best[coarse == 4], [0, 1, 3]).mean() > 0.9
    assert (best[coarse < 4] == coarse[coarse < 4]).double().mean() > 0.7
    assert 0 < loss < float(trained.cross_entropy("cell_type", torch.zeros(len(labels), 4), coarse))


def test_binary_losses_are_minimised_as_they_are(separable):
    inputs, labels = separable
    binary = Objective(LABELS, replace(RECIPES["paper"], label_loss="binary"))
    weight, bias, loss = fit_map(inputs, labels, binary, "cell_type")
    logits = inputs @ weight.T + bias
    penalty = PENALTY * float((weight * inputs.std(dim=0, correction=0)).square().sum()) / (2 * len(labels))
    assert loss - float(binary.sigmoids("cell_type", logits, labels)) == pytest.approx(penalty, rel=1e-6)
    assert expit(logits.numpy()).sum(axis=1).mean() == pytest.approx(1, abs=2e-3)


@pytest.fixture(scope="module")
def data(retina, tmp_path_factory):
    folder = tmp_path_factory.mktemp("corpus")
    for name, part in (("one", retina[:200]), ("other", retina[200:])):
        part.copy().write_h5ad(folder / f"{name}.h5ad")
    module = CellDataModule(
        [str(folder / f"{name}.h5ad") for name in ("one", "other")],
        classes=["cell_type"], organisms=["human"], context=48, batch_size=32, holdout=Holdout(val_fraction=0.1),
    )  # fmt: skip
    module.setup("fit")
    return module


def test_some_cells_of_each_data_set_and_of_each_label(data):
    chosen = choose_cells(data, 5, seed=0)
    assert (np.diff(chosen) > 0).all()
    assert set(chosen) <= set(data.train_cells)
    labels, sets = data.cells.labels[:, 0], data.cells.dataset
    for number in (0, 1):
        mine = data.train_cells[sets[data.train_cells] == number]
        for label in np.unique(labels[mine]):
            there = (labels[mine] == label).sum()
            assert (labels[chosen][sets[chosen] == number] == label).sum() >= min(there, 20)
    assert len(chosen) < len(data.train_cells)
    np.testing.assert_array_equal(choose_cells(data, 5, seed=0), chosen)
    np.testing.assert_array_equal(choose_cells(data, 1000, seed=0), data.train_cells)


def test_statistics_are_those_of_the_tokens_that_tasks_give_and_labels_come_out_better(data, retina):
    torch.manual_seed(0)
    module = PretrainingModule(d_model=16, n_layers=1, n_heads=2, dropout=0.2)
    network = module.build(data)
    callback = FinishNetwork(cells=1000, context=40)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    cells = retina[data.train_cells].copy()  # the files are the retina's cells in their order
    first = tasks.encode(network.eval(), cells, context=40).class_logits["cell_type"]
    network.train()
    callback.on_train_end(SimpleNamespace(is_global_zero=False), module)  # another process saves it
    assert network.standardisation is None
    callback.finish(module, data)
    assert network.training
    after = network.state_dict()
    assert {name for name in after if not name.startswith("class_heads")} == {
        name for name, value in before.items() if name in after and torch.equal(value, after[name])
    }
    assert network.config.all_token_classes == ("cell_type",)
    told = network.class_heads["cell_type"].out.weight.unflatten(1, (3, 16)).abs().sum(dim=(0, 2)) > 0
    assert dict(zip(network.token_names, told.tolist(), strict=True)) == {
        "base": True,
        "depth": False,
        "cell_type": True,
    }
    found = tasks.encode(network.eval(), cells, context=40)
    np.testing.assert_allclose(network.standardisation.mean, found.embeddings.mean(axis=0), atol=1e-4)
    np.testing.assert_allclose(network.standardisation.scale, found.embeddings.std(axis=0), rtol=1e-2, atol=1e-4)
    assert network.context == 40
    labels = data.cells.labels[data.train_cells, 0]
    logits = found.class_logits["cell_type"]
    assert (logits.argmax(axis=1) == labels).mean() > (first.argmax(axis=1) == labels).mean() + 0.2
    assert (logits.argmax(axis=1) == labels).mean() > np.bincount(labels[labels >= 0]).max() / len(labels) + 0.05


def test_cells_are_shown_thinned_too_where_the_recipe_thins_but_the_statistics_are_of_whole_ones(data):
    torch.manual_seed(0)
    module = PretrainingModule(d_model=16, n_layers=1, n_heads=2, objective=ObjectiveConfig(thinning=8.0))
    network = module.build(data).eval()
    seen = look(network, module.objective, data, cells=1000, context=40, seed=0)
    n = len(data.train_cells)
    assert seen.whole.sum() == n
    assert len(seen.whole) == len(seen.labels) == len(seen.embeddings) == 2 * n
    assert torch.equal(seen.labels[seen.whole], seen.labels[~seen.whole])
    apart = np.abs(seen.embeddings[seen.whole] - seen.embeddings[~seen.whole]).max(axis=(1, 2))
    assert (apart > 1e-3).all()
    again = look(network, module.objective, data, cells=1000, context=40, seed=0)
    np.testing.assert_array_equal(again.embeddings, seen.embeddings)
    FinishNetwork(cells=1000, context=40, heads=False).finish(module, data)
    expected = seen.embeddings[seen.whole].astype(np.float64).mean(axis=0)
    np.testing.assert_allclose(network.standardisation.mean, expected, atol=1e-5)


def test_numbers_that_are_too_small_are_refused():
    with pytest.raises(ValueError, match="cells=0 and context=None must be at least 1"):
        FinishNetwork(cells=0)

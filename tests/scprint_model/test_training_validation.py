"""Validation on a whole data set: what is logged, beside what, and that the numbers are those of other functions."""

import lightning
import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from scdataloader import CellDataModule
from scdataloader.counts import log_normalise
from scdataloader.options import Drawing, Holdout
from scprint_model.intervals import share_interval
from scprint_model.training.module import PretrainingModule
from scprint_model.training.rival import CompareWithComponents, component_scores


@pytest.fixture(scope="module")
def data(retina, tmp_path_factory):
    folder = tmp_path_factory.mktemp("corpus")
    for name, part in (("one", retina[:160]), ("other", retina[160:])):
        part.copy().write_h5ad(folder / f"{name}.h5ad")
    files = [str(folder / f"{name}.h5ad") for name in ("one", "other")]
    return CellDataModule(
        files, classes=["cell_type"], organisms=["human"], context=32, batch_size=32,
        holdout=Holdout(val_datasets=["other"]), drawing=Drawing(cells_per_epoch=64),
    )  # fmt: skip


@pytest.fixture(scope="module")
def logged(data):
    torch.manual_seed(0)
    trainer = lightning.Trainer(
        max_epochs=1, accelerator="cpu", logger=False, enable_progress_bar=False, enable_model_summary=False,
        enable_checkpointing=False, num_sanity_val_steps=0, callbacks=[CompareWithComponents(n_components=8)],
    )  # fmt: skip
    trainer.fit(PretrainingModule(d_model=16, n_layers=1, n_heads=2, warmup_steps=1), data)
    return {name: float(value) for name, value in trainer.callback_metrics.items()}


def test_a_whole_data_set_validates(data, logged):
    assert data.split.to_frame()["train"].to_dict() == {"one": len(data.train_cells), "other": 0}
    assert logged["val/cells"] == len(data.val_cells) == data.split.to_frame().loc["other", "validation"]


def test_every_score_has_its_interval_or_its_number_of_cells(data, logged):
    labels = data.cells.labels[data.val_cells, 0]
    assert logged["val/cells_cell_type"] == ((labels >= 0) & (labels < data.label_space.sizes["cell_type"])).sum()
    assert logged["val/cells_embedding"] == len(data.val_cells)
    assert 0 <= logged["val/depth_share"] <= 1
    for start in ("val/", "val_components/"):
        for score in ("neighbours_cell_type", "accuracy_cell_type"):
            low, value, high = (logged[f"{start}{score}{end}"] for end in ("_low", "", "_high"))
            assert low <= value <= high
            assert high - low > 0.02
    n = int(logged["val/cells_cell_type"])
    right = np.arange(n) < round(n * logged["val/accuracy_cell_type"])
    assert logged["val/accuracy_cell_type_low"] == pytest.approx(share_interval(right)[0], abs=1e-6)


def test_components_do_what_scikit_learn_does_by_hand(data, logged, retina):
    assert logged["val_components/accuracy_cell_type"] > 0.5  # rods, cones and glia are told apart with ease
    found = component_scores(data.cells, data.train_cells, data.val_cells, n_components=8, n_cells=5000, seed=0)
    assert found["accuracy_cell_type"] == pytest.approx(logged["val_components/accuracy_cell_type"], abs=1e-6)
    values = log_normalise(retina)[:, retina.var_names.isin(data.vocabulary.ids)].toarray()
    profiles = [values[at] for at in (data.train_cells, data.val_cells)]
    variable = np.argsort(-profiles[0].var(axis=0), kind="stable")[:4000]
    known, asked = (profile[:, variable] for profile in profiles)
    mean = known.mean(axis=0)
    directions = np.linalg.svd(known - mean, full_matrices=False)[2][:8].T
    known, asked = (known - mean) @ directions, (asked - mean) @ directions
    labels = data.cells.labels[:, 0]
    scale = known.std(axis=0)
    fitted = LogisticRegression(max_iter=1000).fit(known / scale, labels[data.train_cells])
    by_hand = (fitted.predict(asked / scale) == labels[data.val_cells]).mean()
    assert found["accuracy_cell_type"] == pytest.approx(by_hand, abs=0.05)  # the solver is random


def test_bad_options():
    with pytest.raises(ValueError, match="n_components=0 must be at least 1"):
        CompareWithComponents(n_components=0)
    with pytest.raises(ValueError, match=r"val_fraction=0 must lie"):
        Holdout(val_fraction=0)
    assert Holdout().val_share == 0.02
    assert Holdout(val_groups=["d1"], split_by="donor_id").val_share == 0

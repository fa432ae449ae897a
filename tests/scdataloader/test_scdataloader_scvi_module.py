"""Cells streamed to scvi-tools: what a batch and the registry hold, and the real models trained on them."""

import anndata
import numpy as np
import pandas as pd
import pytest
import torch
from scipy import sparse

from scdataloader import CellStore, ScviDataModule
from scdataloader.scvi_module import InProcesses

TYPES = ["rod", "cone", "unknown", "rod", None]


def cells(n, genes, seed, *, n_types=3):
    """Return cells whose counts of each gene hang on their type."""
    rng = np.random.default_rng(seed)
    kind = rng.integers(0, n_types, n)
    rates = np.random.default_rng(0).gamma(0.7, 3.0, (n_types, 60))[:, genes]
    obs = pd.DataFrame(
        {"cell_type": [TYPES[i] for i in kind], "donor": [f"d{seed}{i % 2}" for i in range(n)]},
        index=[f"{seed}-{i}" for i in range(n)],
    )
    counts = sparse.csr_matrix(rng.poisson(rates[kind]).astype(np.float32))
    return anndata.AnnData(counts, obs=obs, var=pd.DataFrame(index=[f"g{i}" for i in genes]))


GENES = {"b": range(50), "a": range(10, 60), "c": [*range(40, 10, -1), *range(50, 60)]}
SETS = {name: cells(n, list(GENES[name]), i) for i, (name, n) in enumerate({"b": 90, "a": 70, "c": 60}.items())}


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scvi") / "store"
    CellStore.build(list(SETS.items()), folder)
    return folder


def joined(genes):
    """Return what the batches are to hold, cell by cell: counts of the genes, data set, type."""
    counts = np.vstack([one[:, genes].X.toarray() for one in SETS.values()])
    return counts, pd.concat([one.obs for one in SETS.values()])


def test_a_batch_holds_counts_and_codes(store):
    module = ScviDataModule(store, labels="cell_type", batch_size=32, seed=1)
    # those that all three sets measured, in the order of the first
    assert module.registry["field_registries"]["X"]["state_registry"]["column_names"].tolist() == [
        f"g{i}" for i in range(11, 41)
    ]
    counts, obs = joined([f"g{i}" for i in range(11, 41)])
    seen = []
    for batch in module.inference_dataloader():
        assert list(batch) == ["X", "batch", "labels"]
        assert (batch["X"].dtype, batch["batch"].dtype, batch["labels"].dtype) == (
            torch.float32,
            torch.int64,
            torch.int64,
        )
        assert batch["batch"].shape == batch["labels"].shape == (len(batch["X"]), 1)
        seen.append(batch)
    np.testing.assert_array_equal(torch.cat([batch["X"] for batch in seen]), counts)
    names = module.batch_labels[torch.cat([batch["batch"] for batch in seen]).ravel()]
    assert names.tolist() == ["b"] * 90 + ["a"] * 70 + ["c"] * 60
    types = module.registry["field_registries"]["labels"]["state_registry"]["categorical_mapping"]
    assert types.tolist() == ["cone", "rod", "unknown"]
    assert types[torch.cat([batch["labels"] for batch in seen]).ravel()].tolist() == obs["cell_type"].tolist()
    (one,) = module.inference_dataloader(np.array([5, 3]))
    np.testing.assert_array_equal(one["X"], counts[[5, 3]])


def test_the_registry_says_what_the_model_is_built_for(store):
    module = ScviDataModule(store, genes=["g20", "g15"], batch="donor", labels="cell_type")
    registry = module.registry
    assert registry["model_name"] == "SCVI"
    assert registry["setup_method_name"] == "setup_datamodule"
    assert registry["setup_args"] == {
        "layer": None,
        "batch_key": "donor",
        "labels_key": "cell_type",
        "size_factor_key": None,
        "categorical_covariate_keys": None,
        "continuous_covariate_keys": None,
    }
    fields = registry["field_registries"]
    summary = {key: value for entry in fields.values() for key, value in entry["summary_stats"].items()}
    assert summary == {
        "n_vars": 2,
        "n_cells": 220,
        "n_batch": 6,
        "n_labels": 3,
        "n_extra_categorical_covs": 0,
        "n_extra_continuous_covs": 0,
    }
    assert (module.n_vars, module.n_obs, module.n_batch, module.n_labels) == (2, 220, 6, 3)
    assert fields["X"]["state_registry"]["column_names"].tolist() == ["g20", "g15"]
    assert fields["batch"]["state_registry"]["categorical_mapping"].tolist() == [
        "d00",
        "d01",
        "d10",
        "d11",
        "d20",
        "d21",
    ]
    assert fields["labels"]["state_registry"]["unlabeled_category"] == "unknown"
    # the classes of scANVI are the labels that are known
    semi = ScviDataModule(store, model="SCANVI", labels="cell_type")
    assert semi.n_labels == semi.registry["field_registries"]["labels"]["summary_stats"]["n_labels"] == 2
    assert semi.labels_.tolist() == ["cone", "rod"]


def test_an_epoch_has_each_training_cell_once_and_the_next_another_order(store):
    module = ScviDataModule(store, batch_size=32, val_fraction=0.2, seed=3)
    assert sorted([*module.train_idx, *module.val_idx]) == list(range(220))
    assert len(module.val_idx) == 18 + 14 + 12  # a fifth of each set
    counts, _ = joined([f"g{i}" for i in range(11, 41)])
    loader = module.train_dataloader()
    first, second = (torch.cat([batch["X"] for batch in loader]).numpy() for _ in range(2))
    assert not np.array_equal(first, second)
    for epoch in (first, second):
        np.testing.assert_array_equal(np.sort(epoch, axis=0), np.sort(counts[module.train_idx], axis=0))
    held_out = torch.cat([batch["X"] for batch in module.val_dataloader()]).numpy()
    np.testing.assert_array_equal(held_out, counts[module.val_idx])
    again = torch.cat(
        [batch["X"] for batch in ScviDataModule(store, batch_size=32, val_fraction=0.2, seed=3).train_dataloader()]
    )
    np.testing.assert_array_equal(again, first)
    assert ScviDataModule(store, val_fraction=0).val_dataloader() == []


def test_processes_make_the_same_batches(store):
    alone = ScviDataModule(store, batch_size=32, labels="cell_type", model="SCANVI")
    shared = ScviDataModule(store, batch_size=32, labels="cell_type", model="SCANVI", workers=2)
    ours, theirs = alone.train_dataloader(), shared.train_dataloader()
    assert isinstance(theirs, InProcesses)
    assert len(ours) == len(theirs) == 7
    for _ in range(2):  # the second epoch, too
        for left, right in zip(ours, theirs, strict=True):
            for one, other in zip(left, right, strict=True):
                assert all(torch.equal(one[name], other[name]) for name in one)


def test_scanvi_sees_labelled_cells_beside_all(store):
    module = ScviDataModule(store, model="SCANVI", labels="cell_type", batch_size=50)
    pairs = list(module.train_dataloader())
    assert all(len(every["X"]) == len(labelled["X"]) for every, labelled in pairs)
    assert max(int(labelled["labels"].max()) for _, labelled in pairs) == 1
    assert max(int(every["labels"].max()) for every, _ in pairs) == 2  # unlabelled ones
    counts, obs = joined([f"g{i}" for i in range(11, 41)])
    known = module.train_idx[obs["cell_type"].iloc[module.train_idx].isin(["rod", "cone"])]
    seen = torch.cat([labelled["X"] for _, labelled in pairs]).numpy()[: len(known)]
    np.testing.assert_array_equal(np.sort(seen, axis=0), np.sort(counts[known], axis=0))  # each once before any again
    assert isinstance(next(iter(module.inference_dataloader())), dict)


def test_anndata_will_do(store):
    ours = next(iter(ScviDataModule(list(SETS.items()), batch_size=16).train_dataloader()))
    assert torch.equal(ours["X"], next(iter(ScviDataModule(store, batch_size=16).train_dataloader()))["X"])


def test_what_cannot_be_is_told(store):
    with pytest.raises(ValueError, match=r"data set 'a' did not measure 2 of the 3 genes \('g1', 'g2'\)"):
        ScviDataModule(store, genes=["g1", "g20", "g2"])
    with pytest.raises(ValueError, match=r"obs has no column 'plate'; it has \[.*'cell_type', 'donor'\]"):
        ScviDataModule(store, batch="plate")
    with pytest.raises(ValueError, match="'SCANVI' learns from labels: name their column"):
        ScviDataModule(store, model="SCANVI")
    with pytest.raises(ValueError, match="neither 'SCVI' nor 'SCANVI'"):
        ScviDataModule(store, model="TOTALVI")
    with pytest.raises(ValueError, match="workers=-1 must be at least 0"):
        ScviDataModule(store, workers=-1)
    blank = SETS["a"].copy()
    blank.obs["cell_type"] = "unknown"
    with pytest.raises(ValueError, match=r"no cell to train on has a label in obs\['cell_type'\]"):
        ScviDataModule(blank, model="SCANVI", labels="cell_type")
    apart = [("x", cells(5, [0, 1], 0)), ("y", cells(5, [2, 3], 1))]
    with pytest.raises(ValueError, match=r"no gene was measured by all of the data sets \['x', 'y'\]"):
        ScviDataModule(apart)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # scvi-tools' own
def test_scvi_trains_from_a_store(store, tmp_path):
    scvi = pytest.importorskip("scvi")
    scvi.settings.seed = 0
    module = ScviDataModule(store, batch="donor", labels="cell_type", batch_size=32, workers=2)
    model = scvi.model.SCVI(registry=module.registry, n_hidden=16, n_latent=3)
    quiet = {"accelerator": "cpu", "enable_progress_bar": False, "logger": None}
    model.train(datamodule=module, max_epochs=30, check_val_every_n_epoch=10, **quiet)
    loss = model.history["reconstruction_loss_train"].to_numpy(float).ravel()
    assert loss[-1] < loss[0] - 2
    assert len(model.history["reconstruction_loss_validation"]) == 3
    latent = model.get_latent_representation(dataloader=module.inference_dataloader())
    assert latent.shape == (220, 3)
    # the same weights see the same in the cells of an AnnData
    genes = module.registry["field_registries"]["X"]["state_registry"]["column_names"]
    counts, obs = joined(genes.tolist())
    adata = anndata.AnnData(sparse.csr_matrix(counts), obs=obs.fillna("unknown"), var=pd.DataFrame(index=genes))
    scvi.model.SCVI.setup_anndata(adata, batch_key="donor", labels_key="cell_type")
    other = scvi.model.SCVI(adata, n_hidden=16, n_latent=3)
    other.module.load_state_dict(model.module.state_dict())
    other.is_trained = True
    other.module.eval()
    np.testing.assert_allclose(other.get_latent_representation(), latent, atol=1e-5)
    model.save(tmp_path / "model", datamodule=module)
    again = scvi.model.SCVI.load(tmp_path / "model", adata=False)
    np.testing.assert_array_equal(again.get_latent_representation(dataloader=module.inference_dataloader()), latent)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # scvi-tools' own
def test_scanvi_learns_labels_from_a_store(store, tmp_path):
    scvi = pytest.importorskip("scvi")
    scvi.settings.seed = 0
    module = ScviDataModule(store, model="SCANVI", labels="cell_type", batch_size=32)
    model = scvi.model.SCANVI(registry=module.registry, datamodule=module, n_hidden=32, n_latent=4)
    model.train(datamodule=module, max_epochs=60, accelerator="cpu", enable_progress_bar=False, logger=None)
    said = model.predict(dataloader=module.inference_dataloader())
    _, obs = joined([f"g{i}" for i in range(11, 41)])
    known = obs["cell_type"].isin(["rod", "cone"]).to_numpy()
    assert set(said) <= {"rod", "cone"}
    held_out = np.intersect1d(module.val_idx, np.flatnonzero(known))
    assert (said[held_out] == obs["cell_type"].to_numpy()[held_out]).mean() > 0.8
    model.save(tmp_path / "model", datamodule=module)
    for options in ({}, {"datamodule": module}):
        again = scvi.model.SCANVI.load(tmp_path / "model", adata=False, **options)
        assert again.predict(dataloader=module.inference_dataloader()).tolist() == said.tolist()

"""The data module over a store: the same cells, labels and splits as from files, and training continues exactly."""

import lightning
import numpy as np
import pytest
import torch

from scdataloader import CellDataModule, Preprocessor, datasets
from scdataloader.options import Corpus, Drawing, GeneChoice, Holdout
from scdataloader.store import CellStore

QUIET = {
    "accelerator": "cpu",
    "logger": False,
    "enable_progress_bar": False,
    "enable_model_summary": False,
}
SETTINGS = {"classes": ["cell_type", "assay"], "organisms": ["human"], "context": 50, "batch_size": 16}


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Three preprocessed files of 60 cells each; the first ten cells of the last are copies of the first file's."""
    folder = tmp_path_factory.mktemp("clean")
    retina = datasets.retina_1k()
    gentle = Preprocessor.preset("inference", min_genes=200)
    for i, rows in enumerate([range(60), range(60, 120), [*range(10), *range(120, 170)]]):
        some = retina[list(rows)].copy()[:, ::4].copy()
        some.obs["assay_ontology_term_id"] = ["EFO:0030059", "EFO:0009899"][i % 2]
        some.obs["donor"] = [f"d{j % 6}" for j in range(60)]
        gentle.write(some, folder / f"set{i}.h5ad")
    return sorted(str(path) for path in folder.glob("*.h5ad"))


@pytest.fixture(scope="module")
def store(files, tmp_path_factory):
    folder = tmp_path_factory.mktemp("store") / "cells.store"
    CellStore.build(files, folder, shard_bytes=100_000)  # several shards a data set
    return str(folder)


#: Which parameter of the data module holds which options.
GROUPS = {"corpus": Corpus, "genes": GeneChoice, "drawing": Drawing, "holdout": Holdout}


def grouped(**options):
    """Options of the data module, each in the group that has one of its name."""
    out = {name: made(**{f: options.pop(f) for f in made.__dataclass_fields__ if f in options})
           for name, made in GROUPS.items()}  # fmt: skip
    return out | options


def module(given, **options):
    if "genes" in options:  # the ids, an option of the group of the same name
        chosen = GeneChoice(choice=options.pop("choice", None), genes=tuple(options.pop("genes")))
        options = options | {"genes": chosen}
        made = CellDataModule(**(SETTINGS | {"holdout": Holdout(val_fraction=0.1)} | given | options))
    else:
        made = CellDataModule(**grouped(**({"val_fraction": 0.1} | SETTINGS | given | options)))
    made.setup("fit")
    return made


@pytest.mark.parametrize(
    "options",
    [{}, {"test_datasets": ["set1"]}, {"split_by": "donor", "test_groups": 1}, {"separate_duplicates": False}],
    ids=["plain", "test set", "donors", "with duplicates"],
)
def test_cells_labels_and_splits_are_those_of_the_files(files, store, options, tmp_path):
    ours, theirs = module({"store": store}, **options), module({"files": files}, **options)
    assert ours.cells.names == theirs.cells.names
    assert ours.cells.sizes == theirs.cells.sizes == [60, 60, 60]
    for name, data in (("ours", ours), ("theirs", theirs)):
        data.label_space.save(tmp_path / name)
    assert (tmp_path / "ours").read_bytes() == (tmp_path / "theirs").read_bytes()
    assert ours.cells.labels.dtype == np.int8
    assert np.array_equal(ours.cells.labels, theirs.cells.labels)
    assert np.array_equal(ours.cells.fingerprints, theirs.cells.fingerprints)
    assert ours.split == theirs.split
    assert np.array_equal(ours.train_cells, theirs.train_cells)


def test_in_place_files_are_a_store_too(files, store):
    ours, theirs = (next(iter(module({"store": what}).train_dataloader())) for what in (files, store))
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


def test_batches_hold_the_cells_that_are_asked_for(files, store):
    ours = module({"store": store}, choice="most_expressed", test_datasets=["set1"])
    theirs = module({"files": files}, choice="most_expressed", test_datasets=["set1"])
    for name in ("val_dataloader", "test_dataloader", "predict_dataloader"):
        pairs = zip(getattr(ours, name)(), getattr(theirs, name)(), strict=True)
        for one, other in pairs:
            for key in ("total_counts", "labels", "dataset"):
                assert torch.equal(one[key], other[key])
            assert torch.equal(one["counts"].sort(dim=1).values, other["counts"].sort(dim=1).values)
    drawn = torch.cat([batch["dataset"] for batch in ours.train_dataloader()])
    assert len(drawn) == len(ours.train_cells)
    assert set(drawn.tolist()) == {0, 2}


def test_a_given_panel_comes_in_its_order(store):
    genes = list(reversed(module({"store": store}).vocabulary.ids[:4000:50]))
    measured = set(module({"store": store}).cells.store.gene_tables[0].index)
    panel = [gene for gene in genes if gene in measured][:20]
    made = module({"store": store}, choice="given", genes=panel, context=None)
    batch = next(iter(made.train_dataloader()))
    assert batch["counts"].shape == (16, len(panel))
    assert [made.vocabulary.ids[i] for i in batch["genes"][0].tolist()] == panel


def test_rare_groups_are_drawn_more_often(store):
    made = module({"store": store}, weight_classes=["cell_type"], weight_scale=1.0, cells_per_epoch=4000)
    drawn = torch.cat([batch["labels"][:, 0] for batch in made.train_dataloader()]).numpy()
    cells = made.cells.labels[made.train_cells, 0].astype(np.int64)
    types, counts = np.unique(cells, return_counts=True)
    expected = counts / (counts + 1)
    share = np.array([(drawn == kind).mean() for kind in types])
    assert np.abs(share - expected / expected.sum()).max() < 4 * np.sqrt(0.25 / 4000)


class Recorder(lightning.LightningModule):
    """Keeps what it was trained on; its single weight depends on all of it."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1, dtype=torch.float64))
        self.automatic_optimization = True
        self.seen = []

    def training_step(self, batch, batch_idx):
        content = (batch["genes"].double() * batch["counts"].double()).sum(dim=1)
        self.seen.append((self.trainer.current_epoch, batch_idx, content.tolist()))
        return self.weight.sum() * content.mean()

    def validation_step(self, batch, batch_idx):  # noqa: ARG002
        self.log("seen", batch["counts"].sum())

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=1e-6)


def fit(store, folder, *, max_steps, ckpt_path=None):
    model = Recorder()
    keep = lightning.pytorch.callbacks.ModelCheckpoint(dirpath=folder, every_n_train_steps=1, save_top_k=-1)
    trainer = lightning.Trainer(**QUIET, max_steps=max_steps, callbacks=[keep], default_root_dir=folder)
    data = CellDataModule(store=store, holdout=Holdout(val_fraction=0.1), **SETTINGS)
    trainer.fit(model, data, ckpt_path=ckpt_path)
    return model, next(folder.glob(f"*-step={max_steps}.ckpt"))


def test_training_draws_anew_each_epoch_and_continues_in_the_middle_of_one(store, tmp_path):
    whole, _ = fit(store, tmp_path / "whole", max_steps=25)
    epochs = [[content for epoch, _, content in whole.seen if epoch == e] for e in (0, 1)]
    assert len(epochs[0]) == len(epochs[1]) == 10
    assert epochs[0] != epochs[1]
    for steps in (13, 20):  # in the middle, and at the end
        _, at = fit(store, tmp_path / f"first{steps}", max_steps=steps)
        rest, _ = fit(store, tmp_path / f"rest{steps}", max_steps=25, ckpt_path=at)
        assert rest.seen == whole.seen[steps:]
        assert torch.equal(rest.weight, whole.weight)


def test_ranks_share_one_sequence(store):
    made = module({"store": store})
    alone = [batch["counts"] for batch in made.train_dataloader()]
    shares = []
    for rank in range(2):
        made.trainer = type("Trainer", (), {"global_rank": rank, "world_size": 2, "current_epoch": 0})()
        shares.append([batch["counts"] for batch in made.train_dataloader()])
    assert all(torch.equal(a, b) for a, b in zip(alone[::2], shares[0], strict=False))
    assert all(torch.equal(a, b) for a, b in zip(alone[1::2], shares[1], strict=False))
    assert len(shares[0]) == len(shares[1])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"files": ["a.h5ad"]}, "give one of them"),
        ({"preprocess": True, "in_memory": True}, "'preprocess': True, 'in_memory': True.*are for files"),
        ({"min_context": 20, "choice": "all", "context": None}, "leave out min_context"),
        ({"choice": "alphabetical"}, "alphabetical.*random_expressed"),
        ({"split_by": "village"}, "village"),
        ({"context": 10**6}, "1000000"),
        ({"test_datasets": ["set9"]}, "set9"),
    ],
)
def test_what_a_store_cannot_do_is_refused(store, options, message):
    with pytest.raises(ValueError, match=message):
        module({"store": store}, **options).train_dataloader()


def test_neither_files_nor_a_store_is_refused():
    with pytest.raises(ValueError, match="give one of them"):
        CellDataModule()

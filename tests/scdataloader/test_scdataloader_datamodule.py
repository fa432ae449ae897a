"""The data module: from files to training, validation and test batches, with Lightning and without."""

import json
import os
import subprocess
import sys

import anndata
import h5py
import lightning
import numpy as np
import pytest
import torch

from scdataloader import CellDataModule, GeneVocabulary, LabelSpace, Preprocessor, WeightedSampler, datasets
from scdataloader.options import Corpus, Drawing, GeneChoice, Holdout
from scdataloader.sampling import Interleaved, SequentialSampler, Share
from scdataloader.splits import Split

GENTLE = Preprocessor.preset("inference", min_genes=200)
QUIET = {
    "accelerator": "cpu",
    "logger": False,
    "enable_checkpointing": False,
    "enable_progress_bar": False,
    "enable_model_summary": False,
}


@pytest.fixture(scope="module")
def raw(tmp_path_factory):
    """Two files of raw counts, of 150 cells each."""
    folder = tmp_path_factory.mktemp("raw")
    retina = datasets.retina_1k()
    for i, part in enumerate((slice(0, 150), slice(150, 300))):
        some = retina[part].copy()
        some.obs["assay_ontology_term_id"] = ["EFO:0030059", "EFO:0009899"][i]
        some.write_h5ad(folder / f"part{i}.h5ad")
    return folder


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Four preprocessed files of 60 cells each, and a quarter of the genes."""
    folder = tmp_path_factory.mktemp("clean")
    retina = datasets.retina_1k()
    for i in range(4):
        some = retina[60 * i : 60 * (i + 1), ::4].copy()
        some.obs["assay_ontology_term_id"] = ["EFO:0030059", "EFO:0009899"][i % 2]
        some.obs["donor"] = [f"d{j % 6}" for j in range(60)]
        GENTLE.write(some, folder / f"set{i}.h5ad")
    return folder


#: Which parameter of the data module holds which options.
GROUPS = {"corpus": Corpus, "genes": GeneChoice, "drawing": Drawing, "holdout": Holdout}


def grouped(**options):
    """Options of the data module, each in the group that has one of its name."""
    out = {name: made(**{f: options.pop(f) for f in made.__dataclass_fields__ if f in options})
           for name, made in GROUPS.items()}  # fmt: skip
    return out | options


def make_module(files, **options):
    settings = {"classes": ["cell_type", "assay"], "organisms": ["human"], "context": 50, "batch_size": 16}
    module = CellDataModule([str(files / "*.h5ad")], **grouped(val_fraction=0.1, **(settings | options)))
    module.setup("fit")
    return module


def test_splits_cells_and_keeps_data_sets_apart(raw):
    module = make_module(raw)
    assert module.cells.names == ["part0", "part1"]
    assert len(module.val_cells) == 30
    assert not set(module.val_cells) & set(module.train_cells)
    assert len(module.val_cells) + len(module.train_cells) == 300
    assert (make_module(raw).val_cells == module.val_cells).all()
    assert (make_module(raw, seed=1).val_cells != module.val_cells).any()
    drawn = torch.cat([batch["dataset"] for batch in module.train_dataloader()])
    assert len(drawn) == 270
    first, second = (next(iter(module.val_dataloader()))["genes"] for _ in range(2))
    assert torch.equal(first, second)


def test_options_reach_the_batches(raw):
    module = make_module(raw, cells_per_epoch=37, choice="most_expressed", context=40, min_genes=1500)
    batches = list(module.train_dataloader())
    assert sum(len(batch["genes"]) for batch in batches) == 37
    assert batches[0]["genes"].shape == (16, 40)
    assert (batches[0]["counts"].diff(dim=1) <= 0).all()  # by falling count
    assert len(module.cells) < 300


def test_weights_are_of_the_chosen_labels(files):
    def drawn(**options):
        module = make_module(files, weight_scale=1e-6, cells_per_epoch=4000, **options)
        batches = list(module.train_dataloader())
        return torch.cat([b["labels"] for b in batches]), torch.cat([b["dataset"] for b in batches])

    labels, _ = drawn()
    counts = torch.unique(labels, dim=0, return_counts=True)[1].float()
    assert counts.max() > 2 * counts.min()  # by label and data set: not all labels are in all data sets
    labels, _ = drawn(weight_classes=["cell_type"])
    counts = torch.unique(labels[:, 0], return_counts=True)[1].float()
    assert counts.max() < 1.3 * counts.min()  # all cell types alike, however rare
    labels, sets = drawn(weight_classes=["dataset"])
    assert torch.unique(sets, return_counts=True)[1].float().std() < 60
    counts = torch.unique(labels[:, 0], return_counts=True)[1].float()
    assert counts.max() > 5 * counts.min()
    with pytest.raises(ValueError, match=r"weight_classes=\['tissue'\] are not among \['cell_type', 'assay', 'data"):
        drawn(weight_classes=["tissue"])


def test_what_is_tested_on_is_what_is_reported(files):
    module = make_module(files, test_datasets=["set2"])
    assert module.split.test_datasets == ["set2"]
    tested = torch.cat([batch["dataset"] for batch in module.test_dataloader()])
    assert {module.cells.names[i] for i in tested} == {"set2"}
    assert len(tested) == 60
    for part in (module.train_dataloader(), module.val_dataloader()):
        seen = torch.cat([batch["dataset"] for batch in part])
        assert "set2" not in {module.cells.names[i] for i in seen}
    # the counts too are those of the held-out file
    totals = torch.cat([batch["total_counts"] for batch in module.test_dataloader()])
    held_out = anndata.read_h5ad(files / "set2.h5ad")
    assert totals.tolist() == held_out.obs["total_counts"].tolist()
    drawn = make_module(files, test_datasets=0.3)
    assert len(drawn.split.test_datasets) == 2
    tested = torch.cat([batch["dataset"] for batch in drawn.test_dataloader()])
    assert sorted({drawn.cells.names[i] for i in tested}) == drawn.split.test_datasets
    with pytest.raises(ValueError, match=r"nothing to test on: hold out some test_datasets, of \['set0', "):
        make_module(files).test_dataloader()


def test_the_split_does_not_depend_on_the_order_of_files(files):
    def held_out(order):
        module = CellDataModule(
            [str(files / f"set{i}.h5ad") for i in order],
            classes=["cell_type"],
            organisms=["human"],
            context=50,
            holdout=Holdout(val_fraction=0.1, test_datasets=1),
        )
        module.setup()
        totals = {part: module.cells.total_counts[getattr(module, part)] for part in ("val_cells", "test_cells")}
        return module.split.test_datasets, {part: sorted(values.tolist()) for part, values in totals.items()}

    assert held_out([0, 1, 2, 3]) == held_out([2, 0, 3, 1])


def test_donors_are_held_out_as_a_whole(files):
    module = make_module(files, split_by="donor", test_groups=["d4"])
    donors = np.concatenate([anndata.read_h5ad(files / f"set{i}.h5ad").obs["donor"] for i in range(4)])
    train, validation, test = (set(donors[c]) for c in (module.train_cells, module.val_cells, module.test_cells))
    assert test == {"d4"} == set(module.split.groups["test"])
    assert validation == set(module.split.groups["validation"])
    assert train == {f"d{i}" for i in range(6)} - validation - test
    with pytest.raises(ValueError, match=r"set0: obs has no column 'patient'; it has \["):
        make_module(files, split_by="patient")


def test_copies_are_kept_out_of_training(files, tmp_path):
    for i in (0, 1):
        anndata.read_h5ad(files / f"set{i}.h5ad").write_h5ad(tmp_path / f"set{i}.h5ad")
    copies = anndata.concat([anndata.read_h5ad(files / f"set{i}.h5ad")[:25] for i in (0, 1)], uns_merge="same")
    copies.write_h5ad(tmp_path / "copies.h5ad")
    module = make_module(tmp_path, test_datasets=["copies"])
    assert module.cells.names == ["copies", "set0", "set1"]
    prints = module.cells.fingerprints
    assert not set(prints[module.test_cells]) & set(prints[np.concatenate([module.train_cells, module.val_cells])])
    assert len(module.train_cells) + len(module.val_cells) == 120 - 50
    careless = make_module(tmp_path, test_datasets=["copies"], separate_duplicates=False)
    assert len(careless.train_cells) + len(careless.val_cells) == 120


def test_a_stored_split_is_used(files, tmp_path):
    module = make_module(files, test_datasets=1, seed=7)
    module.split.save(tmp_path / "split.parquet")
    again = make_module(files, file=str(tmp_path / "split.parquet"))
    assert (again.val_cells == module.val_cells).all()
    assert (again.test_cells == module.test_cells).all()
    codes = dict(module.split.codes) | {"set0": module.split.codes["set0"][:-1]}
    Split(codes).save(tmp_path / "old.parquet")
    with pytest.raises(ValueError, match="set0 has 60 cells, but the split was made for 59"):
        make_module(files, file=str(tmp_path / "old.parquet"))


def test_files_are_preprocessed_once(raw, files, tmp_path):
    strict = Preprocessor(
        min_cells=1, min_dataset_genes=0, min_genes=100_000
    )  # would refuse every file that it is given
    assert len(make_module(files, preprocessor=strict).cells) == 240
    with pytest.raises(ValueError, match=r"set0\.h5ad: 0 of 60 cells are left"):
        make_module(files, preprocessor=strict, preprocess=True)
    with pytest.raises(ValueError, match=r"part0\.h5ad: 0 of 150 cells are left"):
        make_module(raw, preprocessor=strict)
    assert len(make_module(raw, preprocess=False).cells) == 300
    scaled = anndata.read_h5ad(raw / "part0.h5ad")
    scaled.X = scaled.X.astype(np.float32).multiply(0.5).tocsr()
    scaled.write_h5ad(tmp_path / "scaled.h5ad")
    with pytest.raises(ValueError, match=r"scaled\.h5ad: these are not raw counts"):
        make_module(tmp_path, preprocess=False, classes=["cell_type"])
    with pytest.raises(ValueError, match="min_genes=5 is the preprocessor's"):
        CellDataModule([], corpus=Corpus(preprocessor=strict, min_genes=5))


def test_labels_and_genes_of_a_trained_model(files, tmp_path):
    first = make_module(files)
    first.label_space.save(tmp_path / "labels.json")
    vocabulary = first.vocabulary
    shorter = GeneVocabulary(
        *(column[:9000] for column in (vocabulary.ids, vocabulary.symbols)),
        vocabulary.organisms[:9000],
        vocabulary.locations[:9000],
    )
    shorter.save(tmp_path / "genes.parquet")
    options = {"label_space": str(tmp_path / "labels.json"), "vocabulary": str(tmp_path / "genes.parquet")}
    module = make_module(files, classes=None, **options)
    assert list(module.label_space.classes) == ["cell_type", "assay"]
    assert (module.cells.labels == first.cells.labels).all()
    assert module.vocabulary == shorter
    assert next(iter(module.train_dataloader()))["genes"].max() < 9000
    one = make_module(files, classes=["assay"], **options)
    assert (one.cells.labels[:, 0] == first.cells.labels[:, 1]).all()
    with pytest.raises(ValueError, match=r"labels\.json has no classes \['disease'\], only \['cell_type', 'assay'\]"):
        make_module(files, classes=["disease"], **options)


def test_wrong_label_columns_are_named(files):
    with pytest.raises(ValueError, match=r"none of 4 tables has .* for class 'celltype'; did you mean 'cell_type'\?"):
        make_module(files, classes=["celltype"])
    with pytest.raises(ValueError, match=r"for class 'zzz'.* They have \['assay', "):
        make_module(files, classes=["zzz"])


def test_small_data_sets_are_named(files):
    with pytest.raises(ValueError, match=r"set0: .* genes are in the vocabulary, fewer than the context of 60000"):
        make_module(files, context=60_000)


def test_other_contexts_and_formats(files, tmp_path):
    module = make_module(files, min_context=10)
    assert len({batch["genes"].shape[1] for batch in module.train_dataloader()}) > 3
    assert {batch["genes"].shape[1] for batch in module.val_dataloader()} == {50}
    batch = next(iter(make_module(files, variable_context=True, context=3000, positions=True).val_dataloader()))
    assert batch["genes"].shape[1] == batch["mask"].sum(dim=1).max()
    assert set(batch) >= {"mask", "positions"}
    ids = make_module(files).vocabulary.ids
    known = set(ids)
    wanted = [gene for gene in anndata.read_h5ad(files / "set0.h5ad").var_names.tolist() if gene in known][9:4:-1]
    batch = next(iter(make_module(files, choice="given", genes=wanted, context=None).train_dataloader()))
    assert [ids[g] for g in batch["genes"][3]] == wanted
    batch = next(iter(make_module(files, format="scgpt", n_bins=6, context=30).predict_dataloader()))
    assert batch["genes"].shape == (16, 30)
    assert 4 <= batch["values"].max() <= 5  # 5 is the bin of a cell's greatest count alone
    (tmp_path / "tokens.json").write_text(json.dumps({"<pad>": 0} | {gene: i + 1 for i, gene in enumerate(ids)}))
    (tmp_path / "medians.json").write_text(json.dumps(dict.fromkeys(ids, 1.0)))
    named = {"tokens": str(tmp_path / "tokens.json"), "medians": str(tmp_path / "medians.json")}
    batch = next(iter(make_module(files, format="geneformer", context=20, **named).train_dataloader()))
    assert batch["input_ids"].shape == (16, 20)


def test_predict_goes_through_all_cells_in_order(files):
    module = make_module(files, test_datasets=1)
    batches = list(module.predict_dataloader())
    assert torch.cat([batch["total_counts"] for batch in batches]).tolist() == module.cells.total_counts.tolist()


def test_ranks_share_the_draws(files):
    module = make_module(files)
    sampler = WeightedSampler(np.zeros((len(module.train_cells), 1), int), n_draws=101)
    whole = list(sampler)
    shares = [Share(sampler, 1, rank=rank, world_size=2) for rank in range(2)]
    parts = [share.indices(0, len(share)).tolist() for share in shares]
    assert [len(p) for p in parts] == [51, 51]
    assert [x for pair in zip(*parts, strict=True) for x in pair] == [*whole, whole[-1]]  # all as many: one comes twice
    shares[0].set_epoch(1)
    assert shares[0].indices(0, 51).tolist() != parts[0]
    order = SequentialSampler(np.arange(10, 17))
    uneven = [list(Interleaved(order, rank, 3)) for rank in range(3)]
    assert uneven == [[10, 13, 16], [11, 14], [12, 15]]
    assert len(Interleaved(order, 0, 3)) == 3
    assert [Interleaved(order, 1, 3).positions(0, 2).tolist(), len(Interleaved(SequentialSampler(2), 2, 3))] == [
        [1, 4],
        0,
    ]


class Recorder(lightning.LightningModule):
    """Any model: it only writes down what it is given."""

    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(1, 1)
        self.seen = {"train": [], "val": [], "test": [], "predict": []}

    def training_step(self, batch):
        self.seen["train"].append(batch["total_counts"])
        return self.layer(batch["counts"].mean().reshape(1, 1)).sum()

    def validation_step(self, batch):
        self.seen["val"].append(batch["total_counts"])

    def test_step(self, batch):
        self.seen["test"].append(batch["total_counts"])

    def predict_step(self, batch):
        self.seen["predict"].append(batch["total_counts"])
        return batch["counts"].sum(dim=1)

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=1e-6)


def test_any_lightning_module(files):
    module = make_module(files, test_datasets=["set1"], cells_per_epoch=48)
    model = Recorder()
    trainer = lightning.Trainer(max_epochs=2, num_sanity_val_steps=0, **QUIET)
    trainer.fit(model, module)
    first, second = torch.cat(model.seen["train"]).split(48)
    assert not torch.equal(first, second)  # another epoch draws anew
    totals = module.cells.total_counts
    assert set(first.tolist()) <= set(totals[module.train_cells].tolist())
    validated = torch.cat(model.seen["val"])
    assert validated.tolist() == 2 * totals[module.val_cells].tolist()
    trainer.test(model, module, verbose=False)
    assert torch.cat(model.seen["test"]).tolist() == totals[60:120].tolist()
    predictions = trainer.predict(model, module)
    assert sum(len(p) for p in predictions) == 240


def test_two_processes_see_the_data_once(files, tmp_path):
    if "IN_A_FRESH_PROCESS" not in os.environ:
        # autograd does not survive a fork once another test has used it here
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:xdist", "-p", "no:cacheprovider"]
        test = f"{__file__}::test_two_processes_see_the_data_once"
        environment = os.environ | {"IN_A_FRESH_PROCESS": "1"}
        done = subprocess.run([*command, test], env=environment, capture_output=True, text=True, check=False)
        assert " 1 passed" in f" {done.stdout.splitlines()[-1]}", done.stdout
        return
    # Lightning's own sampler, on by default, must not share the shares out again
    module = make_module(files, test_datasets=["set1"], cells_per_epoch=64)
    model = Recorder()
    trainer = lightning.Trainer(max_epochs=1, num_sanity_val_steps=0, devices=2, strategy="ddp_fork", **QUIET)
    writer = Writer(tmp_path)
    trainer.callbacks.append(writer)
    trainer.fit(model, module)
    parts = [torch.load(tmp_path / f"{rank}.pt") for rank in range(2)]
    alone = [batch["total_counts"] for batch in module.train_dataloader()]
    for part, share in zip(parts, (alone[::2], alone[1::2]), strict=True):
        assert part["train"].tolist() == torch.cat(share).tolist()
    validated = torch.cat([part["val"] for part in parts])
    assert sorted(validated.tolist()) == sorted(module.cells.total_counts[module.val_cells].tolist())


class Writer(lightning.Callback):
    """Leaves what each process saw in a file."""

    def __init__(self, folder):
        self.folder = folder

    def on_fit_end(self, trainer, pl_module):
        seen = {part: torch.cat(totals) for part, totals in pl_module.seen.items() if totals}
        torch.save(seen, self.folder / f"{trainer.global_rank}.pt")


def test_command_lines_read_the_signature(files):
    import jsonargparse

    parser = jsonargparse.ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(CellDataModule, "data")
    config = parser.parse_args(
        [
            f'--data.files=["{files}/set*.h5ad"]',
            '--data.classes=["cell_type"]',
            '--data.organisms=["human"]',
            "--data.context=30",
            "--data.genes.format=scgpt",
            "--data.holdout.test_datasets=0.1",
            "--data.corpus.preprocessor.min_genes=10",
            "--data.corpus.preprocess=false",
        ]
    )
    module = parser.instantiate(config).data
    assert module.holdout.test_datasets == pytest.approx(0.1)
    assert module.corpus.preprocessor == Preprocessor(min_genes=10)
    module.setup()
    assert len(module.test_cells) == 60
    assert next(iter(module.val_dataloader()))["values"].shape == (4, 30)
    names = parser.parse_args([f'--data.files=["{files}/set0.h5ad"]', '--data.holdout.test_datasets=["set0"]']).data
    assert names.holdout.test_datasets == ["set0"]
    two = parser.parse_args([f'--data.files=["{files}/set0.h5ad"]', "--data.holdout.test_datasets=2"]).data
    assert two.holdout.test_datasets == 2


def test_what_is_missing_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="no file matches"):
        CellDataModule([str(tmp_path / "*.h5ad")])
    with pytest.raises(ValueError, match=r"val_fraction=1\.5"):
        CellDataModule([], holdout=Holdout(val_fraction=1.5))
    module = CellDataModule([])
    for part in ("cells", "split"):
        with pytest.raises(RuntimeError, match="call setup"):
            getattr(module, part)
    with pytest.raises(ValueError, match="there are no files"):
        module.setup()
    with h5py.File(tmp_path / "odd.h5ad", "w") as file:
        file["X"] = [1]
    with pytest.raises(ValueError, match=r"odd\.h5ad"):
        make_module(tmp_path)


def test_label_space_without_classes(files):
    module = make_module(files, classes=[])
    assert isinstance(module.label_space, LabelSpace)
    assert next(iter(module.train_dataloader()))["labels"].shape == (16, 0)

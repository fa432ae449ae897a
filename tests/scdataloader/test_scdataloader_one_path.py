"""Files in place, files held in memory and stores: the same cells, genes and counts, whatever the gene choice."""

import json
import logging

import anndata
import h5py
import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy import sparse

from scdataloader import (
    CellDataModule,
    CellDataset,
    CellStore,
    Corpus,
    Drawing,
    Extras,
    GeneChoice,
    GeneVocabulary,
    Holdout,
    LabelSpace,
    Preprocessor,
    StoreLoader,
    datasets,
    open_source,
    open_store,
)
from scdataloader.collate import nearest_cells
from scdataloader.sampling import Share, UniformSampler
from scdataloader.store.held import hold
from scdataloader.store.joined import joined

SETTINGS = {"classes": ["cell_type", "assay"], "organisms": ["human"], "context": 50, "batch_size": 16}
GENTLE = Preprocessor.preset("inference", min_genes=200)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """The same 150 preprocessed cells: files with and without compression, and a store; the genes of one file."""
    folder = tmp_path_factory.mktemp("corpus")
    (folder / "packed").mkdir()
    (folder / "plain").mkdir()
    retina = datasets.retina_1k()
    for i in range(3):
        some = retina[50 * i : 50 * (i + 1), i :: 4 - (i == 2)].copy()
        some.obs["assay_ontology_term_id"] = ["EFO:0030059", "EFO:0009899"][i % 2]
        GENTLE.write(some, folder / "packed" / f"set{i}.h5ad")
        adata = anndata.read_h5ad(folder / "packed" / f"set{i}.h5ad")
        adata.obsm["X_pca"] = np.random.default_rng(i).normal(size=(50, 3)).astype(np.float32)
        adata.layers["spliced"] = sparse.csr_matrix((adata.X.data // 2, adata.X.indices, adata.X.indptr), adata.shape)
        adata.obs["age"] = np.arange(50) + 0.5
        adata.obs["rank"] = np.arange(50) + 100 * i
        adata.obs["place"] = ["left", "right"][i % 2]
        adata.obs.loc[adata.obs_names[0], "place"] = None
        adata.write_h5ad(folder / "plain" / f"set{i}.h5ad")
    plain = sorted(str(path) for path in (folder / "plain").glob("*.h5ad"))
    CellStore.build(plain, folder / "store", shard_bytes=60_000)
    return folder, plain


def module(given, **options):
    made = CellDataModule(**{"holdout": Holdout(val_fraction=0.1), **SETTINGS, **given, **options})
    made.setup("fit")
    return made


@pytest.fixture(scope="module")
def formats(tmp_path_factory):
    folder = tmp_path_factory.mktemp("formats")
    ids = GeneVocabulary.for_organisms(["human"]).ids
    (folder / "tokens.json").write_text(json.dumps({"<pad>": 0} | {gene: i + 1 for i, gene in enumerate(ids)}))
    rng = np.random.default_rng(0)
    (folder / "medians.json").write_text(
        json.dumps(dict(zip(ids, rng.uniform(0.5, 3, len(ids)).tolist(), strict=True)))
    )
    return {"tokens": str(folder / "tokens.json"), "medians": str(folder / "medians.json")}


CHOICES = {
    "random_expressed": {},
    "most_expressed": {"choice": "most_expressed"},
    "most_variable": {"choice": "most_variable"},
    "given": {"choice": "given", "missing": "mask"},
    "all": {"choice": "all"},
    "variable": {"variable_context": True},
    "min_context": {"min_context": 10},
    "scgpt": {"format": "scgpt"},
    "geneformer": {"format": "geneformer"},
}


@pytest.mark.parametrize("choice", CHOICES)
def test_the_same_batches_from_files_in_place_and_in_memory_and_from_a_store(corpus, formats, choice, caplog):
    folder, plain = corpus
    options = dict(CHOICES[choice])
    if choice == "given":
        known = set(GeneVocabulary.for_organisms(["human"]).ids)
        options["genes"] = tuple(gene for gene in anndata.read_h5ad(plain[0]).var_names if gene in known)[40:10:-1]
    if choice == "geneformer":
        options |= formats
    context = None if choice in ("given", "all") else 50
    shared = {"genes": GeneChoice(**options), "context": context, "seed": 3}
    caplog.set_level(logging.WARNING)
    made = {
        "store": module({"store": str(folder / "store")}, **shared),
        "in place": module({"files": plain}, **shared),
        "in memory": module({"files": plain}, corpus=Corpus(in_memory=True), **shared),
        "converted": module({"files": [str(folder / "packed" / "*.h5ad")]}, **shared),
        "mixed": module({"files": [plain[0], str(folder / "packed" / "set1.h5ad"), plain[2]]}, **shared),
    }
    kinds = {name: type(data.cells.store).__name__ for name, data in made.items()}
    assert kinds == {
        "store": "CellStore", "in place": "AnnDataStore", "in memory": "HeldStore", "converted": "HeldStore",
        "mixed": "JoinedStore",
    }  # fmt: skip
    told = next(r.getMessage() for r in caplog.records if "converted once" in r.getMessage())
    assert told.startswith("3 of the files")
    for part in ("train_dataloader", "val_dataloader", "predict_dataloader"):
        expected = list(getattr(made["store"], part)())
        assert len(expected) > 0
        for name, data in made.items():
            found = list(getattr(data, part)())
            assert len(found) == len(expected), name
            for one, other in zip(found, expected, strict=True):
                assert one.keys() == other.keys()
                assert all(torch.equal(one[key], other[key]) for key in one), (name, part)


@st.composite
def corpora(draw):
    """Small counts of two data sets over parts of twelve genes, columns in any order."""
    sets = []
    for name in ("one", "two"):
        genes = draw(st.lists(st.integers(0, 11), min_size=4, max_size=12, unique=True))
        n_cells = draw(st.integers(1, 6))
        counts = draw(st.lists(st.lists(st.sampled_from([0, 0, 1, 2, 300]), min_size=len(genes), max_size=len(genes)),
                               min_size=n_cells, max_size=n_cells))  # fmt: skip
        sets.append((name, np.array(counts), [f"g{i}" for i in genes]))
    return sets


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    corpora(), st.sampled_from(["random_expressed", "most_expressed", "most_variable"]), st.integers(1, 4), st.data()
)
def test_any_way_to_hold_cells_gives_the_same_batch(tmp_path_factory, sets, choice, context, data):
    folder = tmp_path_factory.mktemp("any")
    vocabulary = GeneVocabulary(
        tuple(f"g{i}" for i in range(12)),
        tuple(f"G{i}" for i in range(12)),
        ("NCBITaxon:9606",) * 12,
        np.zeros(12, int),
    )
    named = []
    for name, counts, genes in sets:
        obs = pd.DataFrame(index=[f"{name}{i}" for i in range(len(counts))])
        adata = anndata.AnnData(sparse.csr_matrix(counts.astype(np.float32)), obs=obs, var=pd.DataFrame(index=genes))
        adata.write_h5ad(folder / f"{name}.h5ad")
        named.append((name, adata))
    files = [str(folder / f"{name}.h5ad") for name, _ in named]
    held = joined([hold(name, open_source(adata)) for name, adata in named])
    first = CellStore.build([named[0]], folder / "first")
    stores = [CellStore.build(named, folder / "store"), open_store(named), open_store(files), held]
    stores.append(joined([open_store(files[1]), first], ["one", "two"]))
    n = len(stores[0])
    cells = data.draw(st.lists(st.integers(0, n - 1), min_size=1, max_size=8))
    dense = [dict(zip(genes, row, strict=True)) for _, counts, genes in sets for row in counts.tolist()]
    batches = []
    for store in stores:
        made = CellDataset(store, vocabulary, LabelSpace({}), context=context, choice=choice, seed=4)
        batches.append(made.__getitems__(cells))
    for batch in batches:
        assert all(torch.equal(batch[key], batches[0][key]) for key in batch)
        for cell, genes, counts in zip(cells, batch["genes"].tolist(), batch["counts"].tolist(), strict=True):
            assert [dense[cell][f"g{gene}"] for gene in genes] == counts
    ends, columns, counts = stores[-1].gather_csr(np.array(cells), stores[-1].gene_map(vocabulary), exact=True)
    found = sparse.csr_matrix((counts, columns, ends), shape=(len(cells), 12)).toarray()
    assert found.tolist() == [[dense[cell].get(f"g{i}", 0) for i in range(12)] for cell in cells]


def test_what_files_are_read_how(corpus, tmp_path, monkeypatch):
    folder, plain = corpus
    monkeypatch.setenv("SCDATALOADER_CACHE", str(tmp_path))
    packed = [str(folder / "packed" / f"set{i}.h5ad") for i in range(3)]
    first = module({"files": packed})
    stores = sorted((tmp_path / "stores").iterdir())
    assert len(stores) == 3
    written = [(path / "manifest.json").stat().st_mtime_ns for path in stores]
    again = module({"files": packed})  # not converted twice
    assert [(path / "manifest.json").stat().st_mtime_ns for path in stores] == written
    assert sorted((tmp_path / "stores").iterdir()) == stores
    assert again.cells.fingerprint == first.cells.fingerprint
    module({"files": plain})
    module({"files": packed}, corpus=Corpus(in_memory=True))
    assert sorted((tmp_path / "stores").iterdir()) == stores
    with h5py.File(packed[0], "r+") as file:  # written anew: its store is, too
        file.attrs["note"] = "touched"
    import os

    os.utime(packed[0], ns=(1, 1))
    module({"files": packed})
    assert len(list((tmp_path / "stores").iterdir())) == 4


def test_the_defaults_work_on_one_ordinary_file(tmp_path, caplog):
    adata = datasets.retina_1k()[:200].copy()
    adata.obs["disease_ontology_term_id"] = "PATO:0000461"
    del adata.obs["assay_ontology_term_id"]
    adata.obs = adata.obs[[c for c in adata.obs if not c.startswith("assay")]]
    adata.write_h5ad(tmp_path / "ordinary.h5ad")
    caplog.set_level(logging.WARNING)
    data = CellDataModule([str(tmp_path / "ordinary.h5ad")])
    data.setup()
    assert list(data.label_space.classes) == ["cell_type"]
    assert next(iter(data.train_dataloader()))["genes"].shape == (64, 2200)
    told = next(r.getMessage() for r in caplog.records if "left out" in r.getMessage())
    for name in (
        "disease (class 'disease' has 1 leaf label",
        "assay (none of 1 tables has",
        "organism (class 'organism'",
    ):
        assert name in told
    with pytest.raises(ValueError, match="class 'disease' has 1 leaf label"):
        module({"files": [str(tmp_path / "ordinary.h5ad")]}, classes=["cell_type", "disease"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"classes": "cell_type"}, r"classes='cell_type' must be a list of names: write \['cell_type'\]"),
        ({"organisms": "human"}, "organisms='human' must be a list"),
        ({"batch_size": 0}, "batch_size=0 must be at least 1"),
        ({"context": 0}, "context=0 must be at least 1"),
        ({"seed": -1}, "seed=-1 must not be negative"),
    ],
)
def test_arguments_are_checked_at_construction(options, message):
    with pytest.raises(ValueError, match=message):
        CellDataModule([], **options)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Drawing(cells_per_epoch=0), "cells_per_epoch=0 must be at least 1"),
        (lambda: Drawing(threads=-1), "threads=-1 must be at least 0"),
        (lambda: Drawing(weight_scale=0), "weight_scale=0 must be positive"),
        (lambda: Drawing(weight_classes="dataset"), "weight_classes='dataset' must be a list"),
        (lambda: Corpus(datasets="one"), "datasets='one' must be a list"),
        (lambda: Extras(obs="age"), "obs='age' must be a list"),
        (lambda: Extras(neighbours=-1), "neighbours=-1 must not be negative"),
    ],
)
def test_options_are_checked_when_they_are_made(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize("kind", ["store", "files"])
def test_cells_are_chosen_at_training_time(corpus, kind):
    folder, plain = corpus
    given = {"store": str(folder / "store")} if kind == "store" else {"files": plain}
    some = module(given, corpus=Corpus(datasets=("set0", "set2")), classes=["cell_type"])
    assert some.cells.names == ["set0", "set2"]
    assert some.cells.sizes == [50, 50]
    assert set(torch.cat([b["dataset"] for b in some.predict_dataloader()]).tolist()) == {0, 1}
    few = module(given, corpus=Corpus(where="rank >= 110 and rank < 130 or age < 3"))
    assert few.cells.sizes == [3, 23, 3]
    tables = [anndata.read_h5ad(path) for path in plain]
    kept = np.concatenate([t.obs["total_counts"][((t.obs["rank"] >= 110) & (t.obs["rank"] < 130) | (t.obs["age"] < 3))]
                           for t in tables])  # fmt: skip
    batches = list(few.predict_dataloader())
    assert torch.cat([b["total_counts"] for b in batches]).tolist() == kept.tolist()
    assert len(few.train_cells) + len(few.val_cells) == 29
    assert torch.equal(torch.cat([b["labels"] for b in batches]), torch.from_numpy(few.cells.labels).long())
    text = module(given, corpus=Corpus(where="place == 'right'"), classes=["cell_type"])
    assert text.cells.names == ["set1"]
    assert text.cells.sizes == [49]
    for wrong, message in (
        (Corpus(datasets=("set9",)), r"there are no data sets \['set9'\], only \['set0'"),
        (Corpus(where="village == 3"), r"obs has no columns \['village'\]; it has \["),
        (Corpus(where="age >"), "cannot be understood"),
        (Corpus(where="age + 1"), "gives float64, not true or false"),
        (Corpus(where="age > 1000"), "no cell is left of 150"),
    ):
        with pytest.raises(ValueError, match=message):
            module(given, corpus=wrong, classes=["cell_type"])


@pytest.mark.parametrize("in_memory", [False, True])
def test_more_travels_with_the_batch(corpus, in_memory):
    _, plain = corpus
    extras = Extras(obs=("age", "rank", "place"), obsm=("X_pca",), layers=("spliced",), neighbours=2)
    data = module({"files": plain}, extras=extras, corpus=Corpus(in_memory=in_memory))
    tables = [anndata.read_h5ad(path) for path in plain]
    batches = list(data.predict_dataloader())
    joined = {name: torch.cat([batch[name] for batch in batches]).numpy() for name in batches[0]}
    obs = pd.concat([t.obs for t in tables])
    assert np.allclose(joined["obs/age"], obs["age"])
    assert joined["obs/rank"].tolist() == obs["rank"].tolist()
    names = [*data.cells.categories["place"], None]
    assert [names[code] for code in joined["obs/place"]] == obs["place"].astype(object).where(
        obs["place"].notna(), None
    ).tolist()
    pca = np.concatenate([t.obsm["X_pca"] for t in tables])
    assert np.array_equal(joined["obsm/X_pca"], pca)
    assert np.array_equal(joined["layers/spliced"], joined["counts"] // 2)
    # neighbours by hand: the two nearest cells of the same file and part
    ids = data.vocabulary.ids
    dense = [t.to_df().reindex(columns=ids, fill_value=0).to_numpy() for t in tables]
    dense = np.concatenate(dense)
    part = np.zeros(150, int)
    part[data.val_cells] = 1
    for cell in (0, 7, 60, int(data.val_cells[0])):
        same = np.flatnonzero((np.arange(150) // 50 == cell // 50) & (part == part[cell]))
        same = same[same != cell]
        near = same[np.argsort(np.linalg.norm(pca[same] - pca[cell], axis=1))][:2]
        expected = dense[near][:, joined["genes"][cell]].sum(axis=0)
        assert joined["neighbour_counts"][cell].tolist() == expected.tolist()


def test_what_batches_cannot_hold_is_named(corpus):
    folder, plain = corpus
    for extras, message in (
        (Extras(obs=("height",)), "obs has no column 'height'"),
        (Extras(obsm=("X_umap",)), r"obsm has no 'X_umap', only \['X_pca'\]"),
        (Extras(layers=("velocity",)), r"has no matrix 'layers/velocity'"),
    ):
        with pytest.raises(ValueError, match=message):
            module({"files": plain}, extras=extras)
    with pytest.raises(ValueError, match=r"obsm has no 'X_pca': CellStore"):
        module({"store": str(folder / "store")}, extras=Extras(neighbours=3))
    with pytest.raises(ValueError, match="which ScGPTFormat turns to tokens"):
        module({"files": plain}, extras=Extras(neighbours=3), genes=GeneChoice(format="scgpt"))


def test_nearest_cells_by_hand():
    found = nearest_cells(np.array([[0.0], [1], [3], [3], [10], [5]]), np.array([0, 0, 0, 0, 1, 0]), 2)
    assert found[0].tolist() == [1, 2] or found[0].tolist() == [1, 3]
    assert found[5].tolist() in ([2, 3], [3, 2])
    assert found[2][0] == 3
    assert found[3][0] == 2
    assert found[4].tolist() == [-1, -1]


def test_a_loader_draws_another_epoch_each_time_and_continues_anywhere(corpus):
    folder, _ = corpus
    data = module({"store": str(folder / "store")}, drawing=Drawing(cells_per_epoch=70))

    def seen(loader):
        return [(batch["genes"] * batch["counts"]).sum().item() for batch in loader]

    loader = data.train_dataloader()
    epochs = [seen(loader) for _ in range(3)]
    assert len(epochs[0]) == 5
    assert epochs[0] != epochs[1] != epochs[2]
    loader.set_epoch(1)  # stays, whatever comes next
    assert seen(loader) == epochs[1]
    assert seen(loader) == epochs[2]
    for stop in range(16):
        first, again = data.train_dataloader(), data.train_dataloader()
        got, batches = [], iter(first)
        for _ in range(stop):
            try:
                batch = next(batches)
            except StopIteration:
                batches = iter(first)
                batch = next(batches)
            got.append((batch["genes"] * batch["counts"]).sum().item())
        again.load_state_dict(first.state_dict())
        while len(got) < 15:
            got += seen(again)
        assert got[:15] == [value for epoch in epochs for value in epoch]
    left = data.train_dataloader()
    next(iter(left))
    assert seen(left) == epochs[1]  # an epoch that was left is not drawn again


def test_a_state_is_good_for_other_ranks_only_as_a_sequence(corpus):
    folder, _ = corpus
    data = module({"store": str(folder / "store")})
    two = [data.train_dataloader(rank=rank, world_size=2) for rank in range(2)]
    assert two[0].fingerprint == two[1].fingerprint != data.train_dataloader().fingerprint
    assert two[0].sequence == data.train_dataloader().sequence
    with pytest.raises(ValueError, match="rank=2 must lie between"):
        data.train_dataloader(rank=2, world_size=2)
    with pytest.raises(ValueError, match="give both, or none"):
        data.train_dataloader(rank=1)


@pytest.mark.slow
def test_worker_processes_that_are_spawned_open_the_files_themselves(corpus):
    folder, plain = corpus
    vocabulary = GeneVocabulary.for_organisms(["human"])
    for what in (str(folder / "store"), plain):
        cells = CellDataset(what, vocabulary, LabelSpace({}), context=20, choice="most_expressed")
        loader = StoreLoader(cells, Share(UniformSampler(len(cells), seed=1), 32), batch_size=32)
        workers = torch.utils.data.DataLoader(loader, batch_size=None, num_workers=1, multiprocessing_context="spawn")
        for one, other in zip(workers, loader, strict=True):
            assert torch.equal(one["counts"], other["counts"])

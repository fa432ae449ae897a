"""AnnData as it is, against a store that was built from the same data: every read gives the same."""

import logging
import pickle
import shutil

import anndata
import h5py
import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from torch.utils.data import DataLoader

from scdataloader import CellDataset, GeneVocabulary, LabelSpace, StoreLoader, datasets
from scdataloader.sampling import UniformSampler
from scdataloader.store import AnnDataStore, CellStore, open_store
from scdataloader.store.store import describe

N = 40
GENES = {"x": [f"g{i}" for i in range(90)], "y": [f"g{i}" for i in range(120, 40, -1)]}
WANTED = [f"g{i}" for i in np.random.default_rng(0).permutation(130)]
PLACES = ("memory", "h5ad", "gzip", "zarr", "dense")


def make(seed, genes="x", kind=np.float32):
    rng = np.random.default_rng(seed)
    counts = rng.poisson(0.6, (N, len(GENES[genes])))
    counts[3] = 0
    counts[5, :4] = 100 if np.dtype(kind).itemsize == 1 else (255, 256, 32_767, 9)
    obs = pd.DataFrame(
        {"cell_type": pd.Categorical(rng.choice(["T cell", "B cell", "monocyte", "unknown"], N)), "donor": range(N)},
        index=[f"s{seed}c{i}" for i in range(N)],
    )
    return anndata.AnnData(sparse.csr_matrix(counts.astype(kind)), obs=obs, var=pd.DataFrame(index=GENES[genes]))


def written(adata, folder, place):
    """Put the data where a user may have them."""
    if place == "memory":
        return adata
    path = folder / f"data.{'zarr' if place == 'zarr' else 'h5ad'}"
    if place == "zarr":
        adata.write_zarr(path)
    elif place == "dense":
        anndata.AnnData(adata.X.toarray(), obs=adata.obs, var=adata.var).write_h5ad(path)
    else:
        adata.write_h5ad(path, compression=None if place == "h5ad" else "gzip")
    return path


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    """Of each place: two data sets as they are, and the store that was built from them."""
    folder = tmp_path_factory.mktemp("places")
    sets = {"a": make(0), "b": make(1, "y")}
    sets["a"].obs["total_counts"] = np.arange(N) + 1000.5
    built = CellStore.build(list(sets.items()), folder / "store", shard_bytes=1500)
    found = {}
    for place in PLACES:
        given = []
        for name, adata in sets.items():
            (folder / place / name).mkdir(parents=True)
            given.append((name, written(adata, folder / place / name, place)))
        found[place] = AnnDataStore(given)
    mixed = [("a", sets["a"]), ("b", folder / "gzip" / "b" / "data.h5ad")]  # one in place, one read row by row
    return built, found | {"mixed": AnnDataStore(mixed)}


def same(store, built, rows, data=None):
    wanted = WANTED if data is None else data
    genes, expected = store.gene_map(wanted), built.gene_map(wanted)
    for choice, context in (("all", None), ("random_expressed", 20), ("random_expressed", 60), ("most_expressed", 35)):
        options = {"choice": choice, "context": context, "seed": 7, "positions": np.arange(len(rows)) + 10}
        ours, theirs = store.gather(rows, genes, **options), built.gather(rows, expected, **options)
        assert np.array_equal(ours.counts, theirs.counts)
        assert ours.genes is theirs.genes is None or np.array_equal(ours.genes, theirs.genes)
    for exact in (False, True):
        for one, other in zip(
            store.gather_csr(rows, genes, exact=exact), built.gather_csr(rows, expected, exact=exact), strict=True
        ):
            assert one.dtype == other.dtype
            assert np.array_equal(one, other)
    for name in ("total_counts", "n_genes"):
        one, other = getattr(store, name)(rows), getattr(built, name)(rows)
        assert one.dtype == other.dtype
        assert np.array_equal(one, other)
    assert np.array_equal(store.dataset_of(rows), built.dataset_of(rows))
    assert np.array_equal(store.measured(rows, genes), built.measured(rows, expected))


@settings(max_examples=6)
@pytest.mark.parametrize("place", [*PLACES, "mixed"])
@given(rows=st.lists(st.integers(0, 2 * N - 1), max_size=12))
def test_every_read_equals_that_of_a_store(pairs, place, rows):
    built, found = pairs
    same(found[place], built, np.array(rows, dtype=np.int64))


@pytest.mark.parametrize("place", [*PLACES, "mixed"])
def test_what_is_known_of_the_cells_equals_that_of_a_store(pairs, place):
    built, found = pairs
    store = found[place]
    assert len(store) == len(built) == 2 * N
    assert store.datasets == built.datasets
    assert np.array_equal(store.dataset, built.dataset)
    assert [t.index.tolist() for t in store.gene_tables] == [t.index.tolist() for t in built.gene_tables]
    assert store.obs(["donor"])["donor"].tolist() == built.obs(["donor"])["donor"].tolist()
    assert store.obs().index.tolist() == built.obs().index.tolist()
    space = LabelSpace.from_obs([make(0).obs, make(1).obs], ["cell_type", "donor"])
    assert np.array_equal(store.labels(space), built.labels(space))
    rows = np.array([3, 70, 3])
    assert np.array_equal(store.labels(space, rows), space.encode(store.obs())[rows])
    store.will_need(rows)
    again = pickle.loads(pickle.dumps(store))
    assert again.fingerprint == store.fingerprint
    same(again, built, rows)
    for row in (-1, 2 * N):
        with pytest.raises(IndexError, match=f"no cell {row}: the store holds {2 * N}"):
            store.gather(np.array([0, 70, row]), store.gene_map(WANTED))
        with pytest.raises(IndexError, match=f"no cell {row}"):
            store.total_counts(np.array([row]))
        with pytest.raises(IndexError, match=f"no cell {row}"):
            store.gather_csr(np.array([row]), store.gene_map(WANTED))


@pytest.mark.parametrize("kind", ["f4", "f8", "i4", "i8", "u2", "u1", "u4", "u8", "i2", "i1"])
def test_every_type_of_numbers_is_read_in_place(tmp_path, kind):
    adata = make(2, kind=kind)
    built = CellStore.build([("d", adata)], tmp_path / "s")
    rows = np.arange(N)
    for name, indices in (("narrow", np.int32), ("wide", np.int64)):
        path = tmp_path / f"{name}.h5ad"
        adata.write_h5ad(path)
        with h5py.File(path, "a") as file:
            for part in ("data", "indices"):
                values = file[f"X/{part}"][:].astype(indices) if part == "indices" else file["X/data"][:]
                del file[f"X/{part}"]
                file.create_dataset(f"odd_{part}", data=np.ones(3, np.uint8))  # what follows is not aligned
                chunks = (7,) if name == "narrow" else None  # several chunks a row, or one piece
                file["X"].create_dataset(part, data=values, chunks=chunks)
        store = open_store([("d", path)])
        assert store.info()["slow"] == {}
        same(store, built, rows)
        store.will_need(rows)
    memory = AnnDataStore([("d", adata)])
    same(memory, built, rows)
    matrix = memory._parts[0].matrix
    assert np.shares_memory(matrix.values.owner, adata.X.data)  # nothing is copied
    assert np.shares_memory(matrix.columns.owner, adata.X.indices)


@pytest.mark.parametrize("place", ["memory", "h5ad", "gzip"])
def test_genes_out_of_order_and_given_twice(tmp_path, place):
    counts = sparse.csr_matrix(
        (np.array([5, 1, 2, 0, 3, 4], np.float32), np.array([4, 0, 4, 2, 3, 1]), np.array([0, 4, 4, 6])), shape=(3, 90)
    )
    adata = anndata.AnnData(counts, obs=make(0).obs.iloc[:3], var=pd.DataFrame(index=GENES["x"]))
    store = AnnDataStore([("d", written(adata, tmp_path, place))])
    dense = store.gather(np.arange(3), store.gene_map(GENES["x"])).counts
    assert {(i, j): dense[i, j] for i, j in zip(*dense.nonzero(), strict=True)} == {
        (0, 4): 7, (0, 0): 1, (2, 3): 3, (2, 1): 4,
    }  # fmt: skip
    assert store.n_genes().tolist() == [2, 0, 2]
    assert store.total_counts().tolist() == [8, 0, 7]
    same(store, CellStore.build([("d", adata)], tmp_path / "s"), np.array([2, 0, 1, 0]))


@pytest.mark.parametrize("place", ["memory", "h5ad", "gzip"])
@pytest.mark.parametrize("value", [0.5, -1.0, np.nan, np.inf, -np.inf, 2.0**32])
def test_what_is_no_count_is_told_when_it_is_read(tmp_path, place, value):
    adata = make(0, kind=np.float64)
    adata.X.data[adata.X.indptr[20]] = value
    data = written(adata, tmp_path, place)
    store = AnnDataStore([("d", data)])
    genes = store.gene_map(WANTED)
    assert store.gather(np.arange(20), genes).counts.shape == (20, 130)
    where = "d" if place == "memory" else str(data)
    with pytest.raises(ValueError, match=rf"{where}, cell 20 \('s0c20'\): 1 of \d+ values are no counts"):
        store.gather(np.array([2, 20]), genes, choice="random_expressed", context=5)
    with pytest.raises(ValueError, match="no counts"):
        store.total_counts()


def test_counts_that_are_too_large_together(tmp_path):
    counts = sparse.csr_matrix((np.full(2, 2.0**31), np.array([1, 1]), np.array([0, 2])), shape=(1, 90))
    store = AnnDataStore([("d", anndata.AnnData(counts, var=pd.DataFrame(index=GENES["x"])))])
    with pytest.raises(ValueError, match=r"d, cell 0 .*no counts \(4.29497e\+09\)"):
        store.gather(np.array([0]), store.gene_map(WANTED))


def test_pointers_and_genes_that_lead_outside(tmp_path):
    adata = make(0)
    adata.write_h5ad(tmp_path / "d.h5ad")
    with h5py.File(tmp_path / "d.h5ad", "a") as file:
        file["X/indices"][int(file["X/indptr"][7])] = 90
    store = open_store(tmp_path / "d.h5ad")
    store.gather(np.arange(7), store.gene_map(WANTED))
    with pytest.raises(ValueError, match=r"d\.h5ad cannot be read as an h5ad file: .*run from \d+ to 90, there are 90"):
        store.gather(np.array([7]), store.gene_map(WANTED))
    adata.X.indptr[3] = adata.X.nnz + 5
    with pytest.raises(ValueError, match="d: the row pointers of the matrix do not rise"):
        AnnDataStore([("d", adata)])


def test_a_message_says_what_is_slow(tmp_path, caplog):
    adata = make(0)
    for place, why in {"gzip": "compressed", "zarr": "zarr", "dense": "dense"}.items():
        (tmp_path / place).mkdir()
        path = written(adata, tmp_path / place, place)
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            store = AnnDataStore([("m", adata), ("d", path)])
        assert store.info()["slow"] == {"d": why}
        assert f"40 cells  read row by row: {why}" in describe(store)
        assert f"1 of 2 data sets, such as {path} ({why}), are read row by row" in caplog.text
        assert "`scdataloader build`" in caplog.text
    by_genes = anndata.AnnData(adata.X.tocsc(), obs=adata.obs, var=adata.var)
    by_genes.write_h5ad(tmp_path / "csc.h5ad")
    assert open_store(tmp_path / "csc.h5ad").info()["slow"] == {"csc": "stored by genes"}
    built = CellStore.build([("input", adata)], tmp_path / "s")
    same(open_store(tmp_path / "csc.h5ad"), built, np.array([1, 30, 3]))
    caplog.clear()
    for inside in (by_genes, anndata.AnnData(adata.X.toarray(), obs=adata.obs, var=adata.var), adata[::-1][::-1]):
        store = open_store(inside)
        assert store.info()["slow"] == {}
        same(store, built, np.array([1, 30, 3]))
    assert not caplog.text


def test_counts_may_be_elsewhere(tmp_path):
    adata = make(0)
    adata.layers["counts"] = adata.X.copy()
    adata.raw = adata.copy()
    short = adata[:, 10:].copy()
    short.X = short.X.multiply(0.5).tocsr()
    short.write_h5ad(tmp_path / "d.h5ad")
    whole = CellStore.build([("d", make(0))], tmp_path / "whole")
    part = CellStore.build([("d", make(0)[:, 10:].copy())], tmp_path / "part")
    rows = np.array([5, 3, 30])
    for data in (short, tmp_path / "d.h5ad", anndata.read_h5ad(tmp_path / "d.h5ad", backed="r")):
        same(open_store([("d", data)], matrix="raw"), whole, rows)
        same(open_store([("d", data)], matrix="layers/counts"), part, rows)
        with pytest.raises(ValueError, match=r"no matrix 'layers/x', only \['X', 'layers/counts', 'raw'\]"):
            open_store([("d", data)], matrix="layers/x")


def test_genes_that_were_only_added_are_not_measured(tmp_path):
    adata, other = make(0), make(1)
    adata.X = sparse.csr_matrix(adata.X.multiply(np.arange(90) < 50))
    adata.var["measured"] = np.arange(90) < 50
    given = [("a", adata), ("b", other)]
    rows = np.array([0, 60, 3])
    for store in (AnnDataStore(given), CellStore.build(given, tmp_path / "s")):
        assert len(store.gene_tables) == 2
        genes = store.gene_map(GENES["x"])
        assert genes.n_measured.tolist() == [50, 90]
        assert store.measured(rows, genes).sum(axis=1).tolist() == [50, 90, 50]
        out = store.gather(rows, genes, choice="random_expressed", context=50)
        assert out.genes[[0, 2]].max() == 49  # padding, too
        with pytest.raises(ValueError, match="'a' measures 50 of the wanted genes, fewer than the context of 51"):
            store.gather(rows, genes, choice="random_expressed", context=51)


def test_names_and_what_may_be_given(tmp_path):
    for folder in ("x", "y"):
        (tmp_path / folder).mkdir()
        make(0).write_h5ad(tmp_path / folder / "d.h5ad")
    assert open_store(str(tmp_path / "*" / "d.h5ad")).datasets == ["x_d", "y_d"]
    assert open_store([tmp_path / "x", make(1)]).datasets == ["d", "input1"]
    assert open_store(make(1)).datasets == ["input"]
    assert open_store(("mine", make(1))).datasets == ["mine"]
    with pytest.raises(ValueError, match=r"several data sets have the names \['a'\]"):
        open_store([("a", make(0)), ("a", make(1))])
    with pytest.raises(ValueError, match="there are no data sets"):
        open_store([])
    with pytest.raises(TypeError, match="int is no data set"):
        open_store(3)
    with pytest.raises(FileNotFoundError, match="there is no file"):
        open_store(tmp_path / "absent.h5ad")
    twice = make(0)
    twice.var_names = ["g1", *GENES["x"][1:]]
    with pytest.raises(ValueError, match="gene ids occur more than once"):
        open_store(twice)
    store = CellStore.build([("a", make(0))], tmp_path / "s")
    assert isinstance(open_store(tmp_path / "s"), CellStore)
    assert open_store(store) is store
    (tmp_path / "s" / "manifest.json").unlink()
    with pytest.raises(FileNotFoundError, match="its build did not end"):
        open_store(tmp_path / "s")


def test_fingerprints_tell_data_apart_not_places(tmp_path):
    make(0).write_h5ad(tmp_path / "d.h5ad")
    shutil.copy(tmp_path / "d.h5ad", tmp_path / "e.h5ad")
    first = open_store([("d", tmp_path / "d.h5ad")]).fingerprint
    assert open_store([("d", tmp_path / "e.h5ad")]).fingerprint == first
    assert open_store([("d", make(0))]).fingerprint == first
    assert open_store([("d", make(0)[::-1])]).fingerprint != first
    assert open_store([("d", make(1))]).fingerprint != first
    assert open_store([("e", make(0))]).fingerprint != first
    built = CellStore.build([("d", make(0))], tmp_path / "s")
    shutil.copytree(tmp_path / "s", tmp_path / "t")
    assert CellStore.open(tmp_path / "t").fingerprint == built.fingerprint
    assert CellStore.open(tmp_path / "t").add([("e", make(1))]).fingerprint != built.fingerprint


@pytest.mark.parametrize("place", ["memory", "h5ad", "zarr", "gzip"])
def test_the_loader_gives_the_same_batches(pairs, place):
    built, found = pairs
    n = 130
    names = tuple(f"g{i}" for i in range(n))
    vocabulary = GeneVocabulary(names, names, ("NCBITaxon:9606",) * n, np.zeros(n, np.int32))
    space = LabelSpace.from_obs([make(0).obs, make(1).obs], ["cell_type"])

    def loader(store, **options):
        sampler = UniformSampler(len(store), n_draws=50, seed=1)
        return StoreLoader(CellDataset(store, vocabulary, space, context=30), sampler, batch_size=8, **options)

    expected = list(loader(built))
    for batches in (
        list(loader(found[place], threads=2, read_ahead=3)),
        list(DataLoader(loader(found[place]), batch_size=None, num_workers=2)),
    ):
        assert len(batches) == 7
        for one, other in zip(batches, expected, strict=True):
            assert all(torch.equal(one[name], other[name]) for name in other)


def test_labels_in_words_of_real_cells(tmp_path):
    retina = datasets.retina_1k()[::7].copy()
    retina.obs = retina.obs[[name for name in retina.obs if not name.endswith("_ontology_term_id")]]
    retina.obs["development_stage"] = "55-year-old stage"  # the ontology calls it so by now
    classes = ["cell_type", "disease", "assay", "development_stage", "organism", "tissue", "sex"]
    space = LabelSpace.from_obs([retina.obs], classes, min_leaves=1)
    expected = space.encode(retina.obs)
    assert (expected >= 0).all()
    assert len(np.unique(expected[:, 0])) > 8
    for store in (open_store(retina), CellStore.build([("r", retina)], tmp_path / "s", shard_bytes=40_000)):
        assert np.array_equal(store.labels(space), expected)

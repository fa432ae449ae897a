"""Files whose counts stay in them: opened, read a part at a time, and written again with more."""

import gc
import hashlib
import tempfile
import tracemalloc

import anndata
import h5py
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from scdataloader.counts import csr_counts
from scprint_model.parts import parts
from scprint_model.tasks import files
from scprint_model.tasks.files import open_cells, write_with


def counts(n_cells=50, n_genes=30, dtype=np.float32, seed=0):
    rng = np.random.default_rng(seed)
    return sparse.csr_matrix(rng.poisson(0.3, (n_cells, n_genes)).astype(dtype))


@pytest.fixture
def rich(tmp_path):
    """A file with something in every place, and the data that it holds."""
    matrix = counts()
    obs = pd.DataFrame(
        {"type": pd.Categorical(["b", "a"] * 25, categories=["b", "a", "c"], ordered=True), "n": np.arange(50)},
        index=pd.Index([f"cell {i}" for i in range(50)], name="barcode"),
    )
    data = anndata.AnnData(
        matrix,
        obs=obs,
        var=pd.DataFrame({"symbol": [f"g{i}" for i in range(30)]}, index=[f"ENSG{i}" for i in range(30)]),
        layers={"log": matrix.log1p()},
        obsm={"X_pca": np.random.default_rng(1).normal(size=(50, 3))},
        uns={"title": "a title", "nested": {"a": 1}},
    )
    data.raw = data.copy()
    path = tmp_path / "in.h5ad"
    data.write_h5ad(path)
    return path, data


@pytest.mark.parametrize("form", [sparse.csr_matrix, sparse.csc_matrix, np.asarray])
@pytest.mark.parametrize("dtype", [np.float32, np.int16])
def test_counts_are_read_as_they_were_written(tmp_path, monkeypatch, form, dtype):
    monkeypatch.setattr(files, "CHUNK", 7)
    expected = counts(dtype=dtype).toarray()
    expected[3] = expected[:, 5] = 0  # a cell and a gene without counts
    stored = form(expected)
    anndata.AnnData(stored, layers={"other": stored}).write_h5ad(tmp_path / "in.h5ad")
    adata = open_cells(tmp_path / "in.h5ad")
    gc.collect()  # the file stays open for what was read from it
    assert not adata.obsm
    assert [name for name in adata.layers if name is not None] == []
    got = [(start, part.X) for start, part in parts(adata, 16)]
    assert [start for start, _ in got] == [0, 16, 32, 48]
    for start, matrix in got:
        assert matrix.dtype == dtype
        np.testing.assert_array_equal(matrix.toarray(), expected[start : start + 16])
    np.testing.assert_array_equal(csr_counts(adata[:, 4:9]).toarray(), expected[:, 4:9])
    np.testing.assert_array_equal(csr_counts(adata).toarray(), expected)


def test_csc_is_turned_as_scipy_turns_it(tmp_path, monkeypatch):
    expected = counts(40, 70, seed=3)
    with h5py.File(tmp_path / "matrix.h5", "w") as file:
        anndata.io.write_elem(file, "X", expected.tocsc())
    for chunk in (1, 13, 10**6):
        monkeypatch.setattr(files, "CHUNK", chunk)
        with h5py.File(tmp_path / "matrix.h5") as file:
            turned = files.by_rows(file["X"], expected.shape)
        np.testing.assert_array_equal(turned.indptr, expected.indptr)
        np.testing.assert_array_equal(turned.indices, expected.indices)  # sorted within each row
        np.testing.assert_array_equal(turned.data, expected.data)


def test_the_turned_counts_leave_no_file(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    anndata.AnnData(counts().tocsc()).write_h5ad(tmp_path / "in.h5ad")
    adata = open_cells(tmp_path / "in.h5ad")
    assert adata.X.sum() == counts().sum()
    assert list((tmp_path / "temporary").iterdir()) == []


@pytest.mark.parametrize("form", ["csr", "csc"])
def test_memory_is_that_of_a_part(tmp_path, monkeypatch, form):
    monkeypatch.setattr(files, "CHUNK", 20_000)
    n_cells, expressed = 4000, 250
    rng = np.random.default_rng(0)
    indices = np.sort(rng.integers(0, 2000, (n_cells, expressed)), axis=1)
    big = sparse.csr_matrix(
        (np.ones(n_cells * expressed, np.float32), indices.ravel(), np.arange(n_cells + 1) * expressed),
        shape=(n_cells, 2000),
    )
    big.sum_duplicates()
    total = big.data.nbytes + big.indices.nbytes
    assert total > 7e6
    anndata.AnnData(big.asformat(form)).write_h5ad(tmp_path / "in.h5ad")
    expected = big.sum()
    del big, indices
    gc.collect()
    tracemalloc.start()
    try:
        found = sum(part.X.sum() for _, part in parts(open_cells(tmp_path / "in.h5ad"), 100))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert found == expected
    assert peak < total / 3  # names of cells and genes included


def test_what_cannot_be_opened_says_why(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"there is no file .*none.h5ad"):
        open_cells(tmp_path / "none.h5ad")
    with pytest.raises(ValueError, match="is a folder"):
        open_cells(tmp_path)
    text = tmp_path / "text.h5ad"
    text.write_text("gene,cell\n")
    with pytest.raises(ValueError, match=r"text.h5ad is no h5ad file.* not in the HDF5 format"):
        open_cells(text)
    other = tmp_path / "10x.h5"
    with h5py.File(other, "w") as file:
        file.create_group("matrix")
    with pytest.raises(ValueError, match=r"10x.h5 cannot be read: h5ad, .* it is none of them"):
        open_cells(other)
    other.rename(tmp_path / "10x.h5ad")
    with pytest.raises(ValueError, match=r"it has \['matrix'\] and not \['obs', 'var'\]"):
        open_cells(tmp_path / "10x.h5ad")
    no_counts = tmp_path / "no_x.h5ad"
    anndata.AnnData(obs=pd.DataFrame(index=["a"]), var=pd.DataFrame(index=["b"])).write_h5ad(no_counts)
    with pytest.raises(ValueError, match=r"no_x.h5ad has no X: put the raw counts in X"):
        open_cells(no_counts)
    with h5py.File(no_counts, "r+") as file:  # it was closed
        anndata.io.write_elem(file, "X", np.ones((2, 1)))
    with pytest.raises(ValueError, match=r"X has the shape \(2, 1\), but there are 1 cells and 1 genes"):
        open_cells(no_counts)


def test_a_copy_gets_the_new_and_keeps_the_rest(rich, tmp_path):
    path, data = rich
    before = hashlib.sha256(path.read_bytes()).hexdigest()
    new = pd.DataFrame({"n": np.arange(50) / 2, "label": pd.Categorical(["x", "y"] * 25)}, index=data.obs_names)
    embedding = np.random.default_rng(2).normal(size=(50, 4)).astype(np.float32)
    out = tmp_path / "out.h5ad"
    write_with(path, out, obs=new, obsm={"X_new": embedding, "X_pca": embedding[:, :2]}, uns={"labels": {"ids": ["p"]}})
    assert hashlib.sha256(path.read_bytes()).hexdigest() == before
    got = anndata.read_h5ad(out)
    expected = data.obs.assign(n=new["n"], label=new["label"])
    pd.testing.assert_frame_equal(got.obs, expected)
    np.testing.assert_array_equal(got.obsm["X_new"], embedding)
    np.testing.assert_array_equal(got.obsm["X_pca"], embedding[:, :2])
    assert got.uns["labels"]["ids"].tolist() == ["p"]
    assert got.uns["title"] == "a title"
    assert got.uns["nested"] == {"a": 1}
    assert (got.X != data.X).nnz == 0
    assert (got.layers["log"] != data.layers["log"]).nnz == 0
    assert (got.raw.X != data.X).nnz == 0
    pd.testing.assert_frame_equal(got.var, data.var)


def test_groups_that_the_input_lacks_are_made(rich, tmp_path):
    path, data = rich
    with h5py.File(path, "r+") as file:
        del file["obsm"], file["uns"]
    write_with(path, tmp_path / "out.h5ad", obsm={"X": np.ones((50, 2))}, uns={"a": "b"})
    got = anndata.read_h5ad(tmp_path / "out.h5ad")
    assert got.obsm["X"].sum() == 100
    assert got.uns["a"] == "b"
    pd.testing.assert_frame_equal(got.obs, data.obs)


@pytest.mark.filterwarnings("ignore:Observation names are not unique")
def test_names_of_cells_need_not_be_unique(tmp_path):
    names = ["same", "other", "same"]
    data = anndata.AnnData(counts(3, 4), obs=pd.DataFrame({"n": [1, 2, 3]}, index=names))
    data.write_h5ad(tmp_path / "in.h5ad")
    assert open_cells(tmp_path / "in.h5ad").obs_names.tolist() == names
    write_with(tmp_path / "in.h5ad", tmp_path / "out.h5ad", obs=pd.DataFrame({"m": list("abc")}, index=names))
    got = anndata.read_h5ad(tmp_path / "out.h5ad").obs
    assert got["n"].tolist() == [1, 2, 3]
    assert got["m"].tolist() == list("abc")


def test_a_failure_loses_nothing(rich, tmp_path):
    path, data = rich
    out = tmp_path / "out.h5ad"
    out.write_text("what was there")
    with pytest.raises(ValueError, match=r"obsm\['X'\] has 49 rows, but .*in.h5ad has 50 cells"):
        write_with(path, out, obs=data.obs[["n"]], obsm={"X": np.ones((49, 2))})
    with pytest.raises(ValueError, match=r"obs has 50 cells, which are not the 50 of .* in order"):
        write_with(path, out, obs=data.obs[["n"]][::-1])
    assert out.read_text() == "what was there"
    assert sorted(file.name for file in tmp_path.iterdir()) == ["in.h5ad", "out.h5ad"]


def test_the_input_is_never_the_output(rich, tmp_path):
    path, _ = rich
    (tmp_path / "link.h5ad").symlink_to(path)
    for output in (path, tmp_path / "link.h5ad", tmp_path / "." / "in.h5ad"):
        with pytest.raises(ValueError, match="is the input, which is not overwritten"):
            write_with(path, output)
    with pytest.raises(FileNotFoundError, match=r"there is no folder .*nowhere"):
        write_with(path, tmp_path / "nowhere" / "out.h5ad")
    with pytest.raises(ValueError, match="is a folder: name the file"):
        write_with(path, tmp_path)

"""AnnData in memory, h5ad and zarr as sources: all layouts, damage, and sizes beyond 32 bits."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import anndata
import h5py
import numpy as np
import pandas as pd
import pytest
import zarr
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from scipy import sparse

from scdataloader.sources import Matrix, Source, open_source


def small(n_cells: int = 23, n_genes: int = 9, seed: int = 0) -> anndata.AnnData:
    """Return data with every kind of column, a layer, raw with more genes, an embedding, and a cell without counts."""
    rng = np.random.default_rng(seed)
    counts = rng.poisson(0.6, (n_cells, n_genes + 3)).astype(np.float32)
    counts[1] = 0
    wide = sparse.csr_matrix(counts)
    obs = pd.DataFrame(
        {
            "type": pd.Categorical(rng.choice(["B", "T"], n_cells), categories=["T", "B", "unused"]),
            "age": pd.array([None if i % 3 else i for i in range(n_cells)], dtype="Int64"),
            "primary": pd.array([None if i % 4 else True for i in range(n_cells)], dtype="boolean"),
            "donor": [f"donor {i}" for i in range(n_cells)],
        },
        index=[f"cell{i}" for i in range(n_cells)],
    )
    adata = anndata.AnnData(wide, obs=obs, var=pd.DataFrame(index=[f"gene{i}" for i in range(n_genes + 3)]))
    raw = adata.copy()
    adata = adata[:, :n_genes].copy()
    adata.raw = raw
    adata.layers["doubled"] = (adata.X * 2).toarray()
    adata.obsm["X_pca"] = rng.normal(size=(n_cells, 2))
    adata.uns["title"] = "a title"
    adata.uns["settings"] = {"n": 3, "base": None}
    return adata


def whole(matrix: Matrix, values: int = 10) -> np.ndarray:
    """Return the matrix from its blocks, and check that they follow each other and are no larger than asked."""
    parts = list(matrix.blocks(values))
    assert [part[0] for part in parts] == [0, *(part[1] for part in parts[:-1])]
    assert parts[-1][1] == matrix.shape[0]
    for begin, end, block in parts:
        assert block.shape == (end - begin, matrix.shape[1])
        assert isinstance(block, sparse.csr_matrix)
        assert end - begin == 1 or block.nnz <= values
    return np.vstack([part[2].toarray() for part in parts])


def check_same(source: Source, expected: anndata.AnnData) -> None:
    assert set(source.matrices) == {"X", "raw", "layers/doubled"}
    for key, matrix in {
        "X": expected.X.toarray(),
        "raw": expected.raw.X.toarray(),
        "layers/doubled": expected.X.toarray() * 2,
    }.items():
        np.testing.assert_array_equal(whole(source.matrices[key]), matrix)
    pd.testing.assert_frame_equal(source.obs, expected.obs)
    assert source.matrices["X"].var.index.tolist() == expected.var_names.tolist()
    assert source.matrices["raw"].var.index.tolist() == expected.raw.var_names.tolist()
    np.testing.assert_array_equal(source.embeddings["X_pca"](), expected.obsm["X_pca"])
    assert source.uns["title"] == "a title"
    assert source.uns["settings"]["n"] == 3


LAYOUTS: dict[str, Callable[[Any], Any]] = {
    "csr": lambda x: x,
    "csc": lambda x: x.tocsc(),
    "dense": lambda x: x.toarray(),
    "int64": lambda x: sparse.csr_matrix(x, dtype=np.int64),
}


@pytest.mark.parametrize("compression", [None, "gzip", "lzf"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_an_h5ad_file_reads_in_blocks_as_it_was_written(tmp_path: Path, layout: str, compression: str | None) -> None:
    adata = small()
    written = adata.copy()
    written.X = LAYOUTS[layout](adata.X)
    written.write_h5ad(tmp_path / "small.set.h5ad", compression=compression)
    with open_source(tmp_path / "small.set.h5ad") as source:
        assert source.name == "small.set"
        assert source.uri == str(tmp_path / "small.set.h5ad")
        check_same(source, adata)
        ends = source.matrices["X"].row_ends
        assert ends is None if layout == "dense" else np.array_equal(ends, np.cumsum(np.diff(adata.X.indptr)))


@pytest.mark.parametrize("zarr_format", [2, 3])
@pytest.mark.parametrize("layout", ["csr", "csc", "dense"])
def test_a_zarr_folder_reads_in_blocks_as_it_was_written(
    tmp_path: Path, layout: str, zarr_format: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    adata = small()
    written = adata.copy()
    written.X = LAYOUTS[layout](adata.X)
    monkeypatch.setattr(anndata.settings, "zarr_write_format", zarr_format)
    written.write_zarr(tmp_path / "a.zarr")
    assert (tmp_path / "a.zarr" / (".zgroup" if zarr_format == 2 else "zarr.json")).exists()
    with open_source(tmp_path / "a.zarr") as source:
        assert source.name == "a"
        check_same(source, adata)
    shutil.make_archive(str(tmp_path / "b.zarr"), "zip", tmp_path / "a.zarr")
    with open_source(tmp_path / "b.zarr.zip") as source:
        assert source.name == "b"
        check_same(source, adata)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_an_anndata_in_memory_is_a_source(layout: str) -> None:
    adata = small()
    expected = adata.copy()
    adata.X = LAYOUTS[layout](adata.X)
    with open_source(adata) as source:
        check_same(source, expected)
        assert open_source(source) is source


def test_a_backed_anndata_is_read_from_its_file(tmp_path: Path) -> None:
    adata = small()
    adata.write_h5ad(tmp_path / "a.h5ad")
    backed = anndata.read_h5ad(tmp_path / "a.h5ad", backed="r")
    np.testing.assert_array_equal(whole(open_source(backed).matrices["X"], 1000), adata.X.toarray())
    backed.file.close()


def test_an_embedding_may_be_sparse_or_a_table(tmp_path: Path) -> None:
    adata = small(4)
    adata.obsm["sparse"] = sparse.csr_matrix(np.eye(4))
    adata.obsm["table"] = pd.DataFrame({"x": [1.0, 2, 3, 4]}, index=adata.obs_names)
    adata.write_h5ad(tmp_path / "a.h5ad")
    for data in (tmp_path / "a.h5ad", adata):
        with open_source(data) as source:
            np.testing.assert_array_equal(source.embeddings["sparse"](), np.eye(4))
            assert source.embeddings["table"]().ravel().tolist() == [1, 2, 3, 4]


def test_data_without_x_have_their_layers(tmp_path: Path) -> None:
    adata = anndata.AnnData(obs=small(4).obs, var=pd.DataFrame(index=["a", "b"]))
    adata.layers["counts"] = np.ones((4, 2))
    adata.write_h5ad(tmp_path / "a.h5ad")
    with open_source(tmp_path / "a.h5ad") as source:
        assert list(source.matrices) == ["layers/counts"]


def test_half_precision_and_foreign_byte_order_read_as_usual_numbers(tmp_path: Path) -> None:
    adata = small()
    adata.write_h5ad(tmp_path / "a.h5ad")
    for kind, expected in (("f2", np.float32), (">f4", np.float32), (">i8", np.int64)):
        with h5py.File(tmp_path / "a.h5ad", "a") as file:
            values = file["X/data"][:]
            del file["X/data"]
            file["X"].create_dataset("data", data=values.astype(kind))
        with open_source(tmp_path / "a.h5ad") as source:
            assert source.matrices["X"].rows(0, 3).dtype == expected
            np.testing.assert_array_equal(whole(source.matrices["X"]), adata.X.toarray())


@pytest.mark.filterwarnings("ignore::anndata.OldFormatWarning")
def test_a_file_from_before_anndata_0_7_is_read(tmp_path: Path) -> None:
    path = tmp_path / "old.h5ad"
    with h5py.File(path, "w") as file:
        file["obs"] = np.array([(b"c1", 1), (b"c2", 2), (b"c3", 3)], dtype=[("index", "S2"), ("batch", "i8")])
        file["var"] = np.array([(b"g1",), (b"g2",)], dtype=[("index", "S2")])
        x = sparse.csr_matrix(np.array([[1, 0], [0, 2], [3, 0]], dtype=np.float32))
        group = file.create_group("X")
        group.attrs["h5sparse_format"], group.attrs["h5sparse_shape"] = "csr", x.shape
        for name in ("data", "indices", "indptr"):
            group[name] = getattr(x, name)
    with open_source(path) as source:
        assert source.name == "old"
        assert source.obs.index.tolist() == ["c1", "c2", "c3"]
        assert source.obs["batch"].tolist() == [1, 2, 3]
        assert source.matrices["X"].var.index.tolist() == ["g1", "g2"]
        np.testing.assert_array_equal(whole(source.matrices["X"]), [[1, 0], [0, 2], [3, 0]])


def test_real_files_read_in_blocks_as_anndata_reads_them(shared: Path) -> None:
    path = shared / "data" / "expression" / "human_tcells_wu2020.h5ad"
    expected = anndata.read_h5ad(path)
    with open_source(path) as source:
        blocks = [block for _, _, block in source.matrices["X"].blocks(20_000)]
        assert len(blocks) > 5
        assert (sparse.vstack(blocks) != expected.X).nnz == 0
        pd.testing.assert_frame_equal(source.obs, expected.obs)


# --- damage -----------------------------------------------------------------------------------------------------------


def read_all(path: Path) -> None:
    with open_source(path) as source:
        for matrix in source.matrices.values():
            for _ in matrix.blocks(40):
                pass
        for embedding in source.embeddings.values():
            embedding()


@pytest.fixture(scope="module")
def intact(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    path = tmp_path_factory.mktemp("intact") / "brain.h5ad"
    small().write_h5ad(path, compression="gzip")
    return SimpleNamespace(path=path, content=path.read_bytes())


@given(share=st.floats(0, 1, exclude_max=True))
@hypothesis_settings(max_examples=60)
def test_a_file_cut_anywhere_is_refused_by_name(intact: SimpleNamespace, share: float) -> None:
    damaged = intact.path.with_name("cut.h5ad")
    damaged.write_bytes(intact.content[: int(share * len(intact.content))])
    with pytest.raises(ValueError, match=r"cut\.h5ad cannot be read as an h5ad file: "):
        read_all(damaged)


@pytest.mark.parametrize("flip", [0xFF, 0x01])
def test_a_damaged_header_is_refused_by_name_or_harmless(intact: SimpleNamespace, flip: int) -> None:
    # the superblock; further on, damage can make the HDF5 library itself run for ever, which nothing here can stop
    refused = 0
    for position in range(96):
        content = bytearray(intact.content)
        content[position] ^= flip
        damaged = intact.path.with_name("flipped.h5ad")
        damaged.write_bytes(content)
        try:
            read_all(damaged)
        except ValueError as error:
            refused += 1
            assert str(damaged) in str(error)  # noqa: PT017 (either outcome is right)
    assert refused > 20  # what tells the format, its sizes and addresses


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda x: x.attrs.__setitem__("shape", (23, 8)),
            r"X has the shape \(23, 8\), but there are 23 cells and 9 genes",
        ),
        (lambda x: replace(x, "indptr", x["indptr"][:-1]), r"/X has \(23,\) pointers, 24 are needed"),
        (lambda x: replace(x, "indptr", x["indptr"][:][::-1]), "do not rise from 0 to its"),
        (lambda x: replace(x, "indices", x["indices"][:-1]), "values and"),
        (
            lambda x: replace(x, "indices", x["indices"][:] + 1),
            r"gene numbers of cells .* run from \d to 9, there are 9",
        ),
        (lambda x: replace(x, "indices", x["indices"][:] - 1), "run from -1 to"),
        (lambda x: replace(x, "indices", x["indices"][:] / 2), "no whole numbers"),
        (lambda x: replace(x, "data", x["data"][:].astype("S3")), "numbers are needed"),
        (lambda x: x.__delitem__("data"), "data"),
        (lambda x: x.attrs.__setitem__("encoding-type", "dataframe"), "X is stored as 'dataframe', which is no matrix"),
    ],
)
def test_what_does_not_fit_in_a_file_is_said(tmp_path: Path, change: Callable[[Any], None], message: str) -> None:
    small().write_h5ad(tmp_path / "brain.h5ad")
    with h5py.File(tmp_path / "brain.h5ad", "a") as file:
        change(file["X"])
    with pytest.raises(ValueError, match=rf"brain\.h5ad cannot be read as an h5ad file: .*{message}"):
        read_all(tmp_path / "brain.h5ad")


def replace(group: Any, name: str, values: np.ndarray) -> None:
    del group[name]
    group[name] = values


def test_cells_that_do_not_exist_are_seen_in_column_major_files(tmp_path: Path) -> None:
    adata = small()
    adata.X = adata.X.tocsc()
    adata.write_h5ad(tmp_path / "brain.h5ad")
    with h5py.File(tmp_path / "brain.h5ad", "a") as file:
        file["X/indices"][-1] = 23
    with pytest.raises(ValueError, match=r"brain\.h5ad .*cell numbers run from 0 to 23, there are 23"):
        read_all(tmp_path / "brain.h5ad")


@pytest.mark.parametrize(
    "array", ["X/indptr", "obs/type/codes", "obs/type/categories", "obs/_index/values", "var/_index/values"]
)
def test_an_array_that_claims_to_be_longer_than_it_is_stored_is_not_read(tmp_path: Path, array: str) -> None:
    small().write_h5ad(tmp_path / "brain.h5ad")
    with h5py.File(tmp_path / "brain.h5ad", "a") as file:
        values = file[array].asstr()[:] if file[array].dtype.kind == "O" else file[array][:]
        del file[array]
        # its memory would be 2^40 values; chunks that were never written read as zeros
        file.create_dataset(array, data=values, maxshape=(None,), chunks=(64,)).resize((1 << 40,))
    with pytest.raises(
        ValueError, match=rf"brain\.h5ad cannot be read as an h5ad file: .*({array}|obs/type|/X).*1099511627776"
    ):
        read_all(tmp_path / "brain.h5ad")


def test_a_compressed_chunk_that_is_damaged_is_reported_while_reading(tmp_path: Path) -> None:
    small().write_h5ad(tmp_path / "brain.h5ad", compression="gzip")
    with h5py.File(tmp_path / "brain.h5ad") as file:
        chunk = file["X/data"].id.get_chunk_info(0)
    with (tmp_path / "brain.h5ad").open("r+b") as opened:
        opened.seek(chunk.byte_offset + chunk.size // 2)
        opened.write(b"\xff" * 8)
    with open_source(tmp_path / "brain.h5ad") as source:
        with pytest.raises(ValueError, match=r"brain\.h5ad cannot be read as an h5ad file"):
            source.matrices["X"].rows(0, 23)
        assert len(source.obs) == 23  # the rest is intact


def test_an_unreadable_note_does_not_keep_the_cells_from_being_read(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    small().write_h5ad(tmp_path / "brain.h5ad")
    with h5py.File(tmp_path / "brain.h5ad", "a") as file:
        file["uns/settings"].attrs["encoding-type"] = "from the future"
        file["uns/large"] = np.zeros(2_000_000, dtype=np.int8)
    with open_source(tmp_path / "brain.h5ad") as source:
        assert set(source.uns) == {"title"}
    assert "uns/settings is left out" in caplog.text


@pytest.mark.parametrize("lost", ["X/data", "X/indices", "obs/_index"])
def test_a_zarr_folder_that_lacks_chunks_is_not_read_as_zeros(tmp_path: Path, lost: str) -> None:
    small().write_zarr(tmp_path / "a.zarr")
    chunks = [
        p for p in (tmp_path / "a.zarr" / lost).rglob("*") if p.is_file() and not p.name.startswith((".z", "zarr"))
    ]
    assert chunks
    for chunk in chunks:
        chunk.unlink()
    with pytest.raises(ValueError, match=r"a\.zarr cannot be read as AnnData in zarr: .*missing"):
        read_all(tmp_path / "a.zarr")


def test_chunks_that_zarr_leaves_out_because_they_are_zero_are_no_loss(tmp_path: Path) -> None:
    counts = sparse.csr_matrix(np.arange(23.0)[:, None] + 1)  # one gene: all its indices are 0
    adata = anndata.AnnData(counts, obs=small().obs, var=pd.DataFrame(index=["only"]))
    adata.write_zarr(tmp_path / "a.zarr")
    assert zarr.open_group(tmp_path / "a.zarr", mode="r")["X/indices"].nchunks_initialized == 0
    with open_source(tmp_path / "a.zarr") as source:
        np.testing.assert_array_equal(whole(source.matrices["X"]), adata.X.toarray())


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.h5ad", b"", "cannot be read as an h5ad file"),
        ("a.h5ad", b"<html>not found</html>", "cannot be read as an h5ad file"),
        ("a.zarr.zip", b"PK\x03\x04 cut", "cannot be read as AnnData in zarr"),
        ("a.pdf", b"%PDF", "h5ad, zarr, 10x h5"),
    ],
)
def test_files_of_something_else_are_refused(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=message):
        open_source(tmp_path / name)


def test_an_h5_file_with_neither_cells_nor_genes_says_what_it_has(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5ad", "w") as file:
        file["weights"] = 1
    with pytest.raises(ValueError, match=r"it has no obs and no var, only \['weights'\]"):
        open_source(tmp_path / "a.h5ad")


def test_a_missing_file_is_not_found_with_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "brain.h5ad").touch()
    with pytest.raises(FileNotFoundError, match=r"there is no file .*brian\.h5ad; that folder holds \['brain\.h5ad'\]"):
        open_source(tmp_path / "brian.h5ad")
    (tmp_path / "other").mkdir()
    with pytest.raises(ValueError, match="use find_sources for all below it"):
        open_source(tmp_path / "other")

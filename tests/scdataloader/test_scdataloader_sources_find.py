"""Which sources patterns stand for, and what they are called."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from types import SimpleNamespace

import anndata
import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scdataloader.sources import find_sources, open_source, unique_names
from scdataloader.sources.addresses import source_name


@pytest.fixture
def corpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of files of all kinds, which is also the working directory."""
    for name in ("b.h5ad", "a.h5ad", "deep/er/c.loom", "deep/notes.txt", "deep/labels.csv", ".hidden/x.h5ad", "d.pdf"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    anndata.AnnData(np.ones((2, 2))).write_zarr(tmp_path / "deep" / "z.zarr")
    (tmp_path / "tenx").mkdir()
    for name in ("matrix.mtx.gz", "barcodes.tsv.gz", "features.tsv.gz"):
        (tmp_path / "tenx" / name).touch()
    with h5py.File(tmp_path / "molecule_info.h5", "w") as file:
        file["count"] = 1
    monkeypatch.chdir(tmp_path)
    return tmp_path


EVERYTHING = ["a.h5ad", "b.h5ad", "deep/er/c.loom", "deep/z.zarr", "tenx"]


@pytest.mark.parametrize(
    ("patterns", "expected"),
    [
        ("a.h5ad", ["a.h5ad"]),
        (["b.h5ad", "a.h5ad"], ["b.h5ad", "a.h5ad"]),  # as given
        ("*.h5ad", ["a.h5ad", "b.h5ad"]),  # sorted
        (["b.h5ad", "*.h5ad", "./b.h5ad", "deep/../b.h5ad"], ["b.h5ad", "a.h5ad"]),  # once
        ("deep/z.zarr", ["deep/z.zarr"]),  # a zarr folder is one source
        ("tenx", ["tenx"]),  # as is a 10x folder
        (".", EVERYTHING),
        ("**", EVERYTHING),
        ("**/*", EVERYTHING),
        ("*", ["a.h5ad", "b.h5ad", "tenx"]),
        ("*/*.mtx.gz", ["tenx"]),
        ("deep", ["deep/er/c.loom", "deep/z.zarr"]),
        ("deep/e*", ["deep/er/c.loom"]),  # a folder that is no source stands for what is below it
        ("**/*.loom", ["deep/er/c.loom"]),
        ("**/*.csv", ["deep/labels.csv"]),  # tables only when their ending is asked for
        ("d.pdf", ["d.pdf"]),  # a file that is named is taken: opening it says what is wrong
        (["census:abc", "https://x.org/a.h5ad?v=1"], ["census:abc", "https://x.org/a.h5ad?v=1"]),
    ],
)
def test_what_patterns_stand_for(corpus: Path, patterns: str | list[str], expected: list[str]) -> None:
    assert find_sources(patterns) == expected


def test_absolute_paths_paths_and_file_addresses(corpus: Path) -> None:
    for pattern in (corpus / "a.h5ad", str(corpus / "a.*"), f"file://{corpus}/a.h5ad"):
        assert find_sources(pattern) == [str(corpus / "a.h5ad")]
    anndata.AnnData(np.ones((2, 2))).write_h5ad(corpus / "a.h5ad")
    with open_source(f"file://{corpus}/a.h5ad") as source:
        assert source.uri == str(corpus / "a.h5ad")


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("aa.h5ad", r"there is no file or folder aa\.h5ad; that folder holds \['a\.h5ad'"),
        ("nowhere/a.h5ad", "there is no folder nowhere either"),
        ("c*.h5ad", r"no file matches 'c\*\.h5ad'; that folder holds"),
        ("*.pdf", r"matches only what cannot be read, as d\.pdf; h5ad, zarr"),
        (".hidden/e*", "no file matches"),
    ],
)
def test_a_pattern_that_stands_for_nothing_is_refused(corpus: Path, pattern: str, message: str) -> None:
    with pytest.raises(FileNotFoundError, match=message):
        find_sources(["b.h5ad", pattern])


def test_a_folder_with_nothing_to_read_is_refused(tmp_path: Path) -> None:
    (tmp_path / "readme.txt").touch()
    with pytest.raises(FileNotFoundError, match="there is nothing to read below the folder"):
        find_sources(tmp_path)


def test_counts_that_cell_ranger_wrote_twice_are_taken_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for kind in ("raw", "filtered"):
        folder = tmp_path / f"{kind}_feature_bc_matrix"
        folder.mkdir()
        (folder / "matrix.mtx.gz").touch()
        (tmp_path / f"{kind}_feature_bc_matrix.h5").touch()
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "raw_feature_bc_matrix.h5").touch()  # alone: the only copy
    expected = ["filtered_feature_bc_matrix.h5", "other/raw_feature_bc_matrix.h5"]
    assert find_sources(tmp_path) == [str(tmp_path / name) for name in expected]
    assert caplog.text.count("is left out") == 3


def test_several_samples_in_one_folder_are_one_source_each(tmp_path: Path) -> None:
    for sample in ("GSM1_x_", "GSM2_y_"):
        for name in ("matrix.mtx.gz", "barcodes.tsv.gz", "features.tsv.gz"):
            (tmp_path / f"{sample}{name}").touch()
    found = find_sources(tmp_path)
    assert found == [str(tmp_path / "GSM1_x_matrix.mtx.gz"), str(tmp_path / "GSM2_y_matrix.mtx.gz")]
    assert unique_names(found) == ["GSM1_x", "GSM2_y"]


def test_a_link_to_a_file_is_the_same_source(corpus: Path) -> None:
    (corpus / "link.h5ad").symlink_to("a.h5ad")
    assert find_sources(["a.h5ad", "link.h5ad"]) == ["a.h5ad"]


def test_names_that_clash_are_noted(corpus: Path, caplog: pytest.LogCaptureFixture) -> None:
    (corpus / "deep" / "a.h5ad").touch()
    with caplog.at_level(logging.INFO):
        found = find_sources(["a.h5ad", "deep/a.h5ad"])
    assert "1 names stand for several sources, such as a" in caplog.text
    assert unique_names([str(corpus / uri) for uri in found]) == [f"{corpus.name}_a", "deep_a"]


def test_a_census_data_set_is_fetched_by_its_id(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    anndata.AnnData(np.ones((2, 3), dtype=np.float32)).write_h5ad(tmp_path / "anything.h5ad")
    asked: list[str] = []

    def download_dataset(dataset_id: str) -> Path:
        asked.append(dataset_id)
        return tmp_path / "anything.h5ad"

    monkeypatch.setitem(sys.modules, "scdataloader.sources.census", SimpleNamespace(download_dataset=download_dataset))
    with open_source("census:1b9d8702-5af8-4142-85ed-020eb06ec4f6") as source:
        assert source.name == "1b9d8702-5af8-4142-85ed-020eb06ec4f6"
        assert source.uri == "census:1b9d8702-5af8-4142-85ed-020eb06ec4f6"
        assert source.matrices["X"].shape == (2, 3)
    assert asked == ["1b9d8702-5af8-4142-85ed-020eb06ec4f6"]


# --- names ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("uri", "name"),
    [
        ("/data/a.b.h5ad", "a.b"),
        ("a.zarr", "a"),
        ("a.zarr.zip", "a"),
        ("s3://bucket/x/a.zarr/", "a"),
        ("/runs/7/sample matrix.mtx.gz", "sample"),
        ("GSM1_x_matrix.mtx.gz", "GSM1_x"),
        ("/runs/7/matrix.mtx.gz", "7"),
        ("https://x.org/My data.csv.gz?download=1#top", "My_data"),
        ("https://x.org", "x.org"),
        ("census:1-2", "1-2"),
        ("lamin:brains/a.h5ad", "brains_a.h5ad"),
        ("C:\\data\\a.h5ad", "a"),
        (".h5ad", "h5ad"),
        ("..", "source"),
    ],
)
def test_the_short_name_of_a_source(uri: str, name: str) -> None:
    assert source_name(uri) == name


@pytest.mark.parametrize(
    ("uris", "names"),
    [
        (["x/a.h5ad", "y/b.h5ad"], ["a", "b"]),
        (["x/a.h5ad", "y/a.h5ad", "y/b.h5ad"], ["x_a", "y_a", "b"]),
        (["1/x/a.h5ad", "2/x/a.h5ad", "y/a.h5ad"], ["1_x_a", "2_x_a", "y_a"]),
        (["a.h5ad", "A.h5ad"], ["a", "A-2"]),  # one file where the file system ignores case
        (["a.h5ad", "a.loom", "a-2.h5ad"], ["a", "a-3", "a-2"]),
        (["x/a.h5ad", "y/a.h5ad", "x_a.h5ad"], ["x_a", "y_a", "x_a-2"]),
        ([], []),
    ],
)
def test_names_are_made_different_by_their_folders(uris: list[str], names: list[str]) -> None:
    assert unique_names(uris) == names


@given(st.lists(st.text("aA/._-2:\\ é", max_size=8), max_size=8))
def test_names_are_always_different_and_can_be_file_names(uris: list[str]) -> None:
    names = unique_names(uris)
    assert len({name.casefold() for name in names}) == len(uris)
    assert all(name and not name.startswith(".") and not set(name) & set("/\\: ") for name in names)

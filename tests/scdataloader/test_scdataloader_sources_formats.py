"""10x files and folders, loom files and text tables as sources; scanpy's readers are the oracle for 10x."""

from __future__ import annotations

import gzip
import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pytest
from scipy import io, sparse

from scdataloader.sources import Source, open_source

sc = pytest.importorskip("scanpy")

IDS = [f"ENSG{i:011d}" for i in (3, 1, 7, 5, 9)]
SYMBOLS = ["TSPAN6", "DPM1", "DPM1", "CD3", "hash tag"]
TYPES = ["Gene Expression", "Gene Expression", "Gene Expression", "Antibody Capture", "Antibody Capture"]
CELLS = ["AAAC-1", "AAAG-1", "AACC-1", "AAGG-1", "ACCC-1", "AGGG-1"]


def counts(seed: int = 0) -> sparse.csr_matrix:
    """Cells × features; the third cell has none."""
    values = np.random.default_rng(seed).poisson(0.8, (len(CELLS), len(IDS)))
    values[2] = 0
    return sparse.csr_matrix(values.astype(np.int32))


def read(source: Source, key: str = "X") -> np.ndarray:
    return np.vstack([block.toarray() for _, _, block in source.matrices[key].blocks(3)])


def write_h5(path: Path, *, version: int = 3, types: Sequence[str] = TYPES) -> None:
    x = counts()
    with h5py.File(path, "w") as file:
        group = file.create_group("matrix" if version == 3 else "GRCh38")
        group["barcodes"] = np.array(CELLS, dtype="S")
        for name in ("data", "indices", "indptr"):
            group.create_dataset(name, data=getattr(x, name), compression="gzip", chunks=(4,))
        group["shape"] = np.array(x.shape[::-1], dtype=np.int32)
        if version == 3:
            features = group.create_group("features")
            features["id"], features["name"] = np.array(IDS, dtype="S"), np.array(SYMBOLS, dtype="S")
            features["feature_type"] = np.array(types, dtype="S")
            features["genome"] = np.array(["GRCh38"] * len(IDS), dtype="S")
            features["_all_tag_keys"] = np.array(["genome"], dtype="S")
        else:
            group["genes"], group["gene_names"] = np.array(IDS, dtype="S"), np.array(SYMBOLS, dtype="S")


def write_mtx(folder: Path, *, version: int = 3, prefix: str = "", zipped: bool | None = None) -> None:
    folder.mkdir(exist_ok=True)
    zipped = version == 3 if zipped is None else zipped
    columns = [IDS, SYMBOLS, *([TYPES] if version == 3 else [])]
    features = "".join("\t".join(row) + "\n" for row in zip(*columns, strict=True))
    io.mmwrite(folder / f"{prefix}matrix.mtx", counts().T, field="integer")
    (folder / f"{prefix}barcodes.tsv").write_text("".join(f"{cell}\n" for cell in CELLS))
    (folder / f"{prefix}{'features' if version == 3 else 'genes'}.tsv").write_text(features)
    if zipped:
        for path in [p for p in folder.iterdir() if p.suffix != ".gz"]:
            path.with_name(f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes()))
            path.unlink()


def check_as_scanpy(source: Source, expected: Any) -> None:
    np.testing.assert_array_equal(read(source), expected.X.toarray())
    assert source.obs.index.tolist() == expected.obs_names.tolist()
    var = source.matrices["X"].var
    assert var.index.tolist() == expected.var["gene_ids"].tolist()
    assert var["symbol"].tolist() == expected.var_names.tolist()


@pytest.mark.filterwarnings("ignore:Variable names are not unique")
def test_a_10x_h5_file_reads_as_in_scanpy(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_h5(tmp_path / "sample.h5")
    with caplog.at_level(logging.INFO), open_source(tmp_path / "sample.h5") as source:
        check_as_scanpy(source, sc.read_10x_h5(tmp_path / "sample.h5", gex_only=True))
        assert source.name == "sample"
        assert source.matrices["X"].shape == (6, 3)
        assert source.matrices["X"].row_ends is None  # the file counts the antibodies, too
        assert source.matrices["X"].var["genome"].tolist() == ["GRCh38"] * 3
    assert "left out: {'Antibody Capture': 2}" in caplog.text


@pytest.mark.filterwarnings("ignore:Variable names are not unique")
def test_a_10x_h5_file_of_version_2_reads_as_in_scanpy(tmp_path: Path) -> None:
    write_h5(tmp_path / "sample.h5", version=2)
    with open_source(tmp_path / "sample.h5") as source:
        check_as_scanpy(source, sc.read_10x_h5(tmp_path / "sample.h5"))
        ends = source.matrices["X"].row_ends
        assert ends is not None
        assert ends.tolist() == counts().indptr[1:].tolist()


@pytest.mark.filterwarnings("ignore:Variable names are not unique")
@pytest.mark.parametrize(("version", "zipped"), [(2, False), (3, True), (3, False)])
@pytest.mark.parametrize("prefix", ["", "GSM123_donor1_"])
def test_a_10x_folder_reads_as_in_scanpy(tmp_path: Path, version: int, zipped: bool, prefix: str) -> None:
    folder = tmp_path / "sample"
    write_mtx(folder, version=version, zipped=zipped, prefix=prefix)
    expected = sc.read_10x_mtx(folder, prefix=prefix, make_unique=False, compressed=zipped, gex_only=True)
    with open_source(next(folder.glob("*.mtx*")) if prefix else folder) as source:
        check_as_scanpy(source, expected)
        assert source.name == ("GSM123_donor1" if prefix else "sample")


def test_10x_without_gene_expression_is_refused(tmp_path: Path) -> None:
    write_h5(tmp_path / "sample.h5", types=["Peaks"] * 5)
    with pytest.raises(ValueError, match=r"sample\.h5 .*no 'Gene Expression' features, only \['Peaks'\]"):
        open_source(tmp_path / "sample.h5")


def test_several_genomes_of_version_2_are_refused(tmp_path: Path) -> None:
    write_h5(tmp_path / "sample.h5", version=2)
    with h5py.File(tmp_path / "sample.h5", "a") as file:
        file.copy("GRCh38", "mm10")
    with pytest.raises(ValueError, match=r"genomes \['GRCh38', 'mm10'\]; one is needed"):
        open_source(tmp_path / "sample.h5")


@pytest.mark.parametrize("name", ["barcodes", "features/id", "data", "indptr", "shape"])
def test_a_damaged_10x_file_is_refused(tmp_path: Path, name: str) -> None:
    write_h5(tmp_path / "sample.h5")
    with h5py.File(tmp_path / "sample.h5", "a") as file:
        values = file[f"matrix/{name}"][:]
        del file[f"matrix/{name}"]
        file[f"matrix/{name}"] = values[:-1]
    with (
        pytest.raises(ValueError, match=r"sample\.h5 cannot be read as a 10x h5 file"),
        open_source(tmp_path / "sample.h5") as source,
    ):
        read(source)


def test_a_10x_h5_file_cut_anywhere_is_refused(tmp_path: Path) -> None:
    write_h5(tmp_path / "sample.h5")
    content = (tmp_path / "sample.h5").read_bytes()
    for length in np.linspace(0, len(content) - 1, 25).astype(int):
        (tmp_path / "cut.h5").write_bytes(content[:length])
        with pytest.raises(ValueError, match=r"cut\.h5 cannot be read"):
            open_source(tmp_path / "cut.h5")


@pytest.mark.parametrize(
    ("damage", "error", "message"),
    [
        (lambda f: (f / "barcodes.tsv.gz").unlink(), FileNotFoundError, r"no barcodes\.tsv, with or without \.gz"),
        (lambda f: (f / "features.tsv.gz").unlink(), FileNotFoundError, r"no features\.tsv and no genes\.tsv"),
        (lambda f: shorten(f / "matrix.mtx.gz"), ValueError, "sample cannot be read as a 10x matrix folder"),
        (lambda f: shorten(f / "barcodes.tsv.gz"), ValueError, "sample cannot be read as a 10x matrix folder"),
        (
            lambda f: rewrite(f / "barcodes.tsv.gz", "only\n"),
            ValueError,
            "5 rows × 6 columns, but .* 5 features .* 1 cell",
        ),
        (lambda f: rewrite(f / "features.tsv.gz", "a\tb\na\n"), ValueError, r"lines of \[1, 2\] columns"),
        (lambda f: rewrite(f / "matrix.mtx.gz", "nothing"), ValueError, "sample cannot be read as a 10x matrix folder"),
    ],
)
def test_a_damaged_10x_folder_is_refused(
    tmp_path: Path, damage: Callable[[Path], None], error: type[Exception], message: str
) -> None:
    write_mtx(tmp_path / "sample")
    damage(tmp_path / "sample")
    with pytest.raises(error, match=message), open_source(tmp_path / "sample") as source:
        read(source)


def shorten(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-12])


def rewrite(path: Path, text: str) -> None:
    path.write_bytes(gzip.compress(text.encode()))


# --- loom -------------------------------------------------------------------------------------------------------------


def write_loom(path: Path, rows: dict[str, Any], columns: dict[str, Any]) -> np.ndarray:
    x = counts().toarray()
    with h5py.File(path, "w") as file:
        file.create_dataset("matrix", data=x.T.astype(np.float32), chunks=(2, 2), compression="gzip")
        file.create_dataset("layers/spliced", data=(x.T // 2).astype(np.uint16), chunks=(2, 2))
        for group, values in (("row_attrs", rows), ("col_attrs", columns)):
            file.create_group(group)
            for name, value in values.items():
                kind = h5py.string_dtype() if isinstance(value[0], str) else None
                file[group].create_dataset(name, data=value, dtype=kind)
    return x


def test_a_loom_file_is_read(tmp_path: Path) -> None:
    columns = {
        "CellID": CELLS,
        "ClusterName": list("aabbcc"),
        "age": np.arange(6),
        "_tSNE": np.arange(12.0).reshape(6, 2),
    }
    x = write_loom(tmp_path / "a.loom", {"Gene": SYMBOLS, "Accession": IDS}, columns)
    with open_source(tmp_path / "a.loom") as source:
        assert set(source.matrices) == {"X", "layers/spliced"}
        np.testing.assert_array_equal(read(source), x)
        np.testing.assert_array_equal(read(source, "layers/spliced"), x // 2)
        assert source.obs.index.tolist() == CELLS
        assert source.obs["ClusterName"].tolist() == list("aabbcc")
        assert source.obs["age"].tolist() == list(range(6))
        assert source.matrices["X"].var.index.tolist() == IDS
        assert source.matrices["X"].var["symbol"].tolist() == SYMBOLS
        np.testing.assert_array_equal(source.embeddings["_tSNE"](), np.arange(12.0).reshape(6, 2))


def test_a_loom_file_with_other_usual_names_is_read(tmp_path: Path) -> None:
    write_loom(tmp_path / "a.loom", {"var_names": SYMBOLS}, {"obs_names": np.array(CELLS, dtype="S")})
    with open_source(tmp_path / "a.loom") as source:
        assert source.obs.index.tolist() == CELLS
        assert source.matrices["X"].var.index.tolist() == SYMBOLS


@pytest.mark.parametrize(
    ("rows", "columns", "message"),
    [
        ({"locus": IDS}, {"CellID": CELLS}, r"no attribute names its genes: row_attrs holds \['locus'\]"),
        ({"Gene": IDS}, {"plate": CELLS}, r"no attribute names its cells: col_attrs holds \['plate'\]"),
        ({"Gene": IDS[:-1]}, {"CellID": CELLS}, r"row_attrs/Gene has the shape \(4,\), 5 values are needed"),
    ],
)
def test_a_loom_file_without_names_says_what_there_is(tmp_path: Path, rows: Any, columns: Any, message: str) -> None:
    write_loom(tmp_path / "a.loom", rows, columns)
    with pytest.raises(ValueError, match=rf"a\.loom cannot be read as a loom file: .*{message}"):
        open_source(tmp_path / "a.loom")


# --- text tables ------------------------------------------------------------------------------------------------------

KNOWN = ["TSPAN6", "ENSG00000000419.14", "Xkr4", "GAPDH", "made up"]


@pytest.mark.parametrize("genes_in", ["rows", "columns"])
@pytest.mark.parametrize("name", ["a.csv", "a.csv.gz", "a.tsv", "a.txt.gz"])
def test_a_table_is_read_whichever_way_it_lies(tmp_path: Path, name: str, genes_in: str) -> None:
    frame = pd.DataFrame(counts().toarray(), index=CELLS, columns=KNOWN)
    table = frame if genes_in == "columns" else frame.T
    table.to_csv(tmp_path / name, sep="," if "csv" in name else "\t")
    with open_source(tmp_path / name) as source:
        assert source.name == "a"
        assert source.obs.index.tolist() == CELLS
        assert source.matrices["X"].var.index.tolist() == KNOWN
        np.testing.assert_array_equal(read(source), counts().toarray())


def test_a_table_as_r_writes_it_with_notes_and_repeated_genes(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text('"cluster","GAPDH","GAPDH","NAT1"\n"NA","beta",1,0,2.5\n"c2","alpha",0,0,0\n')
    with open_source(tmp_path / "a.csv") as source:
        assert source.obs.index.tolist() == ["NA", "c2"]  # a cell of that name, not a missing one
        assert source.obs["cluster"].tolist() == ["beta", "alpha"]
        assert source.matrices["X"].var.index.tolist() == ["GAPDH", "GAPDH", "NAT1"]
        np.testing.assert_array_equal(read(source), [[1, 0, 2.5], [0, 0, 0]])


def test_a_table_is_read_in_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from scdataloader.sources import text_table

    monkeypatch.setattr(text_table, "_PIECE", 12)  # two lines of six fields
    pd.DataFrame(counts().toarray(), index=CELLS, columns=KNOWN).to_csv(tmp_path / "a.csv")
    np.testing.assert_array_equal(read(open_source(tmp_path / "a.csv")), counts().toarray())


def test_a_table_that_does_not_tell_where_its_genes_are_has_to_be_told(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(",g1,g2\nc1,1,2\n")
    with pytest.raises(
        ValueError, match=r"a\.csv .*\['c1'\].*\['g1', 'g2'\].*say genes_in='rows' or genes_in='columns'"
    ):
        open_source(tmp_path / "a.csv")
    assert open_source(tmp_path / "a.csv", genes_in="columns").obs.index.tolist() == ["c1"]
    assert open_source(tmp_path / "a.csv", genes_in="rows").obs.index.tolist() == ["g1", "g2"]
    (tmp_path / "b.csv").write_text(",GAPDH,TSPAN6\nCD4,1,2\n")
    with pytest.raises(ValueError, match=r"100% of its rows .* 100% of its columns"):
        open_source(tmp_path / "b.csv")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "second line has 0 fields"),
        (",GAPDH\n", "second line has 0 fields"),
        ("name;GAPDH\nc1;1\n", "second line has 1 fields with ','"),
        (",GAPDH,CD4\nc1,1\n", "first line has 3 fields, the second 2"),
        (",GAPDH,CD4\nc1,1,2\nc2,many,2\n", "column 'GAPDH' holds 'many', not a number"),
        (",GAPDH,CD4\nc1,1,2\nc2,1,\n", "column 'CD4' holds '', not a number"),
        (",GAPDH,CD4\nc1,1,2\nc2,1,2,3\n", "Expected 3 fields in line 3, saw 4"),
        ("GAPDH,CD4,TSPAN6\n1,0,2\n", "first column is called 'GAPDH', like a gene"),
        (",GAPDH\nc1,text\n", "it holds no numbers"),
    ],
)
def test_what_is_wrong_with_a_table_is_said(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(ValueError, match=rf"a\.csv cannot be read as a table of counts: .*({message})"):
        open_source(tmp_path / "a.csv")


def test_only_tables_take_the_place_of_genes(tmp_path: Path) -> None:
    write_h5(tmp_path / "sample.h5")
    with pytest.raises(ValueError, match="is for text tables"):
        open_source(tmp_path / "sample.h5", genes_in="rows")

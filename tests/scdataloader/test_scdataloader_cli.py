"""The command line."""

import json
import shutil
import subprocess
import sys

import anndata
import pandas as pd
import pytest

from scdataloader import LabelSpace, Preprocessor, datasets, gene_table
from scdataloader.cli import main
from scdataloader.preprocess import CorpusReport


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "some.h5ad"
    datasets.retina_1k()[:120].copy().write_h5ad(path)
    return path


def test_check_says_what_would_happen(file, capsys, tmp_path):
    assert main(["check", str(file), "--lost", str(tmp_path / "lost.csv")]) == 0
    out = capsys.readouterr().out
    assert "26,483 Ensembl ids" in out
    assert "ready to use" in out
    lost = pd.read_csv(tmp_path / "lost.csv")
    assert len(lost) == 27_019 - 26_483
    assert set(lost["name"]) < set(datasets.retina_1k().var_names)
    assert main(["check", str(file), "--min_genes", "100000"]) == 2
    assert "0 of 120 cells are left" in capsys.readouterr().err


def test_preprocess_writes_clean_copies_tables_and_a_page(file, tmp_path, capsys):
    before = file.read_bytes()
    out = tmp_path / "clean"
    command = ["preprocess", str(file), "--out", str(out), "--min_genes", "1500", "--min-cells=10"]
    assert main(command) == 0
    clean = anndata.read_h5ad(out / "some.h5ad")
    table = pd.read_csv(out / "report.csv").set_index("step")
    assert clean.n_obs == table.loc["cells", "cells_out"]
    assert clean.n_obs < 120
    assert file.read_bytes() == before
    tables = ["report.csv", "report.csv.json", "report.html", "summary.csv", "summary.csv.json"]
    names = sorted([*tables, "some.h5ad", "some.json"])
    assert sorted(path.name for path in out.iterdir()) == names  # no temporary file is left
    assert "1 done, 0 done before" in capsys.readouterr().out
    assert main(command) == 0
    assert "0 done, 1 done before" in capsys.readouterr().out
    assert main([*command, "--overwrite"]) == 0
    assert "1 done, 0 done before" in capsys.readouterr().out


def test_presets_and_switches_reach_the_settings(file, tmp_path):
    def settings(*options):
        assert main(["preprocess", str(file), "--out", str(tmp_path / "clean"), *options]) == 0
        made = anndata.read_h5ad(tmp_path / "clean" / "some.h5ad").uns["scdataloader"]
        chosen = json.loads(made["settings"])
        return Preprocessor(**chosen | {name: tuple(chosen[name]) for name in ("drop_assays", "labels")})

    assert settings() == Preprocessor()
    assert settings("--preset", "inference") == Preprocessor.preset("inference")
    chosen = settings("--preset=inference", "--no-undo-log", "--primary_only", "--labels", "cell_type", "sex")
    expected = {"undo_log": False, "primary_only": True, "labels": ("cell_type", "sex")}
    assert chosen == Preprocessor.preset("inference", **expected)
    assert settings("--drop_spatial", "false", "--keep_embeddings").drop_spatial is False


def test_failures_stop_or_are_collected(file, tmp_path, capsys):
    (tmp_path / "broken.h5ad").write_bytes(file.read_bytes()[:5000])
    files = [str(tmp_path / "broken.h5ad"), str(file)]
    assert main(["preprocess", *files, "--out", str(tmp_path / "a")]) == 2
    error = capsys.readouterr().err
    assert error.startswith("scdataloader: ")
    assert "broken.h5ad" in error
    assert main(["preprocess", *files, "--out", str(tmp_path / "b"), "--keep-going"]) == 1
    assert "1 done, 0 done before, 1 failed" in capsys.readouterr().out
    assert [result.name for result in CorpusReport.read(tmp_path / "b").failed] == ["broken"]


def test_preprocess_refuses_to_lose_anything(file, tmp_path, capsys):
    assert main(["preprocess", str(file), "--out", str(tmp_path)]) == 2
    assert "never overwritten" in capsys.readouterr().err
    assert main(["preprocess", str(file), str(tmp_path / "no.h5ad"), "--out", str(tmp_path / "o")]) == 2
    assert "no.h5ad" in capsys.readouterr().err
    assert not (tmp_path / "o").exists()


@pytest.mark.slow
def test_files_of_one_name_get_names_of_their_own(file, tmp_path):
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "some.h5ad").write_bytes(file.read_bytes())
    out = tmp_path / "clean"
    assert main(["preprocess", str(file), str(tmp_path / "other"), "--out", str(out), "--workers", "2"]) == 0
    assert len(list(out.glob("*.h5ad"))) == 2
    assert pd.read_csv(out / "summary.csv")["status"].tolist() == ["done", "done"]


def test_labels_are_printed_drawn_and_saved(file, tmp_path, capsys):
    command = ["labels", str(file), "--classes", "cell_type", "sex"]
    assert main([*command, "--out", str(tmp_path / "labels.json"), "--plot", str(tmp_path / "tree.png")]) == 0
    out = capsys.readouterr().out
    rods = (datasets.retina_1k()[:120].obs["cell_type"] == "retinal rod cell").sum()
    (line,) = [line for line in out.splitlines() if line.startswith("retinal rod cell")]
    assert line.split()[-1] == str(rods)
    assert list(LabelSpace.load(tmp_path / "labels.json").classes) == ["cell_type", "sex"]
    assert (tmp_path / "tree-cell_type.png").read_bytes().startswith(b"\x89PNG")
    assert main(["labels", str(file), "--classes", "celltype"]) == 2
    assert "did you mean 'cell_type" in capsys.readouterr().err


@pytest.mark.slow
def test_import_is_light():
    code = "import scdataloader, sys; sys.exit(bool({'torch', 'lightning', 'anndata', 'numba'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.filterwarnings("ignore:Observation names are not unique")
def test_a_store_is_built_shown_checked_and_exported(file, tmp_path, capsys):
    clean, store = tmp_path / "clean", tmp_path / "store"
    assert main(["preprocess", str(file), "--out", str(clean)]) == 0
    assert main(["build", str(clean), "--out", str(store)]) == 0
    assert "120 cells of 1 data sets" in capsys.readouterr().out
    shutil.copy(clean / "some.h5ad", tmp_path / "more.h5ad")
    assert main(["build", str(tmp_path / "more.h5ad"), "--out", str(store), "--add"]) == 0
    assert main(["inspect", str(store)]) == 0
    assert "240 cells of 2 data sets" in capsys.readouterr().out
    assert main(["verify", str(store)]) == 0
    assert "2 shards of 240 cells, 0 damaged" in capsys.readouterr().out
    assert main(["export", str(store), "--out", str(tmp_path / "all.h5ad")]) == 0
    whole, one = anndata.read_h5ad(tmp_path / "all.h5ad"), anndata.read_h5ad(clean / "some.h5ad")
    assert (whole[:120].X != one.X).nnz == 0
    assert main(["export", str(store), "--out", str(tmp_path / "all.csv")]) == 2
    shard = max((path for path in store.rglob("*") if path.is_file()), key=lambda path: path.stat().st_size)
    content = bytearray(shard.read_bytes())
    content[len(content) // 2] ^= 1
    shard.chmod(0o644)
    shard.write_bytes(content)
    assert main(["verify", str(store)]) == 1
    assert "1 damaged" in capsys.readouterr().out


def test_gene_tables_are_listed_and_registered(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("SCDATALOADER_CACHE", str(tmp_path / "cache"))  # other tests count on there being none
    assert main(["genes"]) == 0
    assert "NCBITaxon:10090" in capsys.readouterr().out
    gene_table("human").iloc[:50].reset_index().to_csv(tmp_path / "mine.csv", index=False)
    assert main(["genes", "register", "zebrafish", "--table", str(tmp_path / "mine.csv")]) == 0
    assert len(gene_table("zebrafish")) == 50
    assert main(["genes", "register", "zebrafish"]) == 2
    assert "--table FILE" in capsys.readouterr().err
    assert main(["genes", "fetch"]) == 2
    assert "say whose table" in capsys.readouterr().err

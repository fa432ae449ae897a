"""The command line."""

import subprocess
import sys

import anndata
import pandas as pd
import pytest

from scdataloader import datasets
from scdataloader.cli import main


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "some.h5ad"
    datasets.retina_1k()[:50].copy().write_h5ad(path)
    return path


def test_check_says_what_would_happen(file, capsys):
    assert main(["check", str(file)]) == 0
    out = capsys.readouterr().out
    assert "26,483 Ensembl ids" in out
    assert "ready to use" in out
    assert main(["check", str(file), "--min_genes", "100000"]) == 2
    assert "0 of 50 cells are left" in capsys.readouterr().err


def test_preprocess_writes_clean_copies_and_a_table(file, tmp_path):
    before = file.read_bytes()
    out = tmp_path / "clean"
    assert main(["preprocess", str(file), "--out", str(out), "--min_genes", "1500"]) == 0
    clean = anndata.read_h5ad(out / "some.h5ad")
    table = pd.read_csv(out / "report.csv").set_index("step")
    assert clean.n_obs == table.loc["cells", "cells_out"]
    assert clean.n_obs < 50
    assert file.read_bytes() == before
    assert sorted(p.name for p in out.iterdir()) == ["report.csv", "some.h5ad"]  # no temporary file is left


def test_preprocess_refuses_to_lose_anything(file, tmp_path, capsys):
    assert main(["preprocess", str(file), "--out", str(tmp_path)]) == 2
    assert "input is never overwritten" in capsys.readouterr().err
    assert main(["preprocess", str(file), str(tmp_path / "no.h5ad"), "--out", str(tmp_path / "o")]) == 2
    assert "1 of 2 files do not exist" in capsys.readouterr().err
    (tmp_path / "other").mkdir()
    twin = tmp_path / "other" / "some.h5ad"
    twin.write_bytes(file.read_bytes())
    assert main(["preprocess", str(file), str(twin), "--out", str(tmp_path / "o")]) == 2
    assert "same name" in capsys.readouterr().err
    assert not (tmp_path / "o").exists()


def test_import_is_light():
    code = "import scdataloader, sys; sys.exit(bool({'torch', 'lightning', 'anndata'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

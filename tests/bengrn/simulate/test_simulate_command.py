"""``bengrn simulate``."""

import anndata
import pandas as pd
import pytest

import bengrn
from bengrn.cli import main

EDGES = "source,target,sign\nM,A,1\nM,B,-1\nN,B,1\nA,C,1\n"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "edges.csv").write_text(EDGES)
    (tmp_path / "rules.txt").write_text("A = A and not B\nB = B and not A\nC = A\n")
    return tmp_path


def test_cells_and_their_network_are_written_and_can_be_scored(folder, capsys):
    assert main(["simulate", "sergio", "edges.csv", "-o", "out/cells.h5ad", "--n-cells", "60", "--n-types", "3"]) == 0
    assert "60 cells × 5 genes written to out/cells.h5ad" in capsys.readouterr().out
    cells = anndata.read_h5ad(folder / "out/cells.h5ad")
    same = bengrn.simulate.sergio(pd.read_csv(folder / "edges.csv"), n_cells=60, n_types=3)
    assert (cells.X == same.cells.X).all()
    truth = pd.read_csv(folder / "out/cells.truth.csv")
    assert truth[["source", "target", "sign"]].values.tolist() == same.truth.edges.iloc[:, :3].values.tolist()
    assert main(["infer", "out/cells.h5ad", "--method", "pearson", "-o", "net.h5ad"]) == 0
    capsys.readouterr()
    assert main(["score", "net.h5ad", "--truth", "out/cells.truth.csv", "--no-baselines"]) == 0
    assert "4 of 4 true edges among them" in capsys.readouterr().out
    for file in ("out/cells.h5ad", "out/cells.truth.csv"):
        assert main(["inspect", file]) == 0
        assert "bengrn simulate sergio" in capsys.readouterr().out


def test_options_reach_the_model_and_its_technical_noise(folder, capsys):
    words = ["--n-cells", "30", "--initial", "A,B", "--knock-out", "B", "--technical", "sergio", "--set", "counting=no"]
    assert main(["simulate", "boolode", "rules.txt", "cells.zarr", *words, "--seed", "4"]) == 0
    capsys.readouterr()
    cells = anndata.read_zarr(folder / "cells.zarr")
    technical = bengrn.simulate.TechnicalNoise(counting=False)
    same, _ = bengrn.simulate.boolode(
        folder / "rules.txt", initial=["A", "B"], knock_out=["B"], n_cells=30, technical=technical, seed=4
    )
    assert (cells.X == same.X).all()


def test_real_cells_can_be_laid_beside_them(folder, capsys):
    assert main(["simulate", "sergio", "edges.csv", "a.h5ad", "--n-cells", "30"]) == 0
    words = ["--n-cells", "40", "--beside", "a.h5ad", "--plot", "seen/real.png", "--set", "depth_per_gene=5"]
    assert main(["simulate", "sergio", "edges.csv", "b.h5ad", *words]) == 0
    out = capsys.readouterr().out
    assert "share of zeros of a gene" in out
    assert (folder / "seen/real.png").stat().st_size > 1000


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["sergio", "nothing.csv", "c.h5ad"], "no file nothing.csv, and no truth of that name"),
        (["sergio", "edges.csv", "c.csv"], "cells are written as h5ad or zarr"),
        (["sergio", "edges.csv", "c.h5ad", "--initial", "A"], "--initial is of boolode"),
        (["boolode", "rules.txt", "c.h5ad", "--rates", "r.csv"], "--rates is of sergio"),
        (["boolode", "rules.txt", "c.h5ad", "--set", "counting=no"], "give --technical sergio"),
        (["sergio", "edges.csv", "c.h5ad", "--set", "dropouts=2"], "has no 'dropouts'"),
        (["sergio", "edges.csv", "c.h5ad", "--set", "depth_sd=much"], "depth_sd of the technical noise is a number"),
        (["sergio", "edges.csv", "c.h5ad", "--plot", "p.png"], "name these with --beside"),
        (["sergio", "edges.csv", "c.h5ad", "--options", '{"kind": "signed"}'], "edges.csv is a file"),
        (["sergio", "edges.csv", "edges.csv"], "cells are written as h5ad or zarr"),
    ],
)
def test_what_cannot_be_done_is_told_before_any_work(folder, words, told, capsys):
    assert main(["simulate", *words]) == 2
    assert told in capsys.readouterr().err
    assert not list(folder.glob("c.*"))

"""Networks from files of cells, by Python and by the command line."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from anndata import AnnData
from scipy.io import mmwrite

import bengrn
import grnndata
from bengrn.cell_draws import draw_cells
from bengrn.cli import main
from bengrn.effort import estimate, is_long
from bengrn.inference import plan

GENES = ["CRX", "NRL", "RHO", "SAG", "PAX6", "ACTB"]


@pytest.fixture
def cells() -> AnnData:
    rng = np.random.default_rng(0)
    factor = rng.gamma(2.0, size=(60, 1))
    counts = rng.poisson(factor * [1, 2, 3, 2, 0.5, 4]).astype(np.float32)
    obs = pd.DataFrame({"cell_type": ["rod", "cone", None] * 20}, index=[f"c{i}" for i in range(60)])
    return AnnData(sp.csr_matrix(counts), obs=obs, var=pd.DataFrame(index=GENES), layers={"twice": counts * 2})


@pytest.fixture
def path(cells, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    cells.write_h5ad("cells.h5ad")
    return "cells.h5ad"


def test_a_network_a_group(cells, caplog):
    result = bengrn.infer(cells, "spearman", groupby="cell_type")
    assert list(result.networks) == ["cone", "rod"]
    assert result.n_obs == 40  # cells of the groups alone
    rods = cells[cells.obs["cell_type"] == "rod"]
    expected = bengrn.get_method("spearman").infer(rods).grn
    np.testing.assert_array_equal(np.asarray(result.networks["rod"].grn), expected)
    assert "20 cells have no value of 'cell_type' and are left out" in caplog.text
    one = bengrn.infer(cells, "spearman", groupby="cell_type", group=["rod"])
    np.testing.assert_array_equal(np.asarray(one.networks["rod"].grn), expected)


def test_genes_and_regulators_are_chosen_once_for_all(cells, caplog):
    result = bengrn.infer(cells, n_genes=4, regulators="tf")
    assert result.var_names.tolist() == [g for g in GENES if g in set(grnndata.tl.most_variable_genes(cells, 4))]
    assert set(result.regulators) <= {"CRX", "NRL", "PAX6"}
    with caplog.at_level(logging.WARNING):
        some = bengrn.infer(cells, genes=["RHO", "CRX", "nrl"], regulators=["CRX", "OTX2"])
    assert some.var_names.tolist() == ["CRX", "NRL", "RHO"]
    assert some.regulators.tolist() == ["CRX"]
    assert "1 of 2 regulators are not among the genes, such as ['OTX2']" in caplog.text
    parameters = json.loads(some.uns["provenance_steps"])[-1]["parameters"]
    assert parameters["regulators"] == ["CRX", "OTX2"]
    assert parameters["method"] == "pearson"


def test_what_is_in_a_layer_or_in_raw(cells):
    whole = bengrn.infer(cells).grn
    np.testing.assert_array_equal(bengrn.infer(cells, layer="twice").grn, whole)  # twice the counts, the same shares
    normalised = cells.copy()
    normalised.raw = cells
    normalised.X = normalised.X * 0.5
    np.testing.assert_array_equal(bengrn.infer(normalised, layer="raw").grn, whole)
    assert json.loads(bengrn.infer(normalised, layer="raw").uns["provenance_steps"])[-1]["parameters"]["layer"] == "raw"


def test_cells_are_drawn_by_what_they_express(cells):
    order = np.random.default_rng(1).permutation(60)
    genes = np.random.default_rng(2).permutation(6)
    turned = cells[order, genes].copy()
    drawn = [set(one.obs_names) for one in (plan(cells, n_cells=20).cells, plan(turned, n_cells=20).cells)]
    assert drawn[0] == drawn[1]
    assert len(drawn[0]) == 20
    assert set(plan(cells, n_cells=20, seed=1).cells.obs_names) != drawn[0]
    assert set(plan(cells, n_cells=100).cells.obs_names) == set(cells.obs_names)
    # Each cell is drawn about as often as any other.
    X = np.arange(1.0, 21)[:, None] * [1.0, 3.0]
    times = np.zeros(20)
    for seed in range(2_000):
        times[draw_cells(X, ["a", "b"], 5, seed)] += 1
    assert abs(times / 2_000 - 0.25).max() < 4 * np.sqrt(0.25 * 0.75 / 2_000)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "pearso"}, "no method 'pearso'"),
        ({"groupby": "cell_typ"}, r"obs has no column 'cell_typ'; near ones: 'cell_type'"),
        ({"group": ["rod"]}, "needs groupby"),
        ({"groupby": "cell_type", "group": ["rods"]}, r"no cell has cell_type = 'rods'; near ones: 'rod'"),
        ({"layer": "raw"}, "this AnnData has no raw"),
        ({"layer": "counts"}, r"no layer 'counts'; there are: 'twice'"),
        ({"regulators": ["OTX2"]}, r"none of the 1 regulators is among the 6 genes, such as \['OTX2'\]"),
        ({"genes": ["CRX", "OTX2"]}, r"1 of 2 genes are not in the data, such as \['OTX2'\]"),
        ({"genes": ["CRX"], "n_genes": 2}, "both choose genes"),
        ({"n_cells": 0}, "n_cells is at least 1, got 0"),
        ({"groupby": "cell_type", "n_cells": 1}, "cone: there are 1 cells"),
    ],
)
def test_what_cannot_be_inferred(cells, options, message):
    with pytest.raises(ValueError, match=message):
        bengrn.infer(cells, **options)


def test_a_foreign_method_is_checked(cells):
    class Odd:
        name = "odd"

        def __init__(self, result):
            self.result = result

        def infer(self, adata, *, regulators=None, rng=None):  # noqa: ARG002
            return self.result(adata)

    def network(weights):
        return lambda adata: grnndata.GRNAnnData(adata, weights)

    columns = np.zeros((6, 6))
    columns[:, 0] = 1  # into CRX, where its row should be
    with pytest.raises(ValueError, match=r"odd returned edges out of 5 genes that are no regulators.*transposed"):
        bengrn.infer(cells, Odd(network(columns - np.diag(np.diag(columns)))), regulators=["CRX"])
    with pytest.raises(TypeError, match="odd returned ndarray, and not a GRNAnnData"):
        bengrn.infer(cells, Odd(lambda _: columns))
    other = grnndata.GRNAnnData(np.ones((2, 2)), np.ones((2, 2)), var=pd.DataFrame(index=["CRX", "XYZ"]))
    with pytest.raises(ValueError, match="1 gene that it was not given, such as 'XYZ'"):
        bengrn.infer(cells, Odd(lambda _: other))
    with pytest.raises(TypeError, match="settings go with the name of a method"):
        bengrn.infer(cells, Odd(network(columns)), settings={"a": 1})


def test_what_it_will_take():
    rng = np.random.default_rng(0)
    cells = AnnData(
        rng.poisson(1.0, (50, 300)).astype(np.float32), var=pd.DataFrame(index=[f"g{i}" for i in range(300)])
    )
    effort = estimate(plan(cells))
    assert (effort.n_networks, effort.n_cells, effort.n_genes, effort.n_regulators) == (1, 50, 300, 300)
    assert effort.memory == bengrn.infer(cells).grn.nbytes == 360_000
    assert effort.seconds > 0
    some = plan(cells, regulators=[f"g{i}" for i in range(10)])
    stored = bengrn.infer(cells, regulators=[f"g{i}" for i in range(10)]).grn
    assert some.memory == pytest.approx(stored.data.nbytes + stored.indices.nbytes, rel=0.02)
    assert not is_long(some)
    assert estimate(plan(AnnData(np.zeros((3, 4), dtype=np.float32)))).seconds is None  # told when it is inferred
    assert str(estimate(some)).startswith(
        "1 network of 10 regulators × 300 genes from at most 50 cells: 0.024 MB, about"
    )


# ------------------------------------------------------------------------------------------------- the command line


def test_a_file_of_cells_becomes_one_of_networks(path, cells, capsys):
    command = ["infer", path, "--method", "clr", "--set", "bins=4", "--groupby", "cell_type", "-o", "out/net.h5ad"]
    assert main(command) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "written to out/net.h5ad"
    result = grnndata.read_h5ad("out/net.h5ad")
    expected = bengrn.infer(cells, "clr", settings={"bins": 4}, groupby="cell_type").networks["rod"].grn
    np.testing.assert_array_equal(np.asarray(result.networks["rod"].grn), np.asarray(expected))
    assert main(["inspect", "out/net.h5ad"]) == 0
    told = capsys.readouterr().out
    assert "bengrn infer" in told
    assert "bins" in told


def test_tables_of_edges(path, cells, capsys):
    assert main(["infer", path, "--regulators", "tf", "-o", "net.tsv"]) == 0
    edges = grnndata.read_edges("net.tsv")
    assert set(edges["source"]) == {"CRX", "NRL", "PAX6"}
    assert len(edges) == 15
    assert json.loads(Path("net.tsv.json").read_text())["provenance_steps"][-1]["task"] == "bengrn infer"
    assert main(["infer", path, "--regulators", "tf", "--format", "scenic", "-o", "adj.tsv"]) == 0
    table = pd.read_csv("adj.tsv", sep="\t")
    assert table.columns.tolist() == ["TF", "target", "importance"]
    again = grnndata.read_edges("adj.tsv")
    pd.testing.assert_frame_equal(again, edges, rtol=1e-6)
    capsys.readouterr()
    assert main(["infer", path, "--groupby", "cell_type", "-o", "net.csv"]) == 2
    assert "net_{group}.tsv" in capsys.readouterr().err
    assert main(["infer", path, "--groupby", "cell_type", "-o", "net_{group}.csv"]) == 0
    assert len(grnndata.read_edges("net_rod.csv")) == 30
    assert len(grnndata.read_edges("net_cone.csv")) == 30


def test_work_is_kept_and_no_part_of_the_network(path):
    words = ["infer", path, "--method", "grnboost2", "--set", "n_trees=5", "--regulators", "tf"]
    assert main([*words, "--dry-run", "--work", "kept", "-o", "net.h5ad"]) == 0
    assert not Path("kept").exists()
    assert main([*words, "--work", "kept", "-o", "one.h5ad"]) == 0
    assert len(list(Path("kept").glob("*/*.npy"))) == 1
    assert main([*words, "-o", "two.h5ad"]) == 0
    one, two = (grnndata.read_h5ad(name) for name in ("one.h5ad", "two.h5ad"))
    np.testing.assert_array_equal(one.grn.toarray(), two.grn.toarray())
    assert one.uns["grn"]["parameters"] == two.uns["grn"]["parameters"]
    assert "kept" not in json.dumps(one.uns["provenance_steps"], default=str)


def test_a_dry_run_writes_nothing(path, capsys, tmp_path):
    before = sorted(tmp_path.iterdir())
    assert main(["infer", path, "--dry-run", "-o", "net.h5ad"]) == 0
    assert capsys.readouterr().out.startswith("1 network of 6 regulators × 6 genes from at most 60 cells")
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["none.h5ad", "-o", "net.h5ad"], "there is no file none.h5ad"),
        (["cells.h5ad", "-o", "cells.h5ad"], "cells.h5ad"),
        (["cells.h5ad", "-o", "net.png"], "networks are written as h5ad or zarr"),
        (["cells.h5ad", "--set", "bins", "-o", "net.h5ad"], "--set takes NAME=VALUE, and not 'bins'"),
        (["cells.h5ad", "--set", "bins=5", "-o", "net.h5ad"], "pearson has no setting 'bins'"),
        (["cells.h5ad", "--work", "kept", "-o", "net.h5ad"], "pearson cannot use --work: methods of trees can"),
        (["cells.h5ad", "--method", "clr", "--set", "bins=x", "-o", "net.h5ad"], "settings of clr"),
        (["cells.h5ad", "--regulators", "CRX", "-o", "net.h5ad"], "a file with one gene a line, and not 'CRX'"),
        (["cells.h5ad", "--format", "scenic", "-o", "net.h5ad"], "--format scenic is one of tables"),
        (["cells.txt", "-o", "net.h5ad"], "there is no file cells.txt"),
        (["cells.h5ad", "--counts", "raw", "-o", "net.h5ad"], "raw"),
        (["cells.h5ad", "--layer", "twice", "--counts", "auto", "-o", "net.h5ad"], "two places of the expression"),
    ],
)
def test_bad_words_are_told(path, words, message, capsys, tmp_path):
    assert main(["infer", *words]) != 0
    assert message in capsys.readouterr().err
    assert not (tmp_path / "net.h5ad").exists()
    assert anndata.read_h5ad("cells.h5ad").n_obs == 60


def test_counts_elsewhere_and_other_formats(path, cells, capsys, monkeypatch):
    assert main(["infer", path, "-o", "usual.tsv"]) == 0
    expected = grnndata.read_edges("usual.tsv")
    normalised = cells.copy()
    normalised.layers["counts"] = cells.X.copy()
    normalised.X = cells.X * 0.5
    del normalised.layers["twice"]
    normalised.write_h5ad("normalised.h5ad")
    for i, words in enumerate([["--counts", "auto"], ["--counts", "counts"], ["--layer", "counts"]]):
        assert main(["infer", "normalised.h5ad", *words, "-o", f"net{i}.tsv"]) == 0
        pd.testing.assert_frame_equal(grnndata.read_edges(f"net{i}.tsv"), expected)
    fractions = cells.copy()
    fractions.X = cells.X * 1.0
    fractions.X.data[::4] += 0.2
    fractions.write_h5ad("fractions.h5ad")
    assert main(["infer", "fractions.h5ad", "--round", "-o", "rounded.tsv"]) == 0
    pd.testing.assert_frame_equal(grnndata.read_edges("rounded.tsv"), expected)
    cells.write_zarr("cells.zarr")
    folder = Path("tenx")
    folder.mkdir()
    mmwrite(folder / "matrix.mtx", sp.csc_matrix(cells.X.T.astype(np.int64)))
    (folder / "barcodes.tsv").write_text("".join(f"{name}\n" for name in cells.obs_names))
    (folder / "genes.tsv").write_text("".join(f"{name}\t{name}\n" for name in cells.var_names))
    for file in ("cells.zarr", "tenx"):
        assert main(["infer", file, "-o", f"{file}.tsv"]) == 0
        pd.testing.assert_frame_equal(grnndata.read_edges(f"{file}.tsv"), expected)
    capsys.readouterr()
    monkeypatch.setattr("bengrn.infer_command.entry_points", lambda **_: [])
    assert main(["infer", "normalised.h5ad", "--counts", "auto", "-o", "net.tsv"]) != 0
    assert "--counts needs the package scdataloader" in capsys.readouterr().err
    assert main(["infer", "tenx", "-o", "net.tsv"]) != 0
    assert "reading tenx needs the package scdataloader" in capsys.readouterr().err

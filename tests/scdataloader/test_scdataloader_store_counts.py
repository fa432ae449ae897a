"""Stores of counts that lie elsewhere than in X, and what ``scdataloader build`` and ``check`` say of files."""

import anndata
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from scdataloader import (
    CellDataModule,
    CellDataset,
    CellStore,
    Corpus,
    GeneChoice,
    GeneVocabulary,
    LabelSpace,
    Preprocessor,
    datasets,
)
from scdataloader._provenance import read
from scdataloader.cli import main
from scdataloader.expression import CountsChoice
from scdataloader.genes.id_check import check_gene_ids


@pytest.fixture(scope="module")
def cells():
    data = datasets.retina_1k()[:40, :3000].copy()
    return anndata.AnnData(
        sparse.csr_matrix(data.X).astype(np.float32),
        obs=pd.DataFrame({"half": ["a", "b"] * 20}, index=[f"cell{i}" for i in range(40)]),
        var=pd.DataFrame(index=data.var_names, data={"symbol": data.var["symbol"].astype(str).tolist()}),
    )


def elsewhere(cells, where):
    out = anndata.AnnData(cells.X.log1p(), obs=cells.obs.copy(), var=cells.var.copy())
    if where == "raw":
        out.raw = cells
    elif where == "layer":
        out.layers["umi"] = cells.X
    else:
        out.layers["est"] = cells.X.copy()
        out.layers["est"].data[::3] += 0.25
    return out


@pytest.mark.parametrize(
    ("where", "choice"),
    [
        ("layer", {"layer": "umi"}),
        ("layer", {"counts": "auto"}),
        ("raw", {"counts": "raw"}),
        ("raw", {"counts": "auto"}),
        ("fractions", {"layer": "est", "round": True}),
    ],
)
def test_stored_cells_are_the_same_from_every_place(cells, tmp_path, where, choice):
    plain = CellStore.build([("a", cells)], tmp_path / "plain")
    store = CellStore.build([("a", elsewhere(cells, where))], tmp_path / "store", choice=CountsChoice(**choice))
    got = store.to_anndata()
    assert (sparse.csr_matrix(got.X) != sparse.csr_matrix(plain.to_anndata().X)).nnz == 0
    assert got.obs_names.tolist() == cells.obs_names.tolist()
    # of the same bytes
    assert store.fingerprint == plain.fingerprint
    (step,) = read(tmp_path / "store")
    told = step["parameters"]["choice"]
    assert {name: value for name, value in told.items() if value not in (None, "X", False)} == choice


def test_build_takes_the_options_in_processes_too(cells, tmp_path, capsys):
    for name in ("one", "two"):
        data = elsewhere(cells, "layer")
        data.layers["umi"] = data.layers["umi"].copy()
        data.layers["umi"].data[0] = np.nan
        data.obs_names = [f"{name}{i}" for i in range(40)]
        data.write_h5ad(tmp_path / f"{name}.h5ad")
    command = ["build", str(tmp_path / "*.h5ad"), "--out", str(tmp_path / "store"), "--layer", "umi"]
    assert main(command) == 2
    assert "drop_bad_cells=True (--drop-bad-cells) leaves them out" in capsys.readouterr().err
    assert main([*command, "--drop-bad-cells", "--workers", "2"]) == 0
    store = CellStore.open(tmp_path / "store")
    assert len(store) == 78
    assert not {"one0", "two0"} & set(store.to_anndata().obs_names)


def test_a_file_of_symbols_is_refused_by_build(cells, tmp_path, capsys):
    data = cells.copy()
    data.var_names = [symbol or gene for symbol, gene in zip(data.var["symbol"], data.var_names, strict=True)]
    data.var_names_make_unique()
    data.write_h5ad(tmp_path / "symbols.h5ad")
    assert main(["build", str(tmp_path / "symbols.h5ad"), "--out", str(tmp_path / "store")]) == 2
    error = capsys.readouterr().err
    assert "symbols: the genes are named by symbols, such as [" in error
    assert "map them to Ensembl ids with scdataloader.Preprocessor (scdataloader preprocess)" in error


def test_check_says_all_that_is_wrong_with_each_file(cells, tmp_path, capsys):
    cells.write_h5ad(tmp_path / "good.h5ad")
    bad = anndata.AnnData(cells.X.sqrt(), obs=cells.obs.copy(), var=cells.var.copy())
    bad.obs["organism"] = ["human", "mouse"] * 20
    bad.obs_names = ["twin", "twin", *cells.obs_names[2:]]
    bad.write_h5ad(tmp_path / "bad.h5ad")
    few = cells[:3].copy()
    few.X.data[0] = 0.5
    few.write_h5ad(tmp_path / "few.h5ad")
    options = ["--preset", "inference", "--min-cells", "5"]
    files = [str(tmp_path / f"{name}.h5ad") for name in ("good", "bad", "few")]
    assert main(["check", *files, *options]) == 2
    out, err = capsys.readouterr()
    assert out.count("ready to use") == 1
    reasons = out.partition("bad.h5ad cannot be used\n")[2].partition(f"{files[2]} cannot")[0].splitlines()
    assert len(reasons) == 3
    assert "1 duplicate cell id" in reasons[0]
    assert "these are not raw counts" in reasons[1]
    assert "mixes organisms ['human', 'mouse']" in reasons[2]
    rest = out.partition("few.h5ad cannot be used\n")[2].splitlines()
    assert len(rest) == 2
    assert "the data hold 3 cell(s): at least 5 are needed" in rest[0]
    assert "X: these are not raw counts" in rest[1]
    assert "2 of 3 files cannot be used" in err
    assert main(["check", files[0], *options]) == 0


PLACES = [
    ("layer", {"layer": "umi"}),
    ("layer", {"counts": "auto"}),
    ("raw", {"counts": "raw"}),
    ("raw", {"counts": "auto"}),
]


@pytest.mark.parametrize(("where", "choice"), PLACES)
def test_batches_are_the_same_from_every_place(cells, tmp_path, where, choice):
    settings = {"context": 50, "choice": "most_expressed"}
    vocabulary, space = GeneVocabulary.for_organisms(["human"]), LabelSpace({})
    wanted = CellDataset(cells, vocabulary, space, **settings).__getitems__(range(40))
    data = elsewhere(cells, where)
    data.write_h5ad(tmp_path / "in.h5ad")
    for given in (data, str(tmp_path / "in.h5ad")):
        got = CellDataset(given, vocabulary, space, **choice, **settings).__getitems__(range(40))
        for name in ("genes", "counts", "total_counts"):
            np.testing.assert_array_equal(got[name].numpy(), wanted[name].numpy())
    with pytest.raises(ValueError, match="a store holds raw counts alone"):
        CellDataset(CellStore.build([("a", cells)], tmp_path / "store"), vocabulary, space, layer="umi", **settings)


@pytest.mark.parametrize("preprocess", [False, True])
def test_a_data_module_takes_counts_from_elsewhere(cells, tmp_path, preprocess):
    cleaning = {"preprocess": preprocess}
    if preprocess:
        cleaning["preprocessor"] = Preprocessor.preset("inference")
    batches = {}
    for where in ("X", "layer", "fractions"):
        data = cells if where == "X" else elsewhere(cells, where)
        data.write_h5ad(tmp_path / "in.h5ad")
        choice = {"X": {}, "layer": {"layer": "umi"}, "fractions": {"layer": "est", "round": True}}[where]
        if preprocess:
            cleaning["preprocessor"] = Preprocessor.preset("inference", **choice)
            choice = {}
        module = CellDataModule(
            [str(tmp_path / "in.h5ad")],
            classes=["half"],
            organisms=["human"],
            context=50,
            genes=GeneChoice(choice="most_expressed"),
            corpus=Corpus(in_memory=True, **cleaning, **choice),
        )
        module.setup()
        (batches[where],) = module.predict_dataloader()
    for where in ("layer", "fractions"):
        for name in ("genes", "counts", "total_counts"):
            np.testing.assert_array_equal(batches[where][name].numpy(), batches["X"][name].numpy())
    with pytest.raises(ValueError, match="are the preprocessor's: give them to that"):
        Corpus(layer="umi", preprocessor=Preprocessor())
    with pytest.raises(ValueError, match="for files, not for a store"):
        CellDataModule(store="cells.store", corpus=Corpus(layer="umi"))


def test_names_that_are_former_names_of_genes_by_chance_are_no_symbols():
    names = ["g0", "g3", "g4", "g5"]  # G3, G4 and G5 were names of genes once
    check_gene_ids(pd.DataFrame(index=names), "mine")
    with pytest.raises(ValueError, match=r"mine: the genes are named by symbols, such as \['CRX', 'NRL', 'g0'\]"):
        check_gene_ids(pd.DataFrame(index=["CRX", "NRL", "g0"]), "mine")

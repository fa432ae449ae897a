"""Presets on small stand-ins of their files: what is cut and compared, and what is asked for where they lack."""

from __future__ import annotations

import logging
import tarfile

import anndata
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from anndata import AnnData

import grnndata
from bengrn.benchmarking.as_config import as_config
from bengrn.benchmarking.preset import list_presets, load_preset
from bengrn.benchmarking.presets import beeline, gwps, mccalla, omnipath_26
from bengrn.benchmarking.presets.given_files import with_installed_methods
from bengrn.cli import main

VALUES = {"methods": ["pearson"], "title": "stand-in"}
FACTORS = grnndata.transcription_factors("human")[:8]


def counts(seed, n_cells=60, n_genes=40):
    rng = np.random.default_rng(seed)
    names = [*FACTORS, *(f"G{i}" for i in range(n_genes - len(FACTORS)))]
    obs = pd.DataFrame(index=[f"c{i}" for i in range(n_cells)])
    values = sp.csr_array(rng.poisson(2.0, (n_cells, n_genes)).astype(np.float32))
    return AnnData(values, obs=obs, var=pd.DataFrame(index=names))


@pytest.mark.parametrize(
    ("preset", "told"),
    [
        (
            omnipath_26,
            ["kidney.h5ad: Marshall et al. 2022", "colon.h5ad: Kong et al. 2023", "cellxgene.cziscience.com"],
        ),
        (mccalla, ["han_hESC.h5ad: Han et al. 2018", "E-GEOD-36552"]),
        (gwps, ["K562_gwps_raw_singlecell_01.h5ad: Replogle", "figshare.plus.20029387"]),
        (beeline, ["mHSC-L/ExpressionData.csv", "zenodo.org/records/3701939"]),
    ],
)
def test_missing_files_are_listed_with_where_they_are_got(preset, told, tmp_path):
    for data in (None, tmp_path / "nowhere", tmp_path):
        with pytest.raises(FileNotFoundError) as error:
            preset.resolve(VALUES, data)
        assert [part for part in told if part not in str(error.value)] == []
        first, *lines = str(error.value).splitlines()
        assert "preset" in first
        assert len(lines) == len(preset.FILES)
        for name, line in zip(preset.FILES, lines, strict=True):
            assert line.startswith((f"  {name}.h5ad: ", f"  {name}: "))
            assert line.count(";") >= 1
            assert "; from http" in line or "; from BEELINE-data.zip of http" in line
            assert ".csv.h5ad" not in line


def test_the_command_lists_missing_files_one_a_line(tmp_path, capsys):
    assert main(["run", "--preset", "mccalla", "--data", str(tmp_path), "--dry-run"]) == 2
    first, *lines = capsys.readouterr().err.splitlines()
    assert first.startswith("bengrn: the preset mccalla finds no file")
    assert [line.split(":")[0] for line in lines] == [f"  {name}.h5ad" for name in mccalla.FILES]


def kidney_retina_colon(folder):
    for number, tissue in enumerate(("kidney", "retina", "colon")):
        adata = counts(number)
        adata.obs["cell_type"] = ["a"] * 30 + ["b"] * 30
        adata.write_h5ad(folder / f"{tissue}.h5ad")


def two_of_mccalla(folder):
    for name in ("han_hESC", "tran_mESC"):
        counts(1).write_h5ad(folder / f"{name}.h5ad")


def controls(folder):
    adata = counts(4)
    adata.obs["gene"] = ["non-targeting"] * 30 + ["GATA1"] * 30
    adata.write_h5ad(folder / "K562_gwps_raw_singlecell_01.h5ad")


def seven_experiments(folder):
    for name in beeline.ORGANISMS:
        beeline_files(folder / name, 5)


def test_the_shipped_presets_become_configurations_with_stand_ins(tmp_path, monkeypatch):
    monkeypatch.setattr(omnipath_26, "MIN_CELLS", 20)
    stand_ins = {
        "omnipath-26": (kidney_retina_colon, 6, {"omnipath"}),
        "mccalla": (two_of_mccalla, 2, {"mccalla hESC", "mccalla mESC"}),
        "gwps": (controls, 1, {"perturb-seq"}),
        "beeline": (seven_experiments, 7, {"ChIP-seq of the cell type", "STRING", "loss and gain of function"}),
        "quick": (None, 1, {"omnipath-demo"}),
    }
    assert set(list_presets()) - {"sergio", "boolode"} == set(stand_ins)  # these simulate, and are tested there
    for name, (fill, n_datasets, truths) in stand_ins.items():
        data = None
        if fill is not None:
            data = tmp_path / name
            data.mkdir()
            fill(data)
        config = as_config(load_preset(name, data))
        assert len(config.datasets) == n_datasets, name
        own = {truth.name for one in config.datasets for truth in one.truths or ()}
        assert truths <= own | {one.name for one in config.truths}, name
        assert {"pearson"} <= {one.name for one in config.methods}, name
        assert config.title
        for one in config.datasets:
            assert one.path is not None or one.cells.n_obs >= 20, name


def test_only_what_is_missing_is_asked_for(tmp_path, monkeypatch):
    monkeypatch.setattr(omnipath_26, "MIN_CELLS", 10)
    adata = counts(0)
    adata.obs["cell_type"] = "rod"
    adata.write_h5ad(tmp_path / "retina.h5ad")
    with pytest.raises(FileNotFoundError, match="lacks 2 of its files") as error:
        omnipath_26.resolve(VALUES, tmp_path)
    assert "retina.h5ad" not in str(error.value)
    (tmp_path / "hESC").mkdir()
    (tmp_path / "hESC/ExpressionData.csv").write_text("")
    with pytest.raises(FileNotFoundError, match="lacks 13 of its files") as error:
        beeline.resolve(VALUES, tmp_path)
    assert "hESC/ExpressionData.csv" not in str(error.value)


def test_omnipath_26_cuts_each_cell_type(tmp_path, monkeypatch):
    monkeypatch.setattr(omnipath_26, "MIN_CELLS", 20)
    monkeypatch.setattr(omnipath_26, "N_CELLS", 25)
    monkeypatch.setattr(omnipath_26, "N_GENES", 5)
    for number, tissue in enumerate(("kidney", "retina", "colon")):
        adata = counts(number)
        adata.obs["cell_type"] = ["a"] * 30 + ["b"] * 22 + ["rare"] * 7 + [None]
        raised = adata.X.toarray()
        raised[:30, :5] += 9
        raised[30:52, 10:15] += 9
        adata.X = sp.csr_array(raised)
        if tissue == "colon":
            # As CELLxGENE keeps counts beside normalised values.
            adata.raw = adata.copy()
            adata.X = sp.csr_array(np.log1p(raised)[:, ::-1])
        adata.write_h5ad(tmp_path / f"{tissue}.h5ad")
    found = omnipath_26.resolve(VALUES, tmp_path)
    names = [one["name"] for one in found["datasets"]]
    assert names == [f"{tissue}: {kind}" for tissue in ("kidney", "retina", "colon") for kind in "ab"]
    for one in found["datasets"]:
        is_first = one["name"].endswith("a")
        cells = one["cells"]
        assert cells.shape == (25 if is_first else 22, 5)
        assert (
            cells.var_names.tolist()
            == [*FACTORS, *(f"G{i}" for i in range(32))][slice(0, 5) if is_first else slice(10, 15)]
        )
        assert (cells.obs["cell_type"] == one["name"][-1]).all()
        assert np.array_equal(cells.X.toarray() % 1, np.zeros(cells.shape))
    again = omnipath_26.resolve(VALUES, tmp_path)
    assert again["datasets"][0]["cells"].obs_names.tolist() == found["datasets"][0]["cells"].obs_names.tolist()


def test_difference_scores_are_welchs_t():
    from scipy.stats import ttest_ind

    adata = counts(3)
    codes = np.random.default_rng(0).integers(-1, 3, adata.n_obs)
    X = adata.X.toarray().astype(float)
    X[:, 7] = 0
    found = omnipath_26.difference_scores(sp.csr_array(X), codes, 3)
    logs = np.log1p(X / X.sum(axis=1, keepdims=True) * 1e4)
    for kind in range(3):
        expected = ttest_ind(logs[codes == kind], logs[(codes != kind) & (codes >= 0)], equal_var=False).statistic
        np.testing.assert_allclose(np.delete(found[kind], 7), np.delete(expected, 7), rtol=1e-9)
    assert (found[:, 7] == -np.inf).all()


def test_mccalla_recovers_counts_and_compares_each_cell(tmp_path, caplog):
    depth = np.random.default_rng(0).uniform(0.1, 0.7, (60, 1))
    for name in ("mccalla_liu_hESC", "tran_mESC"):
        adata = counts(1)
        values = adata.X.toarray() * depth
        adata.X = sp.csr_array(np.log2(1 + values).round(5) if name == "tran_mESC" else values)
        adata.write_h5ad(tmp_path / f"{name}.h5ad")
    (tmp_path / "notes.txt").write_text("no cells")
    with caplog.at_level(logging.WARNING):
        found = mccalla.resolve(VALUES, tmp_path)
    assert "'han_hESC', 'yan_hESC', 'duren_mESC'" in caplog.text
    first, second = found["datasets"]
    assert (first["name"], first["organism"], second["name"], second["organism"]) == (
        "liu_hESC", "human", "tran_mESC", "mouse",
    )  # fmt: skip
    assert second["truths"] == [{"name": "mccalla mESC", "truth": "mccalla", "options": {"cell": "mESC"}}]
    expected = counts(1).X.toarray()
    has_one = (expected == 1).any(axis=1)
    assert has_one.mean() > 0.9
    for one in (first, second):
        np.testing.assert_array_equal(one["cells"].X.toarray()[has_one], expected[has_one])


def test_values_that_are_no_counts_stay(caplog):
    adata = counts(2)
    adata.X = np.random.default_rng(0).random(adata.shape)
    with caplog.at_level(logging.WARNING):
        assert mccalla.with_counts(adata, "liu") is adata
    assert "liu: its values are no counts" in caplog.text


def test_gwps_takes_control_cells(tmp_path, monkeypatch):
    monkeypatch.setattr(gwps, "N_CELLS", 12)
    adata = counts(4)
    adata.obs["gene"] = ["non-targeting"] * 30 + ["GATA1"] * 30
    path = tmp_path / "K562_gwps_raw_singlecell_01.h5ad"
    adata.write_h5ad(path)
    (one,) = gwps.resolve(VALUES, tmp_path)["datasets"]
    assert one["cells"].shape == (12, 40)
    assert set(one["cells"].obs["gene"]) == {"non-targeting"}
    np.testing.assert_array_equal(one["cells"].X.toarray(), adata[one["cells"].obs_names].X.toarray())
    adata.obs["gene"] = "GATA1"
    adata.write_h5ad(path)
    with pytest.raises(ValueError, match="has 0 cells whose obs\\['gene'\\] is 'non-targeting'"):
        gwps.resolve(VALUES, tmp_path)


def beeline_files(folder, seed):
    """Expression and order of genes: FACTORS[0] and G0 .. G9 vary, the last most."""
    adata = counts(seed)
    table = pd.DataFrame(adata.X.toarray().T, index=adata.var_names, columns=adata.obs_names)
    folder.mkdir(parents=True)
    table.to_csv(folder / "ExpressionData.csv")
    order = pd.DataFrame({"VGAMpValue": 0.5, "Variance": 1.0}, index=table.index)
    order.loc[[FACTORS[0], *(f"G{i}" for i in range(10))], "VGAMpValue"] = 1e-9
    order.loc[[f"G{i}" for i in range(10)], "Variance"] = np.arange(2.0, 12.0)
    # Significant before the number of genes is taken into account, but not after.
    order.loc[FACTORS[1], "VGAMpValue"] = 0.009
    order.to_csv(folder / "GeneOrdering.csv")
    return table


def test_beeline_chooses_varying_genes_and_factors(tmp_path, monkeypatch):
    monkeypatch.setattr(beeline, "N_GENES", 3)
    tables = {name: beeline_files(tmp_path / "inputs/scRNA-Seq" / name, 5) for name in beeline.ORGANISMS}
    found = beeline.resolve(VALUES, tmp_path)["datasets"]
    assert [one["name"] for one in found] == list(beeline.ORGANISMS)
    human = found[0]["cells"]
    assert human.var_names.tolist() == sorted([FACTORS[0], "G7", "G8", "G9"])
    np.testing.assert_array_equal(human.X, tables["hESC"].loc[human.var_names].to_numpy().T)
    assert [one["name"] for one in found[0]["truths"]] == [
        "ChIP-seq of the cell type",
        "ChIP-seq of any cell type",
        "STRING",
    ]
    of_mouse = next(one for one in found if one["name"] == "mESC")
    assert of_mouse["truths"][-1] == {
        "name": "loss and gain of function", "truth": "beeline", "options": {"data_set": "mESC", "kind": "lofgof"},
    }  # fmt: skip
    (tmp_path / "inputs/scRNA-Seq/hESC/ExpressionData.csv").write_text(",c1\nA,x\n")
    with pytest.raises(ValueError, match=r"ExpressionData\.csv is no table of numbers"):
        beeline.resolve(VALUES, tmp_path)


def test_methods_that_cannot_be_had_are_told(caplog):
    with caplog.at_level(logging.WARNING):
        found = with_installed_methods({"methods": ["pearson", "no such method"], "title": "x"})
    assert found == {"methods": ["pearson"], "title": "x"}
    assert "no such method is left out" in caplog.text


def test_on_the_real_files(shared, tmp_path):
    found = mccalla.resolve(VALUES, shared / "data/expression")["datasets"]
    assert [(one["name"], one["cells"].shape) for one in found] == [
        ("chen_hESC", (385, 8595)), ("liu_hESC", (72, 23153)), ("semrau_mESC", (384, 10243)),
    ]  # fmt: skip
    with tarfile.open(shared / "data/networks/beeline_example_GSD.tar.xz") as archive:
        archive.extract("GSD/ex1/ExpressionData.csv", tmp_path, filter="data")
    # They are log2(1 + counts), rounded to four decimals.
    raw = anndata.read_h5ad(shared / "data/expression/mccalla_semrau_mESC.h5ad").X
    raw = np.asarray(raw.todense() if sp.issparse(raw) else raw)
    assert np.abs(np.log2(1 + found[2]["cells"].X.toarray()) - raw).max() < 1e-4
    assert all((one["cells"].X.data % 1 == 0).all() for one in found)
    table = beeline.read_expression(tmp_path / "GSD/ex1/ExpressionData.csv")
    assert table.shape == (19, 2000)
    assert table.loc["DMRT1", "E37_5_927"] == pytest.approx(0.002392553)

"""The steps over blocks of cells, what they refuse, and the files they write."""

import json
import pickle
from dataclasses import replace

import anndata
import numpy as np
import pandas as pd
import pytest
from pandas.testing import assert_frame_equal
from scipy import sparse

from scdataloader import Preprocessor, RefusedError, datasets, gene_table
from scdataloader.preprocess import filters, quality, steps

TP53, EGFR, GAPDH = "ENSG00000141510", "ENSG00000146648", "ENSG00000111640"
ANY_CELL = Preprocessor.preset("inference")


@pytest.fixture(scope="module")
def retina():
    return datasets.retina_1k()


def make(counts, genes=(TP53, EGFR, GAPDH), **obs):
    table = pd.DataFrame(obs, index=[f"cell{i}" for i in range(len(counts))])
    return anndata.AnnData(sparse.csr_matrix(np.asarray(counts)), obs=table, var=pd.DataFrame(index=list(genes)))


def random_cells(n_cells, n_genes, organism="human", seed=0):
    """Return cells of protein-coding genes, every one expressed somewhere."""
    table = gene_table(organism)
    genes = table.index[table["biotype"] == "protein_coding"][:n_genes]
    counts = sparse.random(n_cells, n_genes, 0.3, random_state=seed, format="csr")
    counts.data = np.ceil(counts.data * 5)
    return anndata.AnnData(counts, var=pd.DataFrame(index=genes))


@pytest.mark.slow
def test_many_blocks_give_what_one_gives(retina, monkeypatch, tmp_path):
    settings = Preprocessor(min_genes=1500)
    whole, report = settings(retina)
    assert 100 < whole.n_obs < 1000
    monkeypatch.setattr(steps, "_BLOCK_VALUES", 50_000)
    blocks, again = settings(retina)
    retina.write_h5ad(tmp_path / "retina.h5ad")
    retina.write_zarr(tmp_path / "retina.zarr")
    for name in ("retina.h5ad", "retina.zarr"):
        settings.write(tmp_path / name, tmp_path / f"clean-{name}.h5ad")
        written = anndata.read_h5ad(tmp_path / f"clean-{name}.h5ad")
        for other in (blocks, written):
            assert (other.X != whole.X).nnz == 0
            assert other.X.dtype == np.float32
            assert_frame_equal(other.obs, whole.obs)
            assert_frame_equal(other.var, whole.var)
    assert report.to_frame().equals(again.to_frame())
    made = written.uns["scdataloader"]
    assert made["preprocessed_by"].startswith("scdataloader ")
    assert json.loads(made["settings"])["min_genes"] == 1500
    assert written.obs_names.isin(retina.obs_names).all()  # cells keep their names


def test_a_column_major_or_dense_input_gives_the_same(retina, tmp_path):
    some = retina[:150].copy()
    expected = Preprocessor()(some)[0]
    for form in (sparse.csc_matrix(some.X), np.asarray(some.X.todense())):
        other = some.copy()
        other.X = form
        other.write_h5ad(tmp_path / "other.h5ad")
        assert (Preprocessor()(tmp_path / "other.h5ad")[0].X != expected.X).nnz == 0
        assert (Preprocessor()(other)[0].X != expected.X).nnz == 0


@pytest.mark.filterwarnings("ignore:Variable names are not unique")
def test_duplicate_names_are_summed_or_the_first_kept():
    cells = make([[1, 10, 100], [2, 20, 0]], genes=(TP53, EGFR, TP53))
    clean, report = ANY_CELL(cells)
    assert clean[:, TP53].X.toarray().ravel().tolist() == [101, 2]
    assert "1 names of one gene summed" in str(report)
    first, report = replace(ANY_CELL, duplicates="first")(cells)
    assert first[:, TP53].X.toarray().ravel().tolist() == [1, 2]
    assert "of which the first counts" in str(report)
    assert first.obs["total_counts"].tolist() == [111, 22]  # of all that was measured


@pytest.mark.filterwarnings("ignore:Variable names are not unique")
def test_sums_may_leave_the_type_of_the_counts():
    cells = make(np.array([[60_000, 1, 60_000], [2, 20, 0]], dtype=np.uint16), genes=(TP53, EGFR, TP53))
    assert ANY_CELL(cells)[0][:, TP53].X.toarray().ravel().tolist() == [120_000, 2]


def test_the_best_column_of_var_names_the_genes():
    cells = make([[1, 10], [2, 20]], genes=("TP53", "not known"))
    cells.var["gene_ids"] = [TP53, EGFR]
    clean, report = ANY_CELL(cells)  # which tells the organism, too
    assert clean[:, EGFR].X.toarray().ravel().tolist() == [10, 20]
    assert "(in var['gene_ids'])" in str(report)


def test_all_genes_get_a_column():
    wide, _ = replace(ANY_CELL, all_genes=True)(make([[1, 0, 7], [2, 3, 0]]))
    assert wide.var_names.tolist() == gene_table("human").index.tolist()
    assert wide[:, [TP53, EGFR, GAPDH]].X.toarray().tolist() == [[1, 0, 7], [2, 3, 0]]
    assert wide.X.nnz == 4
    assert wide.var_names[wide.var["measured"]].tolist() == sorted([TP53, EGFR, GAPDH])


def test_spatial_assays_are_dropped_by_term_and_by_name():
    terms = ["EFO:0022857", "EFO:0008992", "EFO:0009899", "unknown", "EFO:0030062"]
    assert filters.spatial(pd.DataFrame({"assay_ontology_term_id": terms})).tolist() == [True, True, False, False, True]
    names = ["Visium v2", "10x 3' v3", "MERSCOPE", "Smart-seq2", "slideSeq"]
    assert filters.spatial(pd.DataFrame({"assay": names})).tolist() == [True, False, True, False, True]
    cells = make(np.eye(3, dtype=int) + 1, assay_ontology_term_id=["EFO:0022857", "EFO:0009899", "EFO:0030007"])
    kept, report = replace(ANY_CELL, drop_spatial=True)(cells)
    assert kept.obs_names.tolist() == ["cell1", "cell2"]
    assert report.to_frame().set_index("step").loc["spatial", ["cells_in", "cells_out"]].tolist() == [3, 2]
    # scATAC-seq (10x) lies under EFO:0010891
    kept, _ = replace(ANY_CELL, drop_assays=("EFO:0010891",))(cells)
    assert kept.obs_names.tolist() == ["cell0", "cell1"]


@pytest.mark.parametrize(
    ("n_cells", "n_rich", "n_genes", "settings", "message"),
    [
        (99, 99, 10_500, Preprocessor(), r"99 cell\(s\): at least 100 are needed"),
        (105, 105, 9_999, Preprocessor(), "9,999 known genes are measured, 10,000 are needed.*targeted panel"),
        (2105, 105, 10_500, Preprocessor(), "105 of 2,105 cells are left.*95.01% lost, more than max_lost=95%"),
        (2105, 105, 10_500, Preprocessor.preset("published"), None),  # the published package keeps them
        (2100, 105, 10_500, Preprocessor(), None),  # exactly 95 %
        (200, 99, 10_500, Preprocessor(), "99 of 200 cells are left.*min_genes=200: lower it.*100 are needed"),
    ],
)
def test_poor_data_sets_are_refused(n_cells, n_rich, n_genes, settings, message):
    cells = random_cells(n_cells, n_genes)
    poor = sparse.lil_matrix(sparse.diags_array(np.r_[np.ones(n_rich), np.zeros(n_cells - n_rich)]) @ cells.X)
    poor[n_rich:, 0] = 1
    cells.X = poor.tocsr()
    if message is None:
        assert settings(cells)[0].n_obs == n_rich
        return
    with pytest.raises(RefusedError, match=message) as caught:
        settings(cells)
    again = pickle.loads(pickle.dumps(caught.value))  # it has to come back from other processes
    assert (str(again), again.report.steps) == (str(caught.value), caught.value.report.steps)


def test_two_organisms_at_once_are_refused():
    mixed = make([[1, 2], [3, 4]], genes=("GRCh38_" + TP53, "mm10___ENSMUSG00000059552"))
    with pytest.raises(ValueError, match=r"genes are of several organisms \(1 of human, 1 of mouse\)"):
        ANY_CELL(mixed)


def test_counts_that_float32_cannot_hold_are_refused():
    exact, _ = ANY_CELL(make([[2**24, 1, 0], [1, 1, 1]]))
    assert exact.X.max() == 2**24
    with pytest.raises(ValueError, match=r"cells 0 to 2 hold a count of 16,777,217"):
        ANY_CELL(make([[2**24 + 1, 1, 0], [1, 1, 1]]))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"min_genes": -1}, "min_genes=-1 must not be negative"),
        ({"max_lost": 95}, "max_lost=95 must lie between 0 and 1"),
        ({"duplicates": "last"}, "duplicates='last'"),
        ({"leiden": 0.0}, "leiden=0.0 must be positive"),
    ],
)
def test_settings_that_make_no_sense(changes, message):
    with pytest.raises(ValueError, match=message):
        Preprocessor(**changes)
    with pytest.raises(ValueError, match="preset='strict' is not one of"):
        Preprocessor.preset("strict")


def test_a_failure_while_writing_leaves_nothing(retina, tmp_path, monkeypatch):
    (tmp_path / "clean.h5ad").write_text("from an earlier run")
    spoiled = retina[:300].copy()
    spoiled.X = sparse.csr_matrix(spoiled.X, dtype=np.float32)
    spoiled.X.data[spoiled.X.indptr[100]] = 0.5
    monkeypatch.setattr(steps, "_BLOCK_VALUES", 50_000)
    monkeypatch.setattr("scdataloader.expression.find_counts._SAMPLE_VALUES", 3000)
    with pytest.raises(RefusedError, match=r"X, cells .* not raw counts") as caught:
        Preprocessor().write(spoiled, tmp_path / "clean.h5ad")
    assert [step.name for step in caught.value.report.steps] == ["raw counts", "gene ids"]
    assert [path.name for path in tmp_path.iterdir()] == ["clean.h5ad"]
    assert (tmp_path / "clean.h5ad").read_text() == "from an earlier run"


def test_input_is_never_overwritten(retina, tmp_path):
    path = tmp_path / "retina.h5ad"
    retina[:120].copy().write_h5ad(path)
    before = path.read_bytes()
    with pytest.raises(ValueError, match="is the input file"):
        Preprocessor().write(path, path)
    assert path.read_bytes() == before


def test_tables_of_mixed_kinds_can_be_written(retina, tmp_path):
    cells = retina[:120].copy()
    cells.obs["mixed"] = [1, "two", None] * 40
    cells.obs["n_genes"] = "an older column of that name"
    cells.obs["whole"] = np.arange(120)
    Preprocessor().write(cells, tmp_path / "clean.h5ad")
    obs = anndata.read_h5ad(tmp_path / "clean.h5ad").obs
    assert obs["mixed"].iloc[:2].tolist() == ["1", "two"]
    assert obs["mixed"].isna().sum() == 40
    assert obs["n_genes"].dtype == np.int32
    assert obs["whole"].tolist() == list(range(120))


def test_quality_agrees_with_scanpy(retina):
    scanpy = pytest.importorskip("scanpy")
    clean, _ = Preprocessor()(retina)
    kinds = quality.gene_kinds(gene_table("human").loc[clean.var_names])
    oracle = clean.copy()
    for kind in quality.KINDS:
        oracle.var[kind] = kinds[kind].to_numpy()
    expected, _ = scanpy.pp.calculate_qc_metrics(oracle, qc_vars=list(quality.KINDS), percent_top=[20])
    for column in ("pct_counts_mt", "pct_counts_ribo", "pct_counts_hb", "pct_counts_in_top_20_genes"):
        np.testing.assert_allclose(clean.obs[column], expected[column], rtol=1e-5, atol=1e-5)
    assert clean.obs["n_genes"].tolist() == expected["n_genes_by_counts"].tolist()


@pytest.mark.parametrize("organism", ["human", "mouse"])
def test_kinds_of_genes_in_any_case(organism):
    table = gene_table(organism)
    kinds = quality.gene_kinds(table)
    symbols = {kind: set(table["symbol"][kinds[kind].to_numpy()].str.upper()) for kind in quality.KINDS}
    assert {"MT-CO1", "MT-ND1", "MT-CYTB" if organism == "mouse" else "MT-CYB"} <= symbols["mt"]
    assert kinds["mt"].sum() == 37  # the mitochondrial genome: 13 proteins, 22 tRNAs, 2 rRNAs
    assert {"RPL3", "RPS6", "RPSA", "RPLP0", "RPL13A", "RPL36AL", "RPS27L", "RPL22L1"} <= symbols["ribo"]
    assert not {"RPS6KA1", "RPS6KB1", "RPS19BP1", "RPH3A", "RPL3P4"} & symbols["ribo"]
    assert not {"HBEGF", "HBP1", "HBS1L"} & symbols["hb"]
    human = {"HBA1", "HBA2", "HBB", "HBD", "HBE1", "HBG1", "HBG2", "HBM", "HBQ1", "HBZ"}
    mouse = {"HBA-A1", "HBA-A2", "HBA-X", "HBB-BS", "HBB-BT", "HBB-BH1", "HBB-Y"}
    assert (human if organism == "human" else mouse) <= symbols["hb"]


def test_outliers_by_hand():
    n = 21
    metrics = pd.DataFrame({"n_genes": [100] * n, "pct_counts_in_top_20_genes": [30.0] * n})
    metrics["pct_counts_mt"] = np.r_[np.linspace(1, 3, n - 2), 9.0, 7.9]
    total = np.expm1(np.r_[np.linspace(5, 6, n - 1), 9.0])
    # log counts: median 5.526, deviation 0.263; only the last is more than 5 of them away
    flags = quality.outliers(metrics, total, mads=5, max_mt=8)
    assert flags["outlier"].tolist() == [False] * (n - 1) + [True]
    # mitochondrial: median 2.11, deviation 0.56: 9 > 8, and 7.9 is more than 5 deviations above
    assert flags["mt_outlier"].tolist() == [False] * (n - 2) + [True, True]
    assert not quality.outliers(metrics, total, mads=20, max_mt=100).any(axis=None)


def test_outliers_stay(retina):
    clean, report = Preprocessor()(retina)
    flagged = clean.obs["outlier"].sum()
    assert 0 < flagged < 100
    assert f"{flagged:,} outliers" in report.to_frame().set_index("step").loc["quality", "detail"]
    assert report.facts["outliers"] == flagged
    assert clean.n_obs == 1000


def test_mouse_mitochondria_are_seen(shared):
    clean, _ = Preprocessor()(shared / "data/expression/mouse_marrow_hpc_tusi.h5ad")
    assert clean.obs["pct_counts_mt"].median() > 1
    assert clean.obs["pct_counts_ribo"].median() > 5


def test_facts_are_json(retina):
    _, report = Preprocessor()(retina)
    assert json.loads(json.dumps(report.facts)) == report.facts
    assert report.facts["labels"]["cell_type"]["retinal rod cell"] == 318
    assert sum(report.facts["histograms"]["expressed genes"]["counts"]) == 1000
    assert report.facts["genes_measured"] == 26_483


@pytest.mark.slow
def test_embeddings_through_scanpy(retina, tmp_path):
    pytest.importorskip("scanpy")
    settings = Preprocessor(n_variable=500, n_components=10, umap=True, leiden=0.5)
    clean, _ = settings(retina[:300])
    assert clean.var["highly_variable"].sum() == 500
    assert clean.obsm["X_pca"].shape == (300, 10)
    assert clean.obsm["X_umap"].shape == (300, 2)
    rods = clean.obs["cell_type"] == "retinal rod cell"
    assert clean.obs["leiden"][rods].value_counts(normalize=True).iloc[0] > 0.8  # rods lie together
    assert (clean.X.data == np.floor(clean.X.data)).all()
    settings.write(retina[:300], tmp_path / "clean.h5ad")
    np.testing.assert_array_equal(anndata.read_h5ad(tmp_path / "clean.h5ad").obsm["X_pca"], clean.obsm["X_pca"])


def test_embeddings_of_the_input_are_kept_when_asked(retina):
    cells = retina[:200].copy()
    cells.obsm["X_umap"] = np.arange(400.0).reshape(200, 2)
    assert "X_umap" not in Preprocessor(min_genes=2000)(cells)[0].obsm
    kept, _ = Preprocessor(min_genes=2000, keep_embeddings=True)(cells)
    assert kept.n_obs < 200
    rows = cells.obs_names.get_indexer(kept.obs_names)
    assert kept.obsm["X_umap"][:, 0].tolist() == (2 * rows).tolist()


def test_label_names_get_terms_and_what_is_not_understood_is_told(retina):
    named = retina[:200].copy()
    expected = named.obs["cell_type_ontology_term_id"].astype(str).tolist()
    del named.obs["cell_type_ontology_term_id"]
    clean, report = ANY_CELL(named)
    assert clean.obs["cell_type_ontology_term_id"].astype(str).tolist() == expected
    assert "cell_type_ontology_term_id added from names" in str(report)
    assert report.warnings == []
    named.obs["cell_type"] = named.obs["cell_type"].astype(str).replace("retinal rod cell", "retinal rodd cell")
    clean, report = ANY_CELL(named)
    rods = (named.obs["cell_type"] == "retinal rodd cell").to_numpy()
    assert (clean.obs["cell_type_ontology_term_id"] == "unknown").to_numpy().tolist() == rods.tolist()
    (warning,) = report.warnings
    assert f"1 label of {rods.sum()} cells is not understood" in warning
    assert "retinal rod cell" in warning  # the nearest


def test_a_wrong_label_column_is_told_first(retina):
    with pytest.raises(
        RefusedError, match=r"no.* column 'celltype_ontology_term_id'.*did you mean 'cell_type"
    ) as caught:
        Preprocessor(labels=("celltype",))(retina)
    assert caught.value.report.steps == []
    assert Preprocessor(labels=("cell_type",))(retina)[0].n_obs == 1000


def test_whole_numbers_that_are_no_raw_counts_are_told(retina, tmp_path):
    some = retina[:100].copy()
    totals = np.asarray(some.X.sum(axis=1)).ravel()
    some.X = sparse.csr_matrix(sparse.diags_array(1e6 / totals) @ some.X)
    some.X.data = np.rint(some.X.data)
    clean, report = ANY_CELL(some)
    assert clean.n_obs == 100
    assert [warning.partition(" lack")[0] for warning in report.warnings[:1]] == ["X: 100 of 100 cells"]
    assert "nearly the same" in report.warnings[1]
    some.write_h5ad(tmp_path / "cpm.h5ad")
    assert ANY_CELL.write(tmp_path / "cpm.h5ad", tmp_path / "clean.h5ad").warnings == report.warnings
    assert ANY_CELL(retina[:100])[1].warnings == []


@pytest.mark.slow
def test_doublets_through_scanpy(retina, tmp_path):
    pytest.importorskip("scanpy")
    rng = np.random.default_rng(0)
    first, second = rng.permutation(1000)[:120].reshape(2, 60)
    X = sparse.vstack([retina.X, retina.X[first] + retina.X[second]], format="csr")
    obs = pd.DataFrame({"donor": ["one"] * 1060}, index=[f"cell{i}" for i in range(1060)])
    cells = anndata.AnnData(X, obs=obs, var=retina.var)
    clean, report = replace(ANY_CELL, doublets=True)(cells)
    flagged = clean.obs["predicted_doublet"]
    assert flagged.dtype == bool
    assert flagged[1000:].mean() > 5 * flagged[:1000].mean()
    assert clean.obs["doublet_score"][1000:].median() > 2 * clean.obs["doublet_score"][:1000].median()
    assert (
        report.to_frame().set_index("step").loc["doublets", "detail"]
        == f"{flagged.sum()} predicted doublets flagged, kept"
    )
    assert report.facts["doublets"] == flagged.sum()
    assert clean.n_obs == 1060
    # the same cells in another order, under other names: the same scores
    order = rng.permutation(1060)
    other = anndata.AnnData(X[order], obs=obs, var=retina.var)
    again, _ = replace(ANY_CELL, doublets=True, doublets_by="donor")(other)
    np.testing.assert_array_equal(again.obs["doublet_score"], clean.obs["doublet_score"].to_numpy()[order])
    np.testing.assert_array_equal(again.obs["predicted_doublet"], flagged.to_numpy()[order])
    replace(ANY_CELL, doublets=True).write(cells, tmp_path / "clean.h5ad")
    written = anndata.read_h5ad(tmp_path / "clean.h5ad")
    np.testing.assert_array_equal(written.obs["predicted_doublet"], flagged)


def test_samples_that_are_too_small_get_no_doublets(retina):
    pytest.importorskip("scanpy")
    cells = retina[:60].copy()
    cells.obs["sample"] = ["a"] * 30 + ["b"] * 30
    clean, report = replace(ANY_CELL, doublets=True, doublets_by="sample")(cells)
    assert not clean.obs["predicted_doublet"].any()
    assert clean.obs["doublet_score"].isna().all()
    assert report.steps[-1].detail.endswith(
        "nothing can be said of 60 cells of samples too small or without a threshold"
    )
    with pytest.raises(ValueError, match=r"doublets_by='lane': obs has no such column"):
        replace(ANY_CELL, doublets=True, doublets_by="lane")(cells)
    with pytest.raises(ValueError, match="pass doublets=True"):
        Preprocessor(doublets_by="sample")

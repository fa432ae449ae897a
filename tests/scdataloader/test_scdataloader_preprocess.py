"""Checks, identifiers, filters, and the steps together."""

from dataclasses import replace

import anndata
import h5py
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pandas.testing import assert_frame_equal
from scipy import sparse

from scdataloader import Preprocessor, datasets, gene_table
from scdataloader.genes.identifiers import map_identifiers, merge_columns

TP53, EGFR, GAPDH = "ENSG00000141510", "ENSG00000146648", "ENSG00000111640"
ANY_CELL = Preprocessor.preset("inference", primary_only=True)


def make(counts, genes=(TP53, EGFR, GAPDH), **obs):
    counts = np.asarray(counts)
    table = pd.DataFrame(obs, index=[f"cell{i}" for i in range(len(counts))])
    return anndata.AnnData(sparse.csr_matrix(counts), obs=table, var=pd.DataFrame(index=list(genes)))


def test_bundled_cells_are_the_reference_cells(shared):
    ours, reference = datasets.retina_1k(), anndata.read_h5ad(shared / "data/expression/retina_1k.h5ad")
    assert (sparse.csr_matrix(ours.X) != sparse.csr_matrix(reference.X)).nnz == 0
    assert ours.var_names.equals(reference.var_names)
    assert_frame_equal(ours.obs, reference.obs)


def test_bundled_cells():
    cells = datasets.retina_1k()
    assert cells.shape == (1000, 27019)
    assert cells.obs["cell_type"].value_counts()["retinal rod cell"] == 318


def test_every_step_is_reported_and_counts_are_kept():
    cells = make(
        [[3, 0, 0, 5], [1, 2, 0, 0], [0, 0, 7, 0], [4, 4, 4, 4]],
        genes=(TP53, EGFR, "not a gene", GAPDH + ".12"),
        is_primary_data=[True, True, True, False],
    )
    clean, report = replace(ANY_CELL, min_genes=1)(cells)
    table = report.to_frame().set_index("step")
    assert table.loc["gene ids", ["genes_in", "genes_out"]].tolist() == [4, 3]
    assert "['not a gene']" in table.loc["gene ids", "detail"]
    assert table.loc["primary", ["cells_in", "cells_out"]].tolist() == [4, 3]
    # the third cell expresses an unknown gene only
    assert table.loc["cells", ["cells_in", "cells_out"]].tolist() == [3, 2]
    assert clean.var_names.tolist() == sorted([TP53, EGFR, GAPDH])
    assert clean[:, [TP53, EGFR, GAPDH]].X.toarray().tolist() == [[3, 0, 5], [1, 2, 0]]
    assert clean.var.loc[TP53, "symbol"] == "TP53"
    assert clean.obs["total_counts"].tolist() == [8, 3]
    assert clean.obs["n_genes"].tolist() == [2, 2]
    assert "1 unknown" in str(report)


def test_copies_from_other_data_sets_can_be_kept():
    cells = make([[3, 0, 1], [1, 2, 0], [5, 5, 5]], is_primary_data=[True, False, True])
    assert ANY_CELL(cells)[0].n_obs == 2
    assert Preprocessor.preset("inference")(cells)[0].n_obs == 3
    with pytest.raises(ValueError, match=r"2 of 3 cells are left by their labels, 3 are needed"):
        replace(ANY_CELL, min_cells=3)(cells)


def test_input_is_not_changed():
    cells = make([[3, 0, 1], [1, 2, 0]])
    before = cells.copy()
    ANY_CELL(cells)
    assert (cells.X != before.X).nnz == 0
    assert_frame_equal(cells.obs, before.obs)


def test_symbols_and_versions_are_mapped_and_duplicates_summed():
    cells = make([[1, 10, 100, 1000], [2, 20, 0, 0]], genes=("TP53", TP53 + ".18", "gapdh", "tp53"))
    clean, report = replace(ANY_CELL, organism="human")(cells)
    assert clean[:, TP53].X.toarray().ravel().tolist() == [1011, 22]
    assert clean[:, GAPDH].X.toarray().ravel().tolist() == [100, 0]
    assert "1 Ensembl ids and 3 symbols recognised; 2 names of one gene summed" in report.to_frame()["detail"].iloc[1]


def test_ambiguous_symbols_are_not_guessed():
    table = pd.DataFrame(
        {
            "symbol": ["A", "A", "B", "B", "C"],
            "biotype": ["protein_coding", "lncRNA", "lncRNA", "lncRNA", "lncRNA"],
        },
        index=["g1", "g2", "g3", "g4", "g5"],
    )
    assert map_identifiers(["A", "B", "c", "g2"], table).ids == ("g1", None, "g5", "g2")


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from(["a", "b", "c", None]), min_size=1, max_size=8), st.integers(0, 2**31))
def test_merging_columns_equals_a_loop(ids, seed):
    counts = np.random.default_rng(seed).poisson(1, (3, len(ids)))
    merged, names = merge_columns(sparse.csr_matrix(counts), ids)
    expected = {}
    for column, name in enumerate(ids):
        if name is not None:
            expected[name] = expected.get(name, 0) + counts[:, column]
    assert names == list(expected)
    for i, name in enumerate(names):
        assert merged.toarray()[:, i].tolist() == expected[name].tolist()


@settings(max_examples=30, deadline=None)
@given(st.permutations([TP53, "EGFR", "GAPDH", "nonsense", "ENSG00000163914.3"]))
def test_mapping_does_not_depend_on_order(names):
    table = gene_table("human").loc[[TP53, EGFR, GAPDH, "ENSG00000163914"]]
    together = dict(zip(names, map_identifiers(names, table).ids, strict=True))
    alone = {name: map_identifiers([name], table).ids[0] for name in names}
    assert together == alone
    assert together["nonsense"] is None
    assert together["EGFR"] == EGFR


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (
            lambda: make(np.log1p([[3, 1, 2], [5, 0, 1]])),
            r"not raw counts: .* not whole numbers .*raw counts in X.*could be undone exactly",
        ),
        (lambda: make([[1, -2, 0], [0, 1, 1]]), r"negative values \(least -2\)"),
        (lambda: make([[1, np.nan, 0], [0, 1, 1]]), "NaN or infinite"),
        (lambda: make(np.zeros((2, 3), dtype=int)), "every count is zero"),
        (lambda: make(np.ones((0, 3), dtype=int)), "0 cells and 3 genes"),
        (
            lambda: make([[1, 2], [3, 4]], genes=("x", "y")),
            "cannot tell the organism.*pass organism='human' or 'mouse'",
        ),
        (
            lambda: make([[1, 2, 3], [3, 4, 5]], organism=["Danio rerio"] * 2),
            "there is no gene table of zebrafish .*scdataloader genes fetch danio_rerio",
        ),
        (lambda: make([[1, 2, 3], [3, 4, 5]], organism=["human", "mouse"]), r"mixes organisms \['human', 'mouse'\]"),
        (
            lambda: make([[1, 2], [3, 4]], genes=("x", "y"), organism=["human"] * 2),
            r"none of the 2 gene names is an Ensembl id or symbol of NCBITaxon:9606.*\['x', 'y'\]",
        ),
    ],
)
def test_unusable_input_is_refused_with_the_reason(data, message):
    with pytest.raises(ValueError, match=message):
        ANY_CELL(data())


def test_duplicate_cells_are_refused():
    cells = make([[1, 2, 3], [3, 4, 5]])
    cells.obs_names = ["same", "same"]
    with pytest.raises(ValueError, match=r"1 duplicate cell id, such as \['same'\]"):
        ANY_CELL(cells)


def test_missing_truncated_and_foreign_files(tmp_path):
    (tmp_path / "there.h5ad").write_bytes(b"no hdf5")
    with pytest.raises(FileNotFoundError, match=r"no file .*missing.h5ad; that folder holds \['there.h5ad'\]"):
        ANY_CELL(tmp_path / "missing.h5ad")
    with pytest.raises(ValueError, match="cannot be read as an h5ad file"):
        ANY_CELL(tmp_path / "there.h5ad")
    make([[1, 2, 3], [3, 4, 5]]).write_h5ad(tmp_path / "whole.h5ad")
    whole = (tmp_path / "whole.h5ad").read_bytes()
    (tmp_path / "cut.h5ad").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match="cannot be read as an h5ad file"):
        ANY_CELL(tmp_path / "cut.h5ad")
    with h5py.File(tmp_path / "empty.h5ad", "w"):
        pass
    with pytest.raises(ValueError, match=r"empty.h5ad|0 cells"):
        ANY_CELL(tmp_path / "empty.h5ad")


def test_reference_sets_that_are_not_counts_are_refused(shared):
    with pytest.raises(ValueError, match="not raw counts"):
        ANY_CELL(shared / "data/expression/mccalla_liu_hESC.h5ad")


def test_mixed_ids_and_symbols_of_a_real_set(shared):
    clean, report = Preprocessor()(shared / "data/expression/human_kidney_immune.h5ad")
    detail = report.to_frame().set_index("step").loc["gene ids", "detail"]
    assert detail.startswith("18,476 Ensembl ids and 1 symbols recognised, 416 unknown")
    assert detail.endswith("44 aliases; 1 names of one gene summed")
    assert clean.n_vars == 18_520

"""The same counts from X, a layer, raw or fractions, in a file of any format, give every task's same result."""

import anndata
import h5py
import numpy as np
import pandas as pd
import pytest
from scipy import io, sparse

from scdataloader import datasets
from scdataloader.expression import CountsChoice
from scprint_model import cli, infer
from scprint_model._provenance import read, steps_of
from scprint_model.genes import match_genes
from scprint_model.tasks import annotate, denoise, embed, encode, impute, perturb
from scprint_model.tasks.files import open_cells, read_cells

N_CELLS, CONTEXT = 20, 80
#: A gene that is taken out of the cells, to be imputed.
UNSEEN = "ENSG00000000003"


def _retina(request):
    del request
    return datasets.retina_1k()[:N_CELLS].copy()


def _blood(request):
    return anndata.read_h5ad(request.getfixturevalue("shared") / "data/expression/human_pbmc3k.h5ad")[:N_CELLS].copy()


@pytest.fixture(scope="module", params=[_retina, _blood], ids=["retina", "blood"])
def cells(request):
    data = request.param(request)
    counts = sparse.csr_matrix(data.X).astype(np.float32)
    keep = np.flatnonzero(np.asarray(counts.sum(axis=0)).ravel())
    names = data.var_names[keep]
    return anndata.AnnData(
        counts[:, keep],
        obs=pd.DataFrame({"half": ["a", "b"] * (N_CELLS // 2)}, index=[f"cell{i}" for i in range(N_CELLS)]),
        var=pd.DataFrame(index=pd.Index(list(names))),
    )


def normalised(counts):
    scale = sparse.diags_array(1e4 / np.asarray(counts.sum(axis=1)).ravel())
    return sparse.csr_matrix(scale @ counts).log1p().astype(np.float32)


def fractions(counts):
    """A third of the genes get fractions, as estimates have them; rounding takes them away."""
    out = counts.astype(np.float64)
    some = out.indices % 3 == 0
    out.data[some] += np.random.default_rng(0).uniform(-0.4, 0.4, some.sum())
    return out


def with_value(counts, cell, value):
    out = counts.copy()
    out.data[out.indptr[cell]] = value
    return out


def in_layer(cells):
    return anndata.AnnData(normalised(cells.X), obs=cells.obs, var=cells.var, layers={"umi": cells.X})


def in_raw(cells):
    """Raw has all genes, X half of them, as scanpy leaves them behind."""
    out = in_layer(cells)[:, ::2].copy()
    out.raw = cells
    del out.layers["umi"]
    return out


def in_fractions(cells):
    return anndata.AnnData(normalised(cells.X), obs=cells.obs, var=cells.var, layers={"est": fractions(cells.X)})


PLACES = {
    "X": (lambda cells: cells.copy(), {}),
    "layer": (in_layer, {"layer": "umi"}),
    "layer, found": (in_layer, {"counts": "auto"}),
    "raw": (in_raw, {"counts": "raw"}),
    "raw, found": (in_raw, {"counts": "auto"}),
    "fractions": (in_fractions, {"layer": "est", "round": True}),
}


def write_tenx_h5(cells, path):
    counts = sparse.csr_matrix(cells.X).astype(np.int32)
    names = np.array(cells.var_names.tolist(), dtype="S")
    with h5py.File(path, "w") as file:
        file["matrix/barcodes"] = np.array(cells.obs_names.tolist(), dtype="S")
        file["matrix/shape"] = counts.shape[::-1]
        for key in ("data", "indices", "indptr"):
            file[f"matrix/{key}"] = getattr(counts, key)
        for key, values in (
            ("id", names),
            ("name", names),
            ("feature_type", np.array([b"Gene Expression"] * len(names))),
        ):
            file[f"matrix/features/{key}"] = values


def write_tenx_mtx(cells, path):
    path.mkdir()
    io.mmwrite(path / "matrix.mtx", sparse.coo_matrix(cells.X.T.astype(np.int32)))
    (path / "barcodes.tsv").write_text("\n".join(cells.obs_names) + "\n")
    (path / "genes.tsv").write_text("".join(f"{name}\t{name}\n" for name in cells.var_names))


def write_loom(cells, path):
    with h5py.File(path, "w") as file:
        file["matrix"] = cells.X.toarray().T
        file["layers/umi"] = cells.X.toarray().T
        file["row_attrs/Gene"] = np.array(cells.var_names.tolist(), dtype="S")
        file["col_attrs/CellID"] = np.array(cells.obs_names.tolist(), dtype="S")


FORMATS = {
    "cells.h5ad": lambda cells, path: cells.write_h5ad(path),
    "columns.h5ad": lambda cells, path: anndata.AnnData(cells.X.tocsc(), obs=cells.obs, var=cells.var).write_h5ad(path),
    "cells.zarr": lambda cells, path: cells.write_zarr(path),
    "tenx.h5": write_tenx_h5,
    "tenx": write_tenx_mtx,
    "cells.loom": write_loom,
}


@pytest.fixture(scope="module")
def expected(small_model, cells):
    return embed(small_model, cells.copy(), context=CONTEXT)


@pytest.mark.parametrize("place", PLACES)
def test_embeddings_are_the_same_from_every_place(small_model, cells, expected, tmp_path, place):
    make, choice = PLACES[place]
    data = make(cells)
    np.testing.assert_array_equal(embed(small_model, data, context=CONTEXT, **choice), expected)
    assert "X_scprint" in data.obsm  # of the data that were given
    data.write_h5ad(tmp_path / "in.h5ad")
    opened = open_cells(tmp_path / "in.h5ad", CountsChoice(**choice))
    np.testing.assert_array_equal(embed(small_model, opened, context=CONTEXT), expected)


@pytest.mark.parametrize("name", FORMATS)
def test_embeddings_are_the_same_from_every_format(small_model, cells, expected, tmp_path, name):
    FORMATS[name](cells, tmp_path / name)
    for choice in (None, CountsChoice()):
        opened = open_cells(tmp_path / name, choice)
        assert opened.obs_names.tolist() == cells.obs_names.tolist()
        np.testing.assert_array_equal(embed(small_model, opened, context=CONTEXT), expected)


def _denoise(model, data, genes, **choice):
    return denoise(model, data, genes=genes[:60], **choice).X


def _perturb(model, data, genes, **choice):
    return perturb(model, data, genes=genes[:1], n_genes=60, n_edges=50, **choice).profile


#: Tasks as functions of model, cells, genes that these express, and where the counts are.
TASKS = {
    "encode": lambda model, data, _, **choice: encode(model, data, context=CONTEXT, **choice).embeddings,
    "annotate": lambda model, data, _, **choice: annotate(model, data, context=CONTEXT, **choice).astype(str),
    "denoise": _denoise,
    "impute": lambda model, data, _, **choice: impute(model, data, genes=[UNSEEN], context=CONTEXT, **choice).X,
    "perturb": _perturb,
    "infer": lambda model, data, genes, **choice: infer(model, data, genes=genes[:60], **choice).grn,
}


@pytest.mark.parametrize("task", TASKS)
def test_every_task_takes_counts_from_elsewhere(small_model, cells, task):
    order = np.argsort(-np.asarray(cells.X.sum(axis=0)).ravel(), kind="stable")
    genes = list(cells.var_names[order[:200]].tolist())
    known = set(cells.var_names[match_genes(small_model.vocabulary, cells).columns])
    genes = [name for name in genes if name in known]
    data = cells[:, cells.var_names != UNSEEN].copy()
    wanted = np.asarray(TASKS[task](small_model, data.copy(), genes))
    for place in ("layer", "raw, found", "fractions"):
        make, choice = PLACES[place]
        got = np.asarray(TASKS[task](small_model, make(data), genes, **choice))
        assert (got == wanted).all(), place


def test_normalised_values_are_refused_with_the_way_out(small_model, cells):
    with pytest.raises(ValueError, match=r"not raw counts.*lie in \['layers/umi'\]: layer='umi' \(--layer umi\)"):
        embed(small_model, in_layer(cells), context=CONTEXT)
    with pytest.raises(ValueError, match=r"not raw counts.*counts='raw' \(--counts raw\)"):
        infer(small_model, in_raw(cells))
    with pytest.raises(ValueError, match=r"normalised, and rounded they are no counts"):
        embed(small_model, in_layer(cells), context=CONTEXT, round=True)
    with pytest.raises(ValueError, match=r"layer='umi' and counts='raw' are two places"):
        embed(small_model, in_layer(cells), context=CONTEXT, layer="umi", counts="raw")
    bad = cells.copy()
    bad.X = with_value(bad.X, 3, np.nan)
    with pytest.raises(ValueError, match=r"1 cell of 20 .* 1 NaN or infinite \('cell3'\): drop_bad_cells=True"):
        embed(small_model, bad, context=CONTEXT)


def test_the_record_says_what_was_taken(small_model, cells, tmp_path):
    data = in_raw(cells)
    embed(small_model, data, context=CONTEXT, counts="auto")
    taken, made = steps_of(data.uns)
    assert taken["task"] == "scdataloader.expression.with_counts"
    assert taken["parameters"] == {"layer": None, "counts": "raw", "round": False}
    assert made["parameters"]["counts"] == "auto"
    assert made["inputs"][0]["genes"] == cells.n_vars  # of raw
    in_layer(cells).write_h5ad(tmp_path / "in.h5ad")
    opened = open_cells(tmp_path / "in.h5ad", CountsChoice(counts="auto"))
    (step,) = steps_of(opened.uns)
    assert step["inputs"] == [{"file": "in.h5ad", "counts_from": "raw counts in layers/umi"}]
    again = open_cells(tmp_path / "in.h5ad", CountsChoice(**step["parameters"]["choice"]))
    assert (sparse.csr_matrix(again.X[:]) != cells.X).nnz == 0


@pytest.fixture
def rich(cells):
    """Cells with something in every place, two of one name and one bad cell."""
    data = in_layer(cells)
    data.obsm["X_pca"] = np.arange(2.0 * N_CELLS).reshape(N_CELLS, 2)
    data.obsp["near"] = sparse.eye_array(N_CELLS, format="csr")
    data.uns["title"] = "a title"
    data.raw = data.copy()
    data.layers["umi"] = with_value(data.layers["umi"], 7, -1)
    data.obs_names = ["cell1", *data.obs_names[1:]]
    return data


@pytest.mark.filterwarnings("ignore:Observation names are not unique")
@pytest.mark.parametrize("form", ["in.h5ad", "in.zarr"])
def test_a_command_leaves_out_bad_cells_and_copies_the_rest(small_model, rich, cells, expected, tmp_path, capsys, form):
    small_model.save_pretrained(tmp_path / "model")
    rich.write_h5ad(tmp_path / form) if form == "in.h5ad" else rich.write_zarr(tmp_path / form)
    command = ["embed", str(tmp_path / form), str(tmp_path / "out.h5ad"), "--model", str(tmp_path / "model")]
    command += ["--context", str(CONTEXT), "--layer", "umi"]
    assert cli.main(command) == 2
    assert "1 negative ('cell7'): drop_bad_cells=True (--drop-bad-cells)" in capsys.readouterr().err
    assert cli.main([*command, "--drop-bad-cells", "--unique-names"]) == 0
    said = capsys.readouterr().out
    assert "raw counts in layers/umi; left out 1 cell of 20" in said
    assert "numbered 1 repeated cell name, such as ['cell1']" in said
    got = anndata.read_h5ad(tmp_path / "out.h5ad")
    kept = np.delete(np.arange(N_CELLS), 7)
    assert got.obs_names.tolist() == ["cell1", "cell1-1", *rich.obs_names[kept][2:]]
    np.testing.assert_array_equal(got.obsm["X_scprint"], expected[kept])
    np.testing.assert_array_equal(got.obsm["X_pca"], rich.obsm["X_pca"][kept])
    assert (rich.X[kept] != got.X).nnz == (got.layers["umi"] != rich.layers["umi"][kept]).nnz == 0
    assert (rich.raw.X[kept] != got.raw.X).nnz == 0
    assert got.raw.var_names.equals(rich.raw.var_names)
    assert got.obsp["near"].shape == (19, 19)
    assert got.uns["title"] == "a title"
    assert got.obs["half"].tolist() == rich.obs["half"].iloc[kept].tolist()
    opened = read(tmp_path / "out.h5ad")[0]
    assert opened["inputs"][0]["bad_cells"] == {"negative": {"cells": 1, "names": ["cell7"]}}


def test_a_command_reads_other_formats(small_model, cells, expected, tmp_path):
    small_model.save_pretrained(tmp_path / "model")
    options = ["--model", str(tmp_path / "model"), "--context", str(CONTEXT)]
    for name in ("cells.zarr", "tenx", "cells.loom"):
        FORMATS[name](cells, tmp_path / name)
        assert cli.main(["embed", str(tmp_path / name), str(tmp_path / "out.h5ad"), *options]) == 0
        got = anndata.read_h5ad(tmp_path / "out.h5ad")
        np.testing.assert_array_equal(got.obsm["X_scprint"], expected)
        assert (sparse.csr_matrix(got.X) != cells.X).nnz == 0
        assert got.obs_names.tolist() == cells.obs_names.tolist()
    assert (sparse.csr_matrix(got.layers["umi"]) != cells.X).nnz == 0  # of the loom


def test_the_notes_of_a_plain_file_are_empty(cells, tmp_path):
    cells.write_h5ad(tmp_path / "in.h5ad")
    assert read_cells(tmp_path / "in.h5ad", CountsChoice()).notes == ""

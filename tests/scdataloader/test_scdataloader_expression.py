"""Which counts are meant: a layer, raw, fractional ones, without bad cells, of one organism or genome."""

import anndata
import h5py
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from scdataloader import Preprocessor
from scdataloader.expression import CountsChoice, take_counts, way_out, with_counts
from scdataloader.expression.bad_cells import bad_cells
from scdataloader.expression.find_counts import are_fractional_counts
from scdataloader.genes import gene_table
from scdataloader.sources import Matrix, open_source

GENES = gene_table("human").query("biotype == 'protein_coding'").index[:60].tolist()
COUNTS = np.random.default_rng(0).negative_binomial(0.6, 0.15, (40, 60)).astype(np.float32)
CELLS = [f"cell{i}" for i in range(40)]


def cells(X, raw=None, obs=None, **layers):
    names = {"obs": pd.DataFrame(obs or {}, index=CELLS), "var": pd.DataFrame(index=GENES)}
    out = anndata.AnnData(sparse.csr_matrix(X), layers={k: sparse.csr_matrix(v) for k, v in layers.items()}, **names)
    if raw is not None:
        out.raw = anndata.AnnData(sparse.csr_matrix(raw), **names)
    return out


def log(values):
    return np.log1p(1e4 * values / np.maximum(values.sum(axis=1, keepdims=True), 1))


def fractional(values, seed=1):
    """Counts as an estimate that divides reads among genes gives them: of a third of the genes a cell has fractions."""
    rng = np.random.default_rng(seed)
    out = values.astype(np.float64)
    out[:, ::3] += np.where(out[:, ::3] > 0, rng.uniform(-0.49, 0.49, out[:, ::3].shape), 0)
    return out


def taken(adata, **choice):
    with open_source(adata) as source:
        got = take_counts(source, CountsChoice(**choice))
        clean = got.of(source)
        return got, sparse.vstack([b for _, _, b in clean.matrices["X"].blocks(500)]).toarray(), clean.obs


def test_the_same_counts_from_everywhere():
    for data, choice in [
        (cells(COUNTS), {}),
        (cells(log(COUNTS), counts=COUNTS), {"layer": "counts"}),
        (cells(log(COUNTS), counts=COUNTS), {"counts": "auto"}),
        (cells(log(COUNTS), counts=COUNTS), {"counts": "layers/counts"}),
        (cells(log(COUNTS), raw=COUNTS), {"counts": "raw"}),
        (cells(log(COUNTS), raw=COUNTS), {"counts": "auto"}),
        (cells(fractional(COUNTS)), {"round": True}),
        (cells(log(COUNTS), est=fractional(COUNTS)), {"round": True, "layer": "est"}),
        (cells(log(COUNTS), est=fractional(COUNTS)), {"round": True, "counts": "auto"}),
    ]:
        np.testing.assert_array_equal(taken(data, **choice)[1], COUNTS)
        if choice.keys() <= {"layer", "counts", "round"}:
            got = with_counts(data, **choice)
            np.testing.assert_array_equal(np.asarray(got.X.todense()), COUNTS)
            assert got.obs_names.tolist() == CELLS
    data = cells(COUNTS)
    assert with_counts(data) is data
    assert with_counts(data, counts="auto") is data


def test_raw_brings_its_own_genes():
    wide = cells(COUNTS)
    narrow = cells(log(COUNTS))[:, :20].copy()
    narrow.raw = wide
    got = with_counts(narrow, counts="auto")
    assert got.var_names.tolist() == GENES
    assert got.X.sum() == COUNTS.sum()


@pytest.mark.parametrize(
    ("data", "choice", "says"),
    [
        (lambda: cells(log(COUNTS), counts=COUNTS), {}, r"not raw counts.*raw counts lie in \['layers/counts'\]: "
         r"layer='counts' \(--layer counts\) takes them, counts='auto' \(--counts auto\) finds them"),
        (lambda: cells(log(COUNTS), raw=COUNTS), {}, r"counts='raw' \(--counts raw\) takes them"),
        (lambda: cells(fractional(COUNTS)), {}, r"like fractional counts.*round=True \(--round\) rounds them"),
        (lambda: cells(log(COUNTS)), {"round": True}, r"^X: 0% of the values are whole numbers: they are normalised"),
        (lambda: cells(np.log2(1 + COUNTS)), {"round": True}, r"of the values are whole numbers: they are normalised"),
        (lambda: cells(log(COUNTS)), {"counts": "auto"}, r"^X: these are not raw counts"),
        (lambda: cells(log(COUNTS), counts=COUNTS), {"layer": "count"}, r"no matrix 'layers/count'.*'layers/counts'\?"),
        (lambda: cells(COUNTS), {"layer": "a", "counts": "raw"}, r"layer='a' and counts='raw' are two places"),
        (lambda: cells(log(COUNTS), a=COUNTS, b=COUNTS), {"counts": "auto"}, r"say which.*\(--counts layers/a\)"),
    ],
)  # fmt: skip
def test_what_cannot_be_taken_says_what_can(data, choice, says):
    with pytest.raises(ValueError, match=says):
        taken(data(), **choice)


def test_bad_cells_are_named_counted_and_left_out():
    X = fractional(COUNTS)[:, :] * 0 + COUNTS
    X[3, 5], X[7, 0], X[7, 1], X[11, 2] = np.nan, -1, 0.5, 2.5
    told = (
        "3 cells of 40 with values that are no counts: 1 NaN or infinite ('cell3'), 1 negative ('cell7'), "
        "1 fractional ('cell11')"
    )
    with pytest.raises(ValueError, match="NaN or infinite") as caught:
        taken(cells(X))
    assert str(caught.value).endswith(f"{told}: drop_bad_cells=True (--drop-bad-cells) leaves them out")
    assert way_out(cells(X)).endswith(f"{told}: drop_bad_cells=True (--drop-bad-cells) leaves them out")
    got, counts, obs = taken(cells(X), drop_bad_cells=True)
    kept = [i for i in range(40) if i not in (3, 7, 11)]
    np.testing.assert_array_equal(counts, COUNTS[kept])
    assert obs.index.tolist() == [CELLS[i] for i in kept]
    assert got.places.tolist() == kept
    assert got.notes == (f"left out {told}",)
    assert got.facts["bad_cells"] == {
        "NaN or infinite": {"cells": 1, "names": ["cell3"]},
        "negative": {"cells": 1, "names": ["cell7"]},
        "fractional": {"cells": 1, "names": ["cell11"]},
    }
    # fractions may be rounded, what is no number may not
    got, counts, obs = taken(cells(np.where(X == -1, 0, X)), drop_bad_cells=True, round=True)
    assert obs.index.tolist() == [name for name in CELLS if name != "cell3"]
    X[:5] = 0.25
    with pytest.raises(ValueError, match=r"7 cells of 40 .*at most 10% of the cells: these are no raw counts"):
        taken(cells(X), drop_bad_cells=True)


def test_a_bad_cell_behind_the_sample_is_told_when_it_is_read(monkeypatch):
    monkeypatch.setattr("scdataloader.expression.find_counts._SAMPLE_VALUES", 300)
    X = COUNTS.copy()
    X[30, 4] = 1.5
    with pytest.raises(ValueError, match=r"1 cell of 40 .* 1 fractional \('cell30'\): drop_bad_cells=True"):
        taken(cells(X))
    np.testing.assert_array_equal(taken(cells(X), drop_bad_cells=True)[1], np.delete(COUNTS, 30, axis=0))


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_cells_are_bad_if_and_only_if_a_value_is_no_count(data):
    X = COUNTS[:12, :8].astype(np.float64)
    wrong = data.draw(st.dictionaries(st.integers(0, 11), st.sampled_from([np.nan, np.inf, -2.0, 0.5]), max_size=5))
    for cell, value in wrong.items():
        X[cell, data.draw(st.integers(0, 7))] = value
    block = sparse.csr_matrix(X)
    matrix = Matrix(X.shape, pd.DataFrame(index=range(8)), lambda begin, end: block[begin:end])
    found = bad_cells(matrix, pd.Index(CELLS[:12]), values=data.draw(st.integers(1, 40)))
    assert found.places.tolist() == sorted(wrong)
    assert sorted(name for some in found.names.values() for name in some) == sorted(CELLS[i] for i in wrong)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 1000), st.sampled_from([1e4, 1e6, 313.0]))
def test_normalised_values_are_never_taken_for_fractional_counts(seed, target):
    counts = np.random.default_rng(seed).negative_binomial(0.6, 0.15, (30, 60)).astype(np.float64)
    scaled = target * counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    for values in (scaled, np.log1p(scaled), np.log2(1 + scaled), np.log2(1 + counts), np.log1p(counts), scaled - 1):
        assert not are_fractional_counts(sparse.csr_matrix(values))
    assert are_fractional_counts(sparse.csr_matrix(fractional(counts, seed)))


def test_repeated_names_are_numbered_when_asked():
    data = cells(COUNTS)
    data.obs_names = ["a", "b", "a", *CELLS[3:]]
    with pytest.raises(ValueError, match=r"1 duplicate cell id.*unique_names=True \(--unique-names\)"):
        Preprocessor.preset("inference")(data)
    clean, report = Preprocessor.preset("inference", unique_names=True)(data)
    assert clean.obs_names[:3].tolist() == ["a", "b", "a-1"]
    assert "numbered 1 repeated cell name, such as ['a']" in report.steps[0].detail
    assert data.obs_names[2] == "a"


def test_the_cells_of_one_organism_are_chosen():
    data = cells(COUNTS, obs={"organism": ["human"] * 25 + ["Mus musculus"] * 14 + ["unknown"]})
    with pytest.raises(ValueError, match=r"mixes organisms \['human', 'Mus musculus'\].*\(--organism human\)"):
        Preprocessor.preset("inference")(data)
    clean, report = Preprocessor.preset("inference", organism="homo_sapiens")(data)
    assert clean.obs_names.tolist() == CELLS[:25]
    assert (report.steps[0].cells_in, report.steps[0].cells_out) == (40, 25)
    assert "15 cells of other organisms left out" in report.steps[0].detail
    with pytest.raises(ValueError, match="has no cell of it"):
        Preprocessor.preset("inference", organism="rat")(data)


def two_genomes():
    """10x genes of two genomes in one matrix, as Cell Ranger 2 names them."""
    mouse = gene_table("mouse").query("biotype == 'protein_coding'").index[:20].tolist()
    names = [f"GRCh38_{gene}" for gene in GENES[:40]] + [f"mm10___{gene}" for gene in mouse]
    return anndata.AnnData(sparse.csr_matrix(COUNTS), obs=pd.DataFrame(index=CELLS), var=pd.DataFrame(index=names))


def test_the_genes_of_one_genome_are_chosen():
    data = two_genomes()
    with pytest.raises(ValueError, match=r"several organisms \(40 of human, 20 of mouse\).*--genome"):
        Preprocessor.preset("inference")(data)
    clean, report = Preprocessor.preset("inference", genome="mm10")(data)
    assert clean.n_vars == 20
    assert clean.X.sum() == COUNTS[:, 40:].sum()
    assert "40 genes of other genomes than mm10 left out" in report.steps[0].detail
    with pytest.raises(ValueError, match=r"genome='hg19' .*the genes are of \['GRCh38', 'mm10'\]"):
        Preprocessor.preset("inference", genome="hg19")(data)


def test_a_10x_file_of_two_genomes(tmp_path):
    """Version 2 keeps a matrix a genome, version 3 one with a genome for each gene."""
    with h5py.File(tmp_path / "v2.h5", "w") as file:
        for name, part in (("GRCh38", COUNTS[:, :40]), ("mm10", COUNTS[:, 40:])):
            ids = GENES[: part.shape[1]]
            counts = sparse.csr_matrix(part.astype(np.int32))
            file[f"{name}/genes"] = np.array(ids, dtype="S")
            file[f"{name}/barcodes"] = np.array(CELLS, dtype="S")
            file[f"{name}/shape"] = counts.shape[::-1]
            for key in ("data", "indices", "indptr"):
                file[f"{name}/{key}"] = getattr(counts, key)
    with pytest.raises(ValueError, match=r"the genomes \['GRCh38', 'mm10'\].*--genome GRCh38"):
        open_source(tmp_path / "v2.h5")
    clean, _ = Preprocessor.preset("inference", genome="mm10", organism="human")(tmp_path / "v2.h5")
    assert (clean.n_vars, clean.X.sum()) == (20, COUNTS[:, 40:].sum())
    with h5py.File(tmp_path / "v3.h5", "w") as file:
        counts = sparse.csr_matrix(COUNTS.astype(np.int32))
        file["matrix/barcodes"] = np.array(CELLS, dtype="S")
        file["matrix/shape"] = counts.shape[::-1]
        for key in ("data", "indices", "indptr"):
            file[f"matrix/{key}"] = getattr(counts, key)
        for key, values in (
            ("id", GENES), ("name", GENES), ("feature_type", ["Gene Expression"] * 60),
            ("genome", ["GRCh38"] * 40 + ["mm10"] * 20),
        ):  # fmt: skip
            file[f"matrix/features/{key}"] = np.array(values, dtype="S")
    clean, _ = Preprocessor.preset("inference", genome="mm10", organism="human")(tmp_path / "v3.h5")
    assert (clean.n_vars, clean.X.sum()) == (20, COUNTS[:, 40:].sum())


def test_what_was_taken_is_in_the_record():
    from scdataloader._provenance import steps_of

    clean, report = Preprocessor.preset("inference")(cells(log(COUNTS), counts=COUNTS))
    (step,) = steps_of(clean.uns)
    assert step["inputs"][0]["counts_from"] == "raw counts in layers/counts"
    assert step["parameters"]["counts"] == "auto"
    assert report.facts["taken"] == {"counts_from": "raw counts in layers/counts"}

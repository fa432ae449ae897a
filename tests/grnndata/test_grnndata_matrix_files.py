"""Matrices regulators × targets: read from every form, stored with empty rows, and never spread out."""

import tracemalloc

import anndata
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

import grnndata
from grnndata import read_edges, read_network, read_pairs

GENES = [f"g{i}" for i in range(30)]
REGULATORS = ["g9", "other", "g3", "g28"]  # in another order than among the genes, and one that is no gene
RNG = np.random.default_rng(0)
WEIGHTS = (RNG.normal(size=(4, 30)) * (RNG.random((4, 30)) < 0.5)).astype(np.float32).round(3)
FRAME = pd.DataFrame(WEIGHTS, index=REGULATORS, columns=GENES)


def written(form, folder, frame=FRAME):
    path = folder / f"rect.{form}"
    if form == "parquet":
        frame.to_parquet(path)
    elif form == "npy":
        np.save(path, frame.to_numpy())
        (folder / "rect.genes.txt").write_text("\n".join(frame.columns))
        (folder / "rect.regulators.txt").write_text("\n".join(frame.index))
    elif form == "txt":  # R's write.table: blanks, quotes, and a header without a name for the rows
        frame.to_csv(path, sep=" ", quoting=2)
        path.write_text(path.read_text().removeprefix('"" '))
    elif form == "semicolon.csv":
        frame.to_csv(path, sep=";", decimal=",", encoding="utf-8-sig", lineterminator="\r\n")
    else:
        frame.to_csv(path, sep="\t" if form.startswith("tsv") else ",", index_label="TF")
    return path


def expected(frame=FRAME) -> dict[tuple[str, str], float]:
    stacked = frame.stack()
    return {pair: pytest.approx(weight) for pair, weight in stacked[stacked != 0].items()}


def pairs(edges) -> dict[tuple[str, str], float]:
    return {(s, t): w for s, t, w in edges[["source", "target", "weight"]].itertuples(index=False)}


@pytest.mark.parametrize("form", ["csv", "tsv", "tsv.gz", "txt", "semicolon.csv", "parquet", "npy"])
def test_every_form_of_a_rectangle(form, tmp_path):
    path = written(form, tmp_path)
    grn = read_network(path)
    assert grn.var_names.tolist() == [*GENES, "other"]
    assert sp.issparse(grn.grn)
    assert grn.grn.nnz == np.count_nonzero(WEIGHTS)
    assert pairs(grn.edges()) == expected()
    assert set(grn.regulators) == set(REGULATORS)
    assert pairs(read_edges(path)) == expected()
    assert pairs(read_pairs(path)) == expected()
    turned = read_network(written(form, tmp_path, FRAME.T), orientation="target_regulator")
    assert pairs(turned.edges()) == expected()


def test_of_targets_as_rows_it_is_asked(tmp_path):
    grn = read_network(written("csv", tmp_path, FRAME.T))
    assert "30 rows are taken for regulators of 4 genes" in grn.uns["grn"]["parameters"]["notes"][0]


@pytest.mark.parametrize("form", ["csv", "parquet", "npy"])
def test_weights_that_are_no_numbers(form, tmp_path):
    frame = FRAME.copy()
    frame.iloc[1, 2] = np.nan
    frame.iloc[3, 5] = np.inf if form != "csv" else np.nan
    path = written(form, tmp_path, frame)
    with pytest.raises(ValueError, match=r"2 weights are no finite number, first other → g2: .*--missing drop"):
        read_network(path)
    grn = read_network(path, missing="drop")
    without = FRAME.copy()
    without.iloc[1, 2] = without.iloc[3, 5] = 0
    assert pairs(grn.edges()) == expected(without)
    assert grn.uns["grn"]["parameters"]["notes"] == ["2 weights are no finite number and taken for no edge"]


def test_damaged_matrices(tmp_path):
    path = written("csv", tmp_path)
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines[:-1], lines[-1].rpartition(",")[0]]))
    with pytest.raises(ValueError, match="line 5 has 29 weights, and the header names 30 columns"):
        read_network(path)
    many = pd.concat([FRAME] * 6).astype(object)
    many.index = [f"r{i}" for i in range(len(many))]
    many.iloc[22, 3] = "lots"
    with pytest.raises(ValueError, match="line 24 holds 'lots' where a weight should be"):
        read_network(written("csv", tmp_path, many))
    with pytest.raises(ValueError, match="1 gene name occurs more than once: g3"):
        read_network(written("csv", tmp_path, FRAME.rename(index={"g9": "g3"})))
    np.save(tmp_path / "alone.npy", WEIGHTS)
    with pytest.raises(FileNotFoundError, match=r"alone\.npy holds no names: .*alone\.genes\.txt.*alone\.regulators"):
        read_network(tmp_path / "alone.npy")
    (tmp_path / "alone.genes.txt").write_text("\n".join(GENES))
    with pytest.raises(ValueError, match=r"has shape \(4, 30\), and there are 30 names of rows \(alone\.genes\.txt\)"):
        read_network(tmp_path / "alone.npy")


def test_a_rectangle_in_memory_has_its_regulators_named():
    for matrix in (WEIGHTS, sp.csc_matrix(WEIGHTS)):
        grn = grnndata.from_matrix(matrix, GENES, regulators=REGULATORS, method="mine")
        assert pairs(grn.edges()) == expected()
        turned = grnndata.from_matrix(matrix.T, GENES, regulators=REGULATORS, orientation="target_regulator")
        assert pairs(turned.edges()) == expected()
    with pytest.raises(ValueError, match=r"shape \(4, 30\), and there are 3 regulators and 30 genes"):
        grnndata.from_matrix(WEIGHTS, GENES, regulators=REGULATORS[:3])
    square = grnndata.from_matrix(np.eye(2), ["a", "b"], regulators=["b", "a"])
    assert square.grn.toarray().tolist() == [[0, 1], [1, 0]]


def test_a_rectangle_next_to_cells(tmp_path):
    grn = read_network(written("csv", tmp_path))
    cells = anndata.AnnData(np.ones((2, 31)), var=pd.DataFrame(index=grn.var_names))
    assert pairs(grnndata.GRNAnnData(cells, grn.grn).edges()) == expected()


@pytest.mark.parametrize("form", ["csv", "parquet", "npy"])
def test_reading_and_writing_take_memory_of_the_weights_alone(form, tmp_path):
    # 40 × 4,000 weights are 1.3 MB as CSR, and the square network would take 64 MB.
    genes = [f"g{i}" for i in range(4000)]
    frame = pd.DataFrame(RNG.random((40, 4000), dtype=np.float32), index=genes[:40], columns=genes)
    path = written(form, tmp_path, frame)
    read_network(path)  # imports
    tracemalloc.start()
    grn = read_network(path)
    for name in ("n.csv", "n.graphml", "n.sif"):
        write = {"n.csv": grnndata.write_edges, "n.graphml": grnndata.write_graphml, "n.sif": grnndata.write_sif}[name]
        write(grn, tmp_path / name)
    grn.write_h5ad(tmp_path / "n.h5ad")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert grn.grn.data.nbytes + grn.grn.indices.nbytes == 40 * 4000 * 8
    assert peak < 60e6
    assert pairs(grnndata.read_h5ad(tmp_path / "n.h5ad").edges()) == pairs(read_edges(tmp_path / "n.csv"))

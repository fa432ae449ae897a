"""Prediction files of Open Problems: read as others write them, written as the task asks for."""

import anndata
import h5py
import numpy as np
import pandas as pd
import pytest

import grnndata
from grnndata.open_problems import read_open_problems, write_open_problems

NET = pd.DataFrame({"source": ["TF1", "TF2", "TF1"], "target": ["G1", "G2", "TF2"], "weight": [0.95, -0.87, 0.1]})


def write_theirs(path, net=NET, **uns):
    """As the task's documentation says a method should write its prediction."""
    uns = {"method_id": "pearson_corr", "dataset_id": "op", "prediction": net} | uns
    anndata.AnnData(X=None, uns={key: value for key, value in uns.items() if value is not None}).write_h5ad(path)
    return path


def edge_list(grn):
    return grn.edges().to_numpy().tolist()


@pytest.mark.parametrize("as_type", [float, str, "category", np.float32])
def test_weights_as_numbers_and_as_text(as_type, tmp_path):
    path = write_theirs(tmp_path / "net.h5ad", NET.astype({"weight": as_type}))
    grn = read_open_problems(path)
    assert isinstance(grn, grnndata.GRNAnnData)
    assert grn.var_names.tolist() == ["G1", "G2", "TF1", "TF2"]
    np.testing.assert_allclose(grn.edges()["weight"], [0.95, -0.87, 0.1], rtol=1e-6)
    assert grn.edges()["source"].tolist() == ["TF1", "TF2", "TF1"]
    assert grn.uns["grn"]["method"] == "pearson_corr"
    assert grn.uns["grn"]["parameters"] == {"dataset_id": "op"}


def test_beside_cells_and_with_little_said(tmp_path):
    cells = anndata.AnnData(np.ones((3, 5), dtype=np.float32), var=pd.DataFrame(index=["G9", "TF2", "G2", "G1", "TF1"]))
    path = write_theirs(tmp_path / "net.h5ad", method_id=None, dataset_id=None)
    grn = read_open_problems(path, cells)
    assert grn.shape == (3, 5)
    assert grn.var_names.tolist() == cells.var_names.tolist()
    assert grn.varp["GRN"][4, 3] == np.float32(0.95)
    assert grn.uns["grn"]["method"] == "unknown"
    assert grn.uns["grn"]["parameters"] == {}
    with pytest.raises(ValueError, match=r"net\.h5ad: 1 gene of the edge table is not among the 4 genes"):
        read_open_problems(path, cells[:, :4])


def test_pairs_listed_twice(tmp_path):
    path = write_theirs(tmp_path / "net.h5ad", pd.concat([NET, NET], ignore_index=True))
    with pytest.raises(ValueError, match=r"net\.h5ad: 3 pairs are listed more than once"):
        read_open_problems(path)
    np.testing.assert_allclose(read_open_problems(path, duplicates="sum").edges()["weight"], [1.9, -1.74, 0.2])


def test_round_trip(tmp_path):
    grn = grnndata.from_edges(NET, method="by hand")
    write_open_problems(grn, tmp_path / "net.h5ad", dataset_id="norman")
    again = read_open_problems(tmp_path / "net.h5ad")
    assert edge_list(again) == edge_list(grn)  # float32 to text and back loses nothing
    assert again.uns["grn"]["method"] == "by hand"
    assert again.uns["grn"]["parameters"] == {"dataset_id": "norman"}
    write_open_problems(again, tmp_path / "again.h5ad", dataset_id="norman", method_id="other")
    assert read_open_problems(tmp_path / "again.h5ad").uns["grn"]["method"] == "other"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["again.h5ad", "net.h5ad"]


def test_random_weights_survive(tmp_path):
    rng = np.random.default_rng(0)
    matrix = rng.normal(size=(20, 20)) * 10.0 ** rng.integers(-30, 30, size=(20, 20))
    np.fill_diagonal(matrix, 0)
    grn = grnndata.from_matrix(matrix, [f"g{i}" for i in range(20)], method="random")
    write_open_problems(grn, tmp_path / "net.h5ad", dataset_id="op")
    again = read_open_problems(tmp_path / "net.h5ad")[:, grn.var_names]
    np.testing.assert_array_equal(again.varp["GRN"].toarray(), grn.varp["GRN"])


def test_what_is_written_is_what_the_task_asks_for(tmp_path):
    matrix = np.array([[9.0, 3, 0], [-4, 8, 1], [2, 0, 7]])
    grn = grnndata.from_matrix(matrix, ["a", "b", "c"], method="by hand")
    write_open_problems(grn, tmp_path / "net.h5ad", dataset_id="op", top_k=3)
    written = anndata.read_h5ad(tmp_path / "net.h5ad")
    assert written.shape == (0, 0)
    assert written.uns["prediction"].to_numpy().tolist() == [["b", "a", "-4.0"], ["a", "b", "3.0"], ["c", "a", "2.0"]]
    assert written.uns["method_id"] == "by hand"
    assert written.uns["dataset_id"] == "op"
    with h5py.File(tmp_path / "net.h5ad") as file:  # what anndata before 0.11 can read, in the whole file
        encodings = set()
        file.visititems(lambda _, item: encodings.add(item.attrs.get("encoding-type")))
    assert encodings == {"dataframe", "dict", "string", "string-array"}


def test_no_edges(tmp_path):
    grn = grnndata.from_matrix(np.zeros((2, 2)), ["a", "b"], method="none")
    write_open_problems(grn, tmp_path / "net.h5ad", dataset_id="op", top_k=5)
    assert read_open_problems(tmp_path / "net.h5ad").shape == (0, 0)


def test_refused(tmp_path):
    path = tmp_path / "net.h5ad"
    with pytest.raises(FileNotFoundError, match=r"no file .*net\.h5ad"):
        read_open_problems(path)
    path.write_text("source")
    with pytest.raises(ValueError, match="is not an h5ad file"):
        read_open_problems(path)
    anndata.AnnData(np.ones((2, 2)), uns={"other": 1}).write_h5ad(path)
    with pytest.raises(ValueError, match=r"no prediction of Open Problems: .*\(uns holds 'other'\)"):
        read_open_problems(path)
    write_theirs(path, prediction="net")
    with pytest.raises(ValueError, match="must be a data frame"):
        read_open_problems(path)
    write_theirs(path, NET.assign(weight=["1", "2", "high"]))
    with pytest.raises(ValueError, match=r"net\.h5ad: 1 weights are not finite numbers, first at row 2 \('high'\)"):
        read_open_problems(path)

    grn = grnndata.from_edges(NET)
    with pytest.raises(ValueError, match="does not say what made it: pass method_id"):
        write_open_problems(grn, path, dataset_id="op")
    with pytest.raises(ValueError, match="dataset_id must be text, got ''"):
        write_open_problems(grn, path, dataset_id="", method_id="m")
    with pytest.raises(ValueError, match="top_k must be a positive whole number, got 0"):
        write_open_problems(grn, path, dataset_id="op", method_id="m", top_k=0)
    write_open_problems(grn, tmp_path / "no" / "net.h5ad", dataset_id="op", method_id="m")
    assert read_open_problems(tmp_path / "no" / "net.h5ad").n_edges == grn.n_edges

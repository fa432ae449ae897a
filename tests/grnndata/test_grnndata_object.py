"""The class: slicing, copies, files, pickles; nothing loses the network."""

import pickle
import tracemalloc

import anndata
import networkx as nx
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

import grnndata
from grnndata import GRNAnnData

GENES = ["SOX2", "PAX6", "OTX2", "MEIS1", "RHO", "CRX"]


def weights(n=6, seed=0):
    rng = np.random.default_rng(seed)
    return (rng.random((n, n)) * (rng.random((n, n)) < 0.6)).astype(np.float32)


def make(kind=np.asarray, n=6, cells=4, seed=0):
    var = pd.DataFrame({"symbol": GENES[:n]}, index=[f"g{i}" for i in range(n)])
    adata = anndata.AnnData(np.arange(cells * n, dtype=np.float32).reshape(cells, n), var=var)
    return GRNAnnData(adata, kind(weights(n, seed)), method="by hand", parameters={"alpha": 0.5})


def dense(grn):
    network = grn.varp["GRN"]
    return network.toarray() if sparse.issparse(network) else np.asarray(network)


KINDS = [np.asarray, sparse.csr_matrix, sparse.csc_matrix, sparse.csr_array]


@pytest.mark.parametrize("kind", KINDS)
def test_rows_are_regulators(kind):
    matrix = np.zeros((3, 3))
    matrix[0, 2] = 5  # g0 regulates g2
    grn = GRNAnnData(anndata.AnnData(np.ones((2, 3))), kind(matrix))
    assert grn.regulators.tolist() == ["0"]
    assert grn.targets.tolist() == ["2"]
    assert grn.edges().to_numpy().tolist() == [["0", "2", 5.0]]
    assert grn.n_edges == 1
    assert grn.density == pytest.approx(1 / 6)
    assert list(grn.to_networkx().edges(data="weight")) == [("0", "2", 5.0)]
    assert grn.uns["grn"]["orientation"] == "row = regulator (source), column = target"
    assert dense(grn).dtype == np.float32


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "index",
    [
        ["g4", "g0", "g2"],
        np.array([True, False, True, True, False, False]),
        [5, 1],
        slice(4, 1, -1),
        "g3",
    ],
)
def test_slicing_genes_equals_numpy(kind, index):
    grn = make(kind)
    names = np.atleast_1d(index) if isinstance(index, (str, list)) else None
    by_name = names is not None and names.dtype.kind == "U"
    at = grn.var_names.get_indexer(names) if by_name else np.arange(6)[index]
    part = grn[:, index]
    assert isinstance(part, GRNAnnData)
    np.testing.assert_array_equal(dense(part), weights()[np.ix_(at, at)])
    copied = part.copy()
    assert isinstance(copied, GRNAnnData)
    assert not copied.is_view
    np.testing.assert_array_equal(dense(copied), weights()[np.ix_(at, at)])
    assert copied.uns["grn"] == grn.uns["grn"]


@pytest.mark.parametrize("kind", KINDS)
def test_everything_that_copies_keeps_the_network(kind, tmp_path):
    grn = make(kind)
    grn.write_h5ad(tmp_path / "one.h5ad")
    grnndata.read_h5ad(tmp_path / "one.h5ad").write_h5ad(tmp_path / "two.h5ad")
    same = [
        grn.copy(),
        grn[:2],
        grn[:2].copy(),
        grn[:, :].to_memory(),
        pickle.loads(pickle.dumps(grn)),
        grnndata.read_h5ad(tmp_path / "two.h5ad"),
    ]
    for other in same:
        assert type(other) is GRNAnnData
        np.testing.assert_array_equal(dense(other), weights())
        assert other.uns["grn"]["method"] == "by hand"
        assert other.uns["grn"]["parameters"] == {"alpha": 0.5}
        assert other.var["symbol"].tolist() == GENES
    plain = anndata.read_h5ad(tmp_path / "one.h5ad")  # and anyone else can read the file
    np.testing.assert_array_equal(dense(plain), weights())
    assert sorted(p.name for p in tmp_path.iterdir()) == ["one.h5ad", "two.h5ad"]


def test_a_copy_is_independent():
    grn = make()
    other = grn.copy()
    other.varp["GRN"][0, 1] = 99
    other.uns["grn"]["method"] = "changed"
    assert dense(grn)[0, 1] == weights()[0, 1]
    assert grn.uns["grn"]["method"] == "by hand"


def test_the_input_is_not_changed():
    adata = anndata.AnnData(np.ones((2, 3)), uns={"mine": 1})
    matrix = sparse.csr_matrix(np.array([[0, 1.5, 0], [0, 0, 0], [0, 0, 0]]))
    GRNAnnData(adata, matrix)
    assert "GRN" not in adata.varp
    assert dict(adata.uns) == {"mine": 1}
    assert matrix.dtype == np.float64


STEPS = st.lists(st.sampled_from(["reverse", "drop", "cells", "copy", "file", "pickle", "mask"]), max_size=5)


@settings(max_examples=25, deadline=None)
@given(steps=STEPS, kind=st.sampled_from(KINDS), seed=st.integers(0, 1000))
def test_any_sequence_equals_the_same_on_a_matrix(steps, kind, seed, tmp_path_factory):
    grn, matrix, names = make(kind, seed=seed), weights(seed=seed), [f"g{i}" for i in range(6)]
    rng = np.random.default_rng(seed)
    for step in steps:
        n = len(names)
        at = np.arange(n)
        if step == "reverse":
            at = at[::-1]
            grn = grn[:, [names[i] for i in at]]
        elif step == "drop" and n > 1:
            at = np.delete(at, rng.integers(n))
            grn = grn[:, at]
        elif step == "mask" and n > 1:
            mask = np.arange(n) != rng.integers(n)
            at = np.flatnonzero(mask)
            grn = grn[:, mask]
        elif step == "cells":
            grn = grn[: max(1, grn.n_obs - 1)]
        elif step == "copy":
            grn = grn.copy()
        elif step == "pickle":
            grn = pickle.loads(pickle.dumps(grn))
        elif step == "file":
            path = tmp_path_factory.mktemp("sequence") / "grn.h5ad"
            grn.write_h5ad(path)
            grn = grnndata.read_h5ad(path)
        names, matrix = [names[i] for i in at], matrix[np.ix_(at, at)]
        assert type(grn) is GRNAnnData
    assert grn.var_names.tolist() == names
    np.testing.assert_array_equal(dense(grn), matrix)


def test_edges_are_sorted_and_cut():
    matrix = np.array([[0, 1, -3], [2, 0, 0], [1, 0, 0]])
    grn = grnndata.from_matrix(matrix, ["a", "b", "c"])
    assert grn.edges().to_numpy().tolist() == [["a", "c", -3], ["b", "a", 2], ["a", "b", 1], ["c", "a", 1]]
    assert grn.edges(top_k=3).to_numpy().tolist() == [["a", "c", -3], ["b", "a", 2], ["a", "b", 1]]
    assert grn.edges(threshold=2)["weight"].tolist() == [-3, 2]
    with pytest.raises(ValueError, match="threshold must be 0 or more"):
        grn.edges(threshold=-1)


@given(seed=st.integers(0, 10_000), k=st.integers(1, 40))
def test_the_strongest_edges_are_the_first_of_all_edges(seed, k):
    rng = np.random.default_rng(seed)
    matrix = rng.integers(-2, 3, size=(5, 5)).astype(np.float32)  # many ties, self-edges too
    for kind in (np.asarray, sparse.csr_matrix):
        grn = grnndata.from_matrix(kind(matrix), list("edcba"))
        pd.testing.assert_frame_equal(grn.edges(top_k=k), grn.edges().head(k))
        pd.testing.assert_frame_equal(grn.edges(top_k=k, threshold=2), grn.edges(threshold=2).head(k))


def test_few_edges_of_a_dense_network_take_little_memory():
    matrix = np.random.default_rng(0).random((5000, 5000), dtype=np.float32)
    grn = grnndata.from_matrix(matrix, [f"g{i}" for i in range(5000)])
    grn.edges(top_k=5)
    tracemalloc.start()
    table = grn.edges(top_k=5)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert table["weight"].tolist() == np.sort(np.partition(matrix.ravel(), -5)[-5:])[::-1].tolist()
    assert peak < matrix.nbytes  # a list of all pairs would take five times as much


def test_tables_matrices_and_graphs_say_the_same():
    grn = make(sparse.csr_matrix)
    again = grnndata.from_edges(grn.edges(), grn)
    np.testing.assert_array_equal(dense(again), weights())
    alone = grnndata.from_edges(grn.edges())
    assert alone.n_obs == 0
    turned = grnndata.from_matrix(weights().T, grn.var_names, orientation="target_regulator")
    np.testing.assert_array_equal(dense(turned), weights())
    graph = nx.to_numpy_array(grn.to_networkx(), nodelist=grn.var_names.tolist())
    np.testing.assert_allclose(graph, weights())


def test_undirected_networks_have_to_be_symmetric():
    both = (weights() + weights().T) / 2
    grn = grnndata.from_matrix(both, GENES, directed=False)
    assert not grn.directed
    assert isinstance(grn.to_networkx(), nx.Graph)
    assert not grn.to_networkx().is_directed()
    with pytest.raises(ValueError, match="directed=False, but weights differ"):
        grnndata.from_matrix(weights(), GENES, directed=False)


@pytest.mark.parametrize(
    ("matrix", "error", "message"),
    [
        (np.ones((3, 2)), ValueError, r"shape \(3, 2\), but a network is square"),
        (np.ones((4, 4)), ValueError, r"shape \(4, 4\), but the genes are 3"),
        (
            np.array([[0, np.nan, 0], [0, 0, 0], [np.inf, 0, 0]]),
            ValueError,
            r"2 weights that are NaN.*\(0, 1\), \(2, 0\)",
        ),
        (np.array([["a"] * 3] * 3), TypeError, "weights must be real numbers"),
        (np.ones(3), ValueError, "two dimensions"),
        (None, ValueError, r"no network: varp\['GRN'\] is missing"),
    ],
)
def test_bad_networks_are_refused(matrix, error, message):
    with pytest.raises(error, match=message):
        GRNAnnData(anndata.AnnData(np.ones((2, 3))), matrix)


def test_bad_tables_are_refused():
    table = pd.DataFrame({"source": ["a", "a", "b"], "target": ["b", "b", "c"], "weight": [1.0, 2.0, 3.0]})
    with pytest.raises(ValueError, match=r"1 pairs are listed more than once: a → b; pass duplicates='sum'"):
        grnndata.from_edges(table)
    assert grnndata.from_edges(table, duplicates="sum").edges()["weight"].tolist() == [3, 3]
    assert grnndata.from_edges(table, duplicates="max").edges()["weight"].tolist() == [3, 2]
    cells = anndata.AnnData(np.ones((2, 2)), var=pd.DataFrame(index=["a", "b"]))
    with pytest.raises(ValueError, match="1 gene of the edge table is not among the 2 genes of var_names: c"):
        grnndata.from_edges(table, cells, duplicates="sum")
    with pytest.raises(ValueError, match=r"no column \['weight'\]"):
        grnndata.from_edges(table[["source", "target"]])
    with pytest.raises(ValueError, match="1 weights are not finite numbers, first at row 1"):
        grnndata.from_edges(table.assign(weight=[1, np.nan, 2]))
    with pytest.raises(ValueError, match="1 gene name occurs more than once: a"):
        grnndata.from_matrix(np.ones((2, 2)), ["a", "a"])


@pytest.mark.parametrize("name", ["e.csv", "e.tsv", "e.csv.gz", "e.tsv.gz", "e.parquet"])
def test_edge_files_round_trip(name, tmp_path):
    table = pd.DataFrame({"source": ["NA", "b"], "target": ["b", "NAN"], "weight": np.float32([0.1, -2])})
    grnndata.write_edges(table, tmp_path / name)
    again = grnndata.read_edges(tmp_path / name)
    assert again.to_dict("list") == table.to_dict("list")


def test_bad_files_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"there is no file .*none\.h5ad"):
        grnndata.read_h5ad(tmp_path / "none.h5ad")
    (tmp_path / "text.h5ad").write_text("not hdf5")
    with pytest.raises(ValueError, match="is not an h5ad file"):
        grnndata.read_h5ad(tmp_path / "text.h5ad")
    anndata.AnnData(np.ones((2, 3))).write_h5ad(tmp_path / "plain.h5ad")
    with pytest.raises(ValueError, match=r"holds no network: varp\['GRN'\] is missing"):
        grnndata.read_h5ad(tmp_path / "plain.h5ad")
    with pytest.raises(ValueError, match="cannot tell the kind"):
        grnndata.read_edges(tmp_path / "plain.h5ad")


def test_files_of_the_other_orientation(tmp_path):
    adata = anndata.AnnData(np.ones((2, 6)))
    adata.varp["GRN"] = weights().T
    adata.write_h5ad(tmp_path / "turned.h5ad")
    grn = grnndata.read_h5ad(tmp_path / "turned.h5ad", orientation="target_regulator")
    np.testing.assert_array_equal(dense(grn), weights())
    grn.write_h5ad(tmp_path / "ours.h5ad")
    with pytest.raises(ValueError, match="read it without orientation"):
        grnndata.read_h5ad(tmp_path / "ours.h5ad", orientation="target_regulator")


def test_a_failed_write_keeps_the_old_file(tmp_path, monkeypatch):
    grn = make()
    grn.write_h5ad(tmp_path / "g.h5ad")
    before = (tmp_path / "g.h5ad").read_bytes()

    def break_off(path, *_, **__):
        path.write_bytes(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(anndata.io, "write_h5ad", break_off)
    with pytest.raises(OSError, match="disk full"):
        grn.write_h5ad(tmp_path / "g.h5ad")
    assert (tmp_path / "g.h5ad").read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["g.h5ad"]

"""What describes a network survives files; what is shared, and what is not."""

import os
import subprocess
import sys
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

import grnndata
from grnndata import GRNAnnData, tl

NAMES = ["a", "b", "c"]
CHAIN = np.array([[0, 2, 0], [0, 0, 1], [0, 0, 0]])


def make(matrix=CHAIN, **options):
    return GRNAnnData(anndata.AnnData(np.ones((2, 3)), var=pd.DataFrame(index=NAMES)), matrix, **options)


def test_parameters_come_back_from_a_file_as_they_were(tmp_path):
    parameters = {
        "k": np.int64(3),
        "rate": 0.1,
        "on": True,
        "none": None,
        "names": ("x", "y"),
        "sizes": np.array([1, 2]),
        "empty": [],
        "mixed": [1, "a"],
        "path": Path("/data/x"),
        "deep": {"layer": 2, "nothing": {}},
    }
    grn = make(method="m", parameters=parameters, normalisation="softmax")
    kept = grn.uns["grn"]["parameters"]
    assert kept["k"] == 3
    assert type(kept["k"]) is int
    assert kept["names"] == ["x", "y"]
    assert kept["mixed"] == ["1", "a"]
    assert kept["path"] == "/data/x"
    tl.top_k(grn, 1).write_h5ad(tmp_path / "g.h5ad")
    info = grnndata.read_h5ad(tmp_path / "g.h5ad").uns["grn"]
    assert info["steps"] == ["top_k(k=1, per='regulator', self_edges=False)"]
    assert info | {"steps": []} == grn.uns["grn"]
    assert info["parameters"]["on"] is True
    with pytest.raises(ValueError, match=r"may not contain '/': rename \['a/b'\]"):
        make(parameters={"a/b": 1})


def test_strings_stay_strings_in_a_file_and_the_written_object_stays(tmp_path):
    grn = make()
    grn.obs["kind"] = ["rod", "rod"]
    before = grn.obs.dtypes.to_dict()
    grn.write(tmp_path / "g.h5ad")
    assert grn.obs.dtypes.to_dict() == before
    assert grnndata.read_h5ad(tmp_path / "g.h5ad").obs["kind"].tolist() == ["rod", "rod"]
    for write, read, name in (
        (grn.write_h5ad, grnndata.read_h5ad, "g.h5ad"),
        (grn.write_zarr, grnndata.read_zarr, "z.zarr"),
    ):
        write(tmp_path / "missing" / name)
        assert read(tmp_path / "missing" / name).n_edges == grn.n_edges


def test_a_file_that_says_rows_are_targets_is_refused(tmp_path):
    grn = make()
    grn.uns["grn"]["orientation"] = "row = target"
    anndata.io.write_h5ad(tmp_path / "g.h5ad", grn)
    with pytest.raises(ValueError, match=r"g\.h5ad.*orientation.* is 'row = target'"):
        grnndata.read_h5ad(tmp_path / "g.h5ad")


def test_an_invalid_network_in_a_file_is_refused(tmp_path):
    adata = anndata.AnnData(np.ones((2, 3)))
    adata.varp["GRN"] = np.full((3, 3), np.nan)
    adata.write_h5ad(tmp_path / "g.h5ad")
    with pytest.raises(ValueError, match=r"g\.h5ad: the network holds 9 weights that are NaN"):
        grnndata.read_h5ad(tmp_path / "g.h5ad")


def test_wrapping_an_anndata_that_holds_a_network_keeps_its_description():
    grn = make(method="first")
    plain = anndata.AnnData(grn)
    assert type(plain) is anndata.AnnData
    assert GRNAnnData(plain).uns["grn"]["method"] == "first"
    assert GRNAnnData(plain, CHAIN.T, method="second").uns["grn"]["method"] == "second"
    assert plain.uns["grn"]["method"] == "first"
    np.testing.assert_array_equal(plain.varp["GRN"], CHAIN)
    with pytest.raises(ValueError, match="describe a new network"):
        GRNAnnData(plain, method="second")


@pytest.mark.parametrize("kind", [np.asarray, sparse.csr_matrix])
def test_assigning_a_network_checks_it(kind):
    grn = make(kind(CHAIN))
    grn.grn = kind(CHAIN * 2.0)
    assert grn.edges()["weight"].tolist() == [4, 2]
    with pytest.raises(ValueError, match="NaN"):
        grn.grn = kind(CHAIN * np.nan)
    with pytest.raises(ValueError, match=r"shape \(2, 2\)"):
        grn.grn = kind(CHAIN[:2, :2])
    assert grn.edges()["weight"].tolist() == [4, 2]


def test_assigning_into_a_view_leaves_the_parent():
    grn = make()
    part = grn[:, ["b", "a"]]
    with pytest.warns(anndata.ImplicitModificationWarning):
        part.grn = np.array([[0, 7], [0, 0]])
    assert type(part) is GRNAnnData
    assert part.edges().to_numpy().tolist() == [["b", "a", 7]]
    assert grn.edges()["weight"].tolist() == [2, 1]


def test_a_tool_returns_an_independent_copy():
    grn = make()
    kept = tl.top_k(grn, 1, per="all")
    kept.X[0, 0] = 50
    kept.uns["grn"]["parameters"]["new"] = 1
    assert grn.X[0, 0] == 1
    assert grn.uns["grn"]["parameters"] == {}
    assert kept.n_edges == 1
    assert tl.top_k(grn[:, ["b", "c"]], 5).edges().to_numpy().tolist() == [["b", "c", 1]]


def test_duplicates_and_zeros_of_a_sparse_matrix_are_resolved_without_touching_it():
    rows, columns, values = [0, 0, 1, 2], [1, 1, 2, 0], [1.0, 2.0, 0.0, 4.0]
    matrix = sparse.coo_matrix((values, (rows, columns)), shape=(3, 3))
    grn = make(matrix)
    assert grn.n_edges == 2
    assert grn.edges().to_numpy().tolist() == [["c", "a", 4], ["a", "b", 3]]
    assert matrix.nnz == 4
    ours = sparse.csr_matrix((np.float32([0, 3]), [1, 2], [0, 2, 2, 2]), shape=(3, 3))
    assert make(ours).n_edges == 1
    assert ours.nnz == 2


def test_weights_beyond_float32_are_refused():
    with pytest.raises(ValueError, match=r"beyond float32: first at \(row, column\) \(0, 1\)"):
        make(CHAIN * 1e39)
    with pytest.raises(ValueError, match="1 weights are not finite"):
        grnndata.from_edges(pd.DataFrame({"source": ["a"], "target": ["b"], "weight": [1e39]}))


def test_ties_do_not_depend_on_the_form_or_on_slicing():
    matrix = np.ones((3, 3)) - np.eye(3)
    for kind in (np.asarray, sparse.csr_matrix):
        part = make(kind(matrix))[:, ["c", "a", "b"]]
        listed = part.edges(top_k=3)[["source", "target"]].to_numpy().tolist()
        assert listed == [["c", "a"], ["c", "b"], ["a", "c"]]


@pytest.mark.filterwarnings("ignore:Variable names are not unique")
def test_a_repeated_gene_is_refused_where_names_must_be_unique(tmp_path):
    twice = make()[:, [0, 0, 1]].copy()
    with pytest.raises(ValueError, match="1 gene name occurs more than once: a"):
        twice.to_networkx()
    twice.write_h5ad(tmp_path / "g.h5ad")
    with pytest.warns(UserWarning, match="not unique"):
        again = grnndata.read_h5ad(tmp_path / "g.h5ad")
    np.testing.assert_array_equal(again.grn, CHAIN[np.ix_([0, 0, 1], [0, 0, 1])])


def test_text_of_the_object_names_the_network():
    grn = make(sparse.csr_matrix(CHAIN), method="pearson")
    assert "GRNAnnData object with n_obs × n_vars = 2 × 3" in repr(grn)
    assert "network: 3 genes, sparse, 2 edges, directed, method 'pearson'" in repr(grn)
    assert repr(grn[:1]).startswith("View of GRNAnnData object")


def test_backed_data_is_refused_with_the_fix(tmp_path):
    make().write_h5ad(tmp_path / "g.h5ad")
    backed = anndata.read_h5ad(tmp_path / "g.h5ad", backed="r")
    with pytest.raises(ValueError, match=r"pass adata\.to_memory\(\)"):
        GRNAnnData(backed)
    backed.file.close()


def test_undirected_networks_stay_symmetric_when_sparsified():
    matrix = np.array([[0, 3, 2], [3, 0, 1], [2, 1, 0]])
    grn = make(matrix, directed=False)
    assert tl.top_k(grn, 1).grn.toarray().tolist() == [[0, 3, 2], [3, 0, 0], [2, 0, 0]]
    assert tl.top_k(grn, 1, per="all").grn.toarray().tolist() == [[0, 3, 0], [3, 0, 0], [0, 0, 0]]
    assert sorted(grn.to_networkx().edges(data="weight")) == [("a", "b", 3), ("a", "c", 2), ("b", "c", 1)]
    assert grn.density == 1


def test_empty_networks_do_not_break_anything(tmp_path):
    for matrix in (np.zeros((3, 3)), sparse.csr_matrix((3, 3))):
        grn = make(matrix)
        assert (grn.n_edges, grn.density, len(grn.edges()), len(grn.regulators)) == (0, 0, 0, 0)
        assert tl.strength(grn).tolist() == [0, 0, 0]
        assert tl.louvain(grn).tolist() == [0, 1, 2]
        assert tl.top_k(grn, 2).n_edges == 0
        grn.write_h5ad(tmp_path / "g.h5ad")
        assert grnndata.read_h5ad(tmp_path / "g.h5ad").n_edges == 0


def run_python(code, **environment):
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=os.environ | environment)
    return done.stdout


@pytest.mark.slow
def test_import_is_light():
    extras = "('matplotlib', 'igraph', 'gseapy', 'pooch', 'jsonargparse', 'sklearn')"
    assert run_python(f"import sys, grnndata; print([m for m in {extras} if m in sys.modules])").strip() == "[]"


@pytest.mark.slow
def test_communities_are_the_same_in_every_process():
    code = (
        "import numpy as np, grnndata as g; m = np.random.default_rng(0).random((40, 40)); "
        "print(g.tl.louvain(g.from_matrix(m, [f'g{i}' for i in range(40)])).tolist())"
    )
    assert run_python(code, PYTHONHASHSEED="1") == run_python(code, PYTHONHASHSEED="2")

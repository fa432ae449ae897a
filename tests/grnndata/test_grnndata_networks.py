"""Several networks in one object: named ones, stacks; joined objects; zarr, backed files and plain AnnData."""

import pickle
import warnings

import anndata
import igraph
import networkx as nx
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

import grnndata
from grnndata import GRNAnnData

GENES = ["a", "b", "c", "d"]


def weights(n=4, seed=0):
    rng = np.random.default_rng(seed)
    return (rng.normal(size=(n, n)) * (rng.random((n, n)) < 0.6)).astype(np.float32)


def cells(genes=GENES, n=3, prefix="cell"):
    obs = pd.DataFrame(index=[f"{prefix}{i}" for i in range(n)])
    X = np.arange(n * len(genes), dtype=np.float32).reshape(n, len(genes))
    return anndata.AnnData(X, obs=obs, var=pd.DataFrame(index=list(genes)))


def dense(network):
    return network.toarray() if sparse.issparse(network) else np.asarray(network)


def several():
    networks = {"rod cell": sparse.csr_matrix(weights(seed=1)), "CD4/CD8 %": weights(seed=2), "B": weights(seed=3)}
    return GRNAnnData(cells(), weights(), networks=networks, method="main")


def stacked(planes=("head 0", "head 1")):
    stack = np.stack([weights(seed=i) for i in range(len(planes))], axis=-1)
    return GRNAnnData(cells(), stack, planes=planes, method="model")


# ------------------------------------------------------------------------------------------- named networks


def test_named_networks_are_listed_in_their_order_and_are_objects_themselves():
    adata = several()
    assert list(adata.networks) == ["rod cell", "CD4/CD8 %", "B"]
    rod = adata.networks["rod cell"]
    assert type(rod) is GRNAnnData
    np.testing.assert_array_equal(dense(rod.grn), weights(seed=1))
    np.testing.assert_array_equal(rod.X, adata.X)
    assert len(rod.networks) == 0
    assert rod.uns["grn"]["method"] == "unknown"
    np.testing.assert_array_equal(adata.grn, weights())
    assert np.shares_memory(adata.networks["B"].grn, adata.varp["GRN.B"])
    assert "'rod cell', 'CD4/CD8 %', 'B'" in repr(adata)
    with pytest.raises(KeyError, match=r"no network 'cone'.*'rod cell', 'CD4/CD8 %', 'B'"):
        adata.networks["cone"]


@pytest.mark.parametrize("way", ["h5ad", "zarr", "pickle", "copy", "view", "to_memory", "backed"])
@pytest.mark.parametrize("make", [several, stacked])
def test_nothing_that_copies_or_writes_loses_one(make, way, tmp_path):
    adata = make()
    before = {name: dense(item.grn).copy() for name, item in adata.networks.items()}
    genes = slice(None)
    if way == "h5ad":
        adata.write_h5ad(tmp_path / "g.h5ad")
        adata = grnndata.read_h5ad(tmp_path / "g.h5ad")
    elif way == "zarr":
        adata.write_zarr(tmp_path / "g.zarr")
        adata = grnndata.read_zarr(tmp_path / "g.zarr")
    elif way == "pickle":
        adata = pickle.loads(pickle.dumps(adata))
    elif way == "copy":
        adata = adata.copy()
    elif way == "view":
        genes = [2, 0]
        adata = adata[:2, ["c", "a"]]
    elif way == "to_memory":
        adata = adata[:, :].to_memory()
    elif way == "backed":
        adata.write_h5ad(tmp_path / "g.h5ad")
        adata = grnndata.read_h5ad(tmp_path / "g.h5ad", backed="r")
        assert adata.isbacked
    assert type(adata) is GRNAnnData
    assert list(adata.networks) == list(before)
    for name, item in adata.networks.items():
        expected = before[name] if way != "view" else before[name][np.ix_(genes, genes)]
        np.testing.assert_array_equal(dense(item.grn), expected)
    assert adata.uns["grn"]["method"] in ("main", "model")


def test_networks_can_be_added_replaced_and_removed():
    adata = several()
    made = grnndata.from_edges(pd.DataFrame({"source": ["d"], "target": ["a"], "weight": [2.0]}), method="by hand")
    adata.networks["new"] = made  # other genes in another order: matched by name
    assert dense(adata.networks["new"].grn)[3, 0] == 2
    assert adata.networks["new"].n_edges == 1
    assert adata.networks["new"].uns["grn"]["method"] == "by hand"
    adata.networks["new"] = pd.DataFrame({"source": ["a"], "target": ["b"], "weight": [1.0]})
    assert adata.networks["new"].edges().to_numpy().tolist() == [["a", "b", 1.0]]
    del adata.networks["rod cell"]
    assert list(adata.networks) == ["CD4/CD8 %", "B", "new"]
    assert "GRN.rod cell" not in adata.varp
    with pytest.raises(KeyError, match="no named network 'rod cell'"):
        del adata.networks["rod cell"]
    with pytest.raises(ValueError, match="1 gene of the network is not among the 4 genes of var_names: z"):
        adata.networks["bad"] = grnndata.from_matrix(np.ones((2, 2)), ["a", "z"])
    with pytest.raises(ValueError, match=r"shape \(3, 3\), but the genes are 4"):
        adata.networks["bad"] = np.ones((3, 3))
    with pytest.raises(ValueError, match="must be text, got 3"):
        adata.networks[3] = np.ones((4, 4))
    assert "bad" not in adata.networks


def test_a_network_added_to_a_view_does_not_touch_the_parent():
    adata = several()
    part = adata[:, ["b", "a"]]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # anndata says that the view becomes a copy
        part.networks["more"] = np.array([[0, 1], [0, 0]])
    assert list(part.networks) == ["rod cell", "CD4/CD8 %", "B", "more"]
    assert part.networks["more"].edges()[["source", "target"]].to_numpy().tolist() == [["b", "a"]]
    assert list(adata.networks) == ["rod cell", "CD4/CD8 %", "B"]


def test_an_object_may_hold_named_networks_only():
    adata = GRNAnnData(cells(), networks={"x": weights(), "y": weights(seed=1)})
    with pytest.raises(ValueError, match=r"no main network, only named ones \('x', 'y'\): .*networks\['x'\]"):
        adata.n_edges  # noqa: B018
    assert adata.networks["y"].n_edges == np.count_nonzero(weights(seed=1))
    assert list(adata[:, ["a", "b"]].copy().networks) == ["x", "y"]


def test_a_network_of_somebody_else_under_the_same_kind_of_key_is_found():
    adata = several()
    adata.varp["GRN.late"] = weights(seed=9)
    assert list(adata.networks) == ["rod cell", "CD4/CD8 %", "B", "late"]
    assert adata.networks["late"].n_edges == np.count_nonzero(weights(seed=9))


def test_edges_of_all_networks_name_theirs():
    table = several().networks.edges(top_k=2)
    assert table["network"].tolist() == ["rod cell"] * 2 + ["CD4/CD8 %"] * 2 + ["B"] * 2
    expected = np.sort(np.abs(weights(seed=3)).ravel())[::-1][:2]
    np.testing.assert_array_equal(table["weight"].abs().to_numpy()[4:], expected)
    stack = several().networks.stack()
    np.testing.assert_array_equal(stack[:, :, 2], weights(seed=3))


# --------------------------------------------------------------------------------------------------- stacks


def test_planes_of_a_stack_are_networks():
    adata = stacked()
    assert adata.grn.shape == (4, 4, 2)
    assert list(adata.networks) == ["head 0", "head 1"]
    np.testing.assert_array_equal(adata.networks["head 1"].grn, weights(seed=1))
    assert adata.networks["head 1"].uns["grn"]["method"] == "model"
    assert "a dense stack of 2 planes" in repr(adata)
    for use in (lambda: adata.n_edges, adata.edges, lambda: grnndata.tl.hubs(adata)):
        with pytest.raises(ValueError, match=r"a stack of 2 networks: choose one, for example networks\['head 0'\]"):
            use()
    with pytest.raises(ValueError, match="'head 0' is a plane of the stack"):
        adata.networks["head 0"] = weights()
    adata.grn = adata.grn * 2
    assert list(adata.networks) == ["head 0", "head 1"]
    adata.grn = weights()
    assert list(adata.networks) == []
    assert adata.n_edges == np.count_nonzero(weights())


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: GRNAnnData(cells(), np.ones((4, 4, 2)), planes=["one"]), "has 2 planes: planes must hold as many"),
        (lambda: GRNAnnData(cells(), np.ones((4, 4, 2)), planes=["one", "one"]), "as many different names"),
        (lambda: GRNAnnData(cells(), np.ones((4, 4)), planes=["one"]), "this network has two dimensions"),
        (lambda: GRNAnnData(cells(), np.ones((4, 3, 2))), r"shape \(4, 3, 2\), but a network is square"),
        (lambda: GRNAnnData(cells(), np.full((4, 4, 1), np.nan)), "16 weights that are NaN"),
        (lambda: GRNAnnData(cells(), networks={"x": np.ones((4, 4, 2))}), "a named network is one network"),
        (lambda: GRNAnnData(cells(), np.dstack([weights()] * 2), directed=False), "directed=False, but weights differ"),
        (lambda: GRNAnnData(cells(), sparse.coo_array(np.ones((4, 4, 2)))), "by name, networks="),
    ],
)
def test_bad_stacks_are_refused(build, message):
    with pytest.raises(ValueError, match=message):
        build()


def test_stacks_of_the_other_orientation_are_turned(tmp_path):
    adata = cells()
    adata.varp["GRN"] = np.swapaxes(stacked().grn, 0, 1)
    adata.write_h5ad(tmp_path / "t.h5ad")
    again = grnndata.read_h5ad(tmp_path / "t.h5ad", orientation="target_regulator")
    np.testing.assert_array_equal(again.grn, stacked().grn)
    assert list(again.networks) == ["0", "1"]


# --------------------------------------------------------------------------------------------------- joining


@pytest.mark.filterwarnings("ignore:Observation names are not unique")
def test_joining_cells_keeps_an_equal_network():
    whole = GRNAnnData(cells(n=4), sparse.csr_matrix(weights()), method="m")
    joined = grnndata.concat([whole[:1], whole[1:, ["d", "c", "b", "a"]]])
    assert type(joined) is GRNAnnData
    np.testing.assert_array_equal(joined.X, whole.X)
    np.testing.assert_array_equal(dense(joined.grn), weights())
    assert joined.uns["grn"]["method"] == "m"
    with pytest.raises(ValueError, match=r"'0' and '1' \(varp\['GRN'\]\) differ, by .* networks='named'"):
        grnndata.concat([whole[:1], GRNAnnData(cells(), weights(seed=1))])


def test_joining_cells_can_keep_each_network_under_its_key():
    rods = GRNAnnData(cells(prefix="rod"), weights(), method="first")
    cones = GRNAnnData(cells(["d", "e", "b"], prefix="cone"), sparse.csr_matrix(weights(3, seed=1)))
    joined = grnndata.concat({"rod": rods, "cone": cones}, networks="named", label="type")
    assert joined.var_names.tolist() == ["b", "d"]
    assert joined.obs["type"].tolist() == ["rod"] * 3 + ["cone"] * 3
    np.testing.assert_array_equal(dense(joined.networks["rod"].grn), weights()[np.ix_([1, 3], [1, 3])])
    np.testing.assert_array_equal(dense(joined.networks["cone"].grn), weights(3, seed=1)[np.ix_([2, 0], [2, 0])])
    assert joined.networks["rod"].uns["grn"]["method"] == "first"
    wide = grnndata.concat({"rod": rods, "cone": cones}, networks="named", join="outer")
    assert wide.var_names.tolist() == [*GENES, "e"]
    expected = np.zeros((5, 5), np.float32)
    expected[np.ix_([3, 4, 1], [3, 4, 1])] = weights(3, seed=1)
    np.testing.assert_array_equal(dense(wide.networks["cone"].grn), expected)


@pytest.mark.parametrize("kind", [np.asarray, sparse.csr_matrix])
def test_an_outer_join_merges_networks_that_agree(kind):
    full = weights(6, seed=4)
    names = [f"g{i}" for i in range(6)]
    left, right = [0, 1, 2, 3], [5, 3, 2]
    a = GRNAnnData(cells([names[i] for i in left]), kind(full[np.ix_(left, left)]))
    b = GRNAnnData(cells([names[i] for i in right], prefix="other"), kind(full[np.ix_(right, right)]))
    joined = grnndata.concat([a, b], join="outer")
    at = [names.index(gene) for gene in joined.var_names]
    known = np.zeros((6, 6), bool)
    known[np.ix_(left, left)] = known[np.ix_(right, right)] = True
    np.testing.assert_array_equal(dense(joined.grn), (full * known)[np.ix_(at, at)])


def test_joining_networks_of_the_same_cells():
    base = cells()
    a, b = GRNAnnData(base, weights()), GRNAnnData(base, weights(seed=1))
    joined = grnndata.concat_networks({"a": a, "b": b})
    assert joined.n_obs == 3
    np.testing.assert_array_equal(joined.X, base.X)
    np.testing.assert_array_equal(joined.networks["b"].grn, weights(seed=1))
    lists = [grnndata.from_matrix(np.ones((2, 2)), ["a", "b"]), grnndata.from_matrix(np.ones((2, 2)), ["b", "z"])]
    wide = grnndata.concat_networks(lists, keys=["one", "two"], join="outer")
    assert wide.var_names.tolist() == ["a", "b", "z"]
    np.testing.assert_array_equal(dense(wide.networks["two"].grn), [[0, 0, 0], [0, 1, 1], [0, 1, 1]])
    with pytest.raises(ValueError, match=r"'b' and 'a' have other cells.*networks='named'"):
        grnndata.concat_networks({"a": a, "b": b[:2]})


@pytest.mark.filterwarnings("ignore:Observation names are not unique")
@pytest.mark.parametrize(
    ("join", "message"),
    [
        (lambda _: grnndata.concat([]), "no objects to join"),
        (lambda a: grnndata.concat([a, a], join="left"), "'inner' or 'outer', got 'left'"),
        (lambda a: grnndata.concat([a, a], networks="all"), "'same' or 'named', got 'all'"),
        (lambda a: grnndata.concat([a, a], networks="named"), "needs a name for each object"),
        (lambda a: grnndata.concat([a, a], keys=["x", "x"]), "2 different names"),
        (lambda a: grnndata.concat({"x": a}, keys=["x"]), "a mapping has names already"),
        (lambda a: grnndata.concat([a, grnndata.from_matrix(np.ones((1, 1)), ["z"])]), "share no gene"),
        (lambda a: grnndata.concat([a, several()]), r"'0' holds the networks \['GRN'\] and '1' holds \['GRN', 'GRN.B'"),
    ],
)
def test_bad_joins_are_refused(join, message):
    with pytest.raises(ValueError, match=message):
        join(GRNAnnData(cells(), weights()))


def test_only_networks_can_be_joined():
    with pytest.raises(TypeError, match="'1' is a AnnData, not a GRNAnnData"):
        grnndata.concat([GRNAnnData(cells(), weights()), cells()])


STEPS = st.lists(
    st.sampled_from(["reverse", "drop", "mask", "cells", "copy", "h5ad", "zarr", "backed", "concat", "outer", "named"]),
    max_size=6,
)


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(steps=STEPS, seed=st.integers(0, 1000), kind=st.sampled_from([np.asarray, sparse.csr_matrix]))
def test_any_sequence_equals_the_same_on_matrices(steps, seed, kind, tmp_path_factory):
    names = [f"g{i}" for i in range(6)]
    main, other, X = weights(6, seed), weights(6, seed + 1), cells(names, 3).X
    grn = GRNAnnData(cells(names, 3), kind(main), networks={"other": kind(other)})
    rng = np.random.default_rng(seed)
    for number, step in enumerate(steps):
        at, rows = np.arange(len(names)), np.arange(len(X))
        if step == "reverse":
            at = at[::-1]
            grn = grn[:, [names[i] for i in at]]
        elif step == "drop" and len(names) > 1:
            at = np.delete(at, rng.integers(len(names)))
            grn = grn[:, at]
        elif step == "mask" and len(names) > 1:
            mask = at != rng.integers(len(names))
            at = at[mask]
            grn = grn[:, mask]
        elif step == "cells" and len(X) > 1:
            rows = rows[1:]
            grn = grn[1:]
        elif step == "copy":
            grn = grn.copy()
        elif step in ("h5ad", "backed"):
            path = tmp_path_factory.mktemp("sequence") / "grn.h5ad"
            grn.write_h5ad(path)
            grn = grnndata.read_h5ad(path, backed="r" if step == "backed" else None)
            grn = grn.to_memory() if step == "backed" else grn
        elif step == "zarr":
            path = tmp_path_factory.mktemp("sequence") / "grn.zarr"
            grn.write_zarr(path)
            grn = grnndata.read_zarr(path)
        elif step == "concat":
            again = grn.copy()
            again.obs_names = [f"{name}.{number}" for name in again.obs_names]
            grn = grnndata.concat([grn, again[:, ::-1]])
            rows = np.concatenate([rows, rows])
        elif step == "outer" and len(names) > 1:
            grn = grnndata.concat([grn[:1], grn[1:]], join="outer") if len(X) > 1 else grn
        elif step == "named":
            alone = grn.networks["other"]
            joined = grnndata.concat_networks({"main": GRNAnnData(grn, grn.grn), "other": alone})
            grn = GRNAnnData(joined, joined.networks["main"].grn)
            del grn.networks["main"]
        names, X = [names[i] for i in at], X[np.ix_(rows, at)]
        main, other = main[np.ix_(at, at)], other[np.ix_(at, at)]
        assert type(grn) is GRNAnnData
    assert grn.var_names.tolist() == names
    np.testing.assert_array_equal(dense(grn.X), X)
    np.testing.assert_array_equal(dense(grn.varp["GRN"]), main)
    assert list(grn.networks) == ["other"]
    np.testing.assert_array_equal(dense(grn.networks["other"].grn), other)


# ------------------------------------------------------------------------------------- files, graphs, AnnData


def test_backed_objects_slice_and_write(tmp_path):
    several().write_h5ad(tmp_path / "g.h5ad")
    backed = grnndata.read_h5ad(tmp_path / "g.h5ad", backed="r")
    part = backed[1:, ["d", "a"]]
    assert type(part) is GRNAnnData
    np.testing.assert_array_equal(part.networks["B"].grn, weights(seed=3)[np.ix_([3, 0], [3, 0])])
    copied = backed.copy(tmp_path / "copy.h5ad")
    assert type(copied) is GRNAnnData
    backed.write_h5ad(tmp_path / "again.h5ad")
    again = grnndata.read_h5ad(tmp_path / "again.h5ad")
    np.testing.assert_array_equal(again.X, cells().X)
    assert list(again.networks) == ["rod cell", "CD4/CD8 %", "B"]
    assert grnndata.tl.hubs(backed, 1)["gene"][0] == grnndata.tl.hubs(several(), 1)["gene"][0]
    kept = grnndata.tl.top_k(backed.to_memory(), 1)
    assert kept.n_edges <= 4


def test_bad_folders_are_refused_and_kept(tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no folder"):
        grnndata.read_zarr(tmp_path / "none.zarr")
    cells().write_zarr(tmp_path / "plain.zarr")
    with pytest.raises(ValueError, match=r"holds no network: varp\['GRN'\] is missing"):
        grnndata.read_zarr(tmp_path / "plain.zarr")
    work = tmp_path / "work"
    work.mkdir()
    (work / "thesis.txt").write_text("years")
    with pytest.raises(ValueError, match="is not an AnnData zarr folder"):
        grnndata.read_zarr(work)
    with pytest.raises(FileExistsError, match="is no zarr group"):
        several().write_zarr(work)
    assert (work / "thesis.txt").read_text() == "years"
    several().write_zarr(tmp_path / "g.zarr")
    (tmp_path / "g.zarr/thesis.txt").write_text("years")
    with pytest.raises(FileExistsError, match=r"holds \['thesis.txt'\] beside its zarr group: choose another name"):
        several().write_zarr(tmp_path / "g.zarr")
    assert (tmp_path / "g.zarr/thesis.txt").read_text() == "years"


def test_a_failed_write_keeps_the_old_folder(tmp_path, monkeypatch):
    several().write_zarr(tmp_path / "g.zarr")
    several().write_zarr(tmp_path / "g.zarr")  # over itself

    def break_off(path, *_, **__):
        path.mkdir()
        raise OSError("disk full")

    monkeypatch.setattr(anndata.io, "write_zarr", break_off)
    with pytest.raises(OSError, match="disk full"):
        several().write_zarr(tmp_path / "g.zarr")
    assert [p.name for p in tmp_path.iterdir()] == ["g.zarr"]
    assert list(grnndata.read_zarr(tmp_path / "g.zarr").networks) == ["rod cell", "CD4/CD8 %", "B"]


def test_a_plain_anndata_has_the_same_methods():
    grn = several()
    plain = cells()
    for key in grn.varp:
        plain.varp[key] = grn.varp[key]
    assert type(plain) is anndata.AnnData
    pd.testing.assert_frame_equal(plain.grn.edges(top_k=3), grn.edges(top_k=3))
    assert plain.grn.regulators.equals(grn.regulators)
    assert plain.grn.targets.equals(grn.targets)
    assert (plain.grn.n_edges, plain.grn.density) == (grn.n_edges, grn.density)
    assert plain.grn.directed
    assert set(plain.grn.networks) == {"rod cell", "CD4/CD8 %", "B"}
    np.testing.assert_array_equal(plain[:, ["c", "a"]].grn.matrix, weights()[np.ix_([2, 0], [2, 0])])
    assert sorted(plain.grn.to_networkx().edges) == sorted(grn.to_networkx().edges)
    assert plain.grn.to_igraph().ecount() == grn.n_edges
    made = plain.grn.to_grnndata()
    assert type(made) is GRNAnnData
    np.testing.assert_array_equal(made.X, plain.X)
    with pytest.raises(ValueError, match=r"no network: varp\['GRN'\] is missing"):
        cells().grn.edges()
    np.testing.assert_array_equal(grn.grn, weights())  # and on the class, grn is the network


@pytest.mark.parametrize("directed", [True, False])
def test_graphs_of_both_libraries_hold_the_same_edges(directed):
    matrix = weights() if directed else weights() + weights().T
    grn = grnndata.from_matrix(matrix, GENES, directed=directed)
    graph = grn.to_igraph()
    assert isinstance(graph, igraph.Graph)
    assert graph.vs["name"] == GENES
    found = np.zeros((4, 4))
    for edge in graph.es:
        found[edge.source, edge.target] = edge["weight"]
        if not directed:
            found[edge.target, edge.source] = edge["weight"]
    np.testing.assert_allclose(found, matrix)
    again = grnndata.from_networkx(grn.to_networkx())
    assert again.directed == directed
    np.testing.assert_array_equal(dense(again.grn), matrix)


def test_networkx_graphs_become_networks():
    graph = nx.DiGraph([("a", "b", {"weight": 2.0, "score": 5}), ("c", "a", {})])
    grn = grnndata.from_networkx(graph, cells(), method="nx")
    assert grn.edges().to_numpy().tolist() == [["a", "b", 2.0], ["c", "a", 1.0]]
    assert grnndata.from_networkx(graph, weight="score").edges()["weight"].tolist() == [5, 1]
    assert grnndata.from_networkx(graph, weight=None).edges()["weight"].tolist() == [1, 1]
    several_edges = nx.MultiDiGraph([("a", "b", {"weight": 2.0}), ("a", "b", {"weight": 3.0})])
    assert grnndata.from_networkx(several_edges).edges()["weight"].tolist() == [5]
    graph.add_edge("a", "q")
    with pytest.raises(ValueError, match="1 gene of the edge table is not among the 4 genes of var_names: q"):
        grnndata.from_networkx(graph, cells())
    graph.add_edge("a", "q", weight=float("nan"))
    with pytest.raises(ValueError, match="1 weights are not finite"):
        grnndata.from_networkx(graph)


def test_one_table_may_hold_several_networks():
    table = several().networks.edges()
    again = grnndata.from_edges(table, cells(), by="network", method="GENIE3")
    assert list(again.networks) == ["rod cell", "CD4/CD8 %", "B"]
    for name, network in several().networks.items():
        np.testing.assert_array_equal(dense(again.networks[name].grn), dense(network.grn))
        assert again.networks[name].uns["grn"]["method"] == "GENIE3"
    with pytest.raises(ValueError, match="by='cell_type' is no column"):
        grnndata.from_edges(table, by="cell_type")
    with pytest.raises(ValueError, match="1 edge belongs to no network"):
        grnndata.from_edges(table.assign(network=[None, *table["network"][1:]]), by="network")


def test_tables_of_other_tools_are_recognised():
    table = pd.DataFrame({"TF": ["a"], "target": ["b"], "importance": [2.5]})
    assert grnndata.from_edges(table, cells()).edges().to_numpy().tolist() == [["a", "b", 2.5]]
    named = {"source": "from", "target": "to", "weight": "score"}
    table = table.set_axis(["from", "to", "score"], axis=1)
    assert grnndata.from_edges(table, columns=named).edges().to_numpy().tolist() == [["a", "b", 2.5]]

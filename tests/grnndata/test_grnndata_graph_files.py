"""GraphML and SIF: what networkx and igraph read in them, and what comes back."""

import igraph
import networkx as nx
import numpy as np
import pytest

import grnndata
from grnndata import read_network, write_graphml, write_sif
from grnndata.cli import main
from grnndata.ordered_edges import edge_parts

GENES = ['A<&"b', "NA", "5'NT", "alone", "self"]
WEIGHTS = np.zeros((5, 5), np.float32)
WEIGHTS[[0, 0, 1, 4], [1, 2, 0, 4]] = [0.1, -2e-9, 3, 0.5]


@pytest.fixture
def grn():
    return grnndata.from_matrix(WEIGHTS, GENES, method="mine")


def listed(grn) -> list[tuple[str, str, float]]:
    return list(grn.edges().itertuples(index=False, name=None))


def test_graphml_is_the_same_graph_to_networkx_and_igraph(grn, tmp_path):
    path = tmp_path / "n.graphml"
    write_graphml(grn, path)
    graph = nx.read_graphml(path)
    assert graph.is_directed()
    assert list(graph) == GENES
    held = {(s, t): np.float32(w) for s, t, w in graph.edges(data="weight")}
    assert held == {(GENES[i], GENES[j]): WEIGHTS[i, j] for i, j in np.argwhere(WEIGHTS)}
    other = igraph.Graph.Read_GraphML(str(path))
    assert other.vs["name"] == GENES
    assert {edge.tuple for edge in other.es} == {tuple(pair) for pair in np.argwhere(WEIGHTS).tolist()}
    assert np.float32(sorted(other.es["weight"])).tolist() == sorted(WEIGHTS[WEIGHTS != 0].tolist())
    again = read_network(path)
    assert again.var_names.tolist() == GENES
    assert listed(again) == listed(grn)


def test_graphs_of_networkx_and_igraph_are_read(grn, tmp_path):
    nx.write_graphml(grn.to_networkx(), tmp_path / "nx.graphml")
    grn.to_igraph().write_graphml(str(tmp_path / "ig.graphml"))  # nodes n0, n1, ... with names
    for name in ("nx.graphml", "ig.graphml"):
        again = read_network(tmp_path / name)
        assert again.var_names.tolist() == GENES
        assert listed(again) == listed(grn)
        assert len(grnndata.read_pairs(tmp_path / name)) == 4
    (tmp_path / "bad.graphml").write_text("<graphml>")
    with pytest.raises(ValueError, match=r"bad\.graphml is no GraphML file"):
        read_network(tmp_path / "bad.graphml")


def test_an_undirected_network_has_every_pair_once(tmp_path):
    weights = np.array([[0, 2, 0], [2, 0, -1], [0, -1, 0]], np.float32)
    grn = grnndata.from_matrix(weights, ["a", "b", "c"], directed=False)
    write_graphml(grn, tmp_path / "n.graphml")
    graph = nx.read_graphml(tmp_path / "n.graphml")
    assert not graph.is_directed()
    assert sorted(graph.edges(data="weight")) == [("a", "b", 2), ("b", "c", -1)]
    again = read_network(tmp_path / "n.graphml")
    assert not again.directed
    np.testing.assert_array_equal(again.grn.toarray(), weights)
    write_sif(grn, tmp_path / "n.sif")
    assert (tmp_path / "n.sif").read_text() == "a\tactivates\tb\nb\tinhibits\tc\n"


def test_sif_keeps_signs_and_genes_and_says_that_weights_are_lost(grn, tmp_path, caplog):
    path = tmp_path / "n.sif"
    write_sif(grn, path)
    assert "holds no weights" in caplog.text
    assert path.read_text().splitlines() == [
        "NA\tactivates\t" + GENES[0],
        "self\tactivates\tself",
        GENES[0] + "\tactivates\tNA",
        GENES[0] + "\tinhibits\t5'NT",
        "alone",
    ]
    again = read_network(path)
    assert set(again.var_names) == set(GENES)
    assert {(s, t, w) for s, t, w in listed(again)} == {(s, t, np.sign(w)) for s, t, w in listed(grn)}
    assert "activates, inhibits" in again.uns["grn"]["parameters"]["notes"][0]
    write_sif(grnndata.from_matrix(np.abs(WEIGHTS), GENES), path)
    assert path.read_text().startswith("NA\tregulates\t")
    # Several targets a line, blanks between the fields, as Cytoscape's manual has it.
    path.write_text("n1 pd n2 n3\nn2 inhibits n1\nn4\n")
    assert listed(read_network(path)) == [("n1", "n2", 1), ("n1", "n3", 1), ("n2", "n1", -1)]
    path.write_text("n1\tpd\n")
    with pytest.raises(ValueError, match=r"line 1: .* has a source and an interaction and no target"):
        read_network(path)
    with pytest.raises(ValueError, match="1 name with a tab or line end"):
        write_sif(grnndata.from_matrix(np.eye(1), ["a\tb"]), path)
    with pytest.raises(ValueError, match=r"end it with \.sif"):
        write_sif(grn, tmp_path / "n.txt")


def test_convert_on_the_command_line(tmp_path, capsys):
    table = tmp_path / "links.csv"
    table.write_text("cause,effect,strength\nA,B,0.5\nB,C,2\n")
    columns = ["--columns", "cause,effect,strength"]
    assert main(["convert", str(table), str(tmp_path / "n.graphml"), *columns]) == 0
    assert "n.graphml: 2 edges; what made it" in capsys.readouterr().out
    assert sorted(nx.read_graphml(tmp_path / "n.graphml").edges(data="weight")) == [("A", "B", 0.5), ("B", "C", 2)]
    assert main(["convert", str(tmp_path / "n.graphml"), str(tmp_path / "n.sif")]) == 0
    assert (tmp_path / "n.sif").read_text() == "B\tregulates\tC\nA\tregulates\tB\n"
    assert main(["hubs", str(table), "--columns", "cause", "effect"]) == 0
    assert main(["hubs", str(table)]) == 2
    assert "--columns from,to,score" in capsys.readouterr().err


def test_what_was_guessed_is_in_the_record(tmp_path, capsys):
    table = tmp_path / "links.tsv"
    table.write_text("A\tB\t0.5\nB\tC\t2\n")
    assert main(["convert", str(table), str(tmp_path / "n.h5ad")]) == 0
    capsys.readouterr()
    assert main(["inspect", str(tmp_path / "n.h5ad")]) == 0
    out = capsys.readouterr().out
    assert "note: there is no header, and by their order column 1 is the source" in out
    assert "notes there is no header" in out.partition("what made it")[2]
    assert main(["convert", str(table), str(tmp_path / "n.csv")]) == 0
    assert "there is no header" in (tmp_path / "n.csv.json").read_text()


@pytest.mark.parametrize("size", [1, 3, 7, 1000])
@pytest.mark.parametrize("levels", [1, 3, 10_000])
def test_parts_of_edges_are_the_list_of_edges(size, levels):
    rng = np.random.default_rng(levels)
    weights = rng.integers(-levels, levels + 1, size=(20, 20)).astype(np.float32) / 7
    grn = grnndata.from_matrix(weights, [f"g{i}" for i in range(20)])
    parts = list(edge_parts(grn.grn, grn.var_names, size=size))
    assert max(map(len, parts)) <= size
    whole = [row for part in parts for row in part.itertuples(index=False, name=None)]
    assert whole == listed(grn)

"""Sparsifying, hubs, communities, plots, transcription factors."""

import matplotlib as mpl
import networkx as nx
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

import grnndata
from grnndata import pl, tl

mpl.use("Agg")

BY_HAND = np.array(
    [
        [9.0, 1.0, -4.0, 2.0],
        [0.0, 0.0, 3.0, 0.0],
        [5.0, 1.0, 0.0, 1.0],
        [0.0, 0.0, 0.0, 0.0],
    ]
)
NAMES = ["a", "b", "c", "d"]


def make(matrix=BY_HAND, names=NAMES, **options):
    return grnndata.from_matrix(matrix, names, **options)


def random(n, seed, share=0.5):
    rng = np.random.default_rng(seed)
    return np.where(rng.random((n, n)) < share, rng.normal(size=(n, n)), 0).astype(np.float32)


def pairs(grn):
    return {(row.source, row.target): row.weight for row in grn.edges().itertuples()}


@pytest.mark.parametrize("kind", [np.asarray, sparse.csr_matrix])
def test_top_k_by_hand(kind):
    grn = make(kind(BY_HAND))
    assert pairs(tl.top_k(grn, 1)) == {("a", "c"): -4, ("b", "c"): 3, ("c", "a"): 5}
    assert pairs(tl.top_k(grn, 1, per="target")) == {("c", "a"): 5, ("a", "b"): 1, ("a", "c"): -4, ("a", "d"): 2}
    assert pairs(tl.top_k(grn, 2, per="all")) == {("c", "a"): 5, ("a", "c"): -4}
    assert pairs(tl.top_k(grn, 1, self_edges=True))["a", "a"] == 9
    assert tl.top_k(grn, 1).uns["grn"]["steps"] == ["top_k(k=1, per='regulator', self_edges=False)"]
    with pytest.raises(ValueError, match="per must be 'regulator', 'target' or 'all', got 'row'"):
        tl.top_k(grn, 1, per="row")
    with pytest.raises(ValueError, match=r"k .*positive|k must"):
        tl.top_k(grn, 0)


@pytest.mark.parametrize("per", ["regulator", "target", "all"])
@pytest.mark.parametrize("k", [1, 3, 20])
def test_top_k_equals_a_loop_with_ties(per, k):
    matrix = np.round(random(9, k), 1)  # rounding makes ties: the gene that comes first wins
    np.fill_diagonal(matrix, 0)
    lists = {"regulator": matrix, "target": matrix.T, "all": matrix.reshape(1, -1)}[per]
    kept = np.zeros_like(lists)
    for row, values in enumerate(lists):
        best = sorted(np.flatnonzero(values), key=lambda i: (-abs(values[i]), i))[:k]
        kept[row, best] = values[best]
    expected = kept.T if per == "target" else kept.reshape(9, 9)
    for kind in (np.asarray, sparse.csr_matrix):
        found = tl.top_k(make(kind(matrix), [f"g{i}" for i in range(9)]), k, per=per)
        np.testing.assert_array_equal(found.grn.toarray(), expected)


def test_strength_by_hand_and_against_networkx():
    grn = make()
    assert tl.strength(grn).to_dict() == {"a": 1 + 4 + 2, "b": 3, "c": 7, "d": 0}
    assert tl.strength(grn, "in").to_dict() == {"a": 5, "b": 2, "c": 7, "d": 3}
    assert tl.strength(grn, "in", signed=True).to_dict() == {"a": 5, "b": 2, "c": -1, "d": 3}
    assert tl.strength(grn, self_edges=True)["a"] == 9 + 1 + 4 + 2
    matrix = random(12, 3)
    names = [f"g{i}" for i in range(12)]
    np.fill_diagonal(matrix, 0)
    for kind in (np.asarray, sparse.csr_matrix):
        grn = make(kind(matrix), names)
        graph = grn.to_networkx()
        for direction, degree in (("out", graph.out_degree), ("in", graph.in_degree)):
            theirs = pd.Series(dict(degree(weight="weight")))
            ours = tl.strength(grn, direction, signed=True)
            np.testing.assert_allclose(ours[names], theirs[names], atol=1e-5)


def test_hubs_are_ranked_by_absolute_strength():
    table = tl.hubs(make(), 3)
    assert table["gene"].tolist() == ["a", "c", "b"]  # a: 1 + 4 + 2, the self edge does not count
    assert table["strength"].tolist() == [7, 7, 3]
    assert table["n_edges"].tolist()[2] == 1
    assert len(tl.hubs(make(), 100)) == 4
    assert tl.hubs(make(), 1, direction="in")["gene"].tolist() == ["c"]  # 4 + 3 = 7 against 5 for a


def planted(n=20, seed=0):
    rng = np.random.default_rng(seed)
    block = np.kron(np.eye(2), np.ones((n, n)))
    matrix = np.where(block > 0, rng.random((2 * n, 2 * n)) + 0.5, 0.05 * rng.random((2 * n, 2 * n)))
    return matrix, [f"g{i}" for i in range(2 * n)]


def test_louvain_finds_planted_blocks_and_is_seeded():
    grn = make(*planted())
    found = tl.louvain(grn)
    assert found.name == "community"
    assert found.index.equals(grn.var_names)
    assert found.iloc[:20].nunique() == found.iloc[20:].nunique() == 1
    assert set(found) == {0, 1}
    assert tl.louvain(grn, seed=1).equals(tl.louvain(grn, seed=1))


def test_louvain_resolution_and_order():
    grn = make(random(60, 5, share=0.2), [f"g{i}" for i in range(60)])
    coarse, fine = tl.louvain(grn, resolution=0.3), tl.louvain(grn, resolution=3)
    assert coarse.nunique() < fine.nunique()
    sizes = fine.value_counts().sort_index()
    assert sizes.is_monotonic_decreasing  # 0 is the largest
    with pytest.raises(ValueError, match="resolution must be a positive number"):
        tl.louvain(grn, resolution=0)


def test_louvain_modularity_is_that_of_networkx():
    matrix, names = planted(seed=3)
    symmetric = (matrix + matrix.T) / 2
    np.fill_diagonal(symmetric, 0)
    found = tl.louvain(make(matrix, names), top_k=None)
    graph = nx.from_numpy_array(symmetric)
    ours = [set(np.flatnonzero(found.to_numpy() == c)) for c in sorted(set(found))]
    best = nx.community.louvain_communities(graph, seed=0)
    modularity = nx.community.modularity
    assert modularity(graph, ours) == pytest.approx(modularity(graph, best), abs=1e-6)


def drawn_labels(ax):
    return {text.get_text() for text in ax.texts}


def test_subnetwork_draws_every_gene_and_edge_once():
    from matplotlib.patches import FancyArrowPatch

    grn = make()
    ax = pl.subnetwork(grn, ["a", "b", "c"], regulators=["b"])
    assert drawn_labels(ax) == {"a", "b", "c"}
    assert sum(len(points.get_offsets()) for points in ax.collections) == 3
    arrows = [p for p in ax.patches if isinstance(p, FancyArrowPatch)]
    assert len(arrows) == 5  # a→b, a→c, b→c, c→a, c→b
    assert max(p.get_linewidth() for p in arrows) > 2 * min(p.get_linewidth() for p in arrows)
    few = pl.subnetwork(grn, ["a", "b", "c"], top_edges=2)
    assert len([p for p in few.patches if isinstance(p, FancyArrowPatch)]) == 2
    more = pl.subnetwork(grn, ["c"], neighbours=1)
    assert drawn_labels(more) == {"c", "a"}
    mpl.pyplot.close("all")


def test_subnetwork_names_genes_and_refuses_unknown_ones():
    grn = make()
    grn.var["symbol"] = ["AAA", "BBB", "CCC", "DDD"]
    _, ax = mpl.pyplot.subplots()
    assert pl.subnetwork(grn, ["a", "c"], ax=ax) is ax
    assert drawn_labels(ax) == {"AAA", "CCC"}
    with pytest.raises(ValueError, match="nobody"):
        pl.subnetwork(grn, ["a", "nobody"])
    with pytest.raises(KeyError, match="label='colour' is no column of var"):
        pl.subnetwork(grn, ["a"], label="colour")
    mpl.pyplot.close("all")


def test_hub_bars_are_the_strengths():
    grn = make()
    ax = pl.hubs(grn, 3)
    lengths = sorted(max(bar.get_width(), bar.get_height()) for bar in ax.patches)
    assert len(ax.patches) == 3
    assert lengths[-1] == pytest.approx(7)
    mpl.pyplot.close("all")


def test_transcription_factors():
    human, mouse = grnndata.transcription_factors("human"), grnndata.transcription_factors("NCBITaxon:10090")
    assert len(human) == 1639
    assert {"TP53", "SOX2", "CRX"} <= set(human)
    assert "GAPDH" not in human
    assert "Trp53" in mouse
    assert grnndata.transcription_factors("Homo sapiens") == human
    with pytest.raises(ValueError, match="zebrafish"):
        grnndata.transcription_factors("zebrafish")


def test_lists_agree_with_the_reference(shared):
    import gzip

    for organism, name in (("human", "tf_human.txt.gz"), ("mouse", "tf_mouse.txt.gz")):
        lines = gzip.decompress((shared / "data/sets" / name).read_bytes()).decode().split()
        assert set(lines) == set(grnndata.transcription_factors(organism))


def test_methods_are_recognised_by_shape():
    from bengrn import get_method

    assert isinstance(get_method("pearson"), grnndata.GRNMethod)
    assert not isinstance(object(), grnndata.GRNMethod)

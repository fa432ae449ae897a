"""Gene sets in rankings of hubs and in communities."""

import sys

import numpy as np
import pandas as pd
import pytest
from scipy import sparse, stats

import grnndata
from grnndata.gene_sets import write_gmt
from grnndata.tools.centrality import strength
from grnndata.tools.enrichment import over_representation, prerank

gseapy = pytest.importorskip("gseapy")

COLUMNS = ["term", "es", "nes", "p_value", "q_value", "n_genes", "leading_edge"]


def make(matrix, names=None, symbols=None):
    names = [f"g{i}" for i in range(matrix.shape[0])] if names is None else list(names)
    grn = grnndata.from_matrix(matrix, names)
    if symbols is not None:
        grn.var["symbol"] = list(symbols)
    return grn


@pytest.fixture(scope="module")
def planted():
    """A network of 300 genes, g0 ... g29 with twice the strength, and sets of its genes."""
    rng = np.random.default_rng(0)
    matrix = rng.exponential(size=(300, 300))
    matrix[:30] *= 2
    matrix[270:] *= 0.5
    grn = make(matrix)
    names = list(grn.var_names)
    sets = {f"random {i}": list(rng.choice(names[30:270], 15, replace=False)) for i in range(20)}
    return grn, sets | {"hubs": [*names[:15], "not a gene"], "small": names[:4], "low": names[270:]}


def by_hand(values, genes):
    """Running sum of Subramanian et al. 2005, equation 1, with exponent 1."""
    values = values.sort_values(ascending=False)
    hit = values.index.isin(genes)
    steps = np.where(hit, values.abs() / values[hit].abs().sum(), -1 / (~hit).sum())
    running = np.cumsum(steps)
    return running[np.argmax(np.abs(running))]


def test_a_planted_set_is_found_and_scores_are_those_of_the_paper(planted):
    grn, sets = planted
    found = prerank(grn, sets)
    assert list(found.columns) == COLUMNS
    assert len(found) == 22  # "small" has four genes
    table = found.set_index("term")
    assert table.loc["hubs", "q_value"] < 0.01
    assert table.loc["hubs", "p_value"] == 1 / 1001
    assert table.loc["hubs", "nes"] == table["nes"].max()
    assert table.loc["low", "es"] < 0
    assert table.loc["low", "p_value"] < 0.05
    assert (table.drop(["hubs", "low"])["q_value"] > 0.05).all()
    assert found["p_value"].is_monotonic_increasing
    for term, genes in sets.items():
        if term != "small":
            assert table.loc[term, "es"] == pytest.approx(by_hand(strength(grn), genes), abs=1e-6)
            assert table.loc[term, "n_genes"] == len(set(genes) & set(grn.var_names))
    edge = table.loc["hubs", "leading_edge"].split(";")
    assert set(edge) == set(sets["hubs"]) - {"not a gene"}
    assert edge == strength(grn)[edge].sort_values(ascending=False).index.tolist()


def test_scores_are_those_of_gseapy_run_by_hand(planted):
    grn, sets = planted
    theirs = gseapy.prerank(
        strength(grn, "in"), sets, outdir=None, threads=1, min_size=5, max_size=1000, permutation_num=200, seed=3
    ).res2d.set_index("Term")
    ours = prerank(grn, sets, ranking="in_strength", n_permutations=200, seed=3).set_index("term")
    assert set(ours.index) == set(theirs.index)
    for column, their in (("es", "ES"), ("nes", "NES"), ("q_value", "FDR q-val")):
        np.testing.assert_allclose(ours[column], theirs.loc[ours.index, their].astype(float), atol=1e-6)
    raised = theirs.loc[ours.index, "NOM p-val"].astype(float).clip(lower=1 / 201)
    np.testing.assert_allclose(ours["p_value"], raised, atol=1e-6)


def test_the_same_seed_gives_the_same_table_and_nothing_is_printed(planted, capfd):
    sets = {term: planted[1][term] for term in ("random 0", "random 1", "hubs")}
    one_target = np.zeros((300, 300))
    one_target[:40, 299] = 1  # every strength is 1 or 0: nothing but ties
    grn = make(sparse.csr_matrix(one_target))
    one = prerank(grn, sets, n_permutations=50)
    pd.testing.assert_frame_equal(one, prerank(grn, sets, n_permutations=50))
    assert not one.equals(prerank(grn, sets, n_permutations=50, seed=1))
    assert np.isfinite(one[["es", "nes", "p_value", "q_value"]]).all(axis=None)
    assert capfd.readouterr() == ("", "")


def test_sets_without_any_strength_are_scored_too():
    values = pd.Series(np.r_[np.arange(20, 0, -1), np.zeros(80)], [f"g{i}" for i in range(100)], dtype=float)
    grn = make(sparse.csr_matrix((100, 100)))
    sets = {"none": [f"g{i}" for i in range(50, 60)], "some": [f"g{i}" for i in (2, 9, 60, 61, 62)]}
    found = prerank(grn, sets, ranking=values, n_permutations=200).set_index("term")
    assert found.loc["none", "es"] < 0
    assert found.loc["some", "es"] == pytest.approx(by_hand(values, sets["some"]), abs=1e-6)
    assert found.loc["none", "p_value"] > 0.05  # of random sets of ten, a tenth have no strength either


def test_the_null_is_uniform_with_many_ties():
    rng = np.random.default_rng(1)
    values = pd.Series(np.where(rng.random(500) < 0.2, rng.integers(1, 5, 500), 0), [f"g{i}" for i in range(500)])
    sets = {f"s{i}": list(rng.choice(values.index, rng.choice([8, 25]), replace=False)) for i in range(150)}
    found = prerank(make(sparse.csr_matrix((500, 500))), sets, ranking=values.astype(float), n_permutations=400)
    assert stats.kstest(found["p_value"], "uniform").pvalue > 0.01
    assert (found["q_value"] > 0.05).all()


def test_labels_cases_and_repeated_symbols(planted):
    grn, sets = planted
    symbols = {name: f"Sym{name[1:]}" if int(name[1:]) % 2 else f"SYM{name[1:]}" for name in grn.var_names}
    labelled = make(grn.grn, grn.var_names, [symbols[name] for name in grn.var_names])
    renamed = {term: [symbols.get(gene, gene) for gene in genes] for term, genes in sets.items()}
    one, two = prerank(grn, sets, n_permutations=50), prerank(labelled, renamed, n_permutations=50)
    pd.testing.assert_frame_equal(one.drop(columns="leading_edge"), two.drop(columns="leading_edge"))
    assert two.set_index("term").loc["hubs", "leading_edge"].lower().startswith("sym")
    upper = {"hubs": [name.upper() for name in renamed["hubs"]]}
    # Half of the symbols are in upper case: only these are found, as names are compared as they are spelled.
    assert prerank(labelled, upper, n_permutations=50)["n_genes"].tolist() == [8]
    # The symbol of g0 is given to the weakest gene as well: its larger value counts.
    again = [symbols[name] for name in grn.var_names]
    again[299] = again[0]
    found = prerank(make(grn.grn, grn.var_names, again), {"hubs": renamed["hubs"]}, n_permutations=50)
    without = strength(grn).drop("g299")
    assert found["es"][0] == pytest.approx(by_hand(without, sets["hubs"]), abs=1e-6)


def test_rankings(planted):
    grn, sets = planted
    out = prerank(grn, sets, n_permutations=50)
    pd.testing.assert_frame_equal(prerank(grn, sets, ranking=strength(grn), n_permutations=50), out)
    turned = prerank(grn, sets, ranking=-strength(grn), n_permutations=50).set_index("term")
    assert turned.loc["low", "es"] > 0 > turned.loc["hubs", "es"]
    part = prerank(grn, sets, ranking=strength(grn).iloc[:200], n_permutations=50).set_index("term")
    assert "low" not in part.index
    matrix = np.random.default_rng(2).random((60, 60))
    matrix[:, :10] += 1
    central = make(matrix)
    found = prerank(central, {"top": [f"g{i}" for i in range(10)]}, ranking="eigenvector", n_permutations=50)
    expected = by_hand(grnndata.tl.eigenvector(central), [f"g{i}" for i in range(10)])
    assert found["es"][0] == pytest.approx(expected, abs=1e-6)


def test_sets_may_be_a_file(planted, tmp_path):
    grn, sets = planted
    write_gmt(sets, tmp_path / "sets.gmt.gz")
    pd.testing.assert_frame_equal(
        prerank(grn, tmp_path / "sets.gmt.gz", n_permutations=20), prerank(grn, sets, n_permutations=20)
    )


def test_prerank_errors(planted, monkeypatch):
    grn, sets = planted
    with pytest.raises(ValueError, match=r"none of 1 sets has 5 to 1,000 of the 300 genes: the sets hold SOX2, PAX6, "):
        prerank(grn, {"a": ["SOX2", "PAX6"]})
    with pytest.raises(ValueError, match="none of 1 sets has"):
        prerank(grn, {"all": list(grn.var_names)})
    with pytest.raises(TypeError, match="the set 'a' must be a list of genes, not the string 'SOX2'"):
        prerank(grn, {"a": "SOX2"})
    with pytest.raises(ValueError, match="ranking must be one of 'out_strength', 'in_strength', 'eigenvector' or"):
        prerank(grn, sets, ranking="degree")
    with pytest.raises(ValueError, match="the ranking holds 3 genes and one value only"):
        prerank(make(sparse.csr_matrix((3, 3))), sets)
    with pytest.raises(ValueError, match="1 gene of the ranking is not in var_names: SOX2"):
        prerank(grn, sets, ranking=pd.Series([1.0, 2.0], ["g1", "SOX2"]))
    with pytest.raises(ValueError, match="1 gene of the ranking is there more than once: g1"):
        prerank(grn, sets, ranking=pd.Series([1.0, 2.0], ["g1", "g1"]))
    with pytest.raises(ValueError, match="1 values of the ranking are NaN or infinite"):
        prerank(grn, sets, ranking=pd.Series([1.0, np.nan], ["g1", "g2"]))
    with pytest.raises(KeyError, match="label='name' is no column of var"):
        prerank(grn, sets, label="name")
    for option in ("n_permutations", "min_size", "max_size"):
        with pytest.raises(ValueError, match=f"{option} must be a positive whole number, got 0"):
            prerank(grn, sets, **{option: 0})
    monkeypatch.setitem(sys.modules, "gseapy", None)
    with pytest.raises(ImportError, match=r"pip install grnndata\[enrichment\]"):
        prerank(grn, sets)


def test_over_representation_by_hand():
    # Of ten genes three are tested; two of these are in the set of four. P(2 or 3) = (C(4,2) 6 + C(4,3)) / C(10,3).
    background = [f"g{i}" for i in range(10)]
    sets = {"four": ["g0", "g1", "g2", "g3", "far away"], "none": ["g7", "g8"], "one": ["g0"], "far": ["x", "y"]}
    found = over_representation(["g4", "g1", "g0", "g0"], sets, background=background, min_size=1)
    assert found["term"].tolist() == ["one", "four", "none"]
    row = found.iloc[1]
    assert row["p_value"] == pytest.approx((6 * 6 + 4) / 120)
    assert row["odds_ratio"] == pytest.approx((2 * 5) / (1 * 2))
    assert (row["n_overlap"], row["n_genes"], row["genes"]) == (2, 4, "g0;g1")
    assert found["p_value"].tolist() == pytest.approx([3 / 10, 1 / 3, 1])
    assert found["q_value"].tolist() == pytest.approx([0.5, 0.5, 1])
    assert found["odds_ratio"].tolist() == [np.inf, 5, 0]
    assert found["genes"].tolist() == ["g0", "g0;g1", ""]
    columns = ["term", "odds_ratio", "p_value", "q_value", "n_overlap", "n_genes", "genes"]
    assert list(found.columns) == columns


def test_over_representation_equals_fisher_and_gseapy():
    rng = np.random.default_rng(3)
    background = [f"g{i}" for i in range(2000)]
    sets = {f"s{i}": list(rng.choice(background, rng.integers(5, 200), replace=False)) for i in range(40)}
    genes = list(dict.fromkeys([*sets["s7"][:40], *rng.choice(background, 100, replace=False)]))
    found = over_representation(genes, sets, background=background).set_index("term")
    for term, members in sets.items():
        a = len(set(genes) & set(members))
        table = [[a, len(genes) - a], [len(members) - a, 2000 - len(genes) - len(members) + a]]
        odds, p = stats.fisher_exact(table, alternative="greater")
        assert found.loc[term, "p_value"] == pytest.approx(p, rel=1e-9)
        assert found.loc[term, "odds_ratio"] == pytest.approx(odds)
        assert set(found.loc[term, "genes"].split(";")) - {""} == set(genes) & set(members)
    assert found.index[0] == "s7"
    theirs = gseapy.enrich(genes, sets, background=background, outdir=None, no_plot=True).res2d.set_index("Term")
    np.testing.assert_allclose(found.loc[theirs.index, "p_value"], theirs["P-value"].astype(float), rtol=1e-6)
    np.testing.assert_allclose(found["q_value"], stats.false_discovery_control(found["p_value"]), rtol=1e-12)


def test_communities_are_tested_one_by_one():
    names = [f"g{i}" for i in range(40)]
    community = pd.Series([0] * 15 + [1] * 15 + [2] * 9 + [3], names)
    sets = {"first": names[:10], "second": names[15:25], "last": [*names[30:39], names[0]]}
    found = over_representation(community, sets, background=names)
    assert found["community"].tolist() == [0] * 3 + [1] * 3 + [2] * 3  # community 3 has one gene
    assert found.groupby("community")["term"].first().tolist() == ["first", "second", "last"]
    for c in range(3):
        alone = over_representation(community.index[community == c], sets, background=names)
        part = found[found["community"] == c].drop(columns="community").reset_index(drop=True)
        pd.testing.assert_frame_equal(part.drop(columns="q_value"), alone.drop(columns="q_value"))
    np.testing.assert_allclose(found["q_value"], stats.false_discovery_control(found["p_value"]))
    by_name = over_representation(community.map({0: "b", 1: "a", 2: np.nan}), sets, background=names)
    assert by_name["community"].tolist() == ["a"] * 3 + ["b"] * 3


def test_a_network_as_background_gives_symbols():
    ids = [f"ENSG{i:03d}" for i in range(30)]
    symbols = [f"SYM{i}" for i in range(30)]
    symbols[29] = "SYM0"  # two genes of one symbol count once
    grn = make(sparse.csr_matrix((30, 30)), ids, symbols)
    sets = {"a": symbols[:8], "b": symbols[10:20]}
    one = over_representation(ids[:10], sets, background=grn)
    pd.testing.assert_frame_equal(one, over_representation(symbols[:10], sets, background=grn))
    pd.testing.assert_frame_equal(one, over_representation(symbols[:10], sets, background=symbols))
    pd.testing.assert_frame_equal(one, over_representation([*ids[:10], ids[29]], sets, background=grn))
    assert one["genes"][0] == ";".join(symbols[:8])
    plain = over_representation(ids[:10], {"a": ids[:8]}, background=make(sparse.csr_matrix((30, 30)), ids))
    assert plain["n_overlap"].tolist() == [8]


def test_over_representation_errors():
    names = [f"g{i}" for i in range(20)]
    sets = {"a": names[:6]}
    with pytest.raises(ValueError, match=r"2 genes are not in the background of 20: SOX2, PAX6; drop them"):
        over_representation(["g1", "SOX2", "PAX6"], sets, background=names)
    with pytest.raises(ValueError, match="a Series holds communities and is indexed by gene"):
        over_representation(pd.Series(["g1", "g2"]), sets, background=names)
    with pytest.raises(ValueError, match="there are no genes to test"):
        over_representation([], sets, background=names)
    with pytest.raises(ValueError, match="each of the 2 communities has one gene only"):
        over_representation(pd.Series([0, 1], ["g1", "g2"]), sets, background=names)
    with pytest.raises(TypeError, match="genes must be a list of gene names, not the string 'g1'"):
        over_representation("g1", sets, background=names)
    with pytest.raises(TypeError, match="background must be a list"):
        over_representation(["g1"], sets, background="g1")
    with pytest.raises(ValueError, match="none of 1 sets has 7 to 1,000 of the 20 genes"):
        over_representation(["g1"], sets, background=names, min_size=7)


def test_hubs_of_collectri_are_transcription_factors(shared):
    table = pd.read_csv(shared / "data" / "networks" / "collectri_human.csv.gz")
    grn = grnndata.from_edges(table)
    factors = grnndata.transcription_factors()
    rng = np.random.default_rng(0)
    sets = {"TF": factors} | {f"random {i}": list(rng.choice(grn.var_names, 1000, replace=False)) for i in range(5)}
    found = prerank(grn, sets, max_size=2000, n_permutations=300).set_index("term")
    assert found.loc["TF", "es"] > 0.9
    assert found.loc["TF", "p_value"] == 1 / 301
    assert found.loc["TF", "q_value"] < 0.01
    assert (found.drop("TF")["p_value"] > 0.01).all()
    assert found.index[0] == "TF"
    listed = over_representation(strength(grn).nlargest(200).index, {"TF": factors}, background=grn, max_size=2000)
    assert listed["p_value"][0] < 1e-50


def test_ties_go_by_names_and_not_by_places():
    rng = np.random.default_rng(0)
    matrix = rng.integers(0, 2, (60, 60)).astype(float)  # strengths with many ties
    grn = make(matrix)
    order = rng.permutation(60)
    moved = make(matrix[np.ix_(order, order)], names=grn.var_names[order])
    sets = {f"set {i}": [f"g{j}" for j in rng.choice(60, 12, replace=False)] for i in range(4)}
    one, other = (prerank(network, sets, n_permutations=50, seed=2) for network in (grn, moved))
    pd.testing.assert_frame_equal(one, other)

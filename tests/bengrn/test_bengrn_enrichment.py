"""Enrichment: hubs against gene sets, rows against known targets; planted truths are found and chance is not."""

from __future__ import annotations

import shutil
import sys

import numpy as np
import pandas as pd
import pytest
import requests
import scipy.sparse as sp
from scipy.stats import false_discovery_control, kstest, mannwhitneyu
from sklearn.metrics import roc_auc_score

import bengrn
import grnndata
from bengrn.enrichment import encode_targets, enrich
from bengrn.methods.correlation import PEARSON

GENES = [f"G{i}" for i in range(120)]
FACTORS = GENES[:8]
HUB_RANKINGS = ["out_strength", "in_strength", "eigenvector"]


def known_targets(seed: int = 0, genes: list[str] = GENES, popular: bool = False) -> bengrn.GroundTruth:
    """20 targets for each of 8 factors, never itself; `popular`: mostly the same ones."""
    rng = np.random.default_rng(seed)
    rows = []
    for i, factor in enumerate(FACTORS):
        pool = range(60, 85) if popular else [j for j in range(len(genes)) if j != i]
        rows += [(genes[GENES.index(factor)], genes[j]) for j in rng.choice(pool, 20, replace=False)]
    return bengrn.GroundTruth.from_edges(pd.DataFrame(rows, columns=["source", "target"]), name="planted")


def adjacency(truth: bengrn.GroundTruth) -> np.ndarray:
    is_true = np.zeros((len(GENES), len(GENES)), dtype=np.float32)
    edges = truth.edges
    is_true[[GENES.index(g) for g in edges["source"]], [GENES.index(g) for g in edges["target"]]] = 1
    return is_true


def noise(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).random((len(GENES), len(GENES)), dtype=np.float32)


def test_mann_whitney_by_hand():
    # A's row without A: B .9, C .5, D .5, E .1, F 0; targets B and C. Pairs (target, other) of 2 × 3: B beats D, E
    # and F; C ties with D and beats E and F: 5.5 of 6. Mean rank sum is 3; five values with one tie of two:
    # variance 6/12 (6 - 6/20) = 2.85; z = (5.5 - 3 - 0.5) / sqrt(2.85) = 1.1847, upper tail 0.11807.
    weights = np.zeros((6, 6))
    weights[0] = [7, -0.9, 0.5, 0.5, 0.1, 0]
    truth = bengrn.GroundTruth.from_edges(pd.DataFrame({"source": list("AAA"), "target": list("ABC")}))
    found = encode_targets((weights, list("ABCDEF")), truth, method="mann-whitney", min_targets=2).table.iloc[0]
    assert (found["tf"], found["n_targets"]) == ("A", 2)
    assert found["auroc"] == pytest.approx(5.5 / 6)
    assert found["p_value"] == pytest.approx(0.118068, abs=1e-6)
    assert found["q_value"] == found["p_value"]


@pytest.mark.parametrize("form", ["dense", "sparse", "transposed"])
def test_mann_whitney_equals_scipy(form):
    truth = known_targets(1)
    weights = np.round(noise(3) * 6 - 3) * (noise(4) < 0.6)
    given = {"dense": weights, "sparse": sp.csr_matrix(weights), "transposed": np.ascontiguousarray(weights.T)}[form]
    found = encode_targets((given, GENES), truth, method="mann-whitney", transpose=form == "transposed")
    expected = {}
    for i, factor in enumerate(FACTORS):
        others = np.arange(len(GENES)) != i
        is_target, row = adjacency(truth)[i, others] > 0, np.abs(weights[i, others]).astype(np.float64)
        test = mannwhitneyu(row[is_target], row[~is_target], alternative="greater", method="asymptotic")
        expected[factor] = (roc_auc_score(is_target, row), test.pvalue)
    table = found.table.set_index("tf").loc[FACTORS]
    np.testing.assert_allclose(table[["auroc", "p_value"]], [expected[factor] for factor in FACTORS], rtol=1e-9)
    np.testing.assert_allclose(table["q_value"], false_discovery_control(table["p_value"]))
    assert found.table["p_value"].is_monotonic_increasing
    assert (found.n_tested, found.share) == (8, (table["q_value"] <= 0.05).mean())


def test_specific_equals_counting_other_rows():
    truth, weights = known_targets(2), np.round(noise(5) * 9)
    weights[30:40] = 0  # these rank nothing: no part of chance
    weights[50:60] = 4
    found = encode_targets((weights, GENES), truth)
    assert found.n_null == 100
    for row in found.table.itertuples():
        i = GENES.index(row.tf)
        area = {}
        for k in [*range(30), *range(40, 50), *range(60, 120)]:
            others = np.arange(len(GENES)) != k
            area[k] = roc_auc_score(adjacency(truth)[i, others], weights[k, others])
        own = area.pop(i)
        assert row.auroc == pytest.approx(own)
        assert row.auroc_expected == pytest.approx(np.mean(list(area.values())))
        assert row.p_value == pytest.approx((1 + sum(a >= own - 1e-12 for a in area.values())) / 100)


def test_planted_targets_are_found_in_one_direction_only():
    truth = known_targets(3)
    network = noise(6) + 0.5 * adjacency(truth)
    for method in ("specific", "mann-whitney", "prerank"):
        found = encode_targets((network, GENES), truth, method=method, n_permutations=200)
        lost = encode_targets((network.T, GENES), truth, method=method, n_permutations=200)
        turned = encode_targets((network.T, GENES), truth, method=method, n_permutations=200, transpose=True)
        assert (found.share, lost.share) == (1, 0), method
        pd.testing.assert_frame_equal(found.table, turned.table)
    assert found.table["nes"].min() > 1.3
    assert "8 of 8 factors" in repr(found)


def test_popular_targets_are_no_merit():
    # Every row ranks the same genes high, and these are the known targets of all factors.
    truth = known_targets(4, popular=True)
    popularity = np.where((np.arange(120) >= 60) & (np.arange(120) < 85), 0.6, 0).astype(np.float32)
    network = noise(7) + popularity
    naive = encode_targets((network, GENES), truth, method="mann-whitney")
    specific = encode_targets((network, GENES), truth)
    assert naive.share == 1
    assert naive.share_by_chance > 0.99  # it says so itself
    assert (specific.share, specific.share_by_chance < 0.05) == (0, True)
    assert specific.table["auroc_expected"].min() > 0.8
    # A real signal on top of it is still found.
    found = encode_targets((network + 0.4 * adjacency(truth), GENES), truth)
    assert found.share > 0.8


def test_p_values_of_random_networks_are_uniform():
    p_values: dict[str, list[float]] = {"specific": [], "mann-whitney": []}
    by_chance = []
    for seed in range(40):
        truth = known_targets(seed)
        for method, values in p_values.items():
            found = encode_targets((noise(100 + seed), GENES), truth, method=method)
            values += found.table["p_value"].tolist()
            by_chance.append(found.share_by_chance)
    for method, values in p_values.items():
        assert kstest(values, "uniform").pvalue > 0.01, method
        assert np.mean(np.array(values) <= 0.05) == pytest.approx(0.05, abs=0.03), method
    assert np.mean(by_chance) < 0.03


def test_order_of_genes_does_not_matter_and_seeds_repeat():
    truth, weights = known_targets(8), np.round(noise(9) * 5)
    order = np.random.default_rng(0).permutation(len(GENES))
    shuffled = (weights[np.ix_(order, order)], [GENES[i] for i in order])
    for method in ("specific", "mann-whitney"):
        pd.testing.assert_frame_equal(
            encode_targets((weights, GENES), truth, method=method).table,
            encode_targets(shuffled, truth, method=method).table,
        )
    few = [encode_targets((weights, GENES), truth, n_permutations=40, seed=seed) for seed in (1, 1, 2)]
    assert {found.n_null for found in few} == {40}
    pd.testing.assert_frame_equal(few[0].table, few[1].table)
    assert few[0].share_by_chance == few[1].share_by_chance
    assert not few[0].table.equals(few[2].table)


def test_a_factor_without_edges_is_tested_and_not_found():
    truth = known_targets(3)
    network = noise(6) + 0.5 * adjacency(truth)
    network[0] = 0
    for method in ("specific", "mann-whitney", "prerank"):
        table = encode_targets((network, GENES), truth, method=method, n_permutations=200).table.set_index("tf")
        assert table.loc["G0", ["auroc", "p_value"]].tolist() == [0.5, 1]
        assert table["significant"].sum() == 7


def test_regulators_narrow_what_is_tested_and_what_is_chance():
    truth = known_targets(3)
    found = encode_targets((noise(1), GENES), truth, regulators=[*FACTORS[:3], *GENES[50:80]])
    assert sorted(found.table["tf"]) == FACTORS[:3]
    assert found.n_null == 33


def test_targets_bad_input():
    truth, weights = known_targets(0), noise(0)
    with pytest.raises(ValueError, match=r"none of 8 factors of the truth 'planted' has 30 known targets"):
        encode_targets((weights, GENES), truth, min_targets=30)
    with pytest.raises(ValueError, match=r"only 9 rows of other regulators .* needs 20"):
        encode_targets((weights, GENES), truth, regulators=[*FACTORS, "G70", "G71"])
    with pytest.raises(ValueError, match="method must be of specific, mann-whitney, prerank, not 'fisher'"):
        encode_targets((weights, GENES), truth, method="fisher")
    with pytest.raises(ValueError, match="n_permutations = 0"):
        encode_targets((weights, GENES), truth, n_permutations=0)
    with pytest.raises(ValueError, match="fdr = 5 is not between 0 and 1"):
        encode_targets((weights, GENES), truth, fdr=5)
    with pytest.raises(ValueError, match="min_targets = 0"):
        encode_targets((weights, GENES), truth, min_targets=0)
    weights[3, 5] = np.nan
    with pytest.raises(ValueError, match="1 of 14,280 scores are NaN"):
        encode_targets((weights, GENES), truth)
    with pytest.raises(ValueError, match="share no gene"):
        encode_targets((noise(0), [f"X{i}" for i in range(120)]), truth)


# ---------------------------------------------------------------- hubs


def factor_genes() -> list[str]:
    factors = sorted(grnndata.transcription_factors("human"))[:200:10]
    return [*factors, *(f"GENE{i}" for i in range(180))]


def hub_network(seed: int, boost: float = 0.0) -> tuple[np.ndarray, list[str]]:
    weights = np.random.default_rng(seed).random((200, 200), dtype=np.float32) ** 2
    weights[:20] *= 1 + boost
    return weights, factor_genes()


def test_planted_hubs_are_found_by_their_ranking():
    result = enrich(hub_network(0, 0.5), sets="tf")
    rows = result.table.set_index("ranking")
    assert list(rows.index) == HUB_RANKINGS
    assert rows["n_genes"].tolist() == [20, 20, 20]
    assert rows["significant"].tolist() == [True, False, False]
    assert rows.loc["out_strength", "q_value"] <= 0.05
    assert set(rows.loc["out_strength", "leading_edge"].split(";")) <= set(factor_genes()[:20])
    weights, genes = hub_network(0, 0.5)
    turned = enrich((weights.T, genes), sets="tf").table.set_index("ranking")
    assert turned["significant"].tolist() == [False, True, True]  # as targets, and so the eigenvector over in-edges
    assert "tf, out_strength: transcription factors: NES" in str(result)


def test_hub_rows_are_those_of_prerank():
    weights, genes = hub_network(1, 0.1)
    own = {"first": genes[:30], "last": genes[-25:], "tiny": genes[:4]}
    result = enrich((weights, genes), sets=own, n_permutations=200, seed=5)
    grn = grnndata.from_matrix(weights, genes)
    for ranking in HUB_RANKINGS:
        rows = result.table[result.table["ranking"] == ranking].reset_index(drop=True)
        expected = grnndata.tl.prerank(grn, own, ranking=ranking, n_permutations=200, seed=5)
        pd.testing.assert_frame_equal(rows[expected.columns], expected)
        aware = grnndata.tl.camera(grn, own, ranking=ranking).set_index("term").loc[rows["term"]]
        np.testing.assert_allclose(rows["p_correlated"], aware["p_value"], rtol=1e-6)
        np.testing.assert_allclose(rows["q_correlated"], aware["q_value"], rtol=1e-6)
        np.testing.assert_allclose(rows["difference"], aware["difference"], rtol=1e-6)
    assert "allowing for co-regulation (" in str(result)
    assert (result.table["test"] == "own").all()
    assert (result.table["fdr_over"] == "camera, 2 sets of this ranking").all()
    at_the_top = result.table["q_correlated"].le(0.05) & result.table["difference"].gt(0)
    assert (result.table["significant"] == at_the_top).all()


def test_programs_of_co_regulated_genes_are_not_called_hubs():
    # Genes of a program share their weights, whatever these are: strengths of a program rise and fall together.
    called, naive, tested = 0, 0, 0
    for seed in range(10):
        rng = np.random.default_rng(seed)
        of_program = rng.gamma(2.0, 1.0, (10, 200))
        weights = (np.repeat(of_program, 20, axis=0) * rng.gamma(4.0, 0.25, (200, 200))).astype(np.float32)
        genes = [f"G{i}" for i in range(200)]
        sets = {f"program {i}": genes[20 * i : 20 * i + 20] for i in range(10)}
        result = enrich((weights, genes), sets=sets, rankings="out_strength", n_permutations=100, seed=seed)
        called += result.table["significant"].sum()
        naive += (result.table["q_value"].le(0.05) & result.table["nes"].gt(0)).sum()
        tested += len(result.table)
    assert naive > 0.15 * tested
    assert called < 0.02 * tested


def test_hubs_of_random_networks_are_not_enriched():
    sets = {"set": factor_genes()[:20]}
    p_values = [
        enrich(hub_network(seed), sets=sets, rankings="out_strength", n_permutations=200, seed=seed).table.loc[
            0, "p_value"
        ]
        for seed in range(60)
    ]
    assert kstest(p_values, "uniform").pvalue > 0.01
    assert np.mean(np.array(p_values) <= 0.05) < 0.15


def test_seeds_repeat_in_the_whole_table():
    first, again, other = (
        enrich(hub_network(2, 0.1), sets="tf", n_permutations=100, seed=seed).table for seed in (3, 3, 4)
    )
    pd.testing.assert_frame_equal(first, again)
    assert not first.equals(other)


def test_a_network_without_cycles_has_no_eigenvector_and_says_so():
    weights, genes = hub_network(0, 0.5)
    result = enrich((np.triu(weights, 1), genes), sets="tf")
    assert result.table["ranking"].tolist() == ["out_strength", "in_strength"]
    why = result.summary.set_index("ranking")["not_available"]
    assert "eigenvalue" in why["eigenvector"]
    assert why["out_strength"] == ""
    assert "tf, eigenvector: not available: " in str(result)
    with pytest.raises(ValueError, match=r"no result of test 'tf' for ranking 'eigenvector': .*eigenvalue"):
        result.top("tf", "eigenvector")


def test_where_only_factors_regulate_their_list_is_not_restated():
    weights, genes = hub_network(0)
    weights[20:] = 0
    result = enrich((weights, genes), sets="tf")
    why = result.summary.set_index("ranking")["not_available"]
    assert why["out_strength"].startswith("only transcription factors have outgoing edges")
    assert result.table["ranking"].tolist() == ["in_strength", "eigenvector"]
    # The same by the list of regulators alone; half of them other genes, and it can be asked.
    weights, genes = hub_network(0, 0.5)
    result = enrich((weights, genes), sets="tf", rankings="in_strength", regulators=genes[:20])
    assert result.table["ranking"].tolist() == ["in_strength"]
    mixed = enrich((weights, genes), sets="tf", rankings="out_strength", regulators=genes[:40])
    assert mixed.table.loc[0, ["n_genes", "significant"]].tolist() == [20, True]


@pytest.fixture
def offline(monkeypatch, tmp_path):
    def fail(*_args, **_kwargs):
        raise requests.ConnectionError("no route to host")

    monkeypatch.setenv("GRNNDATA_CACHE", str(tmp_path))
    monkeypatch.setattr(requests, "get", fail)
    monkeypatch.setattr("grnndata._download.time.sleep", lambda _: None)


def test_offline_the_markers_are_left_out_unless_asked_for(offline):
    result = enrich(hub_network(0, 0.5), n_permutations=50)
    summary = result.summary.set_index(["test", "ranking"])
    assert "no route to host" in summary.loc[("cell_types", "all"), "not_available"]
    assert summary.loc[("tf", "out_strength"), "not_available"] == ""
    assert "no edge of the truth 'encode'" in summary.loc[("encode", "all"), "not_available"]
    assert set(result.table["test"]) == {"tf"}
    with pytest.raises(ValueError, match=r"no result of test 'cell_types' .*no route to host"):
        result.top()
    with pytest.raises(ConnectionError, match="no route to host"):
        enrich(hub_network(0), sets=("tf", "cell_types"))
    with pytest.raises(ValueError, match="no edge of the truth 'encode'"):
        enrich(hub_network(0), sets="encode")


def test_mouse_has_factors_but_no_encode(offline):
    factors = sorted(grnndata.transcription_factors("mouse"))[:200:10]
    weights, genes = hub_network(0, 0.5)
    result = enrich((weights, [*factors, *genes[20:]]), organism="mouse", rankings="out_strength")
    assert result.table[["test", "n_genes", "significant"]].to_numpy().tolist() == [["tf", 20, True]]
    summary = result.summary.set_index("test")["not_available"]
    assert summary["encode"].startswith("ENCODE's targets are of human, the network is of mouse")


def test_without_gseapy_only_the_targets_can_be_tested(monkeypatch):
    monkeypatch.setitem(sys.modules, "gseapy", None)
    with pytest.raises(ImportError, match=r"pip install bengrn\[enrichment\]"):
        enrich(hub_network(0))
    assert set(enrich(encode_network(0), sets="encode").table["test"]) == {"encode"}


def test_bad_options():
    network = hub_network(0)
    with pytest.raises(ValueError, match="sets must be of 'tf', 'cell_types', 'encode', each once; got 'go'"):
        enrich(network, sets="go")
    with pytest.raises(ValueError, match=r"rankings must be of 'out_strength', .*got 'pagerank'"):
        enrich(network, rankings=("pagerank",))
    with pytest.raises(ValueError, match=r"rankings must be of .*got none"):
        enrich(network, rankings=())
    with pytest.raises(ValueError, match="no gene set"):
        enrich(network, sets={})
    with pytest.raises(TypeError, match="must be a list of genes, not the string 'SOX2'"):
        enrich(network, sets={"mine": "SOX2"})
    with pytest.raises(ValueError, match="the largest overlap is 1: the sets hold"):
        enrich(network, sets={"mine": ["GENE1", "NOPE"]})
    with pytest.raises(ValueError, match="none of the 1 regulators"):
        enrich(network, sets="tf", regulators=["NOPE"])
    with pytest.raises(TypeError, match="regulators must be a list of gene names, not the string 'SOX2'"):
        enrich(network, regulators="SOX2")
    with pytest.raises(ValueError, match="organism 'yeast'"):
        enrich(network, organism="yeast", sets="tf")
    with pytest.raises(ValueError, match="are of human, the network is of mouse"):
        enrich(network, organism="mouse", sets="encode")
    with pytest.raises(ValueError, match=r"no enrichment test can be made.*out_strength: the ranking holds 200 genes"):
        enrich((np.ones((200, 200)), network[1]), sets="tf")
    weights = network[0].copy()
    weights[0, 1] = np.nan
    with pytest.raises(ValueError, match="NaN"):
        enrich((weights, network[1]), sets="tf")
    with pytest.raises(TypeError, match="cannot score a str"):
        enrich("network.h5ad")


# ---------------------------------------------------------------- real truths and data


def encode_network(seed: int, signal: float = 0.5) -> tuple[np.ndarray, list[str]]:
    edges = bengrn.load_truth("encode").edges
    factors = sorted(edges["source"].unique())[::4]
    genes = [*factors, *(gene for gene in sorted(edges["target"].unique())[::30] if gene not in factors)]
    weights = np.random.default_rng(seed).random((len(genes), len(genes)), dtype=np.float32)
    place = {gene: i for i, gene in enumerate(genes)}
    for source, target in edges[["source", "target"]].itertuples(index=False):
        if source in place and target in place:
            weights[place[source], place[target]] += signal
    return weights, genes


def test_encode_in_the_whole_table():
    weights, genes = encode_network(0)
    result = enrich((weights, genes), sets=("encode",))
    summary = result.summary.set_index("ranking")
    for method in ("specific", "mann-whitney"):
        rows = result.table[result.table["ranking"] == method].reset_index(drop=True)
        alone = encode_targets((weights, genes), method=method)
        assert rows["term"].tolist() == alone.table["tf"].tolist()
        pd.testing.assert_series_equal(rows["q_value"], alone.table["q_value"])
        assert summary.loc[method, "share"] == alone.share > 0.9
        assert summary.loc[method, "share_by_chance"] == alone.share_by_chance < 0.1
        assert (rows["fdr_over"] == f"Benjamini-Hochberg, {alone.n_tested} factors").all()
    assert enrich((weights.T, genes), sets="encode").summary["share"].max() < 0.2
    assert enrich(encode_network(0, signal=0), sets="encode").summary["n_significant"].max() <= 1
    assert "factors rank their targets high, " in str(result)


def test_symbols_and_ids_give_the_same():
    weights, genes = encode_network(1, signal=0.2)
    ids = pd.Index([f"ENSG{i:011d}" for i in range(len(genes))])
    grn = grnndata.from_matrix(weights, ids)
    grn.var["symbol"] = genes
    pd.testing.assert_frame_equal(
        enrich((weights, genes), sets=("tf", "encode"), n_permutations=100).table,
        enrich(grn, sets=("tf", "encode"), n_permutations=100).table,
    )


@pytest.fixture(scope="module")
def retina() -> grnndata.GRNAnnData:
    """|Pearson| of the 1,000 most expressed genes of 1,000 human retina cells."""
    from scdataloader.datasets import retina_1k

    cells = retina_1k()
    mean = np.asarray(cells.X.mean(axis=0)).ravel()
    chosen = np.sort(np.argsort(-mean, kind="stable")[:1000])
    return PEARSON.infer(cells[:, chosen].copy())


def test_retina_from_cells_to_table(retina):
    result = enrich(retina, sets=("tf", "encode"), n_permutations=200)
    assert result.n_genes == 1000
    table = result.table
    assert list(table.columns[:4]) == ["test", "ranking", "term", "n_genes"]
    assert table["p_value"].between(0, 1).all()
    assert table["q_value"].between(0, 1).all()
    assert table.loc[table["test"] == "encode", "auroc"].between(0, 1).all()
    summary = result.summary.set_index(["test", "ranking"])
    assert (summary["not_available"] == "").all()
    assert summary.loc[("encode", "specific"), "n_tested"] == summary.loc[("encode", "mann-whitney"), "n_tested"] >= 2
    # |Pearson| is symmetric: hubs by rows are hubs by columns.
    tf = table[table["test"] == "tf"].set_index("ranking")
    assert tf.loc["out_strength", "nes"] == pytest.approx(tf.loc["in_strength", "nes"])


def test_retina_shows_photoreceptors(retina, shared, tmp_path, monkeypatch):
    shutil.copy(shared / "data" / "sets" / "PanglaoDB_markers_27_Mar_2020.tsv.gz", tmp_path)
    monkeypatch.setenv("GRNNDATA_CACHE", str(tmp_path))
    result = enrich(retina, sets="cell_types")
    for ranking in HUB_RANKINGS:
        top = result.top("cell_types", ranking)
        assert "Photoreceptor cells" in top["term"].tolist()[:2]
        assert top["q_value"].iloc[0] <= 0.05
        # They follow each other, so that few genes of their own speak for the set: the test that knows it is silent.
        assert top["q_correlated"].iloc[0] > 0.05
        assert not top["significant"].iloc[0]
        assert (top["nes"] > 0).all()
        assert len(top) <= 10
    assert "top 10: " in str(result)


def test_a_curated_network_knows_encode(shared):
    table = pd.read_csv(shared / "data" / "networks" / "collectri_human.csv.gz").drop_duplicates(["source", "target"])
    edges = table[["source", "target"]].assign(weight=1.0)
    found = encode_targets(edges)
    assert (found.n_tested, found.truth) == (82, "encode")
    assert found.share > 0.3
    assert found.share_by_chance < 0.01
    assert encode_targets(edges, transpose=True).share == 0
    naive = encode_targets(edges, method="mann-whitney")
    assert naive.share > 0.3
    # The wrong direction still "finds" some, as popular targets are popular regulators' too: so it is not the default.
    assert encode_targets(edges, method="mann-whitney", transpose=True).share > 0.1

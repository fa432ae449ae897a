"""The score table that other packages ask for."""

from __future__ import annotations

from dataclasses import replace
from importlib.metadata import entry_points

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData

import bengrn
import grnndata
from bengrn.align import align
from bengrn.baselines import random_expectation
from bengrn.methods.correlation import PEARSON
from bengrn.network import as_network
from bengrn.scoring import score_universe

SYMBOLS = ["SOX2", "PAX6", "ACTB", "GAPDH", "OTX2", "RHO"]
IDS = [f"ENSG0000000000{i}" for i in range(6)]


@pytest.fixture
def truth() -> bengrn.GroundTruth:
    pairs = [("SOX2", "PAX6"), ("SOX2", "RHO"), ("PAX6", "OTX2"), ("ACTB", "GAPDH"), ("GAPDH", "RHO")]
    return bengrn.GroundTruth.from_edges(pd.DataFrame(pairs, columns=["source", "target"]), name="five")


@pytest.fixture
def network() -> grnndata.GRNAnnData:
    rng = np.random.default_rng(5)
    cells = AnnData(rng.poisson(4.0, (40, 6)).astype(np.float32), var=pd.DataFrame({"symbol": SYMBOLS}, index=IDS))
    return grnndata.GRNAnnData(cells, grn=rng.random((6, 6), dtype=np.float32), method="mine")


def test_each_row_is_what_score_says(network, truth):
    table = bengrn.score_against_omnipath(network, truth=truth, seed=3)
    assert list(table.columns) == [
        *("method", "orientation", "universe", "ap", "ap_ratio", "auprc_paper", "auroc", "epr", "odds_ratio"),
        *(
            "ap_low",
            "ap_high",
            "ap_ratio_low",
            "ap_ratio_high",
            "auprc_paper_low",
            "auprc_paper_high",
            "auroc_low",
            "auroc_high",
        ),
        *("epr_low", "epr_high", "odds_ratio_low", "odds_ratio_high", "gain", "gain_low", "gain_high"),
        *("prevalence", "n_positives", "n_regulators", "n_targets", "truth", "truth_version"),
    ]
    rows = table.set_index(["universe", "method", "orientation"])
    assert len(rows) == 18
    factors = ["SOX2", "PAX6"]
    for universe, regulators in {"all": "truth", "TF": factors}.items():
        expected = {
            ("mine", "as stored"): bengrn.score(network, truth, regulators=regulators),
            ("mine", "transposed"): bengrn.score(network, truth, transpose=True, regulators=regulators),
            ("pearson", "symmetric"): bengrn.score(PEARSON.infer(network), truth, regulators=regulators),
        }
        for key, scores in expected.items():
            row = rows.loc[(universe, *key)]
            for column in rows.columns[~rows.columns.str.endswith(("_low", "_high")) & (rows.columns != "gain")]:
                assert row[column] == pytest.approx(getattr(scores, column)), column
    assert rows.loc[("all", "mine", "as stored"), "n_regulators"] == 4
    assert rows.loc[("TF", "mine", "as stored"), "n_regulators"] == 2


def test_intervals_are_those_of_the_scores_and_hubs_stand_beside(truth):
    rng = np.random.default_rng(0)
    genes = [f"G{i}" for i in range(30)]
    edges = [(genes[i], genes[j]) for i in range(12) for j in rng.choice(30, 5, replace=False) if i != j]
    truth = bengrn.GroundTruth.from_edges(pd.DataFrame(edges, columns=["source", "target"]))
    weights = rng.random((30, 30), dtype=np.float32)
    network = grnndata.from_matrix(weights, genes, method="mine")
    rows = bengrn.score_against_omnipath(network, truth=truth, seed=4).set_index(["method", "orientation"])
    scores = bengrn.score(network, truth)
    expected = scores.bootstrap(seed=4).table
    ours = rows.loc[("mine", "as stored")]
    for name in ("ap", "auroc", "epr", "odds_ratio"):
        assert ours[f"{name}_low"] == pytest.approx(expected.loc[name, "low"])
        assert ours[f"{name}_high"] == pytest.approx(expected.loc[name, "high"])
        assert ours[f"{name}_low"] < ours[name] < ours[f"{name}_high"]
    assert rows.loc[("random expectation", "any"), ["ap_low", "epr_high"]].isna().all()
    # self weights add nothing to a strength
    np.fill_diagonal(weights, 0)
    rank = weights[:12].sum(axis=1)[:, None] * weights[:12].sum(axis=0)
    implied = grnndata.from_matrix(np.vstack([rank, np.zeros((18, 30))]).astype(np.float32), genes)
    hubs = rows.loc[("hubs of mine", "as stored")]
    assert hubs["ap"] == pytest.approx(bengrn.score(implied, truth).ap)
    assert hubs["auroc"] == pytest.approx(bengrn.score(implied, truth).auroc)


def test_rivals_stand_on_the_same_pairs_with_paired_intervals():
    rng = np.random.default_rng(0)
    genes = [f"G{i}" for i in range(30)]
    edges = [(genes[i], genes[j]) for i in range(12) for j in rng.choice(30, 5, replace=False) if i != j]
    truth = bengrn.GroundTruth.from_edges(pd.DataFrame(edges, columns=["source", "target"]))
    is_true = pd.DataFrame(0.0, genes, genes)
    for source, target in edges:
        is_true.loc[source, target] = 1.0
    # one knows much, the other nearly the same and a little less: its score moves with the one's
    known = is_true.to_numpy() + 1.5 * rng.random((30, 30))
    less = known + 0.15 * rng.random((30, 30))
    cells = AnnData(rng.poisson(np.arange(30) + 1.0, (40, 30)).astype(np.float32), var=pd.DataFrame(index=genes))
    network = grnndata.GRNAnnData(cells, grn=known.astype(np.float32), method="mine")
    few = less * (np.arange(30) < 3)[:, None]
    made = {name: grnndata.from_matrix(one.astype(np.float32), genes) for name, one in (("less", less), ("few", few))}
    table = bengrn.score_against_omnipath(network, truth=truth, rivals=made, seed=4)
    rows = table.set_index(["method", "orientation"])
    assert "few" not in set(table["method"])  # it has weights of three of the twelve regulators
    rival, ours = rows.loc[("less", "as stored")], rows.loc[("mine", "as stored")]
    assert rival["ap"] == pytest.approx(bengrn.score(made["less"], truth).ap)
    assert rival["gain"] == pytest.approx(ours["ap_ratio"] - rival["ap_ratio"])
    found = bengrn.compare({"mine": network, "less": made["less"]}, truth, metric="ap_ratio", n_replicates=200, seed=4)
    pair = found.pairs.iloc[0]
    assert (rival["gain_low"], rival["gain_high"]) == pytest.approx((pair["low"], pair["high"]))
    assert rival["gain_high"] - rival["gain_low"] < 0.5 * (ours["ap_ratio_high"] - ours["ap_ratio_low"])
    assert np.isnan(ours["gain"])
    assert rows.loc[("random expectation", "any"), ["gain", "gain_low"]].isna().all()
    assert rows.loc[("hubs of mine", "as stored"), "gain_low"] > 0
    # the product of the genes' mean expression, no more
    logged = np.log1p(cells.X / cells.X.sum(axis=1, keepdims=True) * 1e4).mean(axis=0)
    product = grnndata.from_matrix(np.outer(logged, logged).astype(np.float32), genes)
    assert rows.loc[("abundance", "symmetric"), "ap"] == pytest.approx(bengrn.score(product, truth).ap)
    popular = bengrn.score_table(network, truth, seed=4).set_index("method").loc["degrees of the truth"]
    assert rows.loc[("degrees of the truth", "any"), ["ap", "ap_low"]].tolist() == popular[["ap", "ap_low"]].tolist()
    with pytest.raises(ValueError, match="the rival 'turned' has other genes than the network, or another order"):
        bengrn.score_against_omnipath(network, truth=truth, rivals={"turned": made["less"][:, genes[::-1]]})


def test_the_same_genes_in_another_order_have_the_same_table(truth):
    weights = np.random.default_rng(1).random((6, 6), dtype=np.float32)
    order = [3, 0, 5, 1, 4, 2]
    turned = grnndata.from_matrix(weights[np.ix_(order, order)], [SYMBOLS[i] for i in order])
    for table in (bengrn.score_against_omnipath, bengrn.score_table):
        one, other = (table(grn, truth=truth, seed=2) for grn in (grnndata.from_matrix(weights, SYMBOLS), turned))
        pd.testing.assert_frame_equal(one, other)


def test_random_rows(network, truth):
    table = bengrn.score_against_omnipath(network, truth=truth, seed=3).query("universe == 'all'")
    expectation = table[table["method"] == "random expectation"].iloc[-1]
    assert expectation["prevalence"] == 5 / (4 * 5)
    # in 20 pairs luck alone puts some of the 5 true ones on top
    assert expectation["ap"] == pytest.approx(0.352542, abs=1e-6)
    assert expectation[["auroc", "epr"]].tolist() == [0.5, 1]
    assert expectation["odds_ratio"] > 1
    drawn = table[table["method"] == "random (mean of 10)"].iloc[0]
    assert abs(drawn["auroc"] - 0.5) < 0.2
    again = bengrn.score_against_omnipath(network, truth=truth, seed=3).query("universe == 'all'")
    pd.testing.assert_frame_equal(table, again)
    other = bengrn.score_against_omnipath(network, truth=truth, seed=4).query("universe == 'all'")
    assert drawn["auroc"] != other[other["method"] == "random (mean of 10)"].iloc[0]["auroc"]


def test_both_tables_and_the_scores_have_one_random_expectation(network, truth):
    rows = bengrn.score_against_omnipath(network, truth=truth).query("universe == 'all'").set_index("method")
    table = bengrn.score_table(network, truth).set_index("method")
    scores = bengrn.score(network, truth)
    for key in ("ap", "auroc", "epr", "odds_ratio"):
        assert (
            rows.loc["random expectation", key]
            == table.loc["random expectation", key]
            == scores.random_expectation[key]
            == random_expectation(scores.n_pairs, scores.n_positives)[key]
        )


@pytest.mark.slow
def test_random_expectation_is_what_many_random_networks_score_on_average(network, truth):
    rng = np.random.default_rng(0)
    expected = bengrn.score(network, truth).random_expectation
    # each network has the same genes: they are brought onto those of the truth once
    first = as_network((rng.random((6, 6)), SYMBOLS))
    universe = align(first, truth)
    assert universe.n_pairs == 20
    drawn = [
        score_universe(replace(universe, scores=rng.random(universe.scores.shape)), first, truth, transposed=False)
        for _ in range(2000)
    ]
    assert {one.n_pairs for one in drawn} == {20}
    for key, value in expected.items():
        values = np.array([getattr(one, key) for one in drawn])
        error = values.std() / len(values) ** 0.5
        assert abs(values.mean() - value) < 4 * error + 1e-12, key
    assert expected["ap"] > expected["prevalence"] + 0.09  # the difference is seen by this test


def test_without_cells_there_is_no_pearson_row(network, truth):
    bare = grnndata.from_matrix(network.grn, SYMBOLS, method="bare")
    table = bengrn.score_against_omnipath(bare, truth=truth)
    rows = {"bare", "hubs of bare", "degrees of the truth", "random (mean of 10)", "random expectation"}
    assert set(table["method"]) == rows


def test_without_transcription_factors_there_is_one_universe(network):
    table = pd.DataFrame([("ACTB", "GAPDH"), ("RHO", "ACTB")], columns=["source", "target"])
    for organism in ("human", "yeast"):
        truth = bengrn.GroundTruth.from_edges(table, organism=organism)
        assert set(bengrn.score_against_omnipath(network, truth=truth)["universe"]) == {"all"}


def test_factors_are_found_when_only_the_truth_knows_their_symbols(network, truth):
    by_symbol = dict(zip(SYMBOLS, IDS, strict=True))
    edges = truth.edges.assign(
        source_id=truth.edges["source"].map(by_symbol), target_id=truth.edges["target"].map(by_symbol)
    )
    del network.var["symbol"]
    table = bengrn.score_against_omnipath(network, truth=bengrn.GroundTruth.from_edges(edges))
    assert table.query("universe == 'TF'")["n_regulators"].unique().tolist() == [2]


@pytest.mark.slow
def test_against_the_bundled_omnipath_by_default_and_by_entry_point():
    truth = bengrn.load_truth("omnipath-demo")
    network = grnndata.from_edges(
        truth.edges[["source_id", "target_id"]].set_axis(["source", "target"], axis=1).assign(weight=1.0)
    )
    (point,) = entry_points(group="scprint.scorers", name="bengrn")
    table = point.load()(network)
    assert table.loc[0, "ap"] == pytest.approx(1.0)
    assert table.loc[0, "n_positives"] == len(truth)
    assert table.loc[1, "orientation"] == "transposed"
    assert table["truth"].unique().tolist() == ["omnipath-demo"]
    assert table["truth_version"].unique().tolist() == [truth.version]
    assert table.loc[1, "ap"] < 0.5

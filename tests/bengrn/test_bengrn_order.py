"""What chance decides follows the names of genes: a network in another order has the same scores and intervals."""

import numpy as np
import pandas as pd
import pytest

import bengrn
import grnndata
from bengrn import GroundTruth
from bengrn.enrichment import encode_targets
from bengrn.uncertainty import bootstrap

GENES = [f"G{i:02d}" for i in range(30)]


@pytest.fixture(scope="module")
def pair():
    """A network and a truth, and both again in another order."""
    rng = np.random.default_rng(0)
    weights = rng.random((30, 30)).astype(np.float32)
    truth = np.triu(rng.random((30, 30)) < 0.3, 1)[:14]
    weights[:14] += truth * rng.random(truth.shape) / 2
    rows, columns = np.nonzero(truth)
    edges = pd.DataFrame({"source": np.take(GENES, rows), "target": np.take(GENES, columns)})
    order = rng.permutation(30)
    return (
        (grnndata.from_matrix(weights, GENES), GroundTruth.from_edges(edges, name="mine")),
        (
            grnndata.from_matrix(weights[np.ix_(order, order)], [GENES[i] for i in order]),
            GroundTruth.from_edges(edges.sample(frac=1, random_state=1), name="mine"),
        ),
    )


def test_intervals(pair):
    one, other = (bengrn.score(network, truth).bootstrap(n_replicates=40, seed=3) for network, truth in pair)
    pd.testing.assert_frame_equal(one.table, other.table, rtol=1e-12)
    pd.testing.assert_frame_equal(one.replicates, other.replicates, rtol=1e-12)
    assert (one.table.loc["ap"].to_numpy() > 0).all()


def test_rewired_truths(pair):
    one, other = (bengrn.score(network, truth).degree_preserving(n_permutations=30) for network, truth in pair)
    np.testing.assert_allclose(one.null, other.null, rtol=1e-12)
    assert one.null_sd > 0


def test_comparison_of_networks(pair):
    # 14 regulators: 8,192 ways to exchange them, of which chance takes 100
    found = []
    for network, truth in pair:
        other = grnndata.from_matrix(np.abs(network.varp["GRN"] - 0.15), network.var_names)
        found.append(bengrn.compare({"a": network, "b": other}, truth, n_replicates=100).pairs)
    pd.testing.assert_frame_equal(*found, rtol=1e-12)
    assert 1 / 101 < found[0]["p_value"].item() < 1


@pytest.mark.parametrize("n_others", [20, 12])
def test_rows_of_other_genes_that_targets_are_tested_against(pair, n_others):
    options = {"min_targets": 2, "fdr": 0.2, "n_permutations": n_others, "seed": 1}
    found = [encode_targets(network, truth, **options) for network, truth in pair]
    pd.testing.assert_frame_equal(found[0].table, found[1].table, rtol=1e-9)
    assert found[0].share_by_chance == found[1].share_by_chance


def test_a_name_is_needed_for_each_regulator():
    scores, truth = np.random.default_rng(0).random((6, 9)), np.arange(0, 54, 5)
    with pytest.raises(ValueError, match=r"names have shape \(5,\), but there are 6 of them"):
        bootstrap(scores, truth, names=list("abcde"))

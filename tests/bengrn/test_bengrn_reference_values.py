"""The 28 small reference cases and the real ones, each over the universe its values were taken on."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import bengrn
from bengrn.methods.correlation import absolute_correlation
from bengrn.metrics import (
    Ranking,
    auroc,
    average_precision,
    early_precision_ratio,
    odds_ratio_at_k,
    rank_positives,
    trapezoid_auprc,
    true_positives_at_k,
)

SMALL = {
    "ap_sklearn": "ap",
    "auroc": "auroc",
    "auprc_trapz_exact": "auprc",
    "epr_ratio_k": "epr",
    "odds_ratio_k": "odds_ratio",
}
METRICS = {
    "ap": average_precision,
    "auroc": auroc,
    "auprc": trapezoid_auprc,
    "epr": early_precision_ratio,
    "odds_ratio": odds_ratio_at_k,
}
UNSCORABLE = {
    "empty_truth": "has no edge",
    "full_truth": "2,450 of 2,450 pairs are positive",
    "nan_scores": "scored weights are NaN",
}
NO_REFERENCE = {"rect_tf10x50", "inf_scores"}
# Infinite in the reference; 0.5 is added to each cell here.
PERFECT = {"perfect_binary", "perfect_graded", "one_positive_top"}
CASES = [
    *(
        "random50",
        "random50_diag0",
        "random50_dense_truth",
        "perfect_binary",
        "perfect_graded",
        "inverted_binary",
    ),
    *("inverted_graded", "ties_1digit", "ties_2levels", "zeros", "ones", "sparse90", "sparse99", "signed"),
    *("half_right", "rect_tf10x50", "truth_selfloops", "empty_truth", "full_truth", "one_positive_top"),
    *("all_top_fp", "nan_scores", "inf_scores", "int_scores", "float32", "csr", "n200_1pct", "n5"),
]


@pytest.fixture(scope="module")
def folder(shared: Path) -> Path:
    return shared / "fixtures" / "grn_scores"


@pytest.fixture(scope="module")
def small(folder: Path) -> tuple[dict[str, np.ndarray], dict[str, dict]]:
    with np.load(folder / "small_inputs.npz") as inputs:
        arrays = dict(inputs)
    metrics = json.loads((folder / "small_metrics.json").read_text())["cases"]
    assert sorted(metrics) == sorted(CASES)
    return arrays, metrics


def named_truth(truth: np.ndarray) -> bengrn.GroundTruth:
    rows, columns = np.nonzero(truth)
    return bengrn.GroundTruth.from_edges(
        pd.DataFrame({"source": [f"g{i}" for i in rows], "target": [f"g{j}" for j in columns]})
    )


@pytest.mark.parametrize("case", [case for case in CASES if case not in UNSCORABLE | dict.fromkeys(NO_REFERENCE)])
def test_small_cases_without_self_pairs(small, case):
    arrays, metrics = small
    weights, truth = arrays[f"{case}__scores"], arrays[f"{case}__truth"]
    reference = metrics[case]["ref"]
    genes = [f"g{i}" for i in range(len(weights))]
    scores = bengrn.score((weights, genes), named_truth(truth), regulators="all")
    assert scores.n_pairs == weights.size - len(weights)
    assert scores.lost["self"] == np.diag(truth).sum()
    assert true_positives_at_k(scores.ranking) == pytest.approx(reference["offdiag_tp_at_k_expected"], abs=1e-9)
    for theirs, ours in SMALL.items():
        if case in PERFECT and ours == "odds_ratio":
            p, n = scores.n_positives, scores.n_pairs - scores.n_positives
            assert scores.odds_ratio == pytest.approx((p + 0.5) * (n + 0.5) / 0.25)
        else:
            assert getattr(scores, ours) == pytest.approx(reference[f"offdiag_{theirs}"], rel=1e-9, abs=1e-12), ours


@pytest.mark.parametrize("case", sorted(UNSCORABLE))
def test_small_cases_that_cannot_be_scored(small, case):
    arrays, _ = small
    weights = arrays[f"{case}__scores"]
    with pytest.raises(ValueError, match=UNSCORABLE[case]):
        bengrn.score(
            (weights, [f"g{i}" for i in range(len(weights))]),
            named_truth(arrays[f"{case}__truth"]),
            regulators="all",
        )


def test_rectangle_with_its_self_pairs(small):
    # Ten regulators by fifty genes: its reference keeps the ten self pairs, so it is ranked directly.
    arrays, metrics = small
    reference = metrics["rect_tf10x50"]["ref"]
    ranking = rank_positives(arrays["rect_tf10x50__scores"].ravel(), arrays["rect_tf10x50__truth"].ravel())
    assert bengrn.metrics.average_precision(ranking) == pytest.approx(reference["all_ap_sklearn"], rel=1e-12)
    assert bengrn.metrics.auroc(ranking) == pytest.approx(reference["all_auroc"], rel=1e-12)


def test_infinite_weights_rank_and_do_not_fail(small):
    arrays, _ = small
    weights = arrays["inf_scores__scores"]
    assert np.isinf(weights).any()
    truth = named_truth(arrays["inf_scores__truth"])
    genes = [f"g{i}" for i in range(len(weights))]
    finite = np.nan_to_num(weights, posinf=1e300, neginf=-1e300)
    assert bengrn.score((weights, genes), truth).ap == bengrn.score((finite, genes), truth).ap


def test_a_csr_network_scores_as_its_dense_twin(small):
    import scipy.sparse as sp

    arrays, _ = small
    weights, truth = arrays["csr__scores"], named_truth(arrays["csr__truth"])
    genes = [f"g{i}" for i in range(len(weights))]
    dense = bengrn.score((weights, genes), truth).to_dict()
    for form in (sp.csr_matrix, sp.csr_array, sp.coo_matrix):
        assert bengrn.score((form(weights), genes), truth).to_dict() == dense


@pytest.fixture(scope="module")
def omnipath(shared: Path) -> pd.DataFrame:
    return pd.read_parquet(shared / "data/networks/omnipath.parquet", columns=["source", "target", "type"])


@pytest.fixture(scope="module")
def real(folder: Path) -> dict[str, dict]:
    return json.loads((folder / "real_metrics.json").read_text())["results"]


def real_network(folder: Path, name: str, form: str) -> tuple[np.ndarray, list[str]]:
    genes = pd.read_csv(folder / f"real_{name}_genes.csv", keep_default_na=False)
    with np.load(folder / f"real_{name}_L.npz") as stored:
        weights = absolute_correlation(stored["L"])
    if form != "full":
        weights[~genes["isTF"].to_numpy(dtype=bool)] = 0
    return weights, genes["symbol"].tolist()


def split(ranking: Ranking, *, true_first: bool, one_by_one: bool) -> Ranking:
    """Split every tie, but that of pairs without a weight, into true pairs and others, the former first or last."""
    place, is_true = np.arange(ranking.n_pairs), np.zeros(ranking.n_pairs, dtype=bool)
    for value, above, n, n_true in zip(ranking.value, ranking.n_above, ranking.n_tied, ranking.p_tied, strict=True):
        first = above if true_first else above + n - n_true
        is_true[first : first + n_true] = True
        if value == 0:
            place[above : above + n] = above
        elif not one_by_one:
            place[first : first + n_true] = first
    return rank_positives(-place, is_true)


def check_real(scores: bengrn.Scores, exact: dict) -> None:
    assert (scores.n_regulators, scores.n_targets) == (exact["rows"], exact["cols"])
    assert (scores.n_pairs, scores.n_positives) == (exact["noself_universe"], exact["noself_pos"])
    # Genes seen in the same few cells correlate alike and tie here. The reference ranks correlations as one BLAS
    # rounded them, which splits these ties in some order: its values lie between those of the best and the worst.
    # The grid of the correlations (an error of about 1e-8) may also swap pairs that differ by less: 1e-6 of a score.
    ways = [(first, single) for first in (False, True) for single in (False, True)]
    orders = [split(scores.ranking, true_first=first, one_by_one=single) for first, single in ways]
    for theirs, ours in SMALL.items():
        values = [METRICS[ours](ranking) for ranking in orders]
        assert min(values) - 1e-6 <= exact[f"noself_{theirs}"] <= max(values) + 1e-6, ours


@pytest.mark.slow
@pytest.mark.parametrize("form", ["full", "tf", "tf_T"])
@pytest.mark.parametrize("name", ["liu_G2000", "retina_G1000"])
def test_real_networks_against_all_of_omnipath(folder, real, omnipath, name, form):
    # Taken over all ordered pairs of the network's genes that OmniPath names, by its own (partly unmapped)
    # names.
    exact = real[name]["evals"][f"{form}|omnipath"]["exact"]
    truth = bengrn.GroundTruth.from_edges(omnipath, genes=set(omnipath["source"]) | set(omnipath["target"]))
    network = real_network(folder, name, form)
    check_real(bengrn.score(network, truth, regulators="all", transpose=form == "tf_T"), exact)


@pytest.mark.slow
@pytest.mark.parametrize("form", ["full", "tf", "tf_T"])
@pytest.mark.parametrize("name", ["liu_G2000", "retina_G1000"])
def test_real_networks_against_transcriptional_omnipath(folder, real, omnipath, name, form):
    # Rows are the genes that are a source anywhere in this part of OmniPath, columns the genes it names.
    edges = omnipath[omnipath["type"] == "transcriptional"]
    truth = bengrn.GroundTruth.from_edges(edges, genes=set(edges["source"]) | set(edges["target"]))
    network = real_network(folder, name, form)
    scores = bengrn.score(network, truth, regulators=set(edges["source"]), transpose=form == "tf_T")
    check_real(scores, real[name]["evals"][f"{form}|omnipath_onlytf"]["exact"])


@pytest.mark.parametrize("form", ["full", "tf", "tf_T"])
@pytest.mark.parametrize(("truth_name", "file"), [("full", "intersect"), ("ko", "perturbation")])
def test_real_network_against_stem_cell_truths(shared, folder, real, form, truth_name, file):
    # Rows are the truth's regulators found in the network, one of them without a true edge; columns all
    # genes.
    table = pd.read_csv(
        shared / f"data/networks/mccalla/hESC_{file}.tsv.gz", sep="\t", header=None, keep_default_na=False
    ).iloc[:, :2]
    truth = bengrn.GroundTruth.from_edges(table.set_axis(["source", "target"], axis=1))
    network = real_network(folder, "liu_G2000", form)
    scores = bengrn.score(network, truth, regulators=set(table[0]), transpose=form == "tf_T")
    check_real(scores, real["liu_G2000"]["evals"][f"{form}|mccalla_{truth_name}"]["exact"])

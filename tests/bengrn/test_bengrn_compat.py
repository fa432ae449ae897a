"""Other publications' definitions against the values that their tools gave, and by hand."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from sklearn.metrics import auc, roc_auc_score
from sklearn.metrics import precision_recall_curve as sklearn_curve

from bengrn.methods.correlation import absolute_correlation
from bengrn.metrics import expected_average_precision, published_scores, rank_positives

#: The tool of the reference values fails on a perfect top K, and ranks NaN somewhere.
FAILED = {"perfect_binary", "perfect_graded", "one_positive_top"}
REFUSED = {"empty_truth", "full_truth", "nan_scores"}
SCORED = [
    *("random50", "random50_diag0", "random50_dense_truth", "inverted_binary", "inverted_graded", "ties_1digit"),
    *("ties_2levels", "zeros", "ones", "sparse90", "sparse99", "signed", "half_right", "rect_tf10x50"),
    *("truth_selfloops", "all_top_fp", "inf_scores", "int_scores", "float32", "csr", "n200_1pct", "n5"),
]


@pytest.fixture(scope="module")
def folder(shared: Path) -> Path:
    return shared / "fixtures" / "grn_scores"


@pytest.fixture(scope="module")
def small(folder: Path) -> tuple[dict[str, np.ndarray], dict[str, dict]]:
    with np.load(folder / "small_inputs.npz") as inputs:
        arrays = dict(inputs)
    metrics = json.loads((folder / "small_metrics.json").read_text())["cases"]
    assert sorted(metrics) == sorted([*SCORED, *FAILED, *REFUSED])
    return arrays, metrics


def extremes(scores: np.ndarray, truth: np.ndarray, metric) -> tuple[float, float]:
    """Lowest and highest value over all orders of ties: true edges last, and first, in each block."""
    flat, hits = scores.ravel(), truth.ravel()
    return tuple(metric(hits[np.lexsort((key, -flat))]) for key in (hits, ~hits))


def untied(scores: np.ndarray, truth: np.ndarray, *, true_first: bool) -> np.ndarray:
    """Scores of the same order without ties, but for that of pairs without a weight; true edges first or last."""
    flat, hits = scores.ravel(), truth.ravel()
    place = np.empty(flat.size)
    place[np.lexsort((~hits if true_first else hits, -flat))] = np.arange(flat.size, 0, -1)
    return np.where(flat > 0, place, 0.0).reshape(scores.shape)


def dropped_ap(hits: np.ndarray) -> float:
    return float((np.cumsum(hits)[1:] / np.arange(2, hits.size + 1))[hits[1:]].sum() / hits.sum())


def check_bengrn(
    ours: dict[str, float], upstream: dict, scores: np.ndarray, truth: np.ndarray, tolerance: dict
) -> None:
    for key in ("precision", "recall", "rand_precision", "auprc"):
        assert ours[key] == pytest.approx(float(upstream[key]), nan_ok=True, **tolerance), key
    # What ties can do depends on the processor's sorting code; without any the two bounds are the same.
    low, high = extremes(scores, truth, dropped_ap)
    for value in (ours["ap"], ours["ap_tie_exact"], upstream["ap"]):
        assert low * (1 - 1e-9) - 1e-15 <= value <= high * (1 + 1e-9)
    if high - low < 1e-9:
        assert ours["ap"] == pytest.approx(upstream["ap"], **tolerance)
    n_positives = int(truth.sum())
    fewest, most = extremes(scores, truth, lambda hits: hits[:n_positives].sum())
    found = [ours[key] * ours["rand_precision"] * n_positives for key in ("epr", "epr_tie_exact")]
    assert all(fewest - 1e-6 <= tp <= most + 1e-6 for tp in found)
    if fewest == most:
        for key in ("epr", "odd_ratio"):
            assert ours[key] == pytest.approx(upstream[key], **tolerance), key
            assert ours[f"{key}_tie_exact"] == pytest.approx(upstream[key], **tolerance), key


@pytest.mark.parametrize("case", SCORED)
def test_bengrn_on_small_networks(small, case):
    arrays, metrics = small
    scores, truth = arrays[f"{case}__scores"], arrays[f"{case}__truth"]
    ours = published_scores(scores, truth, compat="bengrn-1.3.2")
    check_bengrn(ours, metrics[case]["upstream"], scores.astype(float), truth, {"rel": 1e-9, "abs": 1e-12})
    if case in ("random50", "random50_diag0", "random50_dense_truth", "half_right", "n5"):
        # A tenth of the scores are tied here: enough for the fifth digit. Processors differed by up to 2.02e-5.
        assert ours["ap"] == pytest.approx(metrics[case]["upstream"]["ap"], abs=1e-4)
    ref = metrics[case]["ref"]
    if "all_epr_ratio_k" in ref:
        n_rows, n_columns = scores.shape
        shrink = 1 - n_rows / (n_rows * n_columns)
        assert ours["epr_tie_exact"] == pytest.approx(ref["all_epr_ratio_k"] * shrink, rel=1e-9)


@pytest.mark.parametrize("case", sorted(FAILED))
def test_bengrn_where_the_tool_fails(small, case):
    arrays, metrics = small
    assert "UnboundLocalError" in metrics[case]["upstream"]["EXCEPTION"]
    truth = arrays[f"{case}__truth"]
    ours = published_scores(arrays[f"{case}__scores"], truth, compat="bengrn-1.3.2")
    assert ours["odd_ratio"] == ours["odd_ratio_tie_exact"] == np.inf
    assert ours["epr"] == pytest.approx(1 / ours["rand_precision"])
    # Perfect, but for the first pair, which is dropped.
    assert ours["ap"] == pytest.approx(1 - 1 / truth.sum())


@pytest.mark.parametrize("case", sorted(REFUSED))
def test_what_cannot_be_scored_is_refused_in_all_definitions(small, case):
    arrays, _ = small
    for compat in ("paper", "bengrn-1.3.2", "beeline"):
        with pytest.raises(ValueError, match=r"pairs are positive|scores are NaN, the first in row"):
            published_scores(arrays[f"{case}__scores"], arrays[f"{case}__truth"], compat=compat)


def test_bengrn_by_hand():
    # Pairs by falling score: .9 true, .5, .2 true, 0 0 0; two rows, so 6 - 2 = 4 pairs are counted.
    scores, truth = np.array([[0.9, 0.5, 0.0], [0.2, 0.0, 0.0]]), np.array([[1, 0, 0], [1, 0, 0]], dtype=bool)
    ours = published_scores(scores, truth, compat="bengrn-1.3.2")
    assert ours["rand_precision"] == 2 / 4
    assert ours["precision"] == pytest.approx(2 / 3)
    assert ours["recall"] == 1
    assert ours["ap"] == pytest.approx((2 / 3) / 2)
    assert ours["ap_tie_exact"] == pytest.approx((2 / 3) / 2)
    assert ours["epr"] == pytest.approx((1 / 2) / (2 / 4))
    # TP 1, FP 1, FN 1, TN 4 - 3.
    assert ours["odd_ratio"] == pytest.approx(1)
    # Quantiles run from 0 to .9, so the cut-offs give (recall, precision) (1, 2/3), (1/2, 1/2), (1/2, 1), (0, 0).
    assert ours["auprc"] == pytest.approx((2 / 3 + 1 / 2) / 2 * 0.5 + 1 / 2 * 0.5)


def test_bengrn_tie_exact_ap_is_the_mean_over_orders():
    rng = np.random.default_rng(0)
    scores, truth = rng.integers(0, 3, (4, 6)).astype(float), rng.random((4, 6)) < 0.3
    ours = published_scores(scores, truth, compat="bengrn-1.3.2")
    values = [dropped_ap(truth.ravel()[np.lexsort((rng.random(24), -scores.ravel()))]) for _ in range(20_000)]
    assert ours["ap_tie_exact"] == pytest.approx(np.mean(values), abs=4 * np.std(values) / np.sqrt(20_000))


@pytest.mark.parametrize("case", [*SCORED, *sorted(FAILED)])
def test_beeline_on_small_networks(small, case):
    arrays, metrics = small
    scores, truth, ref = arrays[f"{case}__scores"], arrays[f"{case}__truth"], metrics[case]["ref"]
    n_rows, n_columns = scores.shape
    for prefix, own in (("all", None), ("offdiag", np.arange(n_rows) if n_rows == n_columns else None)):
        ours = published_scores(scores, truth, compat="beeline", self_columns=own)
        keep = np.ones(truth.shape, dtype=bool)
        if own is not None:
            np.fill_diagonal(keep, False)
        weights, positive = np.abs(np.clip(scores[keep].astype(float), -1e300, 1e300)), truth[keep]
        precision, recall, _ = sklearn_curve(positive, weights)
        assert ours["auprc"] == pytest.approx(auc(recall, precision), rel=1e-9)
        assert ours["auroc"] == pytest.approx(roc_auc_score(positive, weights), abs=1e-12)
        assert ours["prevalence"] == pytest.approx(positive.mean())
        if f"{prefix}_beeline_epr" in ref:
            assert ours["epr"] == pytest.approx(ref[f"{prefix}_beeline_epr"], rel=1e-9)
            assert ours["n_selected"] == ref[f"{prefix}_beeline_selected"]


def test_beeline_by_hand():
    # K = 2, and the second absolute weight is shared by three pairs: three or four are selected.
    weights = np.array([[-0.9, 0.5, -0.5], [0.5, 0.1, 0.0]])
    truth = np.array([[1, 0, 1], [0, 0, 0]], dtype=bool)
    ours = published_scores(weights, truth, compat="beeline")
    assert ours["n_selected"] == 4
    assert ours["early_precision"] == 2 / 4
    assert ours["epr"] == pytest.approx((2 / 4) / (2 / 6))
    # Only one weight is not zero, so only it is selected.
    assert published_scores(weights == -0.9, truth, compat="beeline")["n_selected"] == 1
    nothing = published_scores(np.zeros((2, 3)), truth, compat="beeline")
    assert (nothing["n_selected"], nothing["early_precision"], nothing["epr"]) == (0, 0, 0)
    assert nothing["auprc"] == pytest.approx((1 + 2 / 6) / 2)


def test_paper_by_hand():
    # The paper_auprc docstring's case: 7/36. The best three hold two of three true pairs: 2 · 2 / (1 · 1).
    scores, truth = np.array([[0.9, 0.8, 0.7], [0, 0, 0]]), np.array([[1, 0, 1], [1, 0, 0]], dtype=bool)
    ours = published_scores(scores, truth, compat="paper")
    assert ours == pytest.approx({"auprc": 7 / 36, "epr": 4, "rand_precision": 0.5})
    perfect = published_scores(truth.astype(float), truth, compat="paper")
    assert perfect == pytest.approx({"auprc": 0.5, "epr": np.inf, "rand_precision": 0.5})


@pytest.mark.parametrize("compat", ["paper", "beeline"])
def test_self_pairs_count_for_nothing(compat):
    rng = np.random.default_rng(1)
    scores, truth = rng.random((6, 6)), rng.random((6, 6)) < 0.3
    first = published_scores(scores, truth, compat=compat, self_columns=np.arange(6))
    np.fill_diagonal(scores, 9)
    np.fill_diagonal(truth, ~np.diag(truth))
    assert published_scores(scores, truth, compat=compat, self_columns=np.arange(6)) == first


@pytest.mark.parametrize("compat", ["paper", "bengrn-1.3.2", "beeline"])
def test_sparse_scores_and_truth_are_taken_as_dense_and_left_alone(compat):
    rng = np.random.default_rng(2)
    scores, truth = rng.random((7, 9)) * (rng.random((7, 9)) < 0.5), rng.random((7, 9)) < 0.3
    kept = scores.copy(), truth.copy()
    dense = published_scores(scores, truth, compat=compat)
    assert published_scores(sp.csr_array(scores), sp.coo_array(truth), compat=compat) == dense
    np.testing.assert_array_equal(scores, kept[0])
    np.testing.assert_array_equal(truth, kept[1])


def test_unsigned_integers_are_not_wrapped():
    truth = np.array([[1, 0, 0, 1]], dtype=bool)
    for compat in ("bengrn-1.3.2", "beeline"):
        small = published_scores(np.array([[3, 2, 1, 0]], dtype=np.uint8), truth, compat=compat)
        assert small == pytest.approx(published_scores(np.array([[3.0, 2, 1, 0]]), truth, compat=compat))


def test_bad_arguments():
    with pytest.raises(ValueError, match=r"compat = 'beline' is not known: use one of 'paper', 'bengrn-1\.3\.2'"):
        published_scores(np.eye(2), np.eye(2), compat="beline")
    with pytest.raises(ValueError, match="leave self_columns out"):
        published_scores(np.eye(2), np.eye(2), compat="bengrn-1.3.2", self_columns=[0, 1])
    with pytest.raises(ValueError, match=r"scores \(2, 2\) and truth \(2, 3\) must have the same shape"):
        published_scores(np.eye(2), np.eye(2, 3), compat="paper")


@pytest.fixture(scope="module")
def real(folder: Path) -> dict[str, dict]:
    return json.loads((folder / "real_metrics.json").read_text())["results"]


@cache
def correlations(folder: Path, name: str) -> tuple[np.ndarray, pd.DataFrame]:
    genes = pd.read_csv(folder / f"real_{name}_genes.csv", keep_default_na=False)
    with np.load(folder / f"real_{name}_L.npz") as stored:
        weights = absolute_correlation(stored["L"])
    return weights, genes


@cache
def omnipath(shared: Path) -> pd.DataFrame:
    columns = ["source", "target", "type"]
    return pd.read_parquet(shared / "data/networks/omnipath.parquet", columns=columns).astype(object)


def universe(shared: Path, name: str, form: str, truth: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Scores, truth and self columns as the reference values took them."""
    weights, genes = correlations(shared / "fixtures" / "grn_scores", name)
    symbols = pd.Index(genes["symbol"], dtype=object)
    if form != "full":
        weights = np.where(genes["isTF"].to_numpy(dtype=bool)[:, None], weights, 0)
    if truth.startswith("mccalla"):
        file = {"mccalla_full": "intersect", "mccalla_ko": "perturbation"}[truth]
        edges = pd.read_csv(
            shared / f"data/networks/mccalla/hESC_{file}.tsv.gz", sep="\t", header=None, keep_default_na=False
        )
        edges = edges.iloc[:, :2].set_axis(["source", "target"], axis=1).astype(object)
        rows, columns = symbols[symbols.isin(edges["source"])], symbols
    else:
        edges = omnipath(shared)
        if truth == "omnipath_onlytf":
            edges = edges[edges["type"] == "transcriptional"]
        columns = symbols[symbols.isin(edges["source"]) | symbols.isin(edges["target"])]
        rows = columns if truth == "omnipath" else symbols[symbols.isin(edges["source"])]
    edges = edges[edges["source"].isin(rows) & edges["target"].isin(columns)]
    is_true = np.zeros((len(rows), len(columns)), dtype=bool)
    is_true[rows.get_indexer(edges["source"]), columns.get_indexer(edges["target"])] = True
    part = (weights.T if form == "tf_T" else weights)[np.ix_(symbols.get_indexer(rows), symbols.get_indexer(columns))]
    return part, is_true, columns.get_indexer(rows)


@pytest.mark.parametrize("form", ["full", "tf", "tf_T"])
@pytest.mark.parametrize(
    ("name", "truth"),
    [
        ("liu_G2000", "mccalla_full"),
        ("liu_G2000", "mccalla_ko"),
        ("liu_G2000", "omnipath"),
        ("liu_G2000", "omnipath_onlytf"),
        ("retina_G1000", "omnipath"),
        ("retina_G1000", "omnipath_onlytf"),
    ],
)
def test_real_networks(shared, real, name, form, truth):
    scores, is_true, own = universe(shared, name, form, truth)
    reference = real[name]["evals"][f"{form}|{truth}"]
    ours = published_scores(scores, is_true, compat="bengrn-1.3.2")
    # Genes seen in the same few cells correlate alike but for rounding, which differs between builds of BLAS.
    tolerance = {"rel": 2e-3, "abs": 1e-5}
    for key in ("precision", "recall", "rand_precision"):
        assert ours[key] == pytest.approx(reference["upstream"][key], rel=1e-12), key
    assert ours["auprc"] == pytest.approx(reference["upstream"]["auprc"], **tolerance)
    for key in ("epr", "odd_ratio"):
        assert ours[key] == pytest.approx(reference["upstream"][key], rel=2e-2), key
    low, high = extremes(scores, is_true, dropped_ap)
    assert low - 1e-5 <= reference["upstream"]["ap"] <= high + 1e-5
    assert low - 1e-12 <= ours["ap_tie_exact"] <= high + 1e-12
    if form == "full":
        assert ours["ap"] == pytest.approx(reference["upstream"]["ap"], **tolerance)
    ranking = rank_positives(scores.ravel(), is_true.ravel())
    dropped = expected_average_precision(ranking) - ours["ap_tie_exact"]
    assert -1e-12 <= dropped * is_true.sum() <= 1 + 1e-9
    beeline = published_scores(scores, is_true, compat="beeline", self_columns=own)
    assert beeline["n_selected"] == pytest.approx(reference["exact"]["noself_beeline_selected"], abs=2)
    assert beeline["epr"] == pytest.approx(reference["exact"]["noself_beeline_epr"], rel=2e-2)
    # The reference splits these ties in the order in which one BLAS rounded them: it lies between the extremes.
    orders = [scores, untied(scores, is_true, true_first=True), untied(scores, is_true, true_first=False)]
    for key, name in (("auroc", "noself_auroc"), ("auprc", "noself_auprc_trapz_exact")):
        values = [published_scores(order, is_true, compat="beeline", self_columns=own)[key] for order in orders]
        assert min(values) - 1e-5 <= reference["exact"][name] <= max(values) + 1e-5, key

"""All scores of a network against scikit-learn's two and one chunked sort, intervals too, on the same arrays."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.metrics import average_precision_score, roc_auc_score

from benchmarks.peer import NOT_RUN, run_peer
from benchmarks.timing import medians
from bengrn.metrics import (
    auroc,
    average_precision,
    early_precision_ratio,
    expected_average_precision,
    f_score_at_k,
    odds_ratio_at_k,
    overlap_p_value,
    paper_auprc,
    partial_auroc,
    per_regulator,
    precision_at_k,
    rank_matrix,
    recall_at_k,
    trapezoid_auprc,
)
from bengrn.uncertainty import bootstrap

METRICS = (
    average_precision,
    expected_average_precision,
    trapezoid_auprc,
    paper_auprc,
    auroc,
    partial_auroc,
    early_precision_ratio,
    odds_ratio_at_k,
    precision_at_k,
    recall_at_k,
    f_score_at_k,
    overlap_p_value,
)
#: Regulators, targets, and the share of true edges.
SIZES = ((1000, 1000, 0.01), (1000, 5000, 0.003), (5000, 5000, 0.0005868))
CHUNK = 1 << 19


def scoring_times(n_sizes: int = len(SIZES), *, peers: bool = True) -> pd.DataFrame:
    """Return median seconds of the first so many sizes; the self pairs of the square networks are left out by ours."""
    rows = []
    if not peers:
        NOT_RUN["bengrn"] = "left out of the quick run"
    for n_regulators, n_targets, density in SIZES[:n_sizes]:
        rng = np.random.default_rng(0)
        shape = (n_regulators, n_targets)
        truth = rng.random(shape, dtype=np.float32) < density
        scores = rng.random(shape, dtype=np.float32) + np.float32(0.2) * truth
        positives = np.flatnonzero(truth)

        def ours(scores: np.ndarray = scores, positives: np.ndarray = positives) -> list[float]:
            ranking = rank_matrix(scores, positives)
            return [metric(ranking) for metric in METRICS]

        def theirs(scores: np.ndarray = scores, truth: np.ndarray = truth) -> list[float]:
            return [
                average_precision_score(truth.ravel(), scores.ravel()),
                roc_auc_score(truth.ravel(), scores.ravel()),
            ]

        def chunked_sort(scores: np.ndarray = scores) -> None:
            flat = scores.ravel()
            for start in range(0, flat.size, CHUNK):
                np.sort(flat[start : start + CHUNK])

        def by_regulator(scores: np.ndarray = scores, positives: np.ndarray = positives) -> pd.DataFrame:
            return per_regulator(scores, positives)

        def intervals(scores: np.ndarray = scores, positives: np.ndarray = positives) -> object:
            return bootstrap(scores, positives, n_replicates=200)

        found = ours()
        np.testing.assert_allclose([found[0], found[4]], theirs(), rtol=1e-6)
        functions = {"ours": ours, "sort": chunked_sort, "rows": by_regulator, "intervals": intervals}
        times = medians(functions, repeats=5) | medians({"theirs": theirs}, repeats=1)
        del functions["rows"]
        processors = medians(functions, repeats=5, clock=time.process_time)
        rows.append(
            {
                "regulators × targets": f"{n_regulators:,} × {n_targets:,}",
                "true edges": len(positives),
                f"bengrn, {len(METRICS)} metrics": times["ours"],
                "one chunked float32 sort": times["sort"],
                "metrics / sort": times["ours"] / times["sort"],
                "scikit-learn, AP and AUROC": times["theirs"],
                "times faster than scikit-learn": times["theirs"] / times["ours"],
                "bengrn 1.3.2, its metrics": _published(scores, truth) if peers and n_regulators == n_targets else "",
                "scores of each regulator": times["rows"],
                "200 clustered replicates": times["intervals"],
                "replicates / sort": times["intervals"] / times["sort"],
                "metrics / sort, processor time": processors["ours"] / processors["sort"],
                "replicates / sort, processor time": processors["intervals"] / processors["sort"],
            }
        )
    return pd.DataFrame(rows)


def _published(scores: np.ndarray, truth: np.ndarray) -> float | str:
    """Return seconds that the published tool takes for one call; it ranks self pairs too."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "pairs.npz"
        np.savez(path, scores=scores, truth=truth)
        found = run_peer(Path(__file__).with_name("peer_bengrn.py"), "bengrn", [str(path)])
    return "" if found is None else float(found["seconds"])

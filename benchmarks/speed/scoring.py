"""All ranking metrics of bengrn against scikit-learn's two, and against one sort, on the same arrays."""

from __future__ import annotations

import numpy as np
import pandas as pd
from sklearn.metrics import average_precision_score, roc_auc_score

from benchmarks.timing import medians
from bengrn.metrics import early, ranking

#: Genes, and the share of true edges.
SIZES = ((1000, 0.01), (3000, 0.002))


def scoring_times() -> pd.DataFrame:
    rows = []
    for n_genes, density in SIZES:
        rng = np.random.default_rng(0)
        truth = rng.random(n_genes * n_genes) < density
        scores = (rng.random(n_genes * n_genes) + 0.2 * truth).astype(np.float32)

        def ours(scores: np.ndarray = scores, truth: np.ndarray = truth) -> list[float]:
            ranked = ranking.rank_positives(scores, truth)
            return [
                ranking.average_precision(ranked),
                ranking.trapezoid_auprc(ranked),
                ranking.paper_auprc(ranked),
                ranking.auroc(ranked),
                early.early_precision_ratio(ranked),
                early.odds_ratio_at_k(ranked),
            ]

        def theirs(scores: np.ndarray = scores, truth: np.ndarray = truth) -> list[float]:
            return [average_precision_score(truth, scores), roc_auc_score(truth, scores)]

        def one_sort(scores: np.ndarray = scores) -> np.ndarray:
            return np.sort(scores)

        np.testing.assert_allclose([ours()[0], ours()[3]], theirs(), rtol=1e-9)
        times = medians({"ours": ours, "theirs": theirs, "sort": one_sort}, repeats=5)
        rows.append(
            {
                "genes": n_genes,
                "true edges": int(truth.sum()),
                "bengrn, 6 metrics": times["ours"],
                "scikit-learn, AP and AUROC": times["theirs"],
                "one float32 sort": times["sort"],
                "times faster than scikit-learn": times["theirs"] / times["ours"],
            }
        )
    return pd.DataFrame(rows)

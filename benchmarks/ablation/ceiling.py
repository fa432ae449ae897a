"""How invariant to thinning any method can be on these cells: ``python -m benchmarks.ablation.ceiling FILE ...``.

Everything is fitted on the set's own cells and their labels, which no model has: by folds, so that no cell is named, or
placed, by what was learned from itself.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import sparse
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import KFold, StratifiedKFold

from benchmarks.ablation.scores import NEIGHBOURS, Cells, embedding_scores, evaluated, labelled, neighbours
from scdataloader import GeneVocabulary

RESULTS = Path(__file__).parents[1] / "results" / "invariance_ceiling.csv"
COMPONENTS = 50
#: Numbers of components of which the one that keeps most neighbours is told.
TRIED = (2, 3, 5, 10, 20, COMPONENTS)
FOLDS = 5
#: Labels of fewer cells are dealt to the folds as if they were the commonest one.
FEWEST = FOLDS


def ceiling(every: Cells, scored: np.ndarray, *, seed: int = 0) -> dict[str, float]:
    """Return how many labels and neighbours of the scored cells thinning leaves to methods that know the set.

    Parameters
    ----------
    every
        All cells of the set, on which methods are fitted.
    scored
        Places of the cells that are scored, among each other.
    """
    rng = np.random.default_rng(seed)
    thin, again, half, other_half = every.thinned(rng), every.thinned(rng), every.thinned(rng, 2), every.thinned(rng, 2)
    pca = PCA(COMPONENTS, svd_solver="arpack", random_state=0).fit(logs(every))
    whole, thinned, twice = (pca.transform(logs(cells)) for cells in (every, thin, again))
    halves = [pca.transform(logs(cells)) for cells in (half, other_half)]
    found = {
        "median counts": float(np.median(np.asarray(every.counts[scored].sum(axis=1)))),
        "median counts, thinned": float(np.median(np.asarray(thin.counts[scored].sum(axis=1)))),
        "neighbours, own PCs": kept(whole[scored], thinned[scored]),
        "neighbours, own PCs placed by regression": kept(whole[scored], placed(whole, thinned)[scored]),
        "neighbours, two thinnings": kept(thinned[scored], twice[scored]),
        "neighbours, thinned 2x": kept(whole[scored], halves[0][scored]),
        "neighbours, two thinnings 2x": kept(halves[0][scored], halves[1][scored]),
    }
    few = {n: kept(whole[scored, :n], thinned[scored, :n]) for n in TRIED}
    best = max(few, key=lambda n: few[n])
    found |= {"neighbours, best PCs": few[best], "best PCs": best}
    for which, n in (("best", best), ("own", COMPONENTS)):
        points = (one[scored, :n] for one in (whole, thinned))
        found[f"kNN, {which} PCs"] = embedding_scores(*points, every[scored])["knn"]
    names = {
        "regression": regressed(every.labels, whole, [thinned, pca.transform(logs(every.thinned(rng)))], twice),
        "likelihood": likeliest(every, [every, thin, again]),
    }
    for method, (of_whole, of_thin, of_again) in names.items():
        found[f"labels, {method}"] = float((of_whole == of_thin)[scored].mean())
        found[f"labels, {method}, two thinnings"] = float((of_thin == of_again)[scored].mean())
        found[f"right, {method}"] = float((of_whole == every.labels)[scored].mean())
        found[f"right, {method}, thinned"] = float((of_thin == every.labels)[scored].mean())
    return found


def logs(cells: Cells) -> sparse.csr_matrix:
    """Return ln(1 + CP10k) of the genes at hand."""
    counts = cells.counts.astype(np.float64)
    totals = np.maximum(np.asarray(counts.sum(axis=1)).ravel(), 1)
    counts.data = np.log1p(counts.data * np.repeat(1e4 / totals, np.diff(counts.indptr)))
    return counts


def kept(points: np.ndarray, thinned: np.ndarray) -> float:
    """Return the mean share of a cell's nearest ten that are still among its nearest ten."""
    pairs = zip(neighbours(points), neighbours(thinned), strict=True)
    return float(np.mean([len(set(a) & set(b)) / NEIGHBOURS for a, b in pairs]))


def placed(whole: np.ndarray, thinned: np.ndarray) -> np.ndarray:
    """Return where a ridge regression, fitted on the other folds, expects thinned cells to lie when whole."""
    expected = np.empty_like(whole)
    for others, these in KFold(FOLDS, shuffle=True, random_state=0).split(whole):
        expected[these] = Ridge(1.0).fit(thinned[others], whole[others]).predict(thinned[these])
    return expected


def regressed(
    labels: np.ndarray, whole: np.ndarray, thinned: list[np.ndarray], again: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the names that a regression on whole and thinned cells of the other folds gives each cell.

    They are of the whole cells, of the first of the thinned ones, and of those that are thinned again.
    """
    named = tuple(np.empty_like(labels) for _ in range(3))
    for others, these in folds(labels):
        shown = np.concatenate([whole[others], *(one[others] for one in thinned)])
        spread = shown.std(axis=0)
        model = LogisticRegression(C=0.1, max_iter=300)
        model.fit(shown / spread, np.tile(labels[others], 1 + len(thinned)))
        for out, points in zip(named, (whole, thinned[0], again), strict=True):
            out[these] = model.predict(points[these] / spread)
    return named


def likeliest(every: Cells, views: list[Cells]) -> list[np.ndarray]:
    """Return the label whose mean profile, of the other folds, makes each cell's counts most likely (multinomial)."""
    named = [np.empty_like(every.labels) for _ in views]
    for others, these in folds(every.labels):
        kinds = np.unique(every.labels[others])
        member = sparse.csr_matrix((every.labels[others] == kinds[:, None]).astype(float))
        sums = (member @ every.counts[others]).toarray()
        prior = sums.sum(axis=0) + 1e-3
        share = sums + 0.01 * sums.sum(axis=1, keepdims=True) * prior / prior.sum()
        log_share = np.log(share / share.sum(axis=1, keepdims=True))
        for out, cells in zip(named, views, strict=True):
            out[these] = kinds[(cells.counts[these] @ log_share.T).argmax(axis=1)]
    return named


def folds(labels: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return the other cells and the cells of each fold, in which labels are as common as in all."""
    values, counts = np.unique(labels, return_counts=True)
    strata = np.where(np.isin(labels, values[counts >= FEWEST]), labels, values[counts.argmax()])
    return list(StratifiedKFold(FOLDS, shuffle=True, random_state=0).split(labels, strata))


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", type=Path, nargs="+", help="cells to score on")
    parser.add_argument("--table", type=Path, default=RESULTS, help="table to write")
    given = parser.parse_args()
    vocabulary, rows = GeneVocabulary.for_organisms(["human", "mouse"]), []
    for file in given.files:
        every = labelled(file, vocabulary)
        found = ceiling(every, evaluated(len(every.labels)))
        print(file.stem, pd.Series(found).round(3).to_string(), sep="\n", flush=True)
        rows += [{"data": file.stem, "measure": name, "value": value} for name, value in found.items()]
    pd.DataFrame(rows).to_csv(given.table, index=False, float_format="%.4g")


if __name__ == "__main__":
    main()

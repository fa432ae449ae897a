"""Predict the held-out cells with simple methods, for the scores of a fine-tuning to stand beside."""

from __future__ import annotations

import numpy as np

from scprint_model.finetuning.cells import Cells, Parts
from scprint_model.finetuning.regression import Regression, draw_cells, fit_regression

MAJORITY = "commonest label"
COMPONENTS = "principal components + logistic regression"
EMBEDDING = "embedding + logistic regression"
N_COMPONENTS = 30
#: Cells that principal components are fitted on at most, and that are projected on them at a time.
MOST_CELLS, PART = 20_000, 4096


class PrincipalComponents:
    """Principal components of log-normalised counts, fitted on the cells to learn from.

    Parameters
    ----------
    cells
        All cells.
    parts
        Parts of the cells; components are fitted on those of training.
    seed
        Seed for the draw of cells where there are many, and for the solver.
    """

    def __init__(self, cells: Cells, parts: Parts, seed: int) -> None:
        from sklearn.decomposition import PCA

        at = draw_cells(parts.train, cells.keys, MOST_CELLS, seed)
        profiles = cells.profiles(at)
        self._cells = cells
        n = min(N_COMPONENTS, min(profiles.shape) - 1)
        self._pca = PCA(n, svd_solver="arpack", random_state=seed).fit(profiles) if n > 0 else None

    def __call__(self, at: np.ndarray) -> np.ndarray:
        """Return the components of the cells of these numbers, (len(at), n_components)."""
        if self._pca is None:
            return np.zeros((len(at), 1))
        parts = [at[begin : begin + PART] for begin in range(0, len(at), PART)]
        return np.concatenate([self._pca.transform(self._cells.profiles(part)) for part in parts])


def rival_predictions(
    outputs: np.ndarray,
    parts: Parts,
    at: np.ndarray,
    *,
    regression: Regression,
    embeddings: np.ndarray,
    components: PrincipalComponents,
    keys: np.ndarray,
    seed: int,
) -> dict[str, np.ndarray]:
    """Return what each rival predicts for the cells `at`: outputs of the class, (len(at),).

    Parameters
    ----------
    outputs
        Output of the label of every cell; cells with -1 are not learned from.
    parts
        Cells to learn from.
    at
        Cells to predict.
    regression
        Regression on the embedding, fitted on the cells to learn from.
    embeddings
        (n_cells, F) embedding of every cell, all tokens side by side.
    components
        Principal components of the cells.
    keys
        Key of every cell.
    seed
        Seed for the draw of cells to fit on, where there are many.
    """
    known = parts.train[outputs[parts.train] >= 0]
    commonest = np.bincount(outputs[known]).argmax()
    few = draw_cells(known, keys, MOST_CELLS, seed)
    of_components = fit_regression(components(few), outputs[few])
    return {
        MAJORITY: np.full(len(at), commonest),
        COMPONENTS: of_components.predict(components(at)),
        EMBEDDING: regression.predict(embeddings[at]),
    }

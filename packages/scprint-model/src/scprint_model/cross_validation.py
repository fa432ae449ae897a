"""Predict known labels with a simple method, in cells that it has not seen: the rival of predicted labels.

Shapes: B cells, F features.
"""

from __future__ import annotations

import numpy as np

from scdataloader import draw_numbers
from scprint_model.finetuning.regression import MOST_NUMBERS, draw_cells, fit_regression

FOLDS = 5
_FOLD = 11


def cross_validated(
    features: np.ndarray,
    codes: np.ndarray,
    *,
    keys: np.ndarray,
    groups: np.ndarray | None = None,
    folds: int = FOLDS,
    seed: int = 0,
) -> np.ndarray:
    """Predict each cell's label by a standardised logistic regression on the cells of the other folds.

    Where there are two groups or more, such as donors, a group is in one fold as a whole: cells of one donor are alike,
    and a method that has seen some knows more of the others than it would of a new donor's.

    Parameters
    ----------
    features
        Features of each cell, (B, F), such as principal components.
    codes
        Label of each cell, (B,) integers; those below 0 have none, and are neither learned from nor predicted.
    keys
        Key of each cell's counts, (B,), by which cells come into folds: not by their places.
    groups
        Group of each cell, (B,); None: cells alone, of each label as many in every fold as can be.
    folds
        Number of folds at most, at least 2.
    seed
        Seed for the folds.

    Returns
    -------
    numpy.ndarray
        Predicted codes, (B,) int64; -1 of cells without a label, and where no other fold has one.

    Raises
    ------
    ValueError
        When there are fewer than 2 folds.
    """
    if folds < 2:
        raise ValueError(f"folds={folds} must be at least 2")
    known = np.flatnonzero(np.asarray(codes) >= 0)
    codes, said = np.asarray(codes), np.full(len(codes), -1, dtype=np.int64)
    fold = np.full(len(codes), -1)
    fold[known] = _folds(codes[known], keys[known], None if groups is None else groups[known], folds, seed)
    most = max(1, MOST_NUMBERS // features.shape[1])
    for one in range(folds):
        here, others = np.flatnonzero(fold == one), known[fold[known] != one]
        if len(here) and len(others):
            others = draw_cells(others, keys, most, seed)
            said[here] = fit_regression(features[others], codes[others]).predict(features[here])
    return said


def _folds(codes: np.ndarray, keys: np.ndarray, groups: np.ndarray | None, folds: int, seed: int) -> np.ndarray:
    """Return the fold of each cell: of whole groups, the largest first into the emptiest fold, or label by label."""
    fold = np.zeros(len(codes), dtype=np.int64)
    names, of = (None, None) if groups is None else np.unique(groups.astype(str), return_inverse=True)
    if names is not None and of is not None and len(names) > 1:
        sizes, filled = np.bincount(of), np.zeros(folds, dtype=np.int64)
        place = np.zeros(len(names), dtype=np.int64)
        for group in np.argsort(-sizes, kind="stable"):
            place[group] = filled.argmin()
            filled[place[group]] += sizes[group]
        return place[of]
    numbers = draw_numbers((seed, _FOLD), keys, np.zeros(1, np.int64))
    order = np.lexsort((numbers, codes))
    fold[order] = np.arange(len(codes)) % folds
    return fold

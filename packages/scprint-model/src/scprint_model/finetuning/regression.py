"""A standardised logistic regression of labels on features, and the same as one linear map of the raw features.

Shapes: B cells, F features, K labels that cells have, n labels of the class.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from scdataloader import draw_numbers

#: Numbers (cells times features, 8 bytes each) that a regression takes at most; of more cells it draws some.
MOST_NUMBERS = 1 << 25
MAX_ITERATIONS = 1000
#: Logit of a label of which there was no cell to learn from: never the best, since that of one that was is above it.
ABSENT = -50.0
_DRAW = 3


@dataclass(frozen=True, eq=False)
class Regression:
    """Logistic regression on features of mean 0 and standard deviation 1.

    Attributes
    ----------
    codes
        (K,) int64, rising: the labels that it can say.
    mean, scale
        (F,) float64: what is taken off the features, and what they are divided by then.
    weight
        (K, F) float64, of the standardised features.
    bias
        (K,) float64.
    """

    codes: np.ndarray
    mean: np.ndarray = field(repr=False)
    scale: np.ndarray = field(repr=False)
    weight: np.ndarray = field(repr=False)
    bias: np.ndarray = field(repr=False)

    def logits(self, features: np.ndarray) -> np.ndarray:
        """(B, F) to (B, K)."""
        return np.asarray((features - self.mean) / self.scale @ self.weight.T + self.bias)

    def predict(self, features: np.ndarray) -> np.ndarray:
        """(B, F) to the code of the likeliest label, (B,)."""
        return np.asarray(self.codes[self.logits(features).argmax(axis=1)])

    def all_labels(self, n: int) -> tuple[np.ndarray, np.ndarray]:
        """Return weight (n, F) and bias (n,) over all labels of the class; those it cannot say have `ABSENT`."""
        weight, bias = np.zeros((n, self.weight.shape[1])), np.full(n, ABSENT)
        weight[self.codes], bias[self.codes] = self.weight, self.bias
        return weight, bias


def fold(weight: np.ndarray, bias: np.ndarray, mean: np.ndarray, scale: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Turn a linear map of standardised features into the same of the raw ones: weight (n, F) and bias (n,)."""
    raw = weight / scale
    return raw, bias - raw @ mean


def fit_regression(features: np.ndarray, codes: np.ndarray) -> Regression:
    """Fit scikit-learn's `LogisticRegression` (ridge penalty with C = 1) behind its `StandardScaler`.

    With two labels, the logit of the second is scikit-learn's and that of the first its negative, so that the sigmoid
    of each is its probability. With one label there is nothing to tell apart: its logit is 0 for every cell.

    Parameters
    ----------
    features
        (B, F).
    codes
        (B,) integers, none of them unknown.

    Raises
    ------
    ValueError
        When no cell is given.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    if not len(codes):
        raise ValueError("there are no cells with a label to learn from")
    features = np.asarray(features, dtype=np.float64)
    scaler = StandardScaler().fit(features)
    found = np.unique(codes)
    if len(found) == 1:
        weight, bias = np.zeros((1, features.shape[1])), np.zeros(1)
    else:
        fitted = LogisticRegression(max_iter=MAX_ITERATIONS).fit(scaler.transform(features), codes)
        weight, bias = fitted.coef_, fitted.intercept_
        if len(found) == 2:
            weight, bias = np.concatenate([-weight, weight]), np.concatenate([-bias, bias])
    return Regression(found.astype(np.int64), scaler.mean_, scaler.scale_, weight, bias)


def draw_cells(at: np.ndarray, keys: np.ndarray, most: int, seed: int) -> np.ndarray:
    """Return the cells `at`, or where they are too many, `most` of them, drawn by what they hold.

    Parameters
    ----------
    at
        Numbers of the cells that may be taken.
    keys
        Key of every cell's counts, from which the draw is made.
    most
        Number of cells at most.
    seed
        Seed for the draw.
    """
    if len(at) <= most:
        return at
    numbers = draw_numbers((seed, _DRAW), keys[at], np.zeros(1, np.int64))
    return np.sort(at[np.argsort(numbers, kind="stable")[:most]])

"""Random weights: what knowing nothing scores."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bengrn.methods.method import Method


def random_weights(
    values: NDArray[np.float64], regulators: NDArray[np.int64] | None, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Draw independent uniform weights.

    Parameters
    ----------
    values
        Array of shape (anything, genes); only the number of genes matters.
    regulators
        Places of the regulators; only their number matters.
    rng
        Generator of the weights.
    """
    n_genes = values.shape[1]
    return rng.random((n_genes if regulators is None else len(regulators), n_genes), dtype=np.float32)


RANDOM = Method(name="random", function=random_weights, reference="", takes="genes", directed=True, deterministic=False)

"""Contexts that are lists: the genes that the user gives, or all that were measured."""

from __future__ import annotations

import numpy as np


def given_genes(wanted: np.ndarray, measured: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Choose a given list of genes, in its own order.

    Parameters
    ----------
    wanted
        Genes, unique, shape (size,).
    measured
        Genes that the data set measured.

    Returns
    -------
    tuple
        The genes as given, and which of them were measured (bool): a gene that was not has no count, not even 0.
    """
    return wanted, np.isin(wanted, measured)


def all_measured(measured: np.ndarray) -> np.ndarray:
    """Choose every gene that was measured, in rising order."""
    return np.sort(measured)

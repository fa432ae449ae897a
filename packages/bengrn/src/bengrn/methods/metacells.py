"""Correlation over metacells: sums of cells that are alike, in which counts are less noisy."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bengrn.methods.correlation import absolute_correlation
from bengrn.methods.expression import log_cp10k
from bengrn.methods.method import Method

_STEPS = 30


def metacell_pearson(
    counts: NDArray[np.float64],
    regulators: NDArray[np.int64] | None,
    rng: np.random.Generator,  # noqa: ARG001 (nothing is random here)
    *,
    size: int = 10,
) -> NDArray[np.float64]:
    """Take the absolute Pearson correlation over metacells, the summed counts of cells that are alike.

    The cells are halved along the direction in which they vary most, and the halves again, until a part has at most
    `size` cells.

    Parameters
    ----------
    counts
        Raw counts, (cells, genes).
    regulators
        Places of the regulators, (regulators,); all genes when None.
    rng
        Generator, not used.
    size
        Largest number of cells in a metacell; 1 is "pearson".

    Raises
    ------
    ValueError
        If the size is below 1, or leaves fewer than three metacells.
    """
    if size < 1:
        raise ValueError(f"size is the number of cells in a metacell, at least 1, got {size}")
    with_counts = counts[counts.sum(axis=1) > 0]
    groups = alike(log_cp10k(with_counts), size)
    if len(groups) < 3:
        raise ValueError(
            f"{len(with_counts):,} cells make {len(groups)} metacells of at most {size} cells, and a correlation needs "
            "three: take a smaller size"
        )
    sums = np.array([with_counts[cells].sum(axis=0) for cells in groups])
    return absolute_correlation(log_cp10k(sums), regulators)


def alike(values: NDArray[np.float64], size: int) -> list[NDArray[np.int64]]:
    """Part cells into groups of alike ones, by halving along the direction of the largest variance.

    Parameters
    ----------
    values
        Expression, (cells, genes).
    size
        Largest number of cells in a group.

    Returns
    -------
    list of numpy.ndarray
        Places of the cells of each group. Halves differ by one cell at most, so that no group is below half of `size`.
    """
    groups, left = [], [np.arange(len(values))]
    while left:
        cells = left.pop()
        if len(cells) <= size:
            groups.append(cells)
            continue
        order = cells[np.argsort(_main_direction(values[cells]), kind="stable")]
        middle = len(order) // 2
        left += [order[middle:], order[:middle]]
    return groups


def _main_direction(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the position of each cell along the first principal component."""
    centred = values - values.mean(axis=0)
    # From the cell that is furthest from the middle, so that the order of the cells does not matter.
    at = centred[np.argmax((centred**2).sum(axis=1).astype(np.float32))]
    for _ in range(_STEPS):
        towards = centred.T @ (centred @ at)
        length = float(np.sqrt(towards @ towards))
        if length == 0:
            break
        at = towards / length
    # Rounded, so that cells with equal counts tie.
    position: NDArray[np.float64] = (centred @ at).astype(np.float32).astype(np.float64)
    return position


METACELL_PEARSON = Method(
    name="metacell-pearson",
    function=metacell_pearson,
    reference="metacells: Baran et al., Genome Biol. 20:206 (2019), doi 10.1186/s13059-019-1812-2 (other grouping)",
    takes="counts",
    directed=False,
    deterministic=True,
)

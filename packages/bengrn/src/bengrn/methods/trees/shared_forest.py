"""One forest for all genes: random splits of the cells, and what each takes off the variance of every gene."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bengrn._threads import number_of_threads
from bengrn.methods.method import Method
from bengrn.methods.trees import need_numba
from bengrn.methods.trees.bins import binned
from bengrn.methods.trees.order import own_order
from bengrn.methods.trees.targets import on_threads, tell_inexact

_BLOCK = 256


def shared_forest(
    values: NDArray[np.float64],
    regulators: NDArray[np.int64] | None,
    rng: np.random.Generator,
    *,
    n_trees: int = 2000,
    least_cells: int = 2,
    threads: int | None = None,
) -> NDArray[np.float32]:
    """Split the cells at random by regulators; a weight is what splits by one take off a gene's variance.

    All targets share the trees, so that the time hardly grows with their number. It is a method of its own and not
    GENIE3, whose trees look for the best split of each target.

    Parameters
    ----------
    values
        Expression, (cells, genes).
    regulators
        Places of the regulators, (regulators,); all genes when None.
    rng
        Generator of the splits.
    n_trees
        Number of trees.
    least_cells
        Number of cells on each side of a split at least.
    threads
        Number of threads; by default all processors, or as many as OMP_NUM_THREADS says. The network is
        the same with any number.

    Raises
    ------
    ImportError
        If numba is not installed.
    ValueError
        If a number is below 1.
    """
    need_numba()
    from bengrn.methods.trees.shared_kernels import add_gains, grow_at_random

    n_threads = number_of_threads(threads)
    for name, number in {"n_trees": n_trees, "least_cells": least_cells}.items():
        if number < 1:
            raise ValueError(f"{name} is at least 1, got {number}")
    cells, genes, _ = own_order(values)
    place = np.empty_like(genes)
    place[genes] = np.arange(len(genes))
    rows = np.arange(len(genes)) if regulators is None else regulators
    by_place = rows[np.argsort(place[rows], kind="stable")]  # regulators in an order that their values give
    bins = binned(values, cells, by_place)
    tell_inexact(bins)
    seed = rng.integers(2**63, dtype=np.uint64)
    order, nodes, n_nodes = grow_at_random(bins.values, n_trees, least_cells, seed)
    spread = values.std(axis=0)
    standard = (values[cells] - values.mean(axis=0)) / np.where(spread > 0, spread, np.inf)
    found = np.zeros((len(rows), len(genes)))

    def some(start: int) -> None:
        at = slice(start, start + _BLOCK)
        gains = np.zeros((len(rows), len(genes[at])))
        add_gains(np.ascontiguousarray(standard[:, at]), order, nodes, n_nodes, gains)
        found[:, at] = gains

    on_threads(some, range(0, len(genes), _BLOCK), n_threads)
    weights = np.empty((len(rows), len(genes)), dtype=np.float32)
    weights[np.searchsorted(rows, by_place)] = found / (n_trees * len(values))
    weights[np.arange(len(rows)), rows] = 0.0  # a gene parts itself best of all
    return weights


SHARED_FOREST = Method(
    name="shared-forest",
    function=shared_forest,
    reference="totally randomised trees: Geurts et al., Mach. Learn. 63:3 (2006), doi 10.1007/s10994-006-6226-1",
    takes="any",
    directed=True,
    deterministic=False,
    needs="bengrn[trees]",
)

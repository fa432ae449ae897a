"""One model for each target gene, on threads that share the binned expression."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bengrn._wording import counted
from bengrn.cell_draws import mixed
from bengrn.methods.trees.bins import MOST, Bins, binned
from bengrn.methods.trees.order import own_order

logger = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Task:
    """What is to be predicted, and from what.

    Attributes
    ----------
    bins
        Expression of all genes in bins.
    y
        Values of the target, float64, (cells,); they vary.
    allowed
        Places of the genes to predict from, int64, which the model may reorder.
    seed
        Seed of the target, uint64.
    """

    bins: Bins
    y: NDArray[np.float64]
    allowed: NDArray[np.int64]
    seed: np.uint64


def each_target(
    values: NDArray[np.float64],
    regulators: NDArray[np.int64] | None,
    rng: np.random.Generator,
    model: Callable[[Task], NDArray[np.float64]],
    threads: int | None,
) -> NDArray[np.float32]:
    """Return the importance of each regulator for each target.

    Parameters
    ----------
    values
        Expression, (cells, genes).
    regulators
        Places of the regulators, rising, (regulators,); all genes when None.
    rng
        Generator of the seed; each target has its own seed, made from it and from the target's values.
    model
        Function that predicts one target and returns the importance of all genes, float64, (genes,).
    threads
        Number of threads; all processors when None. The result is the same with any number.

    Returns
    -------
    numpy.ndarray
        (regulators, genes) float32; 0 for targets that do not vary.

    Raises
    ------
    ImportError
        If numba is not installed.
    ValueError
        If there are fewer than one thread, or no gene to predict from.
    """
    n_threads = number_of_threads(threads)
    cells, genes, numbers = own_order(values)
    place = np.empty_like(genes)
    place[genes] = np.arange(len(genes))
    bins = binned(values, cells, genes)
    tell_inexact(bins)
    rows = np.arange(len(genes)) if regulators is None else regulators
    sources = np.sort(place[rows])
    if len(sources) < 2:
        raise ValueError(f"{counted(len(sources), 'regulator')}: a target needs at least one that is not itself")
    row_of = np.full(len(genes), -1)
    row_of[place[rows]] = np.arange(len(rows))
    seed = rng.integers(2**63, dtype=np.uint64)
    found = np.zeros((len(rows), len(genes)), dtype=np.float32)

    def predict(target: int) -> None:
        y = values[cells, target]
        if y.min() == y.max():
            return
        own = place[target]
        task = Task(bins, y, sources[sources != own], mixed(seed ^ numbers[target]))
        importance = model(task)
        found[row_of[sources], target] = importance[sources]

    on_threads(predict, range(len(genes)), n_threads)
    return found


def on_threads(work: Callable[[int], None], numbers: Iterable[int], threads: int) -> None:
    """Call a function with each number, on so many threads; what one raises is raised."""
    with ThreadPoolExecutor(threads) as pool:
        for _ in pool.map(work, numbers):
            pass


def tell_inexact(bins: Bins) -> None:
    """Log how many genes have more values than bins, so that the nearest of them are taken together."""
    if len(bins.inexact):
        told = counted(len(bins.inexact), "gene has", "genes have")
        logger.warning("%s more than %d distinct values: those nearest in rank are taken together", told, MOST)


def number_of_threads(threads: int | None) -> int:
    """Return the number of threads, by default that of the processors that this process may use.

    Raises
    ------
    ValueError
        If it is below 1.
    """
    if threads is None:
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if threads < 1:
        raise ValueError(f"threads is the number of threads, at least 1, got {threads}")
    return threads

"""One model for each target gene, on threads that share the binned expression."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from hashlib import blake2b
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bengrn._threads import number_of_threads
from bengrn._wording import counted
from bengrn.cell_draws import mixed
from bengrn.methods.trees.bins import MOST, Bins, binned
from bengrn.methods.trees.blocks import each_block
from bengrn.methods.trees.order import own_order

logger = logging.getLogger(__name__)

#: Targets that are done, sent and kept together.
_BLOCK = 16


@dataclass(frozen=True, eq=False)
class Task:
    """Target that is to be predicted, and its predictors.

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


@dataclass(frozen=True, eq=False)
class Regression:
    """Data that all blocks of targets read: expression, regulators, model and seed.

    Attributes
    ----------
    bins
        Expression of all genes in bins.
    sources
        Places of the regulators, rising, (regulators,).
    numbers
        Number of each gene, made from its values, uint64, (genes,).
    seed
        Seed, uint64; each target has its own, made from it and from the target's number.
    model
        Function that predicts one target and returns the importance of all genes, float64, (genes,).
    """

    bins: Bins
    sources: NDArray[np.int64]
    numbers: NDArray[np.uint64]
    seed: np.uint64
    model: partial[NDArray[np.float64]]

    def key(self) -> str:
        """Return a name that changes with anything that the result depends on."""
        said = (version("bengrn"), self.model.func.__qualname__, sorted(self.model.keywords.items()), int(self.seed))
        parts: list[Any] = [repr(said).encode(), self.sources, self.bins.values, *self.bins.levels]
        digest = blake2b(digest_size=16)
        for part in parts:
            digest.update(blake2b(part).digest())
        return f"{self.model.func.__name__.strip('_')}-{digest.hexdigest()}"


def each_target(
    values: NDArray[np.float64],
    regulators: NDArray[np.int64] | None,
    rng: np.random.Generator,
    model: partial[NDArray[np.float64]],
    *,
    threads: int | None = None,
    work: str | None = None,
    scheduler: str | None = None,
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
        Function that predicts a :class:`Task` and returns the importance of all genes, float64, (genes,); with its
        settings.
    threads
        Number of threads; by default all processors, or as many as OMP_NUM_THREADS says. The result is
        the same with any number.
    work
        Folder that keeps what is done; None for none. What was done there for the same values and settings is not done
        again.
    scheduler
        Address of a Dask scheduler whose workers predict the targets; None for threads.

    Returns
    -------
    numpy.ndarray
        (regulators, genes) float32; 0 for targets that do not vary.

    Raises
    ------
    ImportError
        If numba is not installed, or distributed where there is a scheduler.
    ValueError
        If there are fewer than one thread, or no gene to predict from.
    ConnectionError, RuntimeError
        If the cluster cannot be used, see :func:`bengrn._dask.connected`.
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
    varies = bins.values.max(axis=1) > bins.values.min(axis=1)
    if not varies.all():
        told = counted(int((~varies).sum()), "gene does", "genes do")
        logger.warning("%s not vary among these %s: no edges lead there", told, counted(len(values), "cell"))
    shared = Regression(bins, sources, numbers[genes], rng.integers(2**63, dtype=np.uint64), model)
    row_of = np.full(len(genes), -1)
    row_of[place[rows]] = np.arange(len(rows))
    found = np.zeros((len(rows), len(genes)), dtype=np.float32)
    targets = np.flatnonzero(varies)
    blocks = [targets[at : at + _BLOCK] for at in range(0, len(targets), _BLOCK)]
    folder = None if work is None else Path(work) / shared.key()
    options: dict[str, Any] = {"threads": n_threads, "scheduler": scheduler, "folder": folder}
    for block, importance in each_block(predict_block, shared, blocks, width=len(sources), **options):
        found[np.ix_(row_of[sources], genes[block])] = importance.T
    return found


def predict_block(shared: Regression, targets: NDArray[np.int64]) -> NDArray[np.float32]:
    """Return the importance of each regulator for some targets, (targets, regulators)."""
    found = np.empty((len(targets), len(shared.sources)), dtype=np.float32)
    for row, target in zip(found, targets, strict=True):
        allowed = shared.sources[shared.sources != target]
        seed = mixed(shared.seed ^ shared.numbers[target])
        task = Task(shared.bins, shared.bins.expression(int(target)), allowed, seed)
        row[:] = shared.model(task)[shared.sources]
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

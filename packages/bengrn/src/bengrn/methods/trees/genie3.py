"""GENIE3: a random forest for each gene, whose splits tell which regulators explain it."""

from __future__ import annotations

from functools import partial
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from bengrn.methods.method import Method
from bengrn.methods.trees import need_numba
from bengrn.methods.trees.targets import Task, each_target

#: "published": variance of the standardised target that splits take away. "share": these, scaled to sum to 1 a target.
type Sums = Literal["published", "share"]


def genie3(
    values: NDArray[np.float64],
    regulators: NDArray[np.int64] | None,
    rng: np.random.Generator,
    *,
    n_trees: int = 1000,
    n_tried: int | Literal["sqrt", "all"] = "sqrt",
    sums: Sums = "published",
    threads: int | None = None,
    work: str | None = None,
    scheduler: str | None = None,
) -> NDArray[np.float32]:
    """Predict each gene from the regulators by a random forest; a weight is the variance that splits by one take away.

    Parameters
    ----------
    values
        Expression, (cells, genes).
    regulators
        Places of the regulators, (regulators,); all genes when None.
    rng
        Generator of bootstrap samples and of the genes that are tried.
    n_trees
        Number of trees a target.
    n_tried
        Number of regulators that are tried at a split: a number, "sqrt" or "all" of them.
    sums
        Scale of the weights of one target: "published", the mean over trees of the variance of the standardised target
        that splits take away, which sums to about 1 for each; or "share", which sums to 1 exactly.
    threads
        Number of threads; by default all processors, or as many as OMP_NUM_THREADS says. The network is
        the same with any number.
    work
        Folder that keeps what is done, so that a run which was ended goes on where it was.
    scheduler
        Address of a Dask scheduler, or its file: its workers predict the targets. The network is the same.

    Raises
    ------
    ImportError
        If numba is not installed, or distributed where there is a scheduler.
    ValueError
        If a number is below 1, or a word is not known.
    """
    need_numba()
    if n_trees < 1:
        raise ValueError(f"n_trees is the number of trees, at least 1, got {n_trees}")
    if sums not in ("published", "share"):
        raise ValueError(f"sums is 'published' or 'share', not {sums!r}")
    model = partial(_genie3, n_trees=n_trees, n_tried=n_tried, sums=sums)
    number_tried(n_tried, 1)
    return each_target(values, regulators, rng, model, threads=threads, work=work, scheduler=scheduler)


def _genie3(task: Task, *, n_trees: int, n_tried: int | str, sums: Sums) -> NDArray[np.float64]:
    from bengrn.methods.trees.kernels import grow_forest

    importance = np.zeros(len(task.bins.values))
    tried = number_tried(n_tried, len(task.allowed))
    y = task.y / task.y.std()
    bins = task.bins
    drawn = np.zeros((0, 0), dtype=np.int64)
    grow_forest(
        *(bins.values, bins.above, bins.is_sparse, y, task.allowed, n_trees, tried, task.seed, drawn, importance)
    )
    total = importance.sum()
    return importance / total if sums == "share" and total > 0 else importance


def number_tried(n_tried: int | str, n: int) -> int:
    """Return the number of genes that are tried at a split, of n: a number, "sqrt" or "all".

    Raises
    ------
    ValueError
        If it is below 1, or another word.
    """
    if isinstance(n_tried, str):
        if n_tried not in ("sqrt", "all"):
            raise ValueError(f"n_tried is a number, 'sqrt' or 'all', not {n_tried!r}")
        return max(1, int(np.sqrt(n))) if n_tried == "sqrt" else n
    if n_tried < 1:
        raise ValueError(f"n_tried is the number of genes that are tried at a split, at least 1, got {n_tried}")
    return min(n_tried, n)


GENIE3 = Method(
    name="genie3",
    function=genie3,
    reference="Huynh-Thu et al., PLoS ONE 5:e12776 (2010), doi 10.1371/journal.pone.0012776",
    takes="any",
    directed=True,
    deterministic=False,
    needs="bengrn[trees]",
)

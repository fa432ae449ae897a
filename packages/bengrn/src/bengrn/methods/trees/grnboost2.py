"""GRNBoost2: boosted trees for each gene, stopped where they no longer help on cells left out."""

from __future__ import annotations

from functools import partial
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from bengrn.methods.method import Method
from bengrn.methods.trees import need_numba
from bengrn.methods.trees.targets import Task, each_target

_WINDOW = 25


def grnboost2(
    values: NDArray[np.float64],
    regulators: NDArray[np.int64] | None,
    rng: np.random.Generator,
    *,
    learning_rate: float = 0.01,
    n_trees: int = 5000,
    features: float = 0.1,
    cells: float = 0.9,
    improvement: Literal["across", "paired"] = "across",
    threads: int | None = None,
    work: str | None = None,
    scheduler: str | None = None,
) -> NDArray[np.float32]:
    """Predict each gene from the regulators by boosted trees; a weight is what splits by a regulator explain.

    Trees have a depth of 3. The importances of a target sum to the number of its trees: targets that are predicted well
    weigh more.

    Parameters
    ----------
    values
        Expression, (cells, genes).
    regulators
        Places of the regulators, (regulators,); all genes when None.
    rng
        Generator of the cells and genes that are drawn.
    learning_rate
        Share of each tree's prediction that is added.
    n_trees
        Number of trees at most.
    features
        Share of the regulators that is tried at a split.
    cells
        Share of the cells that each tree is grown on.
    improvement
        Error that the error on the cells left out of a tree is compared with: "across", that of the cells left out of
        the tree before, as in scikit-learn of today and so in GRNBoost2 as it runs with it; "paired", that of the same
        cells before the tree. Growth stops where the mean of the last 25 differences is below 0. With "across" that
        happens by chance after about 30 trees, as each error is of other cells.
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
        If a share is not above 0 and at most 1, the number of trees is below 1, or a word is not known.
    """
    need_numba()
    for name, share in {"learning_rate": learning_rate, "features": features, "cells": cells}.items():
        if not 0 < share <= 1:
            raise ValueError(f"{name} is a share, above 0 and at most 1, got {share:g}")
    if n_trees < 1:
        raise ValueError(f"n_trees is the number of trees, at least 1, got {n_trees}")
    if improvement not in ("across", "paired"):
        raise ValueError(f"improvement is 'across' or 'paired', not {improvement!r}")
    settings: dict[str, Any] = {"rate": learning_rate, "n_trees": n_trees, "features": features, "cells": cells}
    model = partial(_grnboost2, **settings, across=improvement == "across")
    return each_target(values, regulators, rng, model, threads=threads, work=work, scheduler=scheduler)


def _grnboost2(
    task: Task, *, rate: float, n_trees: int, features: float, cells: float, across: bool
) -> NDArray[np.float64]:
    from bengrn.methods.trees.kernels import boost

    importance = np.zeros(len(task.bins.values))
    tried = max(1, int(features * len(task.allowed)))
    n_in = max(1, int(cells * len(task.y)))
    bins = task.bins
    grown = boost(
        *(bins.values, bins.above, bins.is_sparse, task.y, task.allowed),
        *(rate, n_trees, tried, n_in, _WINDOW, across, task.seed, importance),
    )
    total = importance.sum()
    return importance / total * grown if total > 0 else importance


GRNBOOST2 = Method(
    name="grnboost2",
    function=grnboost2,
    reference="Moerman et al., Bioinformatics 35:2159 (2019), doi 10.1093/bioinformatics/bty916",
    takes="any",
    directed=True,
    deterministic=False,
    needs="bengrn[trees]",
)

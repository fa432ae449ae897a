"""The arrays that a gather fills."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from scdataloader.store.genemap import GeneMap

#: How the genes of a cell may be chosen; see `CellStore.gather`.
CHOICES = ("random_expressed", "most_expressed", "rank_value", "all")


@dataclass(frozen=True)
class Context:
    """Genes and counts of B cells.

    Attributes
    ----------
    genes
        int64, shape (B, S): target of each gene in the `GeneMap`, -1 where there is none; None where all targets are
        given in order.
    counts
        float32, shape (B, S).
    """

    genes: np.ndarray | None
    counts: np.ndarray


def empty_context(
    n_cells: int,
    genes: GeneMap,
    *,
    choice: str = "all",
    context: int | None = None,
    empty: Callable[[tuple[int, ...], Any], np.ndarray] = np.empty,
) -> Context:
    """Return arrays for `CellStore.gather` to write to, made by ``empty(shape, dtype)``.

    Raises
    ------
    ValueError
        When there is no such choice, or the context does not fit the wanted genes.
    """
    if choice not in CHOICES:
        raise ValueError(f"choice={choice!r} is not one of {CHOICES}")
    if choice == "all":
        if context not in (None, genes.width):
            raise ValueError(f"context={context}, but choice='all' gives all {genes.width} wanted genes: leave it out")
        whole = empty((n_cells * genes.width + 1,), np.float32)
        return Context(None, whole[:-1].reshape(n_cells, genes.width))
    if context is None or not 1 <= context <= genes.width:
        raise ValueError(f"context={context} must lie between 1 and the {genes.width} wanted genes")
    shape = (n_cells, context)
    return Context(empty(shape, np.int64), empty(shape, np.float32))


def flat(counts: np.ndarray) -> np.ndarray:
    """Return the array behind the dense counts, one entry longer than they; see `scdataloader.store.kernels.dense`."""
    whole = counts.base
    if whole is None or whole.ndim != 1 or whole.size != counts.size + 1 or whole.dtype != np.float32:
        raise ValueError("the arrays to write to must come from empty_context()")
    return whole

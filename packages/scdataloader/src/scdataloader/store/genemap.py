"""The genes of a store that are wanted, also as the kernels take them, and the arrays that a gather of them fills."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

from scdataloader.flags import measured

if TYPE_CHECKING:
    from scdataloader.genes.vocabulary import GeneVocabulary


class Targets(NamedTuple):
    """The targets of the genes of each gene table; see `GeneMap`."""

    target: np.ndarray
    target_start: np.ndarray
    measured: np.ndarray
    measured_start: np.ndarray
    width: int


@dataclass(frozen=True, eq=False)
class GeneMap:
    """Target of each gene of each gene table of a store: a place in a list of wanted genes.

    Attributes
    ----------
    tables
        One array a gene table: int32, shape (n_genes,), the target of each gene, -1 for those that are not wanted.
    width
        Number of wanted genes.

    Raises
    ------
    ValueError
        When two genes of a table have the same target: one would overwrite the other.
    """

    tables: Sequence[np.ndarray] = field(repr=False)
    width: int

    def __post_init__(self) -> None:
        for number, target in enumerate(self.tables):
            known = target[target >= 0]
            if len(np.unique(known)) < len(known):
                raise ValueError(f"gene table {number}: several of its genes have the same target")
            if len(known) and known.max() >= self.width:
                raise ValueError(f"gene table {number} has targets up to {known.max()}, but width={self.width}")

    @classmethod
    def of(cls, tables: Iterable[pd.DataFrame], wanted: GeneVocabulary | Sequence[str]) -> GeneMap:
        """Map the genes of gene tables (their index) to a vocabulary, or to a list of gene ids in its order.

        Genes that a table's column ``measured`` says were not measured have no target: `Preprocessor` may add them.

        Raises
        ------
        ValueError
            When a wanted gene is listed twice.
        """
        ids = pd.Index(list(wanted if isinstance(wanted, Sequence) else wanted.ids))
        if not ids.is_unique:
            raise ValueError(f"genes are listed twice, such as {ids[ids.duplicated()].unique().tolist()[:3]}")
        return cls([np.where(measured(t), ids.get_indexer(t.index), -1).astype(np.int32) for t in tables], len(ids))

    @cached_property
    def n_measured(self) -> np.ndarray:
        """Number of wanted genes that each table measures; int64, shape (n_tables,)."""
        return np.array([int((target >= 0).sum()) for target in self.tables], dtype=np.int64)

    @cached_property
    def measured(self) -> np.ndarray:
        """Whether each table measures each wanted gene; bool, shape (n_tables, width)."""
        out = np.zeros((len(self.tables), self.width), dtype=bool)
        for row, target in zip(out, self.tables, strict=True):
            row[target[target >= 0]] = True
        return out

    @cached_property
    def targets(self) -> Targets:
        """The same as the kernels take it: all tables in one array, unwanted genes at `width`, one past the last."""
        padded = [np.append(np.where(target < 0, self.width, target), self.width) for target in self.tables]
        known = [np.sort(target[target >= 0]) for target in self.tables]
        return Targets(
            target=np.concatenate([*padded, np.empty(0, np.int32)]).astype(np.int32),
            target_start=np.cumsum([0, *(len(part) for part in padded)], dtype=np.int64),
            measured=np.concatenate([*known, np.empty(0, np.int32)]).astype(np.int32),
            measured_start=np.cumsum([0, *(len(part) for part in known)], dtype=np.int64),
            width=self.width,
        )


#: How the genes of a cell may be chosen; see `CellStore.gather`.
GATHER_CHOICES = ("random_expressed", "most_expressed", "rank_value", "all")


@dataclass(frozen=True)
class Gathered:
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


def empty_gathered(
    n_cells: int,
    genes: GeneMap,
    *,
    choice: str = "all",
    context: int | None = None,
    empty: Callable[[tuple[int, ...], Any], np.ndarray] = np.empty,
) -> Gathered:
    """Return arrays for `CellStore.gather` to write to, made by ``empty(shape, dtype)``.

    Raises
    ------
    ValueError
        When the choice does not exist, or the context does not fit the wanted genes.
    """
    if choice not in GATHER_CHOICES:
        raise ValueError(f"choice={choice!r} is not one of {GATHER_CHOICES}")
    if choice == "all":
        if context not in (None, genes.width):
            raise ValueError(f"context={context}, but choice='all' gives all {genes.width} wanted genes: leave it out")
        whole = empty((n_cells * genes.width + 1,), np.float32)
        return Gathered(None, whole[:-1].reshape(n_cells, genes.width))
    if context is None or not 1 <= context <= genes.width:
        raise ValueError(f"context={context} must lie between 1 and the {genes.width} wanted genes")
    shape = (n_cells, context)
    return Gathered(empty(shape, np.int64), empty(shape, np.float32))


def flat(counts: np.ndarray) -> np.ndarray:
    """Return the array behind the dense counts, one entry longer than they; see `scdataloader.store.kernels.dense`."""
    whole = counts.base
    if whole is None or whole.ndim != 1 or whole.size != counts.size + 1 or whole.dtype != np.float32:
        raise ValueError("the arrays to write to must come from empty_gathered()")
    return whole

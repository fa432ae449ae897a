"""Where a data module's batches come from: cells held in memory, or a store of them on disk."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any, Protocol

import numpy as np

from scdataloader._torch import torch
from scdataloader.batch import CellBatch
from scdataloader.cells import CellDataset, loader
from scdataloader.genes import GeneVocabulary
from scdataloader.labels import LabelSpace
from scdataloader.sampling import SequentialSampler, Share, WeightedSampler
from scdataloader.sampling.groups import Groups
from scdataloader.store.loader import StoreLoader
from scdataloader.store.store_cells import StoreCells


class Cells(Protocol):
    """What a data module asks of its cells."""

    names: list[str]
    sizes: list[int]
    vocabulary: GeneVocabulary
    label_space: LabelSpace
    labels: np.ndarray
    dataset: np.ndarray
    fingerprints: np.ndarray

    def __len__(self) -> int: ...


class Feed(Protocol):
    """Batches for one rank of a training."""

    cells: Any

    def weighted(self, groups: np.ndarray, subset: np.ndarray, rank: int, world_size: int) -> Iterable[CellBatch]:
        """Return weighted draws among a subset of the cells; `groups` has one row a cell of the whole."""
        ...

    def in_order(self, subset: np.ndarray, rank: int, world_size: int, *, even: bool) -> Iterable[CellBatch]:
        """Return the cells of a subset in order, the same contexts every time; `even`: all ranks as many batches."""
        ...


class MemoryFeed:
    """Batches of cells in memory.

    Parameters
    ----------
    cells
        As validation, test and prediction see them.
    training
        The same cells as training sees them.
    draws
        ``n_draws``, ``scale`` and ``seed`` of `WeightedSampler`; no number of draws: one a cell.
    batch_size, num_workers
        Of the DataLoaders.
    current_epoch
        Says which epoch begins.
    """

    def __init__(
        self,
        cells: CellDataset,
        training: CellDataset,
        *,
        draws: dict[str, Any],
        batch_size: int,
        num_workers: int,
        current_epoch: Callable[[], int],
    ) -> None:
        self.cells, self._training = cells, training
        self._draws, self._current_epoch = draws, current_epoch
        self._options = {"batch_size": batch_size, "num_workers": num_workers}

    def weighted(
        self, groups: np.ndarray, subset: np.ndarray, rank: int, world_size: int
    ) -> torch.utils.data.DataLoader[CellBatch]:
        """See `Feed`."""
        sampler = WeightedSampler(groups[subset], **{**self._draws, "n_draws": self._draws["n_draws"] or len(subset)})
        share = InterleavedShare(sampler, subset, rank, world_size)
        share.set_epoch(self._current_epoch())
        return loader(self._training, share, **self._options)

    def in_order(
        self, subset: np.ndarray, rank: int, world_size: int, *, even: bool
    ) -> torch.utils.data.DataLoader[CellBatch]:
        """See `Feed`."""
        share = InterleavedShare(range(len(subset)), subset, rank, world_size, even=even)
        return loader(self.cells, share, **self._options)


class InterleavedShare(torch.utils.data.DistributedSampler[int]):
    """One rank's share of a sampler's draws among a subset, as indices of the whole: every n-th draw.

    It is a DistributedSampler because Lightning leaves those in place: around any other sampler it would put its own,
    which shares the share out again and never tells the sampler inside about a new epoch.

    Parameters
    ----------
    sampler
        Draws positions in `subset`.
    subset
        Indices of the whole.
    rank, world_size
        Which share, of how many.
    even
        All ranks as many, up to ``world_size - 1`` draws are left: a rank that had a batch more would wait for the
        others for ever where they exchange gradients. Else every draw is given out.
    """

    def __init__(
        self, sampler: WeightedSampler | range, subset: np.ndarray, rank: int, world_size: int, *, even: bool = True
    ) -> None:
        super().__init__(subset, num_replicas=world_size, rank=rank, shuffle=False)  # type: ignore[arg-type]
        self._sampler = sampler
        self._subset = subset
        self._even = even

    def __len__(self) -> int:
        return len(range(self.rank, self._stop(), self.num_replicas))

    def _stop(self) -> int:
        n = len(self._sampler)
        return n - n % self.num_replicas if self._even else n

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch whose draws come next; Lightning calls it."""
        if isinstance(self._sampler, WeightedSampler):
            self._sampler.set_epoch(epoch)

    def __iter__(self) -> Iterator[int]:
        drawn = islice(iter(self._sampler), self.rank, self._stop(), self.num_replicas)
        return (int(self._subset[i]) for i in drawn)


class StoreFeed:
    """Batches straight from a store, larger than memory.

    Parameters
    ----------
    cells
        Of the store.
    draws
        As for `MemoryFeed`.
    options
        Of `StoreLoader`.
    current_epoch
        Says which epoch begins.
    """

    def __init__(
        self,
        cells: StoreCells,
        *,
        draws: dict[str, Any],
        options: dict[str, Any],
        current_epoch: Callable[[], int],
    ) -> None:
        self.cells = cells
        self._draws, self._options, self._current_epoch = draws, options, current_epoch

    def weighted(self, groups: np.ndarray, subset: np.ndarray, rank: int, world_size: int) -> StoreLoader:
        """See `Feed`."""
        chosen = Groups.from_labels(groups, subset=subset)
        sampler = WeightedSampler(chosen, **{**self._draws, "n_draws": self._draws["n_draws"] or len(subset)})
        share = Share(sampler, self._options["batch_size"], rank=rank, world_size=world_size)
        return _EpochLoader(self._current_epoch, **self._loader(share))

    def in_order(self, subset: np.ndarray, rank: int, world_size: int, *, even: bool) -> StoreLoader:
        """See `Feed`."""
        if not even:
            return StoreLoader(**self._loader(SequentialSampler(subset[rank::world_size])))
        share = Share(SequentialSampler(subset), self._options["batch_size"], rank=rank, world_size=world_size)
        return StoreLoader(**self._loader(share))

    def _loader(self, sampler: Any) -> dict[str, Any]:
        cells = self.cells
        return {
            "store": cells.store,
            "sampler": sampler,
            "vocabulary": cells.vocabulary,
            "label_space": cells.label_space,
            **self._options,
        }


class _EpochLoader(StoreLoader):
    """Draws anew in each epoch of a trainer, which has no word for that to a loader that is no DataLoader."""

    def __init__(self, current_epoch: Callable[[], int], **options: Any) -> None:
        super().__init__(**options)
        self._current_epoch = current_epoch

    def __iter__(self) -> Iterator[CellBatch]:
        # runs at the first batch: by then the trainer knows its epoch; a state from the end of one is no place in it
        epoch = self._current_epoch()
        if epoch != self.epoch or not self._resumed:
            self.set_epoch(epoch)
            self._restart()
        yield from super().__iter__()

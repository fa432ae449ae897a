"""Batches of cells in the order a sampler draws them, made by several threads ahead of their use."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cached_property, lru_cache
from typing import Any, Protocol

import numpy as np

from scdataloader._torch import torch
from scdataloader.batch import CellBatch
from scdataloader.collate.cells import CellDataset, draw_seed
from scdataloader.sampling.ranks import Place
from scdataloader.sampling.sampler import check_fingerprint, fingerprint


class Draws(Protocol):
    """The methods that a sampler must offer: any part of its sequence of cells, a pure function of its seed and epoch.

    It may have ``set_epoch(epoch)``, and ``positions(begin, end)`` where its draws are a share of a longer sequence:
    their places in that one, on which the random genes depend, so that ranks draw as one. With
    ``round_start(begin)``, the place where the batches begin that all ranks take together, these have one length.
    """

    def __len__(self) -> int:
        """Return the number of draws of an epoch."""
        ...

    def indices(self, begin: int, end: int) -> np.ndarray:
        """Return draws `begin` to `end` as cell indices, int64."""
        ...


class StoreLoader(torch.utils.data.IterableDataset[CellBatch]):
    """Iterate over batches of cells.

    It can be used as it is, or under ``DataLoader(loader, batch_size=None, num_workers=...)`` and StatefulDataLoader.
    The batches and their order depend on the seed, the sampler and the epoch only: not on threads, workers or resuming.
    Under a DataLoader each worker makes every n-th batch. Ranks are the sampler's business.

    Parameters
    ----------
    cells
        Cells to draw, and how they become batches.
    sampler
        Sequence of the draws; see `Draws`.
    batch_size
        Number of cells a batch; the last may be smaller.
    threads
        Number of threads that make batches; 0 makes each when it is asked for. The kernels need no GIL.
    prefetch
        Number of batches made ahead at most: bounds the memory.
    read_ahead
        Number of batches whose cells the system is asked to read from disk ahead of that, for data that do not fit into
        memory (4 did as well as more); 0 for data that do.
    pin_memory
        Whether to put batches into page-locked memory, from which a GPU copies by itself.
    device
        Device to copy the batches to, asynchronously from pinned memory.
    place
        Source of the epoch unless `set_epoch` says: a trainer, else each iteration draws the epoch after the
        last one. None: every iteration draws the epoch that `set_epoch` said last.

    Raises
    ------
    ValueError
        When a number is too small.
    """

    #: Lightning looks for it beside `sampler`, as a DataLoader has both.
    batch_sampler: None = None

    def __init__(
        self,
        cells: CellDataset,
        sampler: Draws,
        *,
        batch_size: int = 64,
        threads: int = 1,
        prefetch: int = 4,
        read_ahead: int = 0,
        pin_memory: bool = False,
        device: torch.device | str | None = None,
        place: Place | None = None,
    ) -> None:
        super().__init__()
        for name, value, least in (
            ("batch_size", batch_size, 1),
            ("threads", threads, 0),
            ("prefetch", prefetch, 1),
            ("read_ahead", read_ahead, 0),
        ):
            if value < least:
                raise ValueError(f"{name}={value} must be at least {least}")
        self.cells, self.sampler, self.batch_size = cells, sampler, batch_size
        self.threads, self.prefetch, self.read_ahead = threads, prefetch, read_ahead
        self.pin_memory, self.device = pin_memory, device
        self._epochs = place
        # in shared memory: workers that persist over epochs see a new one, too
        self._epoch: torch.Tensor = torch.zeros(1, dtype=torch.int64).share_memory_()  # type: ignore[no-untyped-call]
        self._chosen = self._begun = False
        self._restart()

    def _restart(self) -> None:
        self._place = {"start": 0, "step": 0, "workers": 1}
        self._resumed = False

    def __getstate__(self) -> dict[str, Any]:
        """Leave out the place: worker processes draw the epoch that the loader was at."""
        return self.__dict__ | {"_epochs": None}

    def __len__(self) -> int:
        return -(-len(self.sampler) // self.batch_size)

    @property
    def epoch(self) -> int:
        """The epoch whose batches come next."""
        return int(self._epoch)

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch; the next iteration begins at its first batch."""
        self._epoch.fill_(epoch)
        self._chosen = True
        self._restart()

    @cached_property
    def fingerprint(self) -> str:
        """A hash of all that decides the batches but the epoch and the rank."""
        share = [getattr(self.sampler, name, None) for name in ("world_size", "start", "drop_last")]
        return fingerprint({"sequence": self.sequence, "share": share, "batch_size": self.batch_size})

    @cached_property
    def sequence(self) -> str:
        """A hash of all that decides the sequence of cells, whatever batches and ranks it is parted among."""
        sampler = getattr(self.sampler, "sampler", self.sampler)  # a rank's share is one of a whole sampler
        draws = [getattr(sampler, "fingerprint", ""), getattr(sampler, "seed", 0), len(sampler)]
        return fingerprint({"cells": self.cells.fingerprint, "sampler": draws})

    def state_dict(self) -> dict[str, Any]:
        """Return the place in the run: after the last batch that was handed out, or at the begin of an epoch.

        The same on all ranks that have taken as many batches.
        """
        return {"epoch": self.epoch, **self._place, "fingerprint": self.fingerprint, "sequence": self.sequence}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from a `state_dict` at the next iteration.

        Raises
        ------
        ValueError
            When the state is that of other cells, draws or settings.
        """
        check_fingerprint(state["fingerprint"], self.fingerprint)
        self._epoch.fill_(int(state["epoch"]))
        self._place = {name: int(state[name]) for name in self._place}
        self._resumed, self._chosen = True, False

    def __iter__(self) -> Iterator[CellBatch]:
        info = torch.utils.data.get_worker_info()
        worker, workers = (info.id, info.num_workers) if info else (0, 1)
        if info is None:
            self.find_epoch()
        start, step = self._begin(workers)
        set_epoch = getattr(self.sampler, "set_epoch", None)
        if set_epoch is not None:
            set_epoch(self.epoch)
        # counted from `start`, not from 0: a DataLoader takes its first batch from worker 0, wherever a run resumes
        numbers = range(start + worker + step * workers, len(self), workers)
        for batch in self._made(numbers):
            step += 1
            self._place = {"start": start, "step": step, "workers": workers}
            if info is None and start + step == len(self):  # a worker's end is not that of the epoch
                self._end_epoch()
            yield batch

    def batch(self, number: int) -> CellBatch:
        """Return a batch of the epoch by its number, from 0."""
        cells, positions = self._rows(number)
        round_start: Callable[[int], int] | None = getattr(self.sampler, "round_start", None)
        return self.cells.batch(
            cells,
            positions,
            seed=_draw_seed(self.cells.collator.seed, self.epoch),
            length_place=None if round_start is None else round_start(number * self.batch_size),
            empty=self._empty,
        )

    # ------------------------------------------------------------------------------------------------------ inside

    def find_epoch(self) -> None:
        """Choose the epoch of an iteration that begins; called by the loader itself where it makes the batches."""
        now = None if self._epochs is None else self._epochs.epoch
        if self._epochs is not None and not self._chosen:
            if now is not None and now != self.epoch:  # a state from the end of an epoch is no place in the next one
                self._epoch.fill_(now)
                self._restart()
            elif now is None and self._begun and not self._resumed:
                self._epoch += 1
        self._chosen, self._begun = False, True

    def _end_epoch(self) -> None:
        """Be at the begin of what comes next: the state that is saved now is that of a new epoch."""
        self._restart()
        if self._epochs is not None and self._epochs.epoch is None:
            self._epoch += 1
            self._begun = False

    def _begin(self, workers: int) -> tuple[int, int]:
        if not self._resumed:
            return 0, 0
        self._resumed = False
        start, step, former = (self._place[name] for name in ("start", "step", "workers"))
        if former == workers:
            return start, step
        if former == 1:
            return start + step, 0
        raise ValueError(f"this state was saved with {former} workers, it can be continued with as many, not {workers}")

    def _rows(self, number: int) -> tuple[np.ndarray, np.ndarray]:
        begin = number * self.batch_size
        end = min(begin + self.batch_size, len(self.sampler))
        positions: Callable[[int, int], np.ndarray] = getattr(self.sampler, "positions", np.arange)
        return np.asarray(self.sampler.indices(begin, end), dtype=np.int64), positions(begin, end)

    def _announce(self, numbers: Sequence[int]) -> None:
        if numbers:
            self.cells.will_need(np.concatenate([self._rows(number)[0] for number in numbers]))

    def _made(self, numbers: range) -> Iterator[CellBatch]:
        if self.threads == 0:
            for at, number in enumerate(numbers):
                self._announce(self._window(numbers, at))
                yield self._on_device(self.batch(number))
            return
        with ThreadPoolExecutor(self.threads, "scdataloader") as pool:
            waiting: deque[Future[CellBatch]] = deque()
            try:
                for at, number in enumerate(numbers):
                    window = self._window(numbers, at)
                    if window:
                        pool.submit(self._announce, window)
                    waiting.append(pool.submit(self.batch, number))
                    if len(waiting) >= self.prefetch:
                        yield self._on_device(waiting.popleft().result())
                while waiting:
                    yield self._on_device(waiting.popleft().result())
            finally:
                pool.shutdown(wait=False, cancel_futures=True)

    def _window(self, numbers: range, at: int) -> range:
        """Batches to announce when the `at`-th one is asked for: one window after the other, a window ahead."""
        if self.read_ahead == 0 or at % self.read_ahead:
            return range(0)
        return numbers[at + self.read_ahead * (at > 0) : at + 2 * self.read_ahead]

    def _empty(self, shape: tuple[int, ...], kind: Any) -> np.ndarray:
        if not self.pin_memory:
            return np.empty(shape, kind)
        of_torch = {np.int64: torch.int64, np.float32: torch.float32}[kind]
        return torch.empty(shape, dtype=of_torch, pin_memory=True).numpy()

    def _on_device(self, batch: CellBatch) -> CellBatch:
        if self.device is None:
            return batch
        moved: Any = {name: tensor.to(self.device, non_blocking=True) for name, tensor in batch.items()}  # type: ignore[attr-defined]
        return moved


#: Kept, as each batch asks for it.
_draw_seed = lru_cache(16)(draw_seed)

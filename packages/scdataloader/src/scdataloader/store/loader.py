"""Batches of a store's cells in the order a sampler draws them, made by several threads ahead of their use."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cached_property, lru_cache
from typing import Any, Protocol

import numpy as np

from scdataloader._torch import torch
from scdataloader.batch import CellBatch
from scdataloader.genes import GeneVocabulary
from scdataloader.labels import LabelSpace
from scdataloader.sampling.sampler import check_fingerprint, fingerprint, fingerprint_of_array
from scdataloader.store.context import empty_context
from scdataloader.store.genemap import GeneMap
from scdataloader.store.reader import CellReader


class Draws(Protocol):
    """What a sampler must offer: any part of its sequence of cells, as a pure function of its seed and epoch.

    It may have ``set_epoch(epoch)``, and ``positions(begin, end)`` where its draws are a share of a longer sequence:
    their places in that one, on which the random genes depend, so that ranks draw as one.
    """

    def __len__(self) -> int:
        """Return the number of draws of an epoch."""
        ...

    def indices(self, begin: int, end: int) -> np.ndarray:
        """Return draws `begin` to `end` as cell indices, int64."""
        ...


class StoreLoader(torch.utils.data.IterableDataset[CellBatch]):
    """Iterates `CellBatch`; also under ``DataLoader(loader, batch_size=None, num_workers=...)`` and StatefulDataLoader.

    The batches and their order depend on the seed, the sampler and the epoch only: not on threads, workers or resuming.
    Under a DataLoader each worker makes every n-th batch. Ranks are the sampler's business.

    Parameters
    ----------
    store
        Where the cells are; see `scdataloader.store.open_store`.
    sampler
        Which come when; see `Draws`.
    vocabulary
        The genes that count.
    label_space
        Which labels to encode.
    batch_size
        Cells a batch; the last may be smaller.
    choice
        ``"random_expressed"``, ``"most_expressed"`` or ``"all"``; see `CellReader.gather`. Random genes are another
        choice each time a cell is drawn, the most expressed the same.
    context
        Genes a cell; not for ``"all"``.
    genes
        Choose among these gene ids only; with ``"all"``, they are the context, in this order.
    seed
        Of the genes.
    threads
        Threads that make batches; 0 makes each when it is asked for. The kernels need no GIL.
    prefetch
        Batches made ahead at most: bounds the memory.
    read_ahead
        Batches whose cells the system is asked to read from disk ahead of that, for data that do not fit into memory
        (4 did as well as more); 0 for data that do.
    pin_memory
        Put batches into page-locked memory, from which a GPU copies by itself.
    device
        Copy the batches there, asynchronously from pinned memory.

    Raises
    ------
    ValueError
        When the store measures too few of the genes, or the arguments do not fit together.
    """

    #: Lightning looks for it beside `sampler`, as a DataLoader has both.
    batch_sampler: None = None

    def __init__(
        self,
        store: CellReader,
        sampler: Draws,
        vocabulary: GeneVocabulary,
        label_space: LabelSpace,
        *,
        batch_size: int = 64,
        choice: str = "random_expressed",
        context: int | None = None,
        genes: Sequence[str] | None = None,
        seed: int = 0,
        threads: int = 1,
        prefetch: int = 4,
        read_ahead: int = 0,
        pin_memory: bool = False,
        device: torch.device | str | None = None,
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
        self.store, self.sampler = store, sampler
        self.label_space = label_space
        self.batch_size, self.choice, self.context, self.seed = batch_size, choice, context, seed
        self.threads, self.prefetch, self.read_ahead = threads, prefetch, read_ahead
        self.pin_memory, self.device = pin_memory, device
        self._gene_map, self._panel = _wanted(store, vocabulary, genes, choice)
        out = empty_context(0, self._gene_map, choice=choice, context=context)
        if choice != "all":
            store.check_measured(self._gene_map, out.counts.shape[1])
        self._labels = store.encoder(label_space)
        # in shared memory: workers that persist over epochs see a new one, too
        self._epoch: torch.Tensor = torch.zeros(1, dtype=torch.int64).share_memory_()  # type: ignore[no-untyped-call]
        self._restart()

    def _restart(self) -> None:
        self._place = {"start": 0, "step": 0, "workers": 1}
        self._resumed = False

    def __len__(self) -> int:
        return -(-len(self.sampler) // self.batch_size)

    @property
    def epoch(self) -> int:
        """The epoch whose batches come next."""
        return int(self._epoch)

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch; the next iteration begins at its first batch."""
        self._epoch.fill_(epoch)

    @cached_property
    def fingerprint(self) -> str:
        """A hash of all that decides the batches but the epoch and the rank."""
        sampler = getattr(self.sampler, "sampler", self.sampler)  # a rank's share is one of a whole sampler
        return fingerprint(
            {
                "store": self.store.fingerprint,
                "sampler": [getattr(sampler, "fingerprint", ""), getattr(sampler, "seed", 0), len(sampler)],
                "share": [getattr(self.sampler, name, None) for name in ("world_size", "start", "drop_last")],
                "genes": fingerprint_of_array(np.concatenate([*self._gene_map.tables, np.empty(0, np.int32)])),
                "batches": [self.batch_size, self.choice, self.context, self.seed],
            }
        )

    def state_dict(self) -> dict[str, Any]:
        """Return the place in the run: after the last batch that was handed out, or at the begin of an epoch.

        The same on all ranks that have taken as many batches.
        """
        return {"epoch": self.epoch, **self._place, "fingerprint": self.fingerprint}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from a `state_dict` at the next iteration.

        Raises
        ------
        ValueError
            When the state is that of other cells, draws or settings.
        """
        check_fingerprint(state["fingerprint"], self.fingerprint)
        self.set_epoch(int(state["epoch"]))
        self._place = {name: int(state[name]) for name in self._place}
        self._resumed = True

    def __iter__(self) -> Iterator[CellBatch]:
        info = torch.utils.data.get_worker_info()
        worker, workers = (info.id, info.num_workers) if info else (0, 1)
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
                self._place = {"start": 0, "step": 0, "workers": 1}
            yield batch

    def batch(self, rows: np.ndarray, positions: np.ndarray | None = None) -> CellBatch:
        """Return the batch of the given cells.

        Parameters
        ----------
        rows
            int64, shape (B,).
        positions
            Place of each draw in the epoch, on which random genes depend; by default the rows.
        """
        out = empty_context(len(rows), self._gene_map, choice=self.choice, context=self.context, empty=self._empty)
        # chance only breaks ties among the most expressed: a cell keeps its context
        where = positions if self.choice == "random_expressed" else None
        self.store.gather(rows, self._gene_map, choice=self.choice, positions=where, seed=self._draw_seed(), out=out)
        genes = self._panel.expand(len(rows), -1) if out.genes is None else torch.from_numpy(out.genes)
        return CellBatch(
            genes=genes,
            counts=torch.from_numpy(out.counts),
            total_counts=torch.from_numpy(self.store.total_counts(rows)),
            labels=torch.from_numpy(self._labels(rows)),
            dataset=torch.from_numpy(self.store.dataset_of(rows)),
        )

    # ------------------------------------------------------------------------------------------------------ inside

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

    def _draw_seed(self) -> int:
        return _draw_seed(self.seed, self.epoch if self.choice == "random_expressed" else 0)

    def _rows(self, number: int) -> tuple[np.ndarray, np.ndarray]:
        begin = number * self.batch_size
        end = min(begin + self.batch_size, len(self.sampler))
        positions: Callable[[int, int], np.ndarray] = getattr(self.sampler, "positions", np.arange)
        return np.asarray(self.sampler.indices(begin, end), dtype=np.int64), positions(begin, end)

    def _make(self, number: int) -> CellBatch:
        return self.batch(*self._rows(number))

    def _announce(self, numbers: Sequence[int]) -> None:
        if numbers:
            self.store.will_need(np.concatenate([self._rows(number)[0] for number in numbers]))

    def _made(self, numbers: range) -> Iterator[CellBatch]:
        if self.threads == 0:
            for at, number in enumerate(numbers):
                self._announce(self._window(numbers, at))
                yield self._on_device(self._make(number))
            return
        with ThreadPoolExecutor(self.threads, "scdataloader") as pool:
            waiting: deque[Future[CellBatch]] = deque()
            try:
                for at, number in enumerate(numbers):
                    window = self._window(numbers, at)
                    if window:
                        pool.submit(self._announce, window)
                    waiting.append(pool.submit(self._make, number))
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


@lru_cache(16)
def _draw_seed(seed: int, epoch: int) -> int:
    """Return the seed of an epoch's choices of genes; kept, as each batch asks for it."""
    return int(np.random.SeedSequence([seed, epoch]).generate_state(1, np.uint64)[0])


def _wanted(
    store: CellReader, vocabulary: GeneVocabulary, genes: Sequence[str] | None, choice: str
) -> tuple[GeneMap, torch.Tensor]:
    """Return the map to targets, and the vocabulary index of each target of a fixed panel, shape (1, n)."""
    if genes is None:
        return store.gene_map(vocabulary), torch.arange(len(vocabulary))[None]
    index = vocabulary.index(genes)
    if (index < 0).any():
        unknown = [gene for gene, place in zip(genes, index, strict=True) if place < 0]
        raise ValueError(f"{len(unknown)} of {len(genes)} genes are not in the vocabulary, such as {unknown[:3]}")
    fixed = store.gene_map(list(genes))
    if choice == "all":
        return fixed, torch.from_numpy(index)[None]
    # the kernels give targets: let them be indices of the vocabulary
    tables = [np.where(target < 0, -1, index[target]).astype(np.int32) for target in fixed.tables]
    return GeneMap(tables, len(vocabulary)), torch.from_numpy(index)[None]

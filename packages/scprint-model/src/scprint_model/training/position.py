"""Keep the place of a training in its epoch, so that it continues there."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from typing import Any, cast

import lightning
import torch
from lightning.pytorch.callbacks import Callback
from torch.utils.data import DataLoader

from scdataloader import CellBatch


class ResumableLoader:
    """A loader that knows how many batches of which epoch it has given, and can begin after them.

    Lightning puts the state of every training loader that has one into its checkpoints. Batches that were used before
    are not made again: a DataLoader's indices are drawn and thrown away, a loader with a state of its own begins where
    that says.

    Parameters
    ----------
    loader
        A DataLoader, whose sampler must give the same sequence again for the same epoch, as all of scdataloader's do;
        or a loader with ``state_dict`` and ``load_state_dict``, such as `scdataloader.StoreLoader`.
    current_epoch
        Function that returns the trainer's epoch.
    """

    def __init__(self, loader: Any, current_epoch: Callable[[], int]) -> None:
        self.loader = loader
        self._current_epoch = current_epoch
        self._place = {"epoch": 0, "batches": 0}
        self._state: Mapping[str, Any] | None = None

    @property
    def sampler(self) -> Any:
        """The loader's; Lightning tells it about new epochs."""
        return self.loader.sampler

    def __len__(self) -> int:
        return len(self.loader)

    def state_dict(self) -> dict[str, Any]:
        """Return the epoch, how many of its batches were given out, and the loader's own state where it has one."""
        own = self.loader.state_dict() if _has_state(self.loader) else None
        return {**self._place, "of": len(self), "loader": own}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue after the batches of a state.

        Raises
        ------
        ValueError
            When the epoch has another length now.
        """
        if state["of"] != len(self):
            raise ValueError(
                f"the checkpoint is from a training with {state['of']} batches an epoch, this one has {len(self)}: "
                "continue with the same data, batch_size, cells_per_epoch and number of processes, or start a new "
                "training from the weights"
            )
        self._state = state

    def __iter__(self) -> Iterator[CellBatch]:
        # runs at the first batch only: by then Lightning has told the sampler about the epoch
        epoch, state = self._current_epoch(), self._state
        self._state = None
        # the checkpoint at the end of an epoch is of another one than comes next
        done = int(state["batches"]) if state is not None and state["epoch"] == epoch else 0
        self._place = {"epoch": epoch, "batches": done}
        for batch in self._after(done, None if state is None else state["loader"]):
            self._place["batches"] += 1
            yield batch

    def cells(self, batch: int) -> list[int]:
        """Return the indices of the cells of a batch of the epoch that goes on."""
        if isinstance(self.loader, DataLoader):
            drawn = islice(iter(cast("Any", self.loader.batch_sampler)), batch, None)
            return [int(cell) for cell in next(drawn, [])]
        size, sampler = self.loader.batch_size, self.loader.sampler
        begin = min(batch * size, len(sampler))
        return [int(cell) for cell in sampler.indices(begin, min(begin + size, len(sampler)))]

    def _after(self, done: int, state: Mapping[str, Any] | None) -> Iterator[CellBatch]:
        if _has_state(self.loader):
            if done and state is not None:
                now = self.loader.state_dict()
                if state.get("sequence", "") == now.get("sequence"):
                    # the same draws, parted among another number of processes: it is counted in steps of all of them
                    state = {**now, "epoch": state["epoch"], "start": 0, "step": done, "workers": 1}
                self.loader.load_state_dict(state)
            return iter(self.loader)
        with torch.random.fork_rng(devices=[]):  # a DataLoader draws a seed from the global generator
            return iter(self._without(done) if done else self.loader)

    def _without(self, done: int) -> DataLoader[CellBatch]:
        loader: DataLoader[CellBatch] = self.loader
        return DataLoader(
            loader.dataset,
            batch_sampler=_After(loader.batch_sampler, done),
            num_workers=loader.num_workers,
            collate_fn=loader.collate_fn,
            pin_memory=loader.pin_memory,
            timeout=loader.timeout,
            worker_init_fn=loader.worker_init_fn,
            multiprocessing_context=loader.multiprocessing_context,
            prefetch_factor=loader.prefetch_factor,
        )


class _After:
    """The batches of a batch sampler after the first `done`."""

    def __init__(self, batch_sampler: Any, done: int) -> None:
        self._batch_sampler, self._done = batch_sampler, done

    def __iter__(self) -> Iterator[list[int]]:
        return islice(iter(self._batch_sampler), self._done, None)

    def __len__(self) -> int:
        return len(self._batch_sampler) - self._done


class RestoredPlace(Callback):
    """Gives the training loader the place of a checkpoint where Lightning has not.

    Lightning does when it makes its loaders. A schedule that has to know how many steps there are, as ``"cosine"`` does
    with ``max_epochs``, has them made before the checkpoint's place is read, which would then never be used: the epoch
    would begin again.
    """

    def on_train_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:  # noqa: ARG002
        """Give it, before the first batch."""
        if trainer.fit_loop._combined_loader_states_to_load:
            trainer.fit_loop._load_combined_loader_states()


def make_resumable(data: lightning.LightningDataModule, trainer: lightning.Trainer) -> None:
    """Have a data module give its training batches through `ResumableLoader`.

    On the object and not by a subclass: so trainings from Python and from the command line continue alike. Loaders that
    are neither a DataLoader nor have a state are left as they are.
    """
    plain = getattr(data.train_dataloader, "plain", data.train_dataloader)  # of an earlier training with these data

    def train_dataloader() -> Any:
        loader = plain()
        if isinstance(loader, DataLoader) or _has_state(loader):
            return ResumableLoader(loader, lambda: trainer.current_epoch)
        return loader

    train_dataloader.plain = plain  # type: ignore[attr-defined]
    data.train_dataloader = train_dataloader  # type: ignore[method-assign]


def _has_state(loader: Any) -> bool:
    return hasattr(loader, "state_dict") and hasattr(loader, "load_state_dict")

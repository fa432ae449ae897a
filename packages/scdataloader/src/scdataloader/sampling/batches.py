"""Batches of a sampler's cells, shared out among ranks and workers, to be continued anywhere."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any

from scdataloader.sampling.ranks import Share
from scdataloader.sampling.sampler import Sampler, check_fingerprint, fingerprint


class Batches:
    """Gives lists of cell indices: the `batch_sampler` of a ``torch.utils.data.DataLoader`` or ``StatefulDataLoader``.

    The batches of an epoch and their order depend on the sampler and the batch size only. Rank r takes batches r,
    r + world_size, and so on; see `Share` for the end of the epoch. With Lightning, set ``use_distributed_sampler`` to
    False: this is the distribution.

    Parameters
    ----------
    sampler
        The sequence of cells.
    batch_size
        Cells a batch.
    rank, world_size
        Rank whose batches are given, and number of ranks.
    worker, workers
        Worker whose batches are given, every `workers`-th of the rank's, and number of workers. For code that iterates
        in each worker; a DataLoader deals out the batches of its `batch_sampler` itself.
    drop_last
        Leave out the end of the epoch that does not give every rank a full batch.
    corpus
        Anything that says which cells these are, such as a hash of the files; a state of another corpus is refused.

    Attributes
    ----------
    sampler
        As passed; Lightning sets the epoch on it.
    """

    def __init__(
        self,
        sampler: Sampler,
        batch_size: int,
        *,
        rank: int = 0,
        world_size: int = 1,
        worker: int = 0,
        workers: int = 1,
        drop_last: bool = False,
        corpus: str = "",
    ) -> None:
        if not 0 <= worker < workers:
            raise ValueError(f"worker={worker} must lie between 0 and workers - 1 = {workers - 1}")
        self.sampler, self.batch_size, self.drop_last = sampler, batch_size, drop_last
        self.rank, self.world_size, self.worker, self.workers = rank, world_size, worker, workers
        self.corpus = corpus
        # the place: `_done` batches after batch `_start` of epoch `_epoch`
        self._start, self._done, self._epoch = 0, 0, sampler.epoch
        self._resumed = False
        self._share(0)  # raises what is wrong

    def __len__(self) -> int:
        """Return the number of batches of the iteration that goes on, or of the next."""
        return len(self._numbers(self._share(self._place()[0])))

    def __iter__(self) -> Iterator[list[int]]:
        self._start = self._place()[0] if self._resumed else 0
        self._done, self._epoch, self._resumed = 0, self.sampler.epoch, False
        share = self._share(self._start)
        for number in self._numbers(share):
            cells = self.sampler.indices(*share.span(number)).tolist()
            self._done += 1
            yield cells
        self._start = self._done = 0

    @property
    def epoch(self) -> int:
        """The epoch whose batches come next."""
        return self.sampler.epoch

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch whose batches come next: without it, every iteration gives the same."""
        self.sampler.set_epoch(epoch)

    @cached_property
    def fingerprint(self) -> str:
        """A hash of all that decides the batches but the seed, the epoch and the ranks."""
        config = {"sampler": self.sampler.fingerprint, "batch_size": self.batch_size, "corpus": self.corpus}
        return fingerprint({**config, "drop_last": self.drop_last})

    def state_dict(self, done: int | None = None) -> dict[str, Any]:
        """Return the place in the run, between two rounds in which each rank (and worker) takes a batch.

        The same on all ranks that have taken as many batches, and good for any number of ranks that continue.

        Parameters
        ----------
        done
            Batches that were used since the iteration began. By default, those it has given: a DataLoader with workers
            asks for some before they are used. (StatefulDataLoader keeps count itself.)
        """
        start, given = self._place()
        if done is not None and not 0 <= done <= given:
            raise ValueError(f"done={done} batches were used, {given} were given since the iteration began")
        rounds = given if done is None else done
        return {
            "seed": self.sampler.seed,
            "epoch": self.sampler.epoch,
            "next_batch": start + rounds * self.world_size * self.workers,
            "fingerprint": self.fingerprint,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from a `state_dict` at the next iteration, with its seed; the number of ranks may be another.

        Raises
        ------
        ValueError
            When the state is that of other cells, weights or batches.
        """
        check_fingerprint(state["fingerprint"], self.fingerprint)
        self.sampler.seed = int(state["seed"])
        self.sampler.set_epoch(int(state["epoch"]))
        self._start, self._done, self._epoch = int(state["next_batch"]), 0, self.sampler.epoch
        self._resumed = True

    def _place(self) -> tuple[int, int]:
        """Return the batch where the iteration began and how many it has given; a new epoch begins at its begin."""
        return (self._start, self._done) if self._epoch == self.sampler.epoch else (0, 0)

    def _share(self, start: int) -> Share:
        return Share(
            self.sampler,
            self.batch_size,
            rank=self.rank,
            world_size=self.world_size,
            start=start,
            drop_last=self.drop_last,
        )

    def _numbers(self, share: Share) -> range:
        return range(self.worker, share.n_batches, self.workers)

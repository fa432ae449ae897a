"""A fixed set of cells to evaluate on: as many of each group, or in proportion."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from scdataloader.sampling.groups import Groups
from scdataloader.sampling.sampler import Sampler, fingerprint_of_array


class StratifiedSampler(Sampler):
    """Gives the same cells in every epoch, each once, in increasing order: random ones of each group.

    Parameters
    ----------
    labels
        Labels or `Groups`; see `Groups.from_labels`.
    per_group
        Cells of each group, all of a group that has fewer.
    n_cells
        Instead: cells in all, parted among the groups in proportion to their sizes (largest remainder), so that a rare
        group may have none.
    subset
        The cells to choose from, mask or indices; not with `Groups`.
    seed
        Seed for the choice.

    Attributes
    ----------
    chosen
        Cells of each group; int64, shape (n_groups,).

    Raises
    ------
    ValueError
        When cells are lacking, or fewer than `n_cells`; or both or none of `per_group` and `n_cells` is given.
    """

    def __init__(
        self,
        labels: np.ndarray | Sequence[np.ndarray] | Groups,
        *,
        per_group: int | None = None,
        n_cells: int | None = None,
        subset: np.ndarray | None = None,
        seed: int = 0,
    ) -> None:
        from scdataloader.sampling.permutation import choose, round_keys

        if isinstance(labels, Groups):
            if subset is not None:
                raise ValueError("subset goes with labels: the groups are already made")
            groups = labels
        else:
            groups = Groups.from_labels(labels, subset=subset)
        self.chosen = _numbers(groups.counts, per_group, n_cells)
        super().__init__(int(self.chosen.sum()), seed)
        self._groups = groups
        self._cells = np.empty(len(self), np.int64)
        choose(round_keys(self.seed, 0), groups.first, groups.members, self.chosen, self._cells)
        self._cells.sort()

    def _draw(self, begin: int, end: int) -> np.ndarray:
        return self._cells[begin:end].copy()

    def _config(self) -> dict[str, Any]:
        # the seed belongs to it: the cells were chosen when it was made
        return {"groups": self._groups.fingerprint, "chosen": fingerprint_of_array(self.chosen), "choice": self.seed}


def _numbers(counts: np.ndarray, per_group: int | None, n_cells: int | None) -> np.ndarray:
    if per_group is not None and n_cells is None:
        if per_group < 1:
            raise ValueError(f"per_group={per_group} must be at least 1")
        return np.minimum(counts, per_group)
    if n_cells is not None and per_group is None:
        return proportional(counts, n_cells)
    raise ValueError(f"pass either per_group or n_cells; they are {per_group} and {n_cells}")


def proportional(counts: np.ndarray, n: int) -> np.ndarray:
    """Part n in proportion to counts, by largest remainder; of equal ones the first.

    Returns
    -------
    numpy.ndarray
        int64, shape of `counts`, none larger than its count.
    """
    total = int(counts.sum())
    if not 0 < n <= total:
        raise ValueError(f"n_cells={n} must lie between 1 and the {total} cells there are")
    whole, remainder = np.divmod(counts.astype(np.int64) * n, total)
    missing = n - int(whole.sum())
    whole[np.argsort(-remainder, kind="stable")[:missing]] += 1
    return whole

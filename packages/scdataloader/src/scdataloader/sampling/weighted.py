"""Weighted random sampling with replacement, by groups of cells that share all their labels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from scdataloader.sampling.groups import Groups, mask_of
from scdataloader.sampling.label_codes import columns_of
from scdataloader.sampling.sampler import Sampler, fingerprint_of_array

#: Cells whose weights are looked at at a time.
_CHUNK = 1 << 20


def group_weights(counts: np.ndarray, scale: float) -> np.ndarray:
    """Return the chance of drawing each group: proportional to s·n / (n + s) for a group of n cells.

    So every cell of a group has weight s / (n + s): rare groups are drawn up to s times more often than their share,
    common ones hardly. s → 0 draws all groups alike, s → ∞ all cells alike.

    Parameters
    ----------
    counts
        Number of cells in each group, shape (n_groups,).
    scale
        s, 50 in the paper.

    References
    ----------
    Kalfon et al. 2025, Methods, "Optimization method".
    """
    if not scale > 0:
        raise ValueError(f"scale={scale} must be positive")
    n = np.asarray(counts, dtype=np.float64)
    weights = scale * n / (n + scale)
    return weights / weights.sum()


class WeightedSampler(Sampler):
    """Draw cell indices with replacement: first a group by its weight, then a cell in it uniformly.

    Exact, for any number of cells and groups, at the same cost a draw. Draw i of an epoch is a function of the seed,
    the epoch and i (see `scdataloader.randomness`): ranks that share a seed must each take their part of the
    sequence, with `Batches` or `Share`, or they would all draw the same cells.

    Parameters
    ----------
    labels
        Integer labels, shape (n_cells, n_columns), or a list of columns; cells with the same row form a group. Or
        `Groups` made before. See `Groups.from_labels`.
    scale
        See `group_weights`.
    weights
        Function that takes the place of `scale` and gives the weights of groups by their numbers of cells, such as
        ``lambda counts: counts**0.5``; a group of weight 0 is never drawn.
    n_draws
        Number of draws per epoch.
    seed
        Seed of the draws. Epoch e draws from (seed, e), so each epoch differs and a run can be repeated.
    subset
        The cells to draw from: mask or indices; the others count in no group. Not with `Groups`, which have their own.
    cell_weights
        Weight of each cell within its group, relative to the others; shape (n_cells,), not negative, kept as float32.
        Cells of weight 0 are in no group. Not with `Groups`.

    Attributes
    ----------
    counts
        Cells in each group; shape (n_groups,).
    probabilities
        Chance of drawing each group; shape (n_groups,).

    Raises
    ------
    ValueError
        When no cell is left to draw from, or the weights are negative, not finite or of a wrong number.
    """

    def __init__(
        self,
        labels: np.ndarray | Sequence[np.ndarray] | Groups,
        *,
        scale: float = 50,
        weights: Callable[[np.ndarray], np.ndarray] | None = None,
        n_draws: int,
        seed: int = 0,
        subset: np.ndarray | None = None,
        cell_weights: np.ndarray | None = None,
    ) -> None:
        super().__init__(n_draws, seed)
        chosen = weights or (lambda counts: group_weights(counts, scale))
        self._cell_weights: np.ndarray | None = None
        if isinstance(labels, Groups):
            if subset is not None or cell_weights is not None:
                raise ValueError("subset and cell_weights go with labels: the groups are already made")
            self._groups = labels
        elif cell_weights is None:
            self._groups = Groups.from_labels(labels, subset=subset)
        else:
            self._set_cell_weights(labels, subset, np.asarray(cell_weights, dtype=np.float32))
        self._set_probabilities(chosen)

    def _set_cell_weights(
        self, labels: np.ndarray | Sequence[np.ndarray], subset: np.ndarray | None, weights: np.ndarray
    ) -> None:
        """Part each group by the powers of two between which the cells' weights lie."""
        columns = columns_of(labels)
        exponents = _exponents(weights, len(columns[0]))
        allowed = weights > 0
        if subset is not None:
            allowed &= mask_of(subset, len(weights))
        self._groups = Groups.from_labels([*columns, exponents], subset=allowed)
        one_of_each = self._groups.members[self._groups.first[:-1]]
        rows = np.stack([column[one_of_each].astype(np.int64) for column in columns], axis=1)
        self._part_of = np.cumsum([0, *(rows[1:] != rows[:-1]).any(axis=1)])
        # above the weights of the part, at most twice each of them: half of the cells tried are taken, or more
        self._ceiling = np.exp2(exponents[one_of_each].astype(np.float64))
        self._cell_weights = weights

    def _set_probabilities(self, weights: Callable[[np.ndarray], np.ndarray]) -> None:
        from scdataloader.sampling.drawing import alias_table, sums

        groups = self._groups
        if self._cell_weights is None:
            self.counts = groups.counts
            self.probabilities = parts = _normalised(weights(self.counts), len(self.counts))
        else:
            self.counts = np.bincount(self._part_of, weights=groups.counts).astype(np.int64)
            self.probabilities = _normalised(weights(self.counts), len(self.counts))
            mass = sums(groups.first, groups.members, self._cell_weights)
            whole = np.bincount(self._part_of, weights=mass)
            parts = (self.probabilities / whole)[self._part_of] * mass
        self._alias = alias_table(parts)

    def _draw(self, begin: int, end: int) -> np.ndarray:
        from scdataloader.sampling.drawing import key_of, weighted, weighted_by_cell

        out = np.empty(end - begin, np.int64)
        place = (key_of(self.seed), self.epoch, begin, self._alias, self._groups.first, self._groups.members)
        if self._cell_weights is None:
            weighted(*place, out)
        else:
            weighted_by_cell(*place, self._cell_weights, self._ceiling, out)
        return out

    def _config(self) -> dict[str, Any]:
        of_cells = None if self._cell_weights is None else fingerprint_of_array(self._cell_weights)
        # machines may differ in the last digits
        chances = fingerprint_of_array(self.probabilities.astype(np.float32))
        return {"groups": self._groups.fingerprint, "probabilities": chances, "cell_weights": of_cells}


def _normalised(weights: np.ndarray, n_groups: int) -> np.ndarray:
    values = np.asarray(weights, dtype=np.float64)
    if values.shape != (n_groups,):
        raise ValueError(f"the weights have shape {values.shape}, there are {n_groups} groups")
    if not (np.isfinite(values).all() and (values >= 0).all() and values.sum() > 0):
        raise ValueError(
            f"the weights of groups must be finite and not negative, one at least positive; they go from "
            f"{values.min()} to {values.max()}"
        )
    return values / values.sum()


def _exponents(weights: np.ndarray, n_cells: int) -> np.ndarray:
    """Return e with 2^(e - 1) ≤ weight < 2^e for each cell, 0 for weight 0."""
    if weights.shape != (n_cells,):
        raise ValueError(f"cell_weights has shape {weights.shape}, there are {n_cells} cells")
    out = np.empty(n_cells, np.int16)
    for begin in range(0, n_cells, _CHUNK):
        part = slice(begin, begin + _CHUNK)
        if not (np.isfinite(weights[part]).all() and (weights[part] >= 0).all()):
            raise ValueError(f"cell_weights must be finite and not negative; see cells {begin} to {begin + _CHUNK}")
        out[part] = np.frexp(weights[part])[1]
    return out

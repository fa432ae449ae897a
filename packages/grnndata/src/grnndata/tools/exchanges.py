"""Two groups of replicates: which labels could be exchanged, and what the exchanges say of a difference."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations, islice, product
from math import comb, prod
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from .._wording import listed

type Statistic = Literal["difference", "rank", "welch"]

# Values are sums of float32 weights: statistics that differ by less, relative to the values, are equal.
_TOLERANCE = 1e-7
# Entries of an array (exchanges, features) at a time.
_ENTRIES = 2**22


@dataclass(frozen=True)
class Design:
    """Group and block of each of several replicates.

    Attributes
    ----------
    is_first
        Whether each replicate is of the first group, shape (replicates,).
    block
        Number of each replicate's block, shape (replicates,); labels are exchanged within blocks only.
    """

    is_first: NDArray[np.bool_]
    block: NDArray[np.intp]

    @cached_property
    def members(self) -> list[NDArray[np.intp]]:
        """Places of the replicates of each block."""
        return [np.flatnonzero(self.block == one) for one in np.unique(self.block)]

    @property
    def n_exchanges(self) -> int:
        """Number of ways to deal the labels within the blocks, the observed one among them."""
        return prod(comb(at.size, int(self.is_first[at].sum())) for at in self.members)

    @property
    def degrees_of_freedom(self) -> int:
        """Number of replicates beyond those that the means of blocks and groups take."""
        return self.is_first.size - len(self.members) - 1

    @property
    def spread(self) -> float:
        """Sum of squares of the labels about their means in the blocks: 1 over the variance factor of a difference."""
        counts = [(int(self.is_first[at].sum()), at.size) for at in self.members]
        return sum(first * (n - first) / n for first, n in counts)

    def smallest_p(self, permutations: int) -> float:
        """Return the smallest p-value that a two-sided test can reach."""
        if self.n_exchanges > permutations:
            return 1 / (1 + permutations)
        # With as many of each group in every block, the opposite of any labels gives the same absolute difference.
        is_even = all(2 * int(self.is_first[at].sum()) == at.size for at in self.members)
        return (2 if is_even else 1) / self.n_exchanges

    def within_blocks(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return values, shape (replicates, ...), less the means of their blocks."""
        centred = np.array(values, dtype=np.float64)
        for at in self.members:
            centred[at] -= centred[at].mean(axis=0)
        return centred

    def exchanges(self, permutations: int, rng: np.random.Generator) -> NDArray[np.bool_]:
        """Return labels dealt within the blocks, shape (exchanges, replicates).

        All ways where they are at most `permutations`, in which the observed one is among them; else the observed
        labels and `permutations` random ones.
        """
        if self.n_exchanges > permutations:
            return np.stack([self.is_first, *islice(self._random(rng), permutations)])
        choices = [list(combinations(at, int(self.is_first[at].sum()))) for at in self.members]
        labels = np.zeros((self.n_exchanges, self.is_first.size), dtype=bool)
        for row, chosen in zip(labels, product(*choices), strict=True):
            row[[place for places in chosen for place in places]] = True
        return labels

    def _random(self, rng: np.random.Generator) -> Iterator[NDArray[np.bool_]]:
        while True:
            labels = np.empty_like(self.is_first)
            for at in self.members:
                labels[at] = rng.permutation(self.is_first[at])
            yield labels


def make_design(n_first: int, n_second: int, blocks: tuple[Sequence[object], Sequence[object]] | None) -> Design:
    """Return the design of two groups of replicates, those of the first group before the others.

    Parameters
    ----------
    n_first, n_second
        Number of replicates of each group.
    blocks
        Label of the block of each replicate, for the first and for the second group; one block when None.

    Raises
    ------
    ValueError
        When there are more or fewer labels than replicates, or a block has replicates of one group only.
    """
    is_first = np.arange(n_first + n_second) < n_first
    if blocks is None:
        return Design(is_first, np.zeros(is_first.size, dtype=np.intp))
    if len(blocks) != 2 or (len(blocks[0]), len(blocks[1])) != (n_first, n_second):
        raise ValueError(
            f"blocks must be two lists, of {n_first} labels for a and of {n_second} for b, got {blocks!r:.200}"
        )
    labels = [*blocks[0], *blocks[1]]
    order = {label: place for place, label in enumerate(dict.fromkeys(labels))}
    design = Design(is_first, np.array([order[label] for label in labels], dtype=np.intp))
    lonely = [labels[at[0]] for at in design.members if design.is_first[at].all() or not design.is_first[at].any()]
    if lonely:
        raise ValueError(
            f"blocks with networks of one side only say nothing of a difference: {listed(lonely)}; leave these "
            "networks out, or join blocks"
        )
    return design


def difference(values: NDArray[np.float64], design: Design) -> NDArray[np.float64]:
    """Return the first group's mean less the second's, within blocks, by least squares: shape (features,)."""
    labels = design.within_blocks(design.is_first.astype(np.float64))
    return labels @ values / design.spread


def permutation_p_values(
    values: NDArray[np.float64], design: Design, *, statistic: Statistic, permutations: int, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Return the share of label exchanges with a statistic at least as far from 0 as the observed one.

    Parameters
    ----------
    values
        Value of every replicate and feature, shape (replicates, features).
    design
        Groups and blocks.
    statistic
        ``"difference"`` of means within blocks (the same as Student's t, of which it is a monotone function),
        ``"rank"`` (of values less the means of their blocks: Wilcoxon's, of aligned ranks where there are
        blocks), or ``"welch"`` (t with a variance for each group).
    permutations
        Exchanges to draw, where there are more than so many.
    rng
        Generator of the exchanges.

    Raises
    ------
    ValueError
        When `statistic` is unknown, or ``"welch"`` and there are blocks or a group of one replicate.

    References
    ----------
    Phipson and Smyth 2010, Stat. Appl. Genet. Mol. Biol. 9:39. ``"rank"``: Hodges and Lehmann 1962, Ann. Math.
    Stat. 33:482-497. ``"welch"``: Janssen 1997, Stat. Probab. Lett. 36:9-21.
    """
    check_statistic(statistic, design)
    centred = design.within_blocks(values)
    if statistic == "rank":
        from scipy.stats import rankdata  # takes a second to import

        scale = np.abs(values).mean(axis=0)
        steps = np.where(scale > 0, scale * _TOLERANCE, 1.0)
        centred = rankdata(np.round(centred / steps), axis=0)
        centred = centred - centred.mean(axis=0)
        size = np.full(values.shape[1], 1.0)
    else:
        size = np.abs(values).mean(axis=0)
    labels = design.exchanges(permutations, rng)
    observed = _statistics(centred, design.is_first[None], design, statistic)[0]
    reached = np.abs(observed) - _TOLERANCE * (np.abs(observed) if statistic == "welch" else size)
    at_least = np.zeros(values.shape[1], dtype=np.int64)
    step = max(1, _ENTRIES // max(1, values.shape[1]))
    for start in range(0, len(labels), step):
        found = _statistics(centred, labels[start : start + step], design, statistic)
        at_least += (np.abs(found) >= reached).sum(axis=0)
    return at_least / len(labels)


def check_statistic(statistic: Statistic, design: Design) -> None:
    """Raise ValueError when a statistic is unknown or does not suit the design."""
    if statistic not in get_args(Statistic.__value__):
        choices = ", ".join(map(repr, get_args(Statistic.__value__)))
        raise ValueError(f"statistic must be one of {choices}, got {statistic!r}")
    n_first = int(design.is_first.sum())
    if statistic == "welch" and (len(design.members) > 1 or min(n_first, design.is_first.size - n_first) < 2):
        raise ValueError("statistic='welch' takes two networks or more on each side and no pairs or blocks")


def _statistics(
    centred: NDArray[np.float64], labels: NDArray[np.bool_], design: Design, statistic: Statistic
) -> NDArray[np.float64]:
    """Return the statistic of every exchange and feature, shape (exchanges, features)."""
    # Values have mean 0 in every block, so that labels need not.
    sums = labels.astype(np.float64) @ centred
    if statistic != "welch":
        return sums / design.spread
    n_all = len(centred)
    n_first = int(design.is_first.sum())
    n_second = n_all - n_first
    squares = centred**2
    of_first = labels.astype(np.float64) @ squares
    # The sum over all is 0, so that of the second group is minus that of the first.
    variance_first = (of_first - sums**2 / n_first) / (n_first - 1)
    variance_second = (squares.sum(axis=0) - of_first - sums**2 / n_second) / (n_second - 1)
    error = np.sqrt((variance_first / n_first + variance_second / n_second).clip(min=0))
    # A feature that does not vary, up to rounding, has no statistic but 0.
    flat = _TOLERANCE * np.sqrt(squares.mean(axis=0))
    gap = sums / n_first + sums / n_second
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(np.abs(gap) <= flat, 0.0, gap / error)

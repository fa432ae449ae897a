"""Rewire a set of edges so that every regulator and every target keeps its number of edges."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def rewire(
    rows: NDArray[np.int64],
    columns: NDArray[np.int64],
    self_columns: NDArray[np.int64],
    n_columns: int,
    *,
    n_rounds: int,
    rng: np.random.Generator,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Trade edges at random between regulators and between targets (curveball).

    In a round the regulators are matched two by two; each two put the targets that only one of them has
    together and deal them out again at random, each getting as many as it had (Strona et al. 2014, Nature
    Communications 5:4114, doi 10.1038/ncomms5114; trades in all pairs at once, "global" ones: Carstens et
    al. 2018, arXiv:1804.08487). Or, with equal chance, targets do the same with their regulators: a regulator
    with thousands of targets can pass on only as many as its partner has, but each of these targets can
    pass the regulator on, so that hubs are rewired as fast as all else. No edge comes twice, and none becomes
    a self pair.

    A round is as likely as its reverse. The rounds therefore leave all edge sets with these numbers equally
    likely, as far as trades lead from one to the other: next to always, but a directed triangle of three genes
    that are both rows and columns, with nothing else to trade with, cannot be turned round.

    Parameters
    ----------
    rows, columns
        The edges, (P,) each; not changed.
    self_columns
        For each row the column that is the row's own gene, or -1, (regulators,).
    n_columns
        Number of targets.
    n_rounds
        Number of rounds; each takes a sort of the edges.
    rng
        Generator.

    Returns
    -------
    rows, columns
        The rewired edges, new arrays in no order.
    """
    rows, columns = rows.copy(), columns.copy()
    self_rows = np.full(n_columns, -1, dtype=np.int64)
    has_self = self_columns >= 0
    self_rows[self_columns[has_self]] = np.flatnonzero(has_self)
    for _ in range(n_rounds):
        if rng.random() < 0.5:
            _trade(rows, columns, self_columns, n_columns, rng)
        else:
            _trade(columns, rows, self_rows, self_columns.size, rng)
    return rows, columns


def _trade(
    owner: NDArray[np.int64],
    item: NDArray[np.int64],
    forbidden: NDArray[np.int64],
    n_items: int,
    rng: np.random.Generator,
) -> None:
    # One round, which overwrites `owner`. `forbidden` is the item that each owner must not have.
    half = forbidden.size // 2
    matched = rng.permutation(forbidden.size)[: 2 * half]
    partner, pair = np.full((2, forbidden.size), -1)
    partner[matched] = np.roll(matched, half)
    pair[matched] = np.tile(np.arange(half), 2)
    is_first = np.zeros(forbidden.size, dtype=bool)
    is_first[matched[:half]] = True

    free = (partner[owner] >= 0) & (forbidden[partner[owner]] != item)
    # Items that both have stay with both. Their place is sorted along with the key: an argsort takes four times
    # as long.
    bits = owner.size.bit_length()
    key = ((pair[owner] * n_items + item) << bits) | np.arange(owner.size)
    key.sort()
    place = key & ((1 << bits) - 1)
    key >>= bits
    twice = np.flatnonzero(key[1:] == key[:-1])
    free[place[twice]] = False
    free[place[twice + 1]] = False

    traded = rng.permutation(np.flatnonzero(free))
    in_pair = pair[owner[traded]]
    n_traded = np.bincount(in_pair, minlength=half)
    n_first = np.bincount(in_pair[is_first[owner[traded]]], minlength=half)
    # Small integers have a fast stable sort.
    by_pair = np.argsort(in_pair.astype(np.min_scalar_type(half)), kind="stable")
    in_pair, traded = in_pair[by_pair], traded[by_pair]
    rank = np.arange(traded.size) - (np.cumsum(n_traded) - n_traded)[in_pair]
    owner[traded] = np.where(rank < n_first[in_pair], matched[in_pair], matched[half + in_pair])

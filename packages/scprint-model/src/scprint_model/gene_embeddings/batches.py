"""Cut long proteins, and put pieces of like length together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

Long = Literal["windows", "cut"]


class Piece(NamedTuple):
    """Residues ``start`` to ``stop`` of a sequence."""

    sequence: int
    start: int
    stop: int


def pieces(lengths: Sequence[int], limit: int, long: Long = "windows") -> list[Piece]:
    """Return the pieces that a model reads of each sequence, in order.

    Parameters
    ----------
    lengths
        Residues of each sequence.
    limit
        Most residues that the model reads at a time.
    long
        Part of a longer sequence that is taken: ``"windows"``: all, in the fewest pieces side by side, whose lengths
        differ by one at most; ``"cut"``: the first `limit` residues.

    Raises
    ------
    ValueError
        When `limit` is not positive.
    """
    if limit < 1:
        raise ValueError(f"the most residues at a time must be positive, it is {limit}")
    out = []
    for i, length in enumerate(lengths):
        if long == "cut":
            out.append(Piece(i, 0, min(length, limit)))
            continue
        n = -(-length // limit)
        out += [Piece(i, length * k // n, length * (k + 1) // n) for k in range(n)]
    return out


def batches(items: Sequence[Piece], tokens: int) -> Iterator[list[int]]:
    """Yield positions in `items`, longest first, so that what does not fit into memory is seen at once.

    Parameters
    ----------
    items
        Pieces.
    tokens
        Most tokens in a batch, padding and the two ends of each piece included; a longer piece is a batch of its own.
    """
    order = sorted(range(len(items)), key=lambda i: items[i].start - items[i].stop)
    batch: list[int] = []
    width = 0
    for i in order:
        if batch and width * (len(batch) + 1) > tokens:
            yield batch
            batch = []
        if not batch:
            width = items[i].stop - items[i].start + 2
        batch.append(i)
    if batch:
        yield batch

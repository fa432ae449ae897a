"""Whether two networks are equally good: their rows exchanged, regulator by regulator."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import ArrayLike, NDArray

from bengrn.metrics import Ranking
from bengrn.metrics.pairs import Pairs
from bengrn.metrics.ranking import rank_pairs
from bengrn.uncertainty.bootstrap import places_by_name
from bengrn.uncertainty.replicates import replicate_metrics

# Differences of scores closer than this are equal: sums of the same terms in another order.
_TOLERANCE = 1e-12
# Scores placed at a time.
_PIECE = 1 << 20


def exchange_p(
    a: Pairs,
    b: Pairs,
    positives: tuple[NDArray[np.int64], NDArray[np.int64]],
    metric: Callable[[Ranking], float],
    *,
    names: ArrayLike | None = None,
    n_draws: int,
    rng: int | np.random.Generator,
) -> tuple[float, float]:
    """Test whether it matters which of two networks each regulator's weights come from.

    Parameters
    ----------
    a, b
        Both networks' scores, of the same shape and self pairs.
    positives
        Rows and columns of the true edges.
    metric
        Function of a ranking.
    names
        Names of the regulators, which the draws go by; None: draws go by the order of the rows.
    n_draws
        Number of ways to exchange rows that are tried. All ways are tried where they are not more.
    rng
        Generator to draw with, or a seed for one.

    Returns
    -------
    tuple of float
        The two-sided p-value, and the smallest that could have been.
    """
    n = a.shape[0]
    exchanged = _exchanges(n, n_draws, np.random.default_rng(rng))
    if names is not None:
        exchanged = exchanged[:, places_by_name(names, n)]
    both, rows, columns = _stacked(*_common_scale(a, b), positives)
    taken = np.concatenate([exchanged, ~exchanged])
    # Row r of the first mixture is a's, r, where it stays, and b's, n + r, where it is exchanged.
    weights = np.hstack([~taken, taken]).astype(np.int64)
    values = replicate_metrics(both, (rows, columns), rank_pairs(both, rows, columns), weights, [metric])[:, 0]
    difference = values[: len(exchanged)] - values[len(exchanged) :]
    # The rows as they are, the first way, are among those that reach what was observed: p is never 0.
    as_large = int((np.abs(difference) >= abs(difference[0]) - _TOLERANCE).sum())
    return as_large / len(exchanged), 1 / len(exchanged)


def _exchanges(n: int, n_draws: int, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Return which rows are exchanged, (ways, n), none in the first way.

    A way and its opposite differ in the sign of the difference only: one of the two is enough.
    """
    if n - 1 < 63 and 2 ** (n - 1) <= n_draws + 1:
        ways = np.arange(2 ** (n - 1))[:, None] >> np.arange(n) & 1
        return ways.astype(bool)
    drawn = rng.random((n_draws + 1, n)) < 0.5
    drawn[0] = False
    return drawn


def _stacked(
    a: Pairs, b: Pairs, positives: tuple[NDArray[np.int64], NDArray[np.int64]]
) -> tuple[Pairs, NDArray[np.int64], NDArray[np.int64]]:
    """Put the rows of both networks one after the other."""
    n = a.shape[0]
    either = a.is_sparse or b.is_sparse
    matrix: Any = (
        sp.csr_array(sp.vstack([sp.csr_array(a.matrix), sp.csr_array(b.matrix)]))
        if either
        else np.vstack([a.matrix, b.matrix])
    )
    own = np.concatenate([a.self_rows, b.self_rows + n]), np.concatenate([a.self_columns, b.self_columns])
    rows, columns = positives
    return Pairs(matrix, *own), np.concatenate([rows, rows + n]), np.concatenate([columns, columns])


def _common_scale(a: Pairs, b: Pairs) -> tuple[Pairs, Pairs]:
    """Turn the scores of both networks into places from the top, 0 staying 0."""
    sides = [{sign: _sorted_side(pairs, sign) for sign in (1, -1)} for pairs in (a, b)]
    top = 2 * max(values.size for own in sides for values in own.values()) + 1
    first, second = (_placed(pairs, own, top) for pairs, own in zip((a, b), sides, strict=True))
    return first, second


def _sorted_side(pairs: Pairs, sign: int) -> NDArray[Any]:
    """Return the sorted sizes of the scores above (1) or below (-1) 0, without self pairs, which may be NaN."""
    sizes = _sizes(_stored(pairs), sign)
    sizes = np.sort(sizes[sizes > 0])
    own = _sizes(pairs.self_scores(), sign)
    own = np.sort(own[own > 0])
    # Self pairs that are equal stand in places one after the other.
    return np.delete(sizes, np.searchsorted(sizes, own) + np.arange(own.size) - np.searchsorted(own, own))


def _placed(pairs: Pairs, sides: dict[int, NDArray[Any]], top: int) -> Pairs:
    stored = _stored(pairs)
    placed = np.zeros(stored.size, dtype=np.int32 if top < 2**31 else np.int64)
    for start in range(0, stored.size, _PIECE):
        for sign, values in sides.items():
            sizes = _sizes(stored[start : start + _PIECE], sign)
            here = np.flatnonzero(sizes > 0)
            below, up_to = (np.searchsorted(values, sizes[here], side=side) for side in ("left", "right"))
            # The top less twice the number above and less the number tied: above 0 for any of them.
            placed[start + here] = sign * (top - 2 * values.size + below + up_to)
    if not pairs.is_sparse:
        return Pairs(placed.reshape(pairs.shape), pairs.self_rows, pairs.self_columns)
    matrix = sp.csr_array((placed, pairs.matrix.indices, pairs.matrix.indptr), shape=pairs.shape)
    return Pairs(matrix, pairs.self_rows, pairs.self_columns)


def _stored(pairs: Pairs) -> NDArray[Any]:
    stored: NDArray[Any] = pairs.matrix.data if pairs.is_sparse else pairs.matrix.ravel()
    return stored


def _sizes(scores: NDArray[Any], sign: int) -> NDArray[Any]:
    """Return the scores with the sign turned for -1; of types without a sign there are none below 0."""
    if scores.dtype.kind == "i":
        scores = scores.astype(np.int64)  # -128 has no opposite among 8 bits
    if scores.dtype.kind == "u" and sign < 0:
        return np.zeros(scores.size, dtype=np.int8)
    return scores if sign > 0 else -scores

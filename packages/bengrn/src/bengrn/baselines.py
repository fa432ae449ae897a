"""Scores to set beside any network's: what chance, popularity and hubs alone reach.

Each is a matrix of scores, regulators x targets, to be scored like a network. The correlation of expression,
the other baseline to beat, needs the data: :mod:`bengrn.methods.correlation`.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import hypergeom

from bengrn.metrics import Ranking, expected_average_precision, odds_ratio_at_k
from bengrn.metrics.pairs import as_pairs, as_positions
from bengrn.uncertainty.bootstrap import places_by_name

type Degrees = Literal["product", "source", "target"]


def degree_only(
    positives: Any, shape: tuple[int, int], *, degrees: Degrees = "product", leave_one_out: bool = False
) -> NDArray[np.integer]:
    """Score each pair by how many true edges its two genes have: the popularity baseline.

    It knows nothing of single edges, yet does well wherever few regulators or targets hold most of the truth;
    a network that does not beat it may have learnt no more than which genes are studied or expressed.

    **It is made from the truth it is scored on.** As it stands it is not a method, but about the most that
    degrees alone explain. Part of that is circular: an edge raises its own pair's score, much so where
    degrees are small (an edge between two genes without another scores 1, the pairs around it 0). With
    `leave_one_out` each true pair is scored without itself; this errs the other way, since of two pairs
    with equal degrees the true one now ranks lower. What degrees explain lies between the two.
    ``degrees="target"`` with `leave_one_out` is free of circularity within a regulator: targets are ranked
    by how many *other* regulators they have, which can be known before the regulator is. Scores with
    `leave_one_out` carry the truth's edges in them: a permutation test of them means nothing.

    Parameters
    ----------
    positives
        The true edges, self pairs not among them: flat positions, (P,) int, or a tuple (rows, columns).
    shape
        Number of regulators and of targets.
    degrees
        "product": out-degree of the regulator times in-degree of the target. "source": out-degree alone, all
        pairs of a regulator tied. "target": in-degree alone, all pairs of a target tied.
    leave_one_out
        Take a true edge off both its degrees in its own pair's score.

    Returns
    -------
    numpy.ndarray
        (regulators, targets); int32, or int64 where degrees are so large.

    Raises
    ------
    ValueError
        If a positive is outside or named twice, or `degrees` is none of the three.

    Examples
    --------
    Regulator 0 has targets 1 and 2, regulator 1 has target 2.

    >>> edges = ([0, 0, 1], [1, 2, 2])
    >>> degree_only(edges, (2, 3)).tolist()
    [[0, 2, 4], [0, 1, 2]]
    >>> degree_only(edges, (2, 3), leave_one_out=True).tolist()
    [[0, 0, 1], [0, 1, 0]]
    """
    _check_degrees(degrees)
    rows, columns = as_positions(positives, shape)
    out, in_ = (np.bincount(place, minlength=size) for place, size in zip((rows, columns), shape, strict=True))
    if degrees == "source":
        in_[:] = 1
    elif degrees == "target":
        out[:] = 1
    largest = int(out.max(initial=0)) * int(in_.max(initial=0))
    scores: NDArray[np.integer] = np.multiply.outer(
        *(degree.astype(np.int32 if largest <= np.iinfo(np.int32).max else np.int64) for degree in (out, in_))
    )
    if leave_one_out:
        scores[rows, columns] = (out[rows] - (degrees != "target")) * (in_[columns] - (degrees != "source"))
    return scores


def network_degree(
    scores: Any, *, self_columns: ArrayLike | None = None, degrees: Degrees = "product"
) -> NDArray[np.floating]:
    """Replace a network's scores by what its hubs imply: strength of the regulator times strength of the target.

    Strengths are sums of the network's own scores over its pairs; nothing of the truth is used. If this
    scores as well as the network itself, the network's hubs are all that matched.

    Parameters
    ----------
    scores
        Dense array or scipy sparse matrix, (regulators, targets). Scores below 0 rank below no edge and add
        nothing to a strength; take absolute values first where they should.
    self_columns
        For each row the column that is the row's own gene, -1 where there is none; self pairs add nothing.
    degrees
        "product", or the strength of the regulator ("source") or target ("target") alone.

    Returns
    -------
    numpy.ndarray
        (regulators, targets) float32, scaled so that the largest is 1; all 0 where no score is above 0.

    Raises
    ------
    TypeError
        If the scores are not real numbers.
    ValueError
        If a score is NaN or infinite, or `degrees` is none of the three.

    Examples
    --------
    Strengths are 4 and 1 for the regulators, 1, 3 and 1 for the targets.

    >>> 12 * network_degree([[9.0, 3.0, 1.0], [1.0, 9.0, 0.0]], self_columns=[0, 1])
    array([[ 4., 12.,  4.],
           [ 1.,  3.,  1.]], dtype=float32)
    """
    _check_degrees(degrees)
    pairs = as_pairs(scores, self_columns)
    out, in_ = np.zeros(pairs.shape[0]), np.zeros(pairs.shape[1])
    step = max(1, (1 << 19) // max(pairs.shape[1], 1))
    own_column = np.full(pairs.shape[0], -1)
    own_column[pairs.self_rows] = pairs.self_columns
    for start in range(0, pairs.shape[0], step):
        part = pairs.matrix[start : start + step]
        block = np.array(part.toarray() if pairs.is_sparse else part, dtype=np.float64)
        # A self pair may be anything, NaN too.
        is_own = np.flatnonzero(own_column[start : start + step] >= 0)
        block[is_own, own_column[start + is_own]] = 0.0
        n_bad = int(np.count_nonzero(~np.isfinite(block)))
        if n_bad:
            raise ValueError(
                f"{n_bad:,} scores in rows {start:,} to {start + len(block) - 1:,} are NaN or infinite: strengths "
                "are sums, give finite scores"
            )
        block.clip(min=0.0, out=block)
        out[start : start + step] = block.sum(axis=1)
        in_ += block.sum(axis=0)
    if degrees == "source":
        in_[:] = 1.0
    elif degrees == "target":
        out[:] = 1.0
    # Scaled before they are multiplied, so that float32 holds any product.
    return np.multiply.outer(*(strength.astype(np.float32) for strength in (_scaled(out), _scaled(in_))))


def random_scores(
    shape: tuple[int, int], seed: int = 0, *, names: tuple[ArrayLike, ArrayLike] | None = None
) -> NDArray[np.float32]:
    """Draw independent uniform scores: one network that knows nothing.

    :func:`random_expectation` gives the mean over all such networks.

    Parameters
    ----------
    shape
        Number of regulators and of targets.
    seed
        Seed of the draw.
    names
        Names of the regulators and of the targets, which the draw goes by: the same genes in another order then have
        the same scores. None: it goes by their order.

    Returns
    -------
    numpy.ndarray
        (regulators, targets) float32.

    Raises
    ------
    ValueError
        If there are more or fewer names.
    """
    drawn = np.random.default_rng(seed).random(shape, dtype=np.float32)
    if names is None:
        return drawn
    return drawn[np.ix_(*(places_by_name(some, n) for some, n in zip(names, shape, strict=True)))]


def random_expectation(n_pairs: int, n_positives: int) -> dict[str, float]:
    r"""Compute the mean of each metric over all orders of the pairs, exactly: what random scores without ties get.

    - ``prevalence`` :math:`\pi = P / N`, ``auroc`` 0.5, ``epr`` 1;
    - ``auroc_partial``, up to a false positive rate of 0.1: 0.5 but for rounding to whole negatives;
    - ``ap``: with harmonic numbers, see :func:`bengrn.metrics.expected_average_precision`; slightly above the
      prevalence, since in a short list luck alone puts a positive on top. ``ap_ratio`` is it over the
      prevalence;
    - ``auprc``: :math:`(\mathrm{ap} + \pi) / 2`, for the trapezoid rule over a curve that starts at precision 1;
    - ``auprc_paper``: :math:`(\mathrm{ap} - \pi) / 2`, where all scores are above 0;
    - ``odds_ratio``: the mean over the hypergeometric number of true positives; above 1, since a ratio rises
      more above 1 than it can fall below.

    A constant score gets other values, ties being exact: ``ap`` :math:`\pi`, ``odds_ratio`` 1, ``auprc``
    :math:`(1 + \pi) / 2`, ``auprc_paper`` 0.

    Parameters
    ----------
    n_pairs, n_positives
        Number of scored pairs and of positives among them.

    Raises
    ------
    ValueError
        If positive or negative pairs are lacking.

    Examples
    --------
    Of two pairs one is true: on top it has precision 1, below 1/2.

    >>> random_expectation(2, 1)["ap"]
    0.75
    """
    if not 0 < n_positives < n_pairs:
        raise ValueError(
            f"{n_positives:,} of {n_pairs:,} pairs are positive: a ranking can only be scored with at least one "
            "positive and one negative pair"
        )
    prevalence = n_positives / n_pairs
    ap = expected_average_precision(_ranked([0], [n_pairs], [n_positives], n_pairs))
    return {
        "ap": ap,
        "ap_ratio": ap / prevalence,
        "auprc": (ap + prevalence) / 2,
        "auprc_paper": (ap - prevalence) / 2,
        "auroc": 0.5,
        "auroc_partial": _mean_partial_auroc(n_pairs - n_positives),
        "epr": 1.0,
        "odds_ratio": _mean_odds_ratio(n_pairs, n_positives),
        "prevalence": prevalence,
    }


def _mean_odds_ratio(n_pairs: int, n_positives: int) -> float:
    mean = n_positives**2 / n_pairs
    variance = mean * (1 - n_positives / n_pairs) * (n_pairs - n_positives) / max(n_pairs - 1, 1)
    # Ten standard deviations hold all of the mean that double precision shows.
    reach = 10 * variance**0.5 + 10
    first, last = max(0, 2 * n_positives - n_pairs, int(mean - reach)), min(n_positives, int(mean + reach))
    tp = np.arange(first, last + 1)
    ratios = [
        odds_ratio_at_k(_ranked([0, n_positives], [n_positives, n_pairs - n_positives], [x, n_positives - x], n_pairs))
        for x in tp.tolist()
    ]
    return float(hypergeom.pmf(tp, n_pairs, n_positives, n_positives) @ ratios)


def _mean_partial_auroc(n_negatives: int, max_fpr: float = 0.1) -> float:
    # Above the i-th negative stand i / (n + 1) of the positives, on average, and the curve is flat between negatives.
    room = max_fpr * n_negatives
    whole = int(room)
    area = (whole * (whole + 1) / 2 + (room - whole) * (whole + 1)) / (n_negatives * (n_negatives + 1))
    lowest = max_fpr**2 / 2
    return 0.5 * (1 + (area - lowest) / (max_fpr - lowest))


def _ranked(n_above: list[int], n_tied: list[int], p_tied: list[int], n_pairs: int) -> Ranking:
    positives = np.array(p_tied)
    return Ranking(
        n_pairs=n_pairs,
        n_positives=int(positives.sum()),
        n_predicted=0,
        value=-np.arange(positives.size, dtype=np.float64),
        n_above=np.array(n_above),
        n_tied=np.array(n_tied),
        p_above=np.cumsum(positives) - positives,
        p_tied=positives,
    )


def _scaled(strength: NDArray[np.float64]) -> NDArray[np.float64]:
    largest = strength.max(initial=0.0)
    return strength / largest if largest > 0 else strength


def _check_degrees(degrees: str) -> None:
    if degrees not in ("product", "source", "target"):
        raise ValueError(f"degrees = {degrees!r} is not known: use 'product', 'source' or 'target'")

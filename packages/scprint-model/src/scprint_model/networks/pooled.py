"""P-values of edges from the permutations of all edges together, so that few permutations resolve small ones."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammainc, gammaincc, ndtr, polygamma

from scprint_model.networks.choose import NetworkCells

type Vector = NDArray[np.float64]

#: Fewer permutations, or edges that vary, do not say how edges vary: their p-values are counted.
LEAST_PERMUTATIONS, LEAST_EDGES = 10, 200
#: Edges whose permutations are kept for the pool.
POOL_EDGES = 100_000
#: Share of the pool beyond which a fitted tail takes over, and the residuals that it is fitted to at least.
TAIL, TAIL_RESIDUALS = 1e-3, 250
#: Smallest p-value that a tail gives, and that in units of 1 / residuals: so far it is checked with more permutations.
SMALLEST, BEYOND_POOL = 1e-6, 0.1
#: Smallest p-value in units of 1 / permutations. The tail is that of all edges: what an edge's own is like so far out,
#: its few permutations do not say, so that further digits would be those of another edge.
BEYOND_OWN = 1 / 500
#: Weights that follow correlations by less gain nothing from them.
LEAST_CONTROL = 0.3
#: Permutations of the correlations, whose moments are then taken as known.
REFERENCE_PERMUTATIONS = 1000


def correlations(cells: NetworkCells) -> Vector:
    """Return the correlation of genes after log(1 + counts per 10,000 of the depth); 0 of those that do not vary."""
    depth = np.maximum(cells.total_counts.astype(np.float64), 1.0)
    values = np.log1p(cells.counts.toarray() / depth[:, None] * 1e4)
    values -= values.mean(axis=0)
    length = np.sqrt((values**2).sum(axis=0))
    values = np.divide(values, length, out=np.zeros_like(values), where=length > 1e-9)
    return values.T @ values


class PooledNull:
    """Networks of permuted cells, and the p-values of the observed network that come of them.

    Over permutations the weights of an edge have a mean and a variance of their own. Few permutations know these
    roughly, so both are drawn towards what the edge's two genes make one expect, by as much as edges turn out to follow
    their genes (empirical Bayes). Where weights rise and fall with the correlations of the same permuted cells, the
    moments of these over many more permutations, which cost little, correct those of the weights (control variate).
    Residuals in standard deviations of the edge are pooled over edges. Those of a permutation are taken from the other
    ones, so that they are spread as the observed ones are where there is nothing to find.

    Parameters
    ----------
    observed
        Weights of the observed network, (genes, genes).
    tested
        Whether each of its edges is tested.
    """

    def __init__(self, observed: NDArray, tested: NDArray[np.bool_]) -> None:
        self._shape, self._at = observed.shape, np.flatnonzero(tested)
        self._observed = self._edges(observed)
        self._sum, self._squares, self._signed, self._absolute = np.zeros((4, len(self._at)))
        self._some = np.sort(np.random.default_rng(0).permutation(len(self._at))[:POOL_EDGES])
        self._weights: list[Vector] = []
        self._followed: list[Vector] = []

    @property
    def n(self) -> int:
        """Number of permutations so far."""
        return len(self._weights)

    def add(self, network: NDArray, cells: NetworkCells) -> None:
        """Take the network of one permutation, and the cells that it came of; of most edges only sums are kept."""
        weights, followed = self._edges(network), self._edges(correlations(cells))
        self._sum += weights
        self._squares += weights**2
        self._signed += followed
        self._absolute += np.abs(followed)
        self._weights.append(weights[self._some])
        self._followed.append(followed[self._some])

    def p_values(
        self, counted: NDArray[np.float32], permuted: Callable[[], NetworkCells], n_reference: int
    ) -> tuple[NDArray[np.float32], float]:
        """Return p-values, NaN untested, and the smallest that there could be.

        Parameters
        ----------
        counted
            P-values of each edge from its own permutations, (genes, genes): they stay where there are too few
            permutations or edges to pool, and for edges that never vary.
        permuted
            Function that gives the cells of one more permutation.
        n_reference
            Number of them that say how correlations vary, where the network follows these.
        """
        if self.n < LEAST_PERMUTATIONS:
            return counted, 1 / (self.n + 1)
        mean, variance = _moments(self._sum, self._squares, self.n)
        edges = np.flatnonzero(variance > (1e-6 * np.abs(mean)) ** 2)
        if len(edges) < LEAST_EDGES:
            return counted, 1 / (self.n + 1)
        weights, followed = np.stack(self._weights), np.stack(self._followed)
        control, absolute = _control(weights, followed)
        drawn = self._absolute if absolute else self._signed
        reference = _Reference.none(len(mean))
        if control:
            reference = _Reference.of(lambda: self._edges(correlations(permuted())), n_reference, absolute=absolute)
        leaning = reference.standardised(drawn / self.n)
        genes = np.divmod(self._at, self._shape[1])
        varies = np.isin(self._some, edges)
        noise = ((1 - control**2) / self.n, _noise_of_log_variance(weights[:, varies]))
        fit = _Fit.of(mean, variance, leaning, edges, genes, reference, noise=noise, control=control)
        residual = fit.residuals(self._observed, mean, variance, leaning)[edges]
        some = self._some[varies]
        pool = self._left_out(fit, weights, np.abs(followed) if absolute else followed, reference, some)
        centre, spread = pool.mean(), pool.std()
        pool, residual = (pool - centre) / spread, (residual - centre) / spread
        skewness = _skewness(pool, reference.skewness[some])
        survival = np.sort(_survival(pool, skewness(reference.skewness[some])).ravel())
        p = counted.astype(np.float32)
        smallest = max(SMALLEST, BEYOND_POOL / survival.size, BEYOND_OWN / self.n)
        found = _ranked(_survival(residual, skewness(reference.skewness[edges])), survival, smallest)
        p.ravel()[self._at[edges]] = found
        return p, smallest

    def _left_out(
        self, fit: _Fit, weights: Vector, followed: Vector, reference: _Reference, some: NDArray[np.int64]
    ) -> Vector:
        """Return the residuals of each permutation, (permutations, some edges), with the moments of the others."""
        at = np.searchsorted(self._some, some)
        weights, followed, n = weights[:, at], followed[:, at], self.n
        fit, reference = fit.at(some), reference.at(some)
        sums, squares, drawn = weights.sum(axis=0), (weights**2).sum(axis=0), followed.sum(axis=0)
        return np.stack(
            [
                fit.residuals(
                    one,
                    *_moments(sums - one, squares - one**2, n - 1),
                    reference.standardised((drawn - other) / (n - 1)),
                )
                for one, other in zip(weights, followed, strict=True)
            ]
        )

    def _edges(self, network: NDArray) -> Vector:
        return np.asarray(network.ravel()[self._at], dtype=np.float64)


@dataclass(frozen=True, eq=False)
class _Reference:
    """Moments of correlations over permutations, one an edge; `deviation` 0 where there are none to lean on."""

    mean: Vector
    deviation: Vector
    skewness: Vector

    @classmethod
    def none(cls, n_edges: int) -> _Reference:
        return cls(*np.zeros((3, n_edges)))

    @classmethod
    def of(cls, draw: Callable[[], Vector], n: int, *, absolute: bool) -> _Reference:
        first: Vector = np.abs(draw()) if absolute else draw()
        sums = np.zeros((3, len(first)))
        for _ in range(n):
            drawn = (np.abs(draw()) if absolute else draw()) - first
            for power in range(3):
                sums[power] += drawn ** (power + 1)
        one, two, three = sums / n
        deviation = np.sqrt(np.maximum(two - one**2, 0))
        third = three - 3 * one * two + 2 * one**3
        return cls(
            one + first, deviation, np.divide(third, deviation**3, out=np.zeros_like(third), where=deviation > 0)
        )

    def at(self, edges: NDArray[np.int64]) -> _Reference:
        return _Reference(self.mean[edges], self.deviation[edges], self.skewness[edges])

    def standardised(self, values: Vector) -> Vector:
        return np.divide(values - self.mean, self.deviation, out=np.zeros_like(values), where=self.deviation > 0)


@dataclass(frozen=True, eq=False)
class _Fit:
    """Mean, in standard deviations, and log variance that an edge is expected to have, and trust in its own."""

    mean: Vector
    log_variance: Vector
    own_mean: float
    own_variance: float
    control: float

    @classmethod
    def of(
        cls,
        mean: Vector,
        variance: Vector,
        leaning: Vector,
        edges: NDArray[np.int64],
        genes: tuple[NDArray[np.int64], NDArray[np.int64]],
        reference: _Reference,
        *,
        noise: tuple[float, float],
        control: float,
    ) -> _Fit:
        """Fit moments over those edges that vary, with the variances that noise adds to means and log variances."""
        genes, known = (genes[0][edges], genes[1][edges]), reference.at(edges)
        floor = np.where(known.deviation > 0, known.deviation, max(np.median(known.deviation), np.finfo(float).tiny))
        logs = np.log(variance[edges])
        expected, own_variance = _shrunken(logs, 2 * np.log(floor), genes, noise[1])
        deviation = np.exp((expected + own_variance * (logs - expected)) / 2)
        means = mean[edges] / deviation - control * leaning[edges]
        centre, own_mean = _shrunken(means, known.mean / floor, genes, noise[0])
        full = np.zeros((2, len(mean)))
        full[0, edges], full[1, edges] = centre, expected
        return cls(full[0], full[1], own_mean, own_variance, control)

    def at(self, edges: NDArray[np.int64]) -> _Fit:
        return _Fit(self.mean[edges], self.log_variance[edges], self.own_mean, self.own_variance, self.control)

    def residuals(self, weights: Vector, mean: Vector, variance: Vector, leaning: Vector) -> Vector:
        """Return how many standard deviations weights lie above an edge's mean, given its moments over permutations."""
        logs = np.log(np.maximum(variance, np.finfo(float).tiny))
        deviation = np.exp((self.log_variance + self.own_variance * (logs - self.log_variance)) / 2)
        own = mean / deviation - self.control * leaning
        return weights / deviation - (self.mean + self.own_mean * (own - self.mean))


def _moments(sums: Vector, squares: Vector, n: int) -> tuple[Vector, Vector]:
    return sums / n, np.maximum(squares - sums**2 / n, 0) / (n - 1)


def _noise_of_log_variance(weights: Vector) -> float:
    """Return how far the log variance of an edge is off, as a variance: by how two halves of the permutations differ.

    For weights that are normal it is trigamma((n - 1) / 2), for those with heavy tails more; the halves tell how much.
    """
    halves = [weights[side::2] for side in (0, 1)]
    logs = [np.log(np.maximum(half.var(axis=0, ddof=1), np.finfo(float).tiny)) for half in halves]
    normal = [float(polygamma(1, (len(some) - 1) / 2)) for some in (*halves, weights)]
    return float((logs[0] - logs[1]).var()) * normal[2] / (normal[0] + normal[1])


def _control(weights: Vector, followed: Vector) -> tuple[float, bool]:
    """Return how weights correlate with correlations, or with their absolute values, within edges; 0 for too little."""
    own = weights - weights.mean(axis=0)
    own /= np.maximum(np.sqrt((own**2).sum(axis=0)), np.finfo(float).tiny)
    found = []
    for values in (followed, np.abs(followed)):
        other = values - values.mean(axis=0)
        other /= np.maximum(np.sqrt((other**2).sum(axis=0)), np.finfo(float).tiny)
        found.append(float((own * other).sum(axis=0).mean()))
    absolute = abs(found[1]) > abs(found[0])
    control = found[absolute]
    return (control if abs(control) >= LEAST_CONTROL else 0.0), absolute


def _shrunken(
    values: Vector, known: Vector, genes: tuple[NDArray[np.int64], NDArray[np.int64]], noise: float
) -> tuple[Vector, float]:
    """Return what edges' values should be by what is known of them and by their genes, and the trust in their own.

    Values have the variance `noise` around the true ones; the trust is the share of their variance around the expected
    ones that is not noise.
    """
    centred = known - known.mean()
    square = float((centred**2).sum())
    slope = float((centred * values).sum()) / square if square > 0 else 0.0
    expected = values.mean() + slope * centred
    expected = expected + _gene_effects(values - expected, genes)
    variance = float((values - expected).var())
    return expected, max(0.0, 1 - noise / variance) if variance > 0 else 0.0


def _gene_effects(values: Vector, genes: tuple[NDArray[np.int64], NDArray[np.int64]]) -> Vector:
    """Return the sum of a regulator's and a target's effect for each edge, as random effects, which are drawn to 0."""
    n = int(max(genes[0].max(), genes[1].max())) + 1
    counts = [np.maximum(np.bincount(of, minlength=n), 1) for of in genes]
    effects = np.zeros((2, n))
    for _ in range(10):
        for side in (0, 1):
            rest = values - effects[1 - side][genes[1 - side]]
            effects[side] = np.bincount(genes[side], rest, minlength=n) / counts[side]
    left = float((values - effects[0][genes[0]] - effects[1][genes[1]]).var())
    for side in (0, 1):
        there = np.bincount(genes[side], minlength=n) > 0
        noise = left / counts[side]
        own = max(0.0, float(effects[side][there].var() - noise[there].mean()))
        effects[side] *= own / np.maximum(own + noise, np.finfo(float).tiny)
    return np.asarray(effects[0][genes[0]] + effects[1][genes[1]])


def _skewness(pool: Vector, known: Vector) -> Callable[[Vector], Vector]:
    """Return the function from the skewness of an edge's correlations to that of its residuals."""
    cubes, centred = (pool**3).mean(axis=0), known - known.mean()
    square = float((centred**2).sum())
    slope = float((centred * cubes).sum()) / square if square > 0 else 0.0
    middle, level = float(known.mean()), float(cubes.mean())
    return lambda skewness: np.clip(level + slope * (skewness - middle), -1.0, 4.0)


def _survival(residuals: Vector, skewness: Vector) -> Vector:
    """Return the chance of larger residuals under Pearson's type III distribution with this skewness."""
    shape = 4 / np.maximum(np.abs(skewness), 0.02) ** 2
    place = np.maximum(shape + np.sign(skewness) * residuals * np.sqrt(shape), 0.0)
    skewed = np.where(skewness > 0, gammaincc(shape, place), gammainc(shape, place))
    return np.maximum(np.where(np.abs(skewness) < 0.02, ndtr(-residuals), skewed), 1e-300)


def _ranked(survival: Vector, pool: Vector, smallest: float) -> Vector:
    """Return the place of values in a sorted pool, as a share, and beyond its smallest ones that of a fitted tail.

    The logarithms of the smallest ones are exponential beyond a threshold (Hill 1975, Annals of Statistics 3:1163).
    """
    n = pool.size
    k = min(max(int(np.ceil(TAIL * n)), TAIL_RESIDUALS), n // 10)
    threshold, share = -np.log(pool[k - 1]), k / (1 + n)
    rate = 1 / np.maximum(np.mean(-np.log(pool[:k]) - threshold), 1e-12)
    beyond = -np.log(survival) - threshold
    tail = share * np.exp(-rate * np.maximum(beyond, 0.0))
    p = np.where(beyond > 0, tail, (1 + np.searchsorted(pool, survival, side="right")) / (1 + n))
    return np.clip(p, smallest, 1.0)

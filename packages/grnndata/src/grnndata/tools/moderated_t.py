"""A t-test of many features that share what they know of the variance: limma's moderated t."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .exchanges import Design, difference

# Features from which a trend of the variance is drawn: its curve has up to four coefficients.
_LEAST_FOR_TREND = 10


@dataclass(frozen=True)
class Moderated:
    """Result of a moderated t-test.

    Attributes
    ----------
    t, p_values
        Statistic and two-sided p-value of every feature, shape (features,); 0 and 1 where a feature does not vary.
    prior_df
        Degrees of freedom that the other features add; infinite when all variances fit the same prior.
    """

    t: NDArray[np.float64]
    p_values: NDArray[np.float64]
    prior_df: float


def moderated_t(
    values: NDArray[np.float64], design: Design, *, covariate: NDArray[np.float64] | None = None
) -> Moderated:
    """Test the difference of two groups in every feature, with variances drawn towards those of all features.

    The linear model has the group and the blocks as effects. The variance of each feature is the mean of its own
    and of the prior's, weighted by their degrees of freedom; the prior is a scaled inverse chi-square distribution
    around a smooth function of `covariate`.

    Parameters
    ----------
    values
        Value of every replicate and feature, shape (replicates, features).
    design
        Groups and blocks, with at least one degree of freedom.
    covariate
        Value of every feature that its variance may depend on, such as the logarithm of its mean, shape (features,).
        One prior for all features when None.

    References
    ----------
    Smyth 2004, Stat. Appl. Genet. Mol. Biol. 3:3, sections 5 and 6; with a trend: Law et al. 2014, Genome Biol.
    15:R29, "limma-trend".
    """
    from scipy.stats import t as student  # takes a second to import

    df = design.degrees_of_freedom
    effect = difference(values, design)
    labels = design.within_blocks(design.is_first.astype(np.float64))
    residuals = design.within_blocks(values) - labels[:, None] * effect
    variances = (residuals**2).sum(axis=0) / df
    varies = variances > 0
    t, p_values = np.zeros(effect.size), np.ones(effect.size)
    if not varies.any():
        return Moderated(t, p_values, float("inf"))
    at = None if covariate is None or varies.sum() < _LEAST_FOR_TREND else covariate[varies]
    prior_df, prior = fit_prior(variances[varies], df, covariate=at)
    squeezed = squeeze(variances[varies], df, prior_df, prior)
    t[varies] = effect[varies] / np.sqrt(squeezed / design.spread)
    # No more than there is in all features together.
    total_df = min(df + prior_df, df * float(varies.sum()))
    p_values[varies] = 2 * student.sf(np.abs(t[varies]), total_df)
    return Moderated(t, p_values, prior_df)


def squeeze(
    variances: NDArray[np.float64], df: float, prior_df: float, prior: NDArray[np.float64] | float
) -> NDArray[np.float64]:
    """Return posterior variances: means of a feature's own and of the prior's, weighted by degrees of freedom."""
    if np.isinf(prior_df):
        return np.broadcast_to(np.asarray(prior, dtype=np.float64), variances.shape).copy()
    return np.asarray((prior_df * prior + df * variances) / (prior_df + df))


def fit_prior(
    variances: NDArray[np.float64], df: float, *, covariate: NDArray[np.float64] | None = None
) -> tuple[float, NDArray[np.float64]]:
    """Fit a scaled F distribution to variances, by the moments of their logarithms.

    Parameters
    ----------
    variances
        Variance of every feature, above 0, shape (features,).
    df
        Degrees of freedom of each.
    covariate
        Value of every feature that the prior may depend on, shape (features,).

    Returns
    -------
    float, numpy.ndarray
        Degrees of freedom of the prior, infinite where the variances spread no more than their own degrees of
        freedom explain; and the prior's variance for each feature, shape (features,).
    """
    from scipy.special import digamma, polygamma

    # A variance far below the others would decide alone.
    logs = np.log(np.maximum(variances, 1e-5 * np.median(variances)))
    centred = logs - digamma(df / 2) + np.log(df / 2)
    basis = np.ones((centred.size, 1)) if covariate is None else _natural_spline(covariate)
    level = basis @ np.linalg.lstsq(basis, centred, rcond=None)[0]
    n_free = centred.size - np.linalg.matrix_rank(basis)
    spread = float(((centred - level) ** 2).sum() / n_free) if n_free else 0.0
    excess = spread - float(polygamma(1, df / 2))
    if excess <= 0:
        return float("inf"), np.exp(level)
    prior_df = 2 * inverse_trigamma(excess)
    return prior_df, np.exp(level + digamma(prior_df / 2) - np.log(prior_df / 2))


def inverse_trigamma(value: float) -> float:
    """Return the positive number whose trigamma function has a value above 0: Newton's method on its inverse."""
    from scipy.special import polygamma

    x = 0.5 + 1 / value  # below the solution; 1 / trigamma is convex and almost linear, so no step overshoots
    for _ in range(100):
        trigamma = float(polygamma(1, x))
        step = trigamma * (1 - trigamma / value) / float(polygamma(2, x))
        x += step
        if abs(step) <= 1e-12 * x:
            break
    return x


def _natural_spline(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return a basis of natural cubic splines with knots at quantiles, shape (features, 1 to 4).

    Hastie, Tibshirani and Friedman 2009, The Elements of Statistical Learning, equations 5.4 and 5.5.
    """
    n_knots = 4 if x.size >= 30 else 3
    knots = np.unique(np.quantile(x, np.linspace(0, 1, n_knots)))
    if knots.size < 2:
        return np.ones((x.size, 1))
    x, knots = (x - knots[0]) / (knots[-1] - knots[0]), (knots - knots[0]) / (knots[-1] - knots[0])
    cubes = [((x - knot).clip(min=0) ** 3 - (x - 1).clip(min=0) ** 3) / (1 - knot) for knot in knots[:-1]]
    return np.column_stack([np.ones(x.size), x, *(cube - cubes[-1] for cube in cubes[:-1])])

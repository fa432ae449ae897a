"""Likeness of simulated and real cells: means and variances, zeros, depth, correlation of genes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from anndata import AnnData
from numpy.typing import NDArray
from scipy import sparse, stats

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: Most genes whose correlations are taken, the most expressed ones.
_MOST_GENES = 500


def realism(simulated: AnnData, real: AnnData) -> pd.DataFrame:
    """Compare simulated cells with real ones by what methods react to.

    A method can win on simulations that do not look like cells; this says how far they are from them.

    Parameters
    ----------
    simulated, real
        Cells × genes with counts in X. Genes need not be the same.

    Returns
    -------
    pandas.DataFrame
        One row a quantity, with the columns ``simulated``, ``real`` (medians, or the number itself) and ``distance``:
        the Kolmogorov-Smirnov distance of the two distributions, 0 where they are alike and 1 where they do not
        overlap; NaN where there is one number only. Correlations are those of log(1 + counts per cell's median depth),
        among the 500 most expressed genes.

    Raises
    ------
    ValueError
        If there are fewer than three cells or genes, or a value below 0 or missing.
    """
    ours, theirs = _quantities(simulated, "simulated"), _quantities(real, "real")
    rows: dict[str, tuple[float, float, float]] = {}
    for name, key in (
        ("total count of a cell", "depth"),
        ("genes found in a cell", "found"),
        ("share of zeros of a gene", "zeros"),
        ("variance over mean of a gene", "fano"),
        ("absolute correlation of two genes", "correlation"),
    ):
        a, b = ours[key], theirs[key]
        rows[name] = (float(np.median(a)), float(np.median(b)), float(stats.ks_2samp(a, b).statistic))
    rows["spread of log total counts"] = (_spread(ours), _spread(theirs), np.nan)
    rows["slope of log variance on log mean"] = (_slope(ours), _slope(theirs), np.nan)
    return pd.DataFrame.from_dict(rows, orient="index", columns=["simulated", "real", "distance"])


def plot_realism(simulated: AnnData, real: AnnData, path: str | Path | None = None) -> Figure:
    """Draw simulated cells beside real ones: variance and zeros against the mean, depth, correlation of genes.

    Parameters
    ----------
    simulated, real
        Cells × genes with counts in X.
    path
        File to write: png, pdf or svg. Default: none.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    ValueError
        As :func:`realism`.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError("drawing needs matplotlib: pip install bengrn[simulate]") from error
    theirs, ours = _quantities(real, "real"), _quantities(simulated, "simulated")
    sets = (("real", theirs, "#888888"), ("simulated", ours, "#d55e00"))
    figure = Figure(figsize=(9, 7), layout="constrained")
    variance, zeros, depth, correlation = figure.subplots(2, 2).ravel()
    for name, one, colour in sets:
        style: dict[str, Any] = {"s": 5, "alpha": 0.5, "color": colour, "label": name, "linewidths": 0}
        variance.scatter(one["mean"], one["variance"], **style)
        zeros.scatter(one["mean"], one["zeros"], **style)
        depth.hist(np.log10(one["depth"][one["depth"] > 0]), 40, density=True, alpha=0.6, color=colour, label=name)
        correlation.hist(one["signed"], np.linspace(-1, 1, 81), density=True, alpha=0.6, color=colour, label=name)
    means = np.geomspace(theirs["mean"].min(), theirs["mean"].max(), 50)
    variance.plot(means, means, color="black", linewidth=0.8, label="Poisson")
    zeros.plot(means, np.exp(-means), color="black", linewidth=0.8, label="Poisson")
    variance.set(xscale="log", yscale="log", xlabel="mean of a gene", ylabel="variance")
    zeros.set(xscale="log", xlabel="mean of a gene", ylabel="share of zeros")
    depth.set(xlabel="log10 of a cell's total count", ylabel="density")
    correlation.set(xlabel="correlation of two genes", ylabel="density", yscale="log")
    for axes in (variance, zeros, depth, correlation):
        axes.spines[["top", "right"]].set_visible(False)
    variance.legend(frameon=False, markerscale=3)
    if path is not None:
        from grnndata import atomic_path

        with atomic_path(path) as temporary:
            figure.savefig(temporary, dpi=150, format=Path(path).suffix.lstrip(".") or "png")
    return figure


def _spread(one: dict[str, NDArray[np.float64]]) -> float:
    return float(np.std(np.log(one["depth"][one["depth"] > 0])))


def _slope(one: dict[str, NDArray[np.float64]]) -> float:
    return float(np.polyfit(np.log(one["mean"]), np.log(one["variance"]), 1)[0])


def _quantities(cells: AnnData, what: str) -> dict[str, NDArray[np.float64]]:
    stored: Any = cells.X
    X = sparse.csr_matrix(stored, dtype=np.float64)
    if X.shape[0] < 3 or X.shape[1] < 3:
        raise ValueError(f"the {what} cells are {X.shape[0]} × {X.shape[1]} genes: at least 3 of each are needed")
    if not np.isfinite(X.data).all() or (X.data < 0).any():
        raise ValueError(f"the {what} cells hold values below 0 or missing: counts are needed in X")
    mean = np.asarray(X.mean(axis=0)).ravel()
    variance = np.asarray(X.multiply(X).mean(axis=0)).ravel() - mean**2
    expressed = (mean > 0) & (variance > 0)
    if expressed.sum() < 3:
        raise ValueError(f"fewer than 3 genes of the {what} cells vary: there is nothing to compare")
    depth = np.asarray(X.sum(axis=1)).ravel()
    places = np.flatnonzero(expressed)
    places = np.sort(places[np.argsort(-mean[places], kind="stable")[:_MOST_GENES]])
    scale = np.median(depth[depth > 0]) / np.where(depth > 0, depth, 1.0)
    logs = np.log1p(X[:, places].toarray() * scale[:, None])
    logs = logs[:, logs.std(axis=0) > 0]
    signed = np.corrcoef(logs.T)[np.triu_indices(logs.shape[1], 1)]
    zeros = 1 - np.diff(X.tocsc().indptr) / X.shape[0]
    return {
        "mean": mean[expressed],
        "variance": variance[expressed],
        "fano": variance[expressed] / mean[expressed],
        "zeros": zeros[expressed],
        "depth": depth,
        "found": np.diff(X.indptr).astype(float),
        "signed": signed,
        "correlation": np.abs(signed),
    }

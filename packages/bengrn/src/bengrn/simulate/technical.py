"""Technical noise of SERGIO, in its order: outlier genes, library sizes, dropouts, counting of molecules."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class TechnicalNoise:
    """Technical noise that turns the levels of RNA in cells into counts, as SERGIO does.

    The definitions are those of Dibaeinia and Sinha (2020), after Splatter. Each of the four steps can be switched off.
    The defaults are those of SERGIO's own example, with its library size (a median of 100 counts of 100 genes) scaled
    to the number of genes.

    Attributes
    ----------
    outlier_share
        Share of the genes that are expressed far above the others; 0 switches it off.
    outlier_mean, outlier_sd
        Mean and standard deviation of the logarithm of the factor of an outlier gene.
    depth_per_gene
        Median total count of a cell divided by the number of genes; None leaves the totals as they are.
    depth_sd
        Standard deviation of the logarithm of the total count over cells.
    dropout_percentile
        Percentile of all log-levels at which half of the values are lost; 0 switches dropouts off.
    dropout_shape
        Steepness of the logistic curve of dropouts.
    counting
        Whether whole numbers of molecules are drawn, from Poisson distributions.
    """

    outlier_share: float = 0.01
    outlier_mean: float = 0.8
    outlier_sd: float = 1.0
    depth_per_gene: float | None = 1.0
    depth_sd: float = 0.4
    dropout_percentile: float = 82.0
    dropout_shape: float = 6.5
    counting: bool = True

    def __post_init__(self) -> None:
        """Check the numbers."""
        for name, low, high in (("outlier_share", 0, 1), ("dropout_percentile", 0, 100)):
            if not low <= getattr(self, name) <= high:
                raise ValueError(f"{name} lies between {low} and {high}, got {getattr(self, name)}")
        for name in ("outlier_sd", "depth_sd", "dropout_shape"):
            if not 0 <= getattr(self, name) < np.inf:
                raise ValueError(f"{name} is a number of 0 or more, got {getattr(self, name)}")
        if self.depth_per_gene is not None and not 0 < self.depth_per_gene < np.inf:
            raise ValueError(f"depth_per_gene is a number above 0, or None, got {self.depth_per_gene}")

    def __call__(self, levels: NDArray, rng: np.random.Generator) -> NDArray[np.float32]:
        """Return what is counted of true levels.

        Parameters
        ----------
        levels
            Levels of RNA, (kinds of RNA, cells, genes). Kinds share outliers, library sizes and dropouts of a cell.
        rng
            Generator of all draws.

        Returns
        -------
        numpy.ndarray
            Counts, or levels where `counting` is off, (kinds of RNA, cells, genes).
        """
        n_cells, n_genes = levels.shape[1:]
        # every step draws its numbers, so that switching one off leaves the others as they are
        of_outliers, of_depth, of_dropouts, of_counts = rng.spawn(4)
        is_outlier = of_outliers.random(n_genes) < self.outlier_share
        factor = of_outliers.lognormal(self.outlier_mean, self.outlier_sd, n_genes)
        values = levels.astype(np.float64) * np.where(is_outlier, factor, 1.0)
        if self.depth_per_gene is not None:
            depth = of_depth.lognormal(np.log(self.depth_per_gene * n_genes), self.depth_sd, n_cells)
            total = values.sum(axis=(0, 2))
            values *= (depth / np.where(total > 0, total, 1.0))[:, None]
        if self.dropout_percentile > 0:
            logs = np.log1p(values.sum(axis=0))
            middle = np.percentile(logs, self.dropout_percentile)
            steep = np.clip(self.dropout_shape * (logs - middle), -700, 700)
            values *= of_dropouts.random((n_cells, n_genes)) < 1 / (1 + np.exp(-steep))
        return (of_counts.poisson(values) if self.counting else values).astype(np.float32)

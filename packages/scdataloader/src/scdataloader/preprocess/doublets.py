"""Doublets: droplets that held two cells, flagged with Scrublet through scanpy. Removes nothing."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from importlib.util import find_spec

import anndata
import numpy as np
import pandas as pd
from scipy import sparse

from scdataloader._wording import counted, listed
from scdataloader.content import cell_keys
from scdataloader.counts import csr_counts, obs_table

logger = logging.getLogger(__name__)

#: Scrublet learns nothing from samples of fewer cells: 30 principal components need more.
_FEWEST = 50


@dataclass(frozen=True, kw_only=True)
class Doublets:
    """Settings with which doublets are looked for.

    Cells are taken in an order that hangs on their counts and nothing else, so that the same cells in another order, or
    under other names, get the same scores from the same seed.

    Attributes
    ----------
    sample
        Column of ``obs`` that names the sample of each cell: two cells of different samples never meet in a droplet.
        None: all cells are of one sample.
    seed
        Seed for the doublets that are simulated.

    References
    ----------
    Wolock et al. 2019, Scrublet, Cell Syst. 8:281.
    """

    sample: str | None = None
    seed: int = 0

    def add_to(self, adata: anndata.AnnData) -> str:
        """Add ``obs["doublet_score"]`` and ``obs["predicted_doublet"]``, and return in words what was found.

        Cells of samples with fewer than 50 cells, or whose scores have no clear threshold, get no prediction: the flag
        is False, and the text says how many there are.

        Raises
        ------
        ImportError
            When scanpy, or scikit-image, which it needs for this, is not installed.
        ValueError
            When ``obs`` has no column `sample`.
        """
        # scikit-image is what scanpy's scrublet finds its threshold with
        missing = [name for name in ("scanpy", "skimage") if find_spec(name) is None]
        if missing:
            raise ImportError(f"doublets need {' and '.join(missing)}: pip install 'scdataloader[scanpy]'")
        import scanpy

        obs = obs_table(adata)
        if self.sample is not None and self.sample not in obs:
            raise ValueError(f"doublets_by={self.sample!r}: obs has no such column; it has [{listed(obs.columns)}]")
        counts = sparse.csr_matrix(csr_counts(adata), dtype=np.float32)
        scores = np.full(adata.n_obs, np.nan, np.float32)
        told, flags = np.zeros((2, adata.n_obs), bool)
        for cells in self._samples(obs):
            if len(cells) < _FEWEST:
                continue
            ordered = cells[np.argsort(cell_keys(counts[cells], np.arange(adata.n_vars)), kind="stable")]
            work = anndata.AnnData(counts[ordered])
            try:
                # approximate neighbours are random, and hang on the order of the cells
                scanpy.pp.scrublet(work, use_approx_neighbors=False, random_state=self.seed, verbose=False)
            except ValueError as error:  # too few variable genes, say
                logger.warning("scrublet can say nothing of %s cells: %s", f"{len(cells):,}", error)
                continue
            scores[ordered] = work.obs["doublet_score"]
            predicted = work.obs["predicted_doublet"]  # missing where there is no clear threshold
            told[ordered] = predicted.notna()
            flags[ordered] = predicted.eq(True)
        obs["doublet_score"], obs["predicted_doublet"] = scores, flags
        untold = int((~told).sum())
        rest = (
            f"; nothing can be said of {untold:,} cells of samples too small or without a threshold" if untold else ""
        )
        return f"{counted(int(flags.sum()), 'predicted doublet')} flagged, kept{rest}"

    def _samples(self, obs: pd.DataFrame) -> list[np.ndarray]:
        if self.sample is None:
            return [np.arange(len(obs))]
        codes, _ = pd.factorize(obs[self.sample], use_na_sentinel=False)
        return [np.flatnonzero(codes == code) for code in range(codes.max() + 1)]

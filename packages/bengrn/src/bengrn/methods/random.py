"""Random weights: what knowing nothing scores."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from bengrn.methods.correlation import keep_rows

if TYPE_CHECKING:
    from anndata import AnnData

    from grnndata import GRNAnnData


class Random:
    """Independent uniform weights, diagonal 0."""

    name = "random"

    def infer(
        self,
        adata: AnnData,
        *,
        regulators: Sequence[str] | None = None,
        rng: np.random.Generator | int | None = None,
    ) -> GRNAnnData:
        """Draw a network; see :class:`grnndata.GRNMethod`.

        Parameters
        ----------
        adata
            Only its genes matter.
        regulators
            Names of genes, ids or symbols; the other genes' rows are 0. All genes when None.
        rng
            Generator or seed.

        Raises
        ------
        ValueError
            If a regulator is unknown.
        """
        from grnndata import GRNAnnData

        weights = np.random.default_rng(rng).random((adata.n_vars, adata.n_vars), dtype=np.float32)
        np.fill_diagonal(weights, 0.0)
        keep_rows(weights, adata, regulators)
        return GRNAnnData(adata, grn=weights, method=self.name, parameters={"distribution": "uniform"})

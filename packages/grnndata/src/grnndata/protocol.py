"""The form of a method that infers gene networks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    import numpy as np
    from anndata import AnnData

    from .core import GRNAnnData


@runtime_checkable
class GRNMethod(Protocol):
    """A way to get a gene network out of cells.

    Any object with a ``name`` and an ``infer`` like this one is a method: nothing to inherit.
    """

    name: str

    def infer(
        self,
        adata: AnnData,
        *,
        regulators: Sequence[str] | None = None,
        rng: np.random.Generator | int | None = None,
    ) -> GRNAnnData:
        """Infer a network over the genes of `adata`.

        Parameters
        ----------
        adata
            Cells × genes, raw counts; not changed.
        regulators
            Names from ``var_names`` that may have outgoing edges; any gene when None.
        rng
            Generator or seed of everything random; the same seed gives the same network.

        Returns
        -------
        GRNAnnData
            Row = regulator, with ``uns["grn"]["method"]`` equal to `name`.
        """
        ...

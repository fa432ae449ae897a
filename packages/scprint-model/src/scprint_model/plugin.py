"""The model as a network method that bengrn finds at run time."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from anndata import AnnData

    from grnndata import GRNAnnData
    from scprint_model.model import ScPrint


class ScPrintMethod:
    """Infers one network from all cells it is given, over the most variable genes that the model knows.

    Parameters
    ----------
    model
        See `ScPrint.from_pretrained`.
    n_genes
        At most so many genes; the paper's benchmarks use 5,000. Time and memory grow with the square.
    """

    name = "scPRINT"

    def __init__(self, model: str = "bundled", *, n_genes: int = 5000) -> None:
        self._what = model
        self._n_genes = n_genes

    @cached_property
    def _model(self) -> ScPrint:
        from scprint_model.model import ScPrint

        return ScPrint.from_pretrained(self._what)

    def infer(
        self,
        adata: AnnData,
        *,
        regulators: Sequence[str] | None = None,
        rng: np.random.Generator | int | None = None,
    ) -> GRNAnnData:
        """Return the network of `adata`.

        Parameters
        ----------
        adata
            Raw counts over Ensembl ids.
        regulators
            Keep only the outgoing edges of these genes.
        rng
            Part of the protocol; nothing is drawn here, so it changes nothing.

        Raises
        ------
        ValueError
            When none of the regulators is among the genes of the network, or the data cannot be used.
        """
        from scprint_model.networks import infer

        del rng
        network = infer(self._model, adata, n_genes=self._n_genes)
        if regulators is not None:
            kept = network.var_names.isin(list(regulators))
            if not kept.any():
                raise ValueError(
                    f"none of the {len(regulators):,} regulators, such as {list(regulators)[:3]}, is among the "
                    f"network's {network.n_vars:,} genes, such as {network.var_names[:3].tolist()}"
                )
            network.varp["GRN"][~kept] = 0
        return network

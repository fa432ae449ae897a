"""The model as a network method that bengrn finds at run time."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

if TYPE_CHECKING:
    from anndata import AnnData

    from grnndata import GRNAnnData
    from scprint_model.model import ScPrint

Source = Literal["attention", "gene_embedding", "jacobian"]
#: Name of the method that reads each source.
_NAMES: dict[str, str] = {
    "attention": "scPRINT",
    "jacobian": "scPRINT, derivatives of predictions",
    "gene_embedding": "scPRINT, embeddings of genes",
}


class ScPrintMethod:
    """Infer one network from all cells, by default over the most variable genes that the model knows.

    Parameters
    ----------
    model
        Name, folder, file or address of the model, as for `ScPrint.from_pretrained`.
    n_genes
        Largest number of genes; the paper's benchmarks use 5,000. Time and memory grow with its square.
    source
        Source of the weights: ``"attention"``; ``"jacobian"``, how predictions answer to a regulator's count; or
        ``"gene_embedding"``, how alike the model takes two genes to be, without a look at the cells. Each is a method
        with a name of its own.
    options
        Further options of `scprint_model.networks.infer`, such as ``genes="all"`` for the whole genome, or ``heads``
        with the file of a saved `scprint_model.networks.HeadSelection`.
    """

    name = "scPRINT"
    # what bengrn's table of methods tells
    takes, directed, deterministic = "counts", True, False
    reference = "Kalfon et al., Nat. Commun. 16:3607 (2025), doi 10.1038/s41467-025-58699-1"
    licence, needs = "BSD-3-Clause", ""
    imports = ("scprint_model.model", "scprint_model.networks")

    def __init__(
        self, model: str = "bundled", *, n_genes: int = 5000, source: Source = "attention", **options: Any
    ) -> None:
        if source not in _NAMES:
            raise ValueError(f"source={source!r} is not one of {tuple(_NAMES)}")
        self.name = _NAMES[source]
        self._what = model
        self._options = {"n_genes": n_genes, "source": source} | options

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
            Raw counts over Ensembl ids or symbols.
        regulators
            Names of the genes whose outgoing edges are kept; None: all.
        rng
            Seed of what is drawn, such as the genes that each cell shows of the whole genome; None: 0.

        Raises
        ------
        ValueError
            When none of the regulators is among the genes of the network, or the data cannot be used.
        """
        from scprint_model.networks import HeadSelection, infer

        options = dict(self._options)
        if str(options.get("heads", "")).endswith(".json"):
            options["heads"] = HeadSelection.load(options["heads"])
        if rng is not None:
            options["seed"] = int(np.random.default_rng(rng).integers(2**31))
        return infer(self._model, adata, regulators=regulators, **options)

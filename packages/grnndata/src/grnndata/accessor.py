"""``adata.grn``: the networks of a plain AnnData."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import networkx as nx
import pandas as pd
from anndata import AnnData

from .core import GRNAnnData
from .networks import Networks
from .schema import GRN_KEY, UNS_KEY, Network, network_name

if TYPE_CHECKING:
    import igraph


class GRNAccessor:
    """The methods of `GRNAnnData` on a plain AnnData whose ``varp`` holds a network.

    ``import grnndata`` adds it to every AnnData as ``adata.grn``; on a `GRNAnnData`, ``grn`` is the network
    itself. Nothing is copied, and cells are not touched: the AnnData may be a view, or backed by a file.

    Raises
    ------
    ValueError
        On first use, when the AnnData holds no network or not a valid one.

    Examples
    --------
    >>> import anndata
    >>> import numpy as np
    >>> adata = anndata.AnnData(np.ones((2, 3)), varp={"GRN": np.diag([1.0, 2.0], k=1)})
    >>> adata.grn.regulators.tolist()
    ['0', '1']
    """

    def __init__(self, adata: AnnData) -> None:
        self._adata = adata

    @property
    def _network(self) -> GRNAnnData:
        # Made anew each time: the AnnData may have changed since.
        adata = self._adata
        keys = [key for key in adata.varp if key == GRN_KEY or network_name(key) is not None]
        parts: dict[str, Any] = {
            "var": adata.var,
            "varp": {key: adata.varp[key] for key in keys},
            "uns": {UNS_KEY: adata.uns[UNS_KEY]} if UNS_KEY in adata.uns else {},
        }
        return GRNAnnData(AnnData(shape=(0, adata.n_vars), **parts))

    @property
    def matrix(self) -> Network:
        """The network, shape (genes, genes), row = regulator."""
        return self._network.grn

    @property
    def networks(self) -> Networks[GRNAnnData]:
        """Named networks and planes of a stack, without cells; to be read: see `grnndata.Networks`."""
        return self._network.networks

    @property
    def directed(self) -> bool:
        """See `GRNAnnData.directed`."""
        return self._network.directed

    @property
    def regulators(self) -> pd.Index:
        """See `GRNAnnData.regulators`."""
        return self._network.regulators

    @property
    def targets(self) -> pd.Index:
        """See `GRNAnnData.targets`."""
        return self._network.targets

    @property
    def n_edges(self) -> int:
        """See `GRNAnnData.n_edges`."""
        return self._network.n_edges

    @property
    def density(self) -> float:
        """See `GRNAnnData.density`."""
        return self._network.density

    def edges(self, top_k: int | None = None, threshold: float | None = None) -> pd.DataFrame:
        """See `GRNAnnData.edges`."""
        return self._network.edges(top_k=top_k, threshold=threshold)

    def to_networkx(self) -> nx.Graph:
        """See `GRNAnnData.to_networkx`."""
        return self._network.to_networkx()

    def to_igraph(self) -> igraph.Graph:
        """See `GRNAnnData.to_igraph`."""
        return self._network.to_igraph()

    def to_grnndata(self) -> GRNAnnData:
        """Return a `GRNAnnData` that shares the arrays of this AnnData, for tools and plots."""
        return GRNAnnData(self._adata)

    def __repr__(self) -> str:
        return f"networks of an AnnData:\n{self._network!r}"

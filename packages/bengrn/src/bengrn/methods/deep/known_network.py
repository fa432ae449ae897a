"""The network of a model over the genes that it knows, as the other methods return theirs."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bengrn._wording import counted, listed
from bengrn.methods.method import checked_weights, places_of_regulators

if TYPE_CHECKING:
    from anndata import AnnData

    from grnndata import GRNAnnData

logger = logging.getLogger(__name__)


def as_result(
    adata: AnnData,
    places: NDArray[np.int64],
    weights: NDArray[np.float32],
    method: str,
    regulators: Sequence[str] | None,
    parameters: Mapping[str, Any],
) -> GRNAnnData:
    """Return cells and known genes with a network over them.

    Parameters
    ----------
    adata
        Cells × genes that the method was given.
    places
        Places of the genes of the network in `adata`, rising.
    weights
        Network, row = regulator, (known genes, known genes).
    method
        Name of the method.
    regulators
        Names of the genes that may have outgoing edges; all genes when None.
    parameters
        Settings, for the network's description.

    Raises
    ------
    ValueError
        If a regulator is not among the genes of the data, the model knows none of them, or a weight is not finite.
    """
    from grnndata import GRNAnnData

    part = adata[:, places].copy()
    rows = places_of_regulators(adata, regulators)
    if rows is not None:
        unknown = np.setdiff1d(rows, places)
        if len(unknown) == len(rows):
            raise ValueError(f"{method} knows none of the regulators, such as {adata.var_names[unknown[0]]!r}")
        if len(unknown):
            names = adata.var_names[unknown].tolist()
            logger.warning("%s does not know %s: %s", method, counted(len(unknown), "regulator"), listed(names))
        rows = np.flatnonzero(np.isin(places, rows))
    grn = checked_weights(weights, len(places), rows, method)
    return GRNAnnData(part, grn=grn, method=method, parameters=dict(parameters), directed=True)

"""Networks beside their cells and genes, and those of several groups in one object."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
from anndata import AnnData

from grnndata import GRNAnnData, network_key
from scprint_model._wording import counted
from scprint_model.genes import SharedGenes
from scprint_model.networks.choose import NetworkCells
from scprint_model.networks.group import GroupNetwork
from scprint_model.networks.heads import head_names
from scprint_model.networks.plan import NetworkPlan
from scprint_model.networks.source import METHODS
from scprint_model.networks.to_network import TURNED

logger = logging.getLogger(__name__)

#: Key in ``varp`` of the standard error of each edge; that of a named network has the name behind it.
ERROR_KEY = "GRN_standard_error"
#: Key in ``varp`` of the standard deviation of each edge between draws of genes, named alike.
SPREAD_KEY = "GRN_spread"
#: Key in ``varp`` of the p-value of each edge, named alike.
P_VALUE_KEY = "GRN_p_value"


def as_grnndata(
    adata: AnnData,
    shared: SharedGenes,
    at: np.ndarray,
    cells: np.ndarray,
    found: GroupNetwork,
    plan: NetworkPlan,
    *,
    told: dict[str, Any],
    inputs: NetworkCells,
) -> GRNAnnData:
    """Put a network beside its cells and genes."""
    seen = found.n_seen > 0
    base = shared.select(adata[cells], at[seen])
    told |= {"n_genes": base.n_vars}
    if plan.source != "gene_embedding":
        told |= {"context": inputs.context}
    if plan.source == "attention":
        told |= {"attention_axes": TURNED}
    if not inputs.whole:
        base.var["n_cells_seen"] = found.n_seen[seen]
        unseen = adata.var_names[shared.columns[at[~seen]]].tolist()
        told["n_genes_never_seen"] = len(unseen)
        if unseen:
            logger.warning(
                "%s in no cell's context: left out, such as %s",
                counted(len(unseen), "gene was", "genes were"),
                unseen[:3],
            )
    if found.smallest_p is not None:
        told |= {"p_values": "pooled" if plan.pools else "counted", "smallest_p_value": found.smallest_p}
    network = GRNAnnData(
        base,
        grn=found.network,
        planes=head_names(plan.heads) if plan.n_planes else None,
        method=METHODS[plan.source],
        parameters=told,
        normalisation=plan.normalisation,
    )
    network = plan.finish(network)
    if found.standard_error is not None:
        network.varp[ERROR_KEY] = found.standard_error
    if found.p_value is not None:
        network.varp[P_VALUE_KEY] = found.p_value
    if found.spread is not None:
        network.varp[SPREAD_KEY] = found.spread
    return network


def together(adata: AnnData, shared: SharedGenes, networks: dict[str, GRNAnnData]) -> GRNAnnData:
    """Put the networks of several groups into one object, by name; the data have the cells of these groups alone."""
    names = adata.var_names[shared.columns]
    present = np.zeros(len(names), dtype=bool)
    for network in networks.values():
        present |= np.asarray(names.isin(network.var_names))
    joint = GRNAnnData(shared.select(adata, np.flatnonzero(present)), networks=networks)
    for name, network in networks.items():
        place = joint.var_names.get_indexer(network.var_names)
        for key in (ERROR_KEY, P_VALUE_KEY, SPREAD_KEY):
            if key in network.varp:
                values = np.full((joint.n_vars, joint.n_vars), np.nan, dtype=np.float32)
                values[np.ix_(place, place)] = np.asarray(network.varp[key])
                joint.varp[key + network_key(name).removeprefix("GRN")] = values
        if "n_cells_seen" in network.var:
            seen = np.zeros(joint.n_vars, dtype=np.int64)
            seen[place] = network.var["n_cells_seen"]
            joint.varm[f"n_cells_seen.{network_key(name).removeprefix('GRN.')}"] = seen[:, None]
    return joint

"""Simulated cells as an AnnData, and the network that made them as a ground truth."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from anndata import AnnData
from numpy.typing import NDArray

from bengrn._provenance import Step, in_uns, plain, step, tell
from bengrn._wording import listed
from bengrn.truths.ground_truth import GroundTruth
from bengrn.truths.record import AS_STORED

logger = logging.getLogger(__name__)


class Simulation(NamedTuple):
    """Simulated cells and the network that made them.

    Attributes
    ----------
    cells
        Expression, labels and record.
    truth
        The edges that were simulated; it knows every simulated gene.
    """

    cells: AnnData
    truth: GroundTruth


def as_anndata(
    genes: Sequence[str],
    X: NDArray[np.float32],
    obs: pd.DataFrame,
    layers: Mapping[str, NDArray[np.float32]],
    notes: Sequence[str],
    record: Step,
) -> AnnData:
    """Put simulated cells into an AnnData, with what was taken for granted and what made them in ``uns``."""
    cells = AnnData(X, obs=obs, var=pd.DataFrame(index=pd.Index(list(genes), name="gene")))
    for name, values in layers.items():
        cells.layers[name] = values
    cells.uns["simulation"] = {"notes": list(notes)}
    cells.uns.update(in_uns([record]))
    for note in notes:
        logger.warning("%s", note)
    return cells


def true_network(
    edges: pd.DataFrame, genes: Sequence[str], *, name: str, citation: str, organism: str, part: str
) -> GroundTruth:
    """Make the ground truth of the edges that were simulated; it knows every simulated gene."""
    digest = hashlib.sha256(edges.to_csv(index=False).encode()).hexdigest()
    return GroundTruth.from_edges(
        edges,
        name=name,
        genes=genes,
        organism=organism,
        citation=citation,
        licence="that of the network it was simulated from",
        version=f"sha256:{digest[:12]}",
        orientation=AS_STORED,
        part=part,
    )


def input_of(what: Any, name: str) -> dict[str, Any]:
    """Tell an input: the name and checksum of a file, else the checksum of a table's text."""
    if isinstance(what, str | Path):
        return {"as": name, **tell(what)}
    told = {"as": name}
    if isinstance(what, GroundTruth):
        told |= {"truth": what.name, "version": what.version}
        what = what.edges
    content = what.to_csv() if isinstance(what, pd.DataFrame) else json.dumps(plain(what), sort_keys=True)
    return {**told, "sha256": hashlib.sha256(content.encode()).hexdigest()}


def chosen_genes(names: Sequence[str], genes: Sequence[str], what: str) -> NDArray[np.bool_]:
    """Return which genes are named.

    Raises
    ------
    ValueError
        If a name is not among the genes.
    """
    if isinstance(names, str):
        names = [names]
    known = set(genes)
    unknown = [name for name in names if name not in known]
    if unknown:
        raise ValueError(f"{what} names {listed(unknown)}, absent from the network's genes {listed(genes, 6)}")
    return np.isin(np.asarray(genes, dtype=object), list(names))


def record_of(task: Any, arguments: Mapping[str, Any], inputs: Mapping[str, Any]) -> Step:
    """Return the record of a simulation: its parameters, and its inputs with their checksums."""
    told = [input_of(value, name) for name, value in inputs.items() if value is not None]
    return step(task, arguments, inputs=told, skip=tuple(inputs))

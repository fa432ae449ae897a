"""Open Problems' GRN inference task (geneRNIB): its ground truths of TF binding, and networks in its h5ad form."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from bengrn._wording import listed
from bengrn.fetch import Source, fetch
from bengrn.truths.edge_file import read_edge_file
from bengrn.truths.ground_truth import GroundTruth
from bengrn.truths.record import AS_STORED, TruthRecord, only

CELLS = ("K562", "HEK293T", "HCT116", "PBMC")
RESOURCES = ("remap", "chipatlas", "unibind")
_BUCKET = "https://openproblems-data.s3.amazonaws.com/resources/grn/grn_benchmark/ground_truth"
RECORDS = tuple(
    TruthRecord(
        name="openproblems",
        options={"cell": cell, "resource": resource},
        title=f"transcription factor binding in {cell} by {resource}",
        citation="Nourisa J et al. geneRNIB. bioRxiv 2025.02.25.640181 (2025)",
        licence="none stated with the files; cite the task and ReMap, ChIP-Atlas or UniBind",
        version="current state of the task's bucket",
        orientation=AS_STORED,
        sources=(
            Source(
                name=f"openproblems/{cell}_{resource}.csv",
                url=f"{_BUCKET}/{cell}_{resource}.csv",
                page="https://genernib-documents.readthedocs.io (aws s3 sync s3://openproblems-data/resources/grn/grn_benchmark)",
            ),
        ),
    )
    for cell in CELLS
    for resource in RESOURCES
)


def load_openproblems(
    *,
    cell: str = "K562",
    resource: str = "chipatlas",
    path: str | Path | None = None,
    top: int | None = None,
    cache: Path | None = None,
) -> GroundTruth:
    """Load a ground truth of the task, or a file of the task's forms.

    Parameters
    ----------
    cell, resource
        Names of the ground truth: "K562", "HEK293T", "HCT116" or "PBMC"; "remap", "chipatlas" or "unibind". Not all
        pairs exist in the task's bucket.
    path
        A file instead: a ground truth csv (source, target), or a network as the task stores it, h5ad with
        ``uns["prediction"]`` (source, target, weight).
    top
        Keep that many edges of largest absolute weight; the task keeps 50,000.
    cache
        Another cache folder.

    Notes
    -----
    It states no gene set, so every gene of the network counts as known.

    Raises
    ------
    ValueError
        If the truth does not exist, or `top` is given and the edges have no weight.
    """
    if path is None:
        only(cell, CELLS, "cell")
        only(resource, RESOURCES, "resource")
        record = next(one for one in RECORDS if one.options == {"cell": cell, "resource": resource})
        name, file = f"openproblems {cell} {resource}", fetch(record.sources[0], cache=cache)
        version = None
    else:
        record, file = RECORDS[0], Path(path)
        name, version = file.name.split(".")[0], file.name
    edges = _prediction(file) if file.suffix == ".h5ad" else read_edge_file(file)
    if top is not None:
        if "weight" not in edges:
            raise ValueError(f"top={top:,} needs weights, and {file.name} has the columns [{listed(edges.columns)}]")
        strength = pd.to_numeric(edges["weight"]).abs()
        edges = edges.loc[strength.sort_values(ascending=False, kind="stable").index[:top]]
    return record.truth(edges, name=name, version=version, part="" if top is None else f"its {top:,} strongest edges")


def _prediction(path: Path) -> pd.DataFrame:
    import anndata

    held = anndata.read_h5ad(path, backed="r").uns
    if "prediction" not in held:
        raise ValueError(f"{path} has no uns['prediction']; uns holds {listed(held) or 'nothing'}")
    table = pd.DataFrame(held["prediction"])
    missing = [column for column in ("source", "target") if column not in table]
    if missing:
        raise ValueError(f"uns['prediction'] of {path} has the columns [{listed(table.columns)}], not {missing}")
    return table.assign(weight=pd.to_numeric(table["weight"])) if "weight" in table else table

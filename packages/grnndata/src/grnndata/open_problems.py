"""Prediction files of the Open Problems benchmark of gene-network inference."""

from __future__ import annotations

import logging
from os import PathLike
from pathlib import Path
from typing import Any

import h5py
import pandas as pd
from anndata import AnnData
from anndata.io import read_elem, write_h5ad

from ._atomic import atomic_path
from ._wording import listed
from .convert import from_edges
from .core import GRNAnnData
from .edge_files import recognise_edges
from .edges import Duplicates
from .ranking import check_count
from .schema import UNS_KEY, check_description

logger = logging.getLogger(__name__)


def read_open_problems(
    path: PathLike[str] | str, adata: AnnData | None = None, *, duplicates: Duplicates = "error"
) -> GRNAnnData:
    """Read a prediction of Open Problems' task_grn_inference.

    Parameters
    ----------
    path
        An h5ad file with ``uns["prediction"]``, a data frame ``source, target, weight`` (weights as numbers or as
        text), ``uns["method_id"]`` and ``uns["dataset_id"]``.
    adata, duplicates
        See `grnndata.from_edges`.

    Returns
    -------
    GRNAnnData
        Described by `method_id` as its method, and `dataset_id` among its parameters.

    Raises
    ------
    FileNotFoundError
        When the file does not exist.
    ValueError
        When it is not an h5ad file or holds no prediction, and as `grnndata.from_edges`.

    References
    ----------
    https://github.com/openproblems-bio/task_grn_inference, src/api/file_prediction_h5ad.yaml; Nourisa et al.,
    geneRNIB: a living benchmark for gene regulatory network inference, bioRxiv 2025.02.25.640181.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path.resolve()}")
    try:
        with h5py.File(path) as file:
            uns = file.get("uns", {})
            keys = sorted(uns)
            held = {key: read_elem(uns[key]) for key in ("prediction", "method_id", "dataset_id") if key in uns}
    except OSError as error:
        raise ValueError(f"{path} is not an h5ad file: {error}") from error
    prediction = held.pop("prediction", None)
    if not isinstance(prediction, pd.DataFrame):
        raise ValueError(
            f"{path} is no prediction of Open Problems: uns['prediction'] must be a data frame source, target, "
            f"weight (uns holds {listed(keys) or 'nothing'})"
        )
    method, dataset = (held.get(key) for key in ("method_id", "dataset_id"))
    try:
        return from_edges(
            recognise_edges(prediction),
            adata,
            duplicates=duplicates,
            method=None if method is None else str(method),
            parameters=None if dataset is None else {"dataset_id": str(dataset)},
        )
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def write_open_problems(
    grn: GRNAnnData,
    path: PathLike[str] | str,
    *,
    dataset_id: str,
    method_id: str | None = None,
    top_k: int | None = None,
) -> None:
    """Write a network as a prediction for Open Problems' task_grn_inference, atomically.

    The file holds the edges only, strongest first, with their weights as text, as the task asks for. Self-edges
    are left out, which it does not allow.

    Parameters
    ----------
    grn
        The network; not changed. The task scores edges whose source is in its own list of transcription
        factors: choose regulators before writing.
    path
        The h5ad file; replaced if it exists.
    dataset_id
        The task's name of the dataset, for example ``"op"``.
    method_id
        Name of the method; that in ``uns["grn"]`` when None.
    top_k
        Number of edges to keep, those of largest absolute weight; all when None. The task reads 50,000.

    Raises
    ------
    ValueError
        When the network does not name its method and `method_id` is None, a name is empty, or `top_k` is not
        positive.
    """
    if method_id is None:
        method_id = check_description(grn.uns.get(UNS_KEY))["method"]
        if method_id == "unknown":
            raise ValueError("the network does not say what made it: pass method_id")
    for key, value in (("dataset_id", dataset_id), ("method_id", method_id)):
        if not isinstance(value, str) or not value:
            raise ValueError(f"{key} must be text, got {value!r}")
    if top_k is not None:
        check_count(top_k, "top_k")
    # Among the strongest there is at most one self-edge a gene.
    edges = grn.edges(top_k=None if top_k is None else top_k + grn.n_vars)
    is_self = (edges["source"] == edges["target"]).to_numpy()
    if is_self.any():
        logger.info("left out self-edges, which predictions of Open Problems do not hold")
    between = edges[~is_self].head(len(edges) if top_k is None else top_k)
    with atomic_path(path) as temporary:
        uns: dict[str, Any] = {"dataset_id": dataset_id, "method_id": method_id, "prediction": _as_text(between)}
        write_h5ad(temporary, AnnData(obs=_as_text(between.iloc[:0, :0]), var=_as_text(between.iloc[:0, :0]), uns=uns))


def _as_text(table: pd.DataFrame) -> pd.DataFrame:
    # All of it objects: anndata before 0.11 cannot read pandas' own strings, in an empty index neither.
    columns = {name: table[name].astype(str).to_numpy(dtype=object) for name in table.columns}
    return pd.DataFrame(columns, dtype=object, index=pd.Index([str(i) for i in range(len(table))], dtype=object))

"""A folder of finished networks, so that an interrupted run goes on where it stopped."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
from anndata import AnnData
from scipy import sparse

import grnndata
from grnndata import GRNAnnData
from scdataloader.counts import total_counts
from scprint_model.job_folder import claim_folder


class FinishedNetworks:
    """One h5ad file a group, and a description of the run that they belong to.

    Parameters
    ----------
    folder
        Made where it is not there.
    description
        JSON-able: everything that the networks depend on.

    Raises
    ------
    ValueError
        When the folder holds networks of another run, or something else.
    """

    def __init__(self, folder: Path | str, description: Mapping[str, Any]) -> None:
        self.folder = Path(folder)
        claim_folder(self.folder, description)

    def read(self, group: str) -> GRNAnnData | None:
        """Return a finished network; None where it is not."""
        path = self._path(group)
        return grnndata.read_h5ad(path) if path.is_file() else None

    def write(self, group: str, network: GRNAnnData) -> None:
        """Keep a network; atomic."""
        grnndata.write_h5ad(network, self._path(group))

    def _path(self, group: str) -> Path:
        return self.folder / f"{quote(group, safe=' ') or 'all'}.h5ad"


def data_hash(adata: AnnData, counts: sparse.csr_matrix) -> str:
    """Return what tells data sets apart: names of cells and genes, counts, and totals."""
    digest = hashlib.sha256()
    for names in (adata.obs_names, adata.var_names):
        digest.update("\n".join(map(str, names.tolist())).encode())
    for part in (counts.indptr, counts.indices, counts.data, total_counts(adata)):
        digest.update(np.ascontiguousarray(part).tobytes())
    return digest.hexdigest()[:16]

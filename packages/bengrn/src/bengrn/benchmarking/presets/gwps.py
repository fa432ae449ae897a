"""K562 cells that no guide targets, to be compared with what silencing each gene does."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import anndata
import numpy as np
from anndata import AnnData

from bengrn._wording import listed
from bengrn.benchmarking.presets.given_files import Wanted, find_files, with_installed_methods

FILES = {
    "K562_gwps_raw_singlecell_01": Wanted(
        "Replogle et al. 2022, K562, raw counts with obs gene, or a part of it with the control cells",
        "https://doi.org/10.25452/figshare.plus.20029387",
    )
}
N_CELLS, N_GENES = 1024, 5000
_CONTROL = "non-targeting"


def resolve(values: Mapping[str, Any], data: Path | None) -> dict[str, Any]:
    """Take control cells out of the file, without reading the others.

    Raises
    ------
    FileNotFoundError
        If the file is missing.
    ValueError
        If it names no control cells.
    """
    (path,) = find_files("gwps", data, FILES).values()
    cells = control_cells(path)
    dataset = {"name": "K562", "cells": cells, "n_genes": N_GENES, "organism": "human"}
    return with_installed_methods(values) | {"datasets": [dataset]}


def control_cells(path: Path) -> AnnData:
    """Return 1,024 cells whose guide targets no gene, or all of them, with their counts."""
    held = anndata.read_h5ad(path, backed="r")
    obs: Any = held.obs
    if "gene" not in obs:
        raise ValueError(f"{path} has no obs column 'gene' of the silenced gene; it has {listed(obs.columns)}")
    places = np.flatnonzero((obs["gene"] == _CONTROL).to_numpy())
    if places.size < 2:
        raise ValueError(
            f"{path} has {places.size} cells whose obs['gene'] is {_CONTROL!r}: a network needs at least two"
        )
    if places.size > N_CELLS:
        places = np.sort(np.random.default_rng(0).choice(places, N_CELLS, replace=False))
    chosen = held[places].to_memory()
    held.file.close()
    return chosen

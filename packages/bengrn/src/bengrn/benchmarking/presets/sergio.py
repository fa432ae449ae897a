"""The preset ``sergio``: cells of RegNetwork, fetched or from the user's folder."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

#: Files that a folder of the user's may have: any table of edges, or OmniPath with what it took from RegNetwork.
_FILES = ("network.csv", "omnipath.parquet")
N_CELLS = 1000


def resolve(values: Mapping[str, Any], data: Path | None) -> dict[str, Any]:
    """Return the configuration with the simulated cells and the edges that made them.

    Parameters
    ----------
    values
        Configuration of the preset.
    data
        Folder with ``network.csv`` (edges) or ``omnipath.parquet`` (its edges from RegNetwork are taken). None:
        RegNetwork is fetched.

    Raises
    ------
    FileNotFoundError
        If the folder has neither.
    """
    from bengrn.simulate import sergio
    from bengrn.truths import load_truth

    network = load_truth("regnetwork", kind="signed") if data is None else _edges(data)
    cells, truth = sergio(network, n_cells=N_CELLS, cycles="break")
    return {**values, "datasets": [{"name": "sergio", "cells": cells}], "truths": [{"name": truth}]}


def _edges(folder: Path) -> pd.DataFrame | Path:
    from bengrn.truths import load_truth

    own, omnipath = (folder / name for name in _FILES)
    if own.is_file():
        return own
    if not omnipath.is_file():
        raise FileNotFoundError(
            f"{folder} has neither {_FILES[0]} (a table of edges to simulate from) nor {_FILES[1]} (OmniPath's "
            "interactions): put one there, or leave the folder out to fetch RegNetwork"
        )
    edges = load_truth("omnipath-tf-target", path=omnipath).edges
    return edges[edges["resources"].str.contains("RegNetwork")]

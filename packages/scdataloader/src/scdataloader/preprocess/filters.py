"""Masks of the cells that stay: each a pure function of counts or labels."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import pandas as pd

from scdataloader.flags import flags, unclear
from scdataloader.labels.ontology import ancestors

_PRIMARY = "is_primary_data"
#: Assays that measure places of tissue rather than cells, each with all terms below it: EFO's spatial
#: transcriptomics, smFISH (MERFISH, seqFISH), STARmap, Xenium, CosMx.
SPATIAL = ("EFO:0008994", "EFO:0009918", "EFO:0030000", "EFO:0022615", "EFO:0920059")
_SPATIAL_NAMES = re.compile(
    r"spatial|visium|slide-?seq|merfish|merscope|seqfish|osmfish|smfish|starmap|xenium|cosmx|stereo-?seq|hdst|dbit-?seq",
    re.IGNORECASE,
)


def primary(obs: pd.DataFrame) -> np.ndarray:
    """Return which cells are not marked as copies (``is_primary_data`` false); bool, shape (n_cells,).

    What is missing or not understood marks no copy: `unclear_primary` tells of it.
    """
    if _PRIMARY not in obs:
        return np.ones(len(obs), dtype=bool)
    return ~flags(obs[_PRIMARY])[1]


def unclear_primary(obs: pd.DataFrame) -> str:
    """Return a warning of cells whose ``is_primary_data`` is missing or not understood; empty if there are none."""
    problem = unclear(obs[_PRIMARY]) if _PRIMARY in obs else ""
    return f"{problem}: these cells count as primary data, and stay" if problem else ""


def of_assays(obs: pd.DataFrame, assays: Sequence[str]) -> np.ndarray:
    """Return which cells come from one of the assays or of those below them; bool, shape (n_cells,).

    Parameters
    ----------
    obs
        With ``assay_ontology_term_id``; without it no cell is of any assay.
    assays
        EFO terms.
    """
    column = "assay_ontology_term_id"
    if column not in obs:
        return np.zeros(len(obs), dtype=bool)
    terms = obs[column].astype(str)
    meant = {term for term in terms.unique().tolist() if not ({term} | ancestors(term)).isdisjoint(assays)}
    return terms.isin(meant).to_numpy()


def spatial(obs: pd.DataFrame) -> np.ndarray:
    """Return which cells come from a spatial assay, by its term or else its name; bool, shape (n_cells,)."""
    out = of_assays(obs, SPATIAL)
    if "assay" in obs:
        names = obs["assay"].astype(str)
        out = out | names.isin([name for name in names.unique().tolist() if _SPATIAL_NAMES.search(name)]).to_numpy()
    return out

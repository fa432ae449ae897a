"""The data sets of McCalla et al. against the gold standards of their cell types."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp
from anndata import AnnData

from bengrn._wording import listed
from bengrn.benchmarking.presets.given_files import Wanted, file_of, folder_of, told, with_installed_methods
from bengrn.infer_command import read_cells

logger = logging.getLogger(__name__)

_SUPPLEMENT = "https://www.biorxiv.org/content/10.1101/2021.06.01.446671v2.supplementary-material"
FILES = {
    "han_hESC": Wanted("Han et al. 2018, human embryonic stem cells", _SUPPLEMENT),
    "yan_hESC": Wanted("Yan et al. 2013", "https://www.ebi.ac.uk/gxa/sc/experiments/E-GEOD-36552/downloads"),
    "tran_mESC": Wanted("Tran et al. 2019, mouse embryonic stem cells", _SUPPLEMENT),
    "duren_mESC": Wanted("Duren et al. 2018, mouse embryonic stem cells", _SUPPLEMENT),
}
ORGANISMS = {"hESC": "human", "mESC": "mouse", "mDC": "mouse", "yeast": "yeast"}
N_CELLS, N_GENES = 1024, 5000
# Counts that are off by more than this, and by this share of themselves (logarithms of four decimals), are none.
_TOLERANCE, _ROUNDING = 0.01, 5e-5
_LARGEST_LOG = 60


def resolve(values: Mapping[str, Any], data: Path | None) -> dict[str, Any]:
    """Take every file of the folder that is named by its cells, and compare it with their gold standard.

    Any file STUDY_CELL, such as ``han_hESC.h5ad`` or ``mccalla_liu_hESC.h5ad``, is taken; data sets of the paper that
    are not there are told.

    Raises
    ------
    FileNotFoundError
        If the file does not exist.
    """
    folder = folder_of("mccalla", data, FILES)
    stems = sorted({path.name.split(".")[0] for path in folder.iterdir()})
    paths = {
        stem.removeprefix("mccalla_"): path
        for stem in stems
        for path in [file_of(folder, stem)]
        if path is not None and stem.rpartition("_")[2] in ORGANISMS
    }
    if not paths:
        raise FileNotFoundError(
            f"the preset mccalla finds no file STUDY_CELL.h5ad in {folder}, where CELL is one of {listed(ORGANISMS)}. "
            f"The paper's are\n{told(FILES)}"
        )
    missing = [name for name in FILES if name not in paths]
    if missing:
        logger.warning("data sets of the paper that are not in %s: %s", folder, listed(missing))
    datasets = []
    for name, path in paths.items():
        cell = name.rpartition("_")[2]
        datasets.append(
            {
                "name": name,
                "cells": with_counts(read_cells(str(path)), name),
                "organism": ORGANISMS[cell],
                "n_cells": N_CELLS,
                "n_genes": N_GENES,
                # No list of yeast's factors comes with the package.
                **({} if cell == "yeast" else {"regulators": "tf"}),
                "truths": [{"name": f"mccalla {cell}", "truth": "mccalla", "options": {"cell": cell}}],
            }
        )
    return with_installed_methods(values) | {"datasets": datasets}


def with_counts(adata: AnnData, name: str) -> AnnData:
    """Recover counts as the paper does: undo the logarithm, and divide each cell by its smallest value.

    Parameters
    ----------
    adata
        Values x that may be counts times a number a cell, or log2(1 + x) or log(1 + x) of these; not changed.
    name
        Name of the data set, for what is told of it.

    Returns
    -------
    AnnData
        The cells with counts, or with their values as they are where none of the three gives whole numbers.
    """
    given: Any = adata
    X: Any = sp.csr_array(given.X).astype(np.float64)
    X.eliminate_zeros()
    sizes = np.diff(X.indptr)
    starts = X.indptr[:-1][sizes > 0]
    if starts.size and X.data.min() > 0:
        # Logarithms beyond 60 would be no counts either.
        values = [X.data] if X.data.max() > _LARGEST_LOG else [X.data, np.exp2(X.data) - 1, np.expm1(X.data)]
        for one in values:
            counts = one / np.repeat(np.minimum.reduceat(one, starts), sizes[sizes > 0])
            whole = np.rint(counts)
            if (np.abs(counts - whole) <= _TOLERANCE + _ROUNDING * counts).all():
                X.data = whole
                return AnnData(X.astype(np.float32), obs=given.obs, var=given.var)
    logger.warning("%s: its values are no counts, nor their logarithms or multiples, and are taken as they are", name)
    return adata

"""The bundled model's networks of the retina's larger cell types, scored beside the baselines."""

from __future__ import annotations

import pandas as pd

from bengrn import score_against_omnipath
from scdataloader import Preprocessor, datasets
from scprint_model import ScPrint, infer

MIN_CELLS = 90
N_GENES = 1000


def network_scores() -> pd.DataFrame:
    cells, _ = Preprocessor()(datasets.retina_1k())
    model = ScPrint.from_pretrained()
    tables = []
    for name, n_cells in cells.obs["cell_type"].value_counts().items():
        if n_cells < MIN_CELLS:
            continue
        network = infer(model, cells, groupby="cell_type", group=str(name), n_genes=N_GENES)
        table = score_against_omnipath(network)
        tables.append(table.assign(cell_type=name, cells=n_cells))
    joined = pd.concat(tables, ignore_index=True)
    first = ["cell_type", "cells"]
    return joined[[*first, *[c for c in joined.columns if c not in first]]]

"""What labels and neighbours outlast: fewer counts, fewer genes, a panel. The model beside its corpus' components."""

from __future__ import annotations

import anndata
import numpy as np

from benchmarks.ablation.scores import cells_of
from benchmarks.card.opened import Opened
from benchmarks.card.rows import OURS, Row
from scprint_model import tasks
from scprint_model.tasks.invariance import Reader

#: Cells that are changed, at most: each is read four times.
CHANGED = 150


def invariance_rows(opened: Opened, adata: anndata.AnnData) -> list[Row]:
    """Return the rows of one set. Each method is compared with itself, so that there are no paired differences."""
    readers: dict[str, Reader] = {
        OURS: lambda cells: _read(opened, cells),
        "corpus PCs + logistic regression": lambda cells: _read_components(opened, cells),
    }
    rows = []
    for method, read in readers.items():
        table = tasks.invariance(read, adata, n_cells=CHANGED, seed=opened.given.seed)
        for one in table.to_dict("records"):
            row = {"measure": f"{one['measure']}, {one['change']}", "method": method, "value": one["share"]}
            rows.append(row | {"low": one["low"], "high": one["high"], "n": one["n_cells"], "unit": "cell"})
    return rows


def _read(opened: Opened, cells: anndata.AnnData) -> tuple[np.ndarray, np.ndarray]:
    encoded = tasks.encode(opened.model, cells, classes=("cell_type",))
    points = tasks.embed(opened.model, cells.copy(), encoded=encoded)
    (logits,) = encoded.class_logits.values()
    return points, logits.argmax(axis=1)


def _read_components(opened: Opened, cells: anndata.AnnData) -> tuple[np.ndarray, np.ndarray]:
    # labels are no matter here
    some = cells.copy()
    some.obs["cell_type_ontology_term_id"] = "unknown"
    found = cells_of(some, opened.vocabulary)
    return opened.components.embed(found), opened.components.name(found)

"""What a network of derivatives takes: the bundled model, its own cells, some regulators of many genes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd

from benchmarks.speed.measured import measured

CELLS, REGULATORS, GENES = 100, 50, 1000
THREADS = 1


def jacobian_times(cells: int = CELLS) -> pd.DataFrame:
    """Return wall and CPU seconds and the memory that a network added to imports, model and cells."""
    told = measured(_network, (cells,), threads=THREADS)
    work = f"{cells} cells × {REGULATORS} regulators × {GENES:,} genes"
    row = {"wall s": told["wall s"], "CPU s": told["CPU s"], "MB added": told["added"] / 2**20}
    return pd.DataFrame([{"work": work} | row])


def _network(cells: int) -> Callable[[], object]:
    import numba  # noqa: F401  (imported by the first network otherwise, and counted as its memory)

    from grnndata import GRNAnnData  # noqa: F401
    from scdataloader import datasets
    from scprint_model import ScPrint
    from scprint_model.networks import infer

    model, adata = ScPrint.from_pretrained(), datasets.pancreas_1k()
    counted = np.asarray(adata.X.sum(axis=0)).ravel()
    known = set(model.vocabulary.ids)
    genes = [adata.var_names[at] for at in np.argsort(-counted) if adata.var_names[at] in known][:GENES]
    regulators = genes[:: GENES // REGULATORS]

    def run() -> object:
        return infer(model, adata[:cells], genes=genes, regulators=regulators, source="jacobian")

    return run

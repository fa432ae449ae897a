"""Make the cells of the preset `quick`: rod cells and Müller glia of the retina example, their most variable genes.

    python packages/bengrn/scripts/build_quick_cells.py

The example comes with scdataloader; see presets/data/README.md for its source and licence.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import scipy.sparse as sp
from anndata import AnnData

import grnndata
from scdataloader import datasets

OUT = Path(__file__).parents[1] / "src/bengrn/benchmarking/presets/data/retina.h5ad"
GROUPS = ["retinal rod cell", "Mueller cell"]
N_GENES = 1000


def main() -> None:
    """Write the file."""
    cells = datasets.retina_1k()
    cells = cells[cells.obs["cell_type"].isin(GROUPS)].copy()
    chosen = set(grnndata.tl.most_variable_genes(cells, N_GENES))
    cells = cells[:, [name for name in cells.var_names if name in chosen]].copy()
    small = AnnData(
        sp.csr_matrix(cells.X, dtype=np.uint16),
        obs=cells.obs[["cell_type"]].astype(str).astype("category"),
        var=cells.var[["symbol"]].astype(str),
    )
    small.write_h5ad(OUT, compression="gzip")
    print(f"{OUT}: {small.n_obs:,} cells × {small.n_vars:,} genes")


if __name__ == "__main__":
    main()

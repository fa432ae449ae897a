"""Build what the bundled model is trained on, from public data that lie in a folder: a store of cells, and features.

    python packages/scprint-model/scripts/build_corpus.py ../shared/data runs/bundled

Cells that occur twice are dropped, data sets and donors that are kept for tests are left out with every cell of the
same counts, and read counts are thinned to the depth of molecule counts. The same files and seed give the same store.
`--folds` leaves out further donors, which the pilots choose on, and writes their cells beside the store. The features
are those of build_gene_features.py.
"""

from __future__ import annotations

import argparse
import logging
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
from scipy import sparse

from scdataloader import CellStore, GeneVocabulary, Preprocessor
from scdataloader.fingerprint import cell_fingerprints

logger = logging.getLogger(__name__)

#: Data sets that are trained on; docs/explain/bundled_model.md says where they come from.
DATA_SETS = (
    "human_balf_covid_liao",
    "human_breast_tumour_chung",
    "human_breast_tumour_copykat",
    "human_breast_tumour_flex",
    "human_celllines_fetalcortex_pollen",
    "human_congas_multiome",
    "human_cortex_darmanis",
    "human_hek293_macosko",
    "human_ipsc_cardiomyocyte_timecourse",
    "human_kidney_immune",
    "human_lung_lca_popv",
    "human_lung_tumour_blood_zilionis",
    "human_lung_tumour_dc_zilionis_10kgenes",
    "human_lymph_node_ref",
    "human_pancreas_baron_h2plus_2kgenes",
    "human_pbmc3k",
    "human_pbmc_facs",
    "human_pbmc_hao_speck",
    "human_pbmc_zheng_donorA",
    "human_pbmc_zheng_mudan_9kgenes",
    "human_scmark_immune_3kgenes",
    "human_skin_ctcl_gaydosik",
    "human_tcells_wu2020",
    "mouse_3t3_macosko",
    "mouse_brain_e18_10x",
    "mouse_brain_merfish_1122genes",
    "mouse_brain_oligo_marques_2kgenes",
    "mouse_cortex_zeisel",
    "mouse_embryo_deng",
    "mouse_epidermis_joost",
    "mouse_es_islam2014",
    "mouse_es_mef_islam",
    "mouse_gut_mca",
    "mouse_lung_immune_zilionis",
    "mouse_marrow_hpc_tusi",
    "mouse_marrow_paul15",
    "mouse_marrow_stroma_matsushita",
    "mouse_pancreas_e15_2kgenes",
    "mouse_pancreas_e15_veloviz",
    "mouse_spleen_jaitin",
)
#: Donors that no model is trained on, by data set.
TEST_DONORS = {"human_lung_lca_popv": ("3",)}
#: Data sets that no model is trained on. `retina_1k` comes with the package of scdataloader, too.
TEST_SETS = (
    "human_celllines_cellbench",
    "human_pancreas_baron_h1",
    "human_pancreas_tumour_moncada_7kgenes",
    "human_pbmc_kang_ifnb",
    "mccalla_chen_hESC",
    "mccalla_liu_hESC",
    "mccalla_semrau_mESC",
    "retina_1k",
)
#: Donors that `--folds` leaves out, too: models are chosen on them.
FOLDS = {
    "human_lung_lca_popv": ("2",),
    "human_pancreas_baron_h2plus_2kgenes": ("human4",),
    "human_kidney_immune": 4,  # the first so many of its donors, by name
}
#: Data sets with cells of the study before them in the tuple: of these, the later ones are dropped.
SAME_STUDY = (
    ("human_pbmc_facs", "human_pbmc_zheng_mudan_9kgenes", "human_pbmc_zheng_donorA"),
    ("mouse_pancreas_e15_veloviz", "mouse_pancreas_e15_2kgenes"),
)
#: Letters of a droplet's barcode.
BARCODE = r"([ACGT]{14,16})"
#: A data set's cells of one assay whose median depth is above this hold read counts, which are thinned to this median.
READS, MOLECULES = 100_000, 20_000
#: Small data sets and panels are welcome, too.
CLEANING = Preprocessor(min_genes=20, min_cells=2, min_dataset_genes=0, max_lost=1.0, drop_spatial=False)


def data_sets(folder: Path, *, folds: bool, seed: int) -> Iterator[tuple[str, anndata.AnnData, anndata.AnnData]]:
    """Yield the name of each data set, its cells for training, and those of the fold (none without `folds`)."""
    seen: dict[int, set[str]] = {}
    vocabulary = GeneVocabulary.for_organisms(["human", "mouse"])
    kept_out = held_out_fingerprints(folder, vocabulary)
    order = [name for study in SAME_STUDY for name in study]
    for name in sorted(DATA_SETS, key=lambda name: (name in order, order.index(name) if name in order else name)):
        adata, report = CLEANING(folder / f"{name}.h5ad")
        logger.info("%s: %d cells, %d genes", name, *adata.shape)
        del report
        kept = np.ones(adata.n_obs, dtype=bool)
        for number, study in enumerate(SAME_STUDY):
            if name in study:
                found = adata.obs_names.str.extract(BARCODE, expand=False)
                kept &= ~found.isin(seen.setdefault(number, set()))
                seen[number] |= set(found.dropna())
        if not kept.all():
            logger.info("%s: %d cells that another data set has are dropped", name, (~kept).sum())
        # every data set has the column: whole donors validate
        donors = adata.obs["donor_id"].astype(str) if "donor_id" in adata.obs else pd.Series("unknown", adata.obs_names)
        adata.obs["donor_id"] = donors
        kept &= ~donors.isin(TEST_DONORS.get(name, ())).to_numpy()
        copies = kept & np.isin(fingerprints(adata, vocabulary), kept_out)
        if copies.any():
            logger.info("%s: %d cells that are test data, too, are left out", name, copies.sum())
        kept &= ~copies
        chosen = FOLDS.get(name, ()) if folds else ()
        if isinstance(chosen, int):
            chosen = tuple(sorted(donors.unique())[:chosen])
        fold = kept & donors.isin(chosen).to_numpy()
        thin_reads(adata, np.random.default_rng([seed, DATA_SETS.index(name)]))
        yield name, adata[kept & ~fold].copy(), adata[fold].copy()


def held_out_fingerprints(folder: Path, vocabulary: GeneVocabulary) -> np.ndarray:
    """Return the fingerprints of all cells that no model is trained on, as far as the folder has them."""
    found = [np.empty(0, np.uint64)]
    for name in (*TEST_SETS, *TEST_DONORS):
        if not (folder / f"{name}.h5ad").exists():
            logger.warning("%s is not in %s: copies of its cells would not be noticed", name, folder)
            continue
        try:
            adata, _ = CLEANING(folder / f"{name}.h5ad")
        except ValueError as error:  # normalised values, as some of McCalla's: no cell of counts is one of these
            logger.warning("%s holds no raw counts: copies of its cells would not be noticed (%s)", name, error)
            continue
        if name in TEST_DONORS:
            adata = adata[adata.obs["donor_id"].astype(str).isin(TEST_DONORS[name])].copy()
        found.append(fingerprints(adata, vocabulary))
    return np.concatenate(found)


def fingerprints(adata: anndata.AnnData, vocabulary: GeneVocabulary) -> np.ndarray:
    """Return the fingerprint of each cell's counts."""
    return cell_fingerprints(sparse.csr_matrix(adata.X), vocabulary.index(adata.var_names))


def thin_reads(adata: anndata.AnnData, rng: np.random.Generator) -> None:
    """Thin the cells of each assay that holds read counts, so that their median depth is `MOLECULES`; in place."""
    counts = sparse.csr_matrix(adata.X)
    totals = np.asarray(counts.sum(axis=1)).ravel()
    share = np.ones(adata.n_obs)
    for assay in adata.obs["assay"].astype(str).unique():
        of = (adata.obs["assay"].astype(str) == assay).to_numpy()
        median = float(np.median(totals[of]))
        if median > READS:
            share[of] = MOLECULES / median
            logger.info(
                "%s: %d cells of %s have %.0f counts: reads, thinned",
                adata.uns.get("name", ""),
                of.sum(),
                assay,
                median,
            )
    if (share == 1).all():
        return
    per_value = np.repeat(share, np.diff(counts.indptr))
    counts.data = rng.binomial(counts.data.astype(np.int64), per_value).astype(np.float32)
    counts.eliminate_zeros()
    adata.X = counts
    adata.obs["total_counts"] = np.asarray(counts.sum(axis=1)).ravel()


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="folder with expression/, protein/ and genes/")
    parser.add_argument("out", type=Path, help="folder in which corpus/ and features.parquet are made")
    parser.add_argument("--folds", action="store_true", help="leave out the donors that pilots choose on, too")
    parser.add_argument("--seed", type=int, default=0, help="seed of the thinning")
    given = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    made = []
    given.out.mkdir(parents=True, exist_ok=True)
    for name, training, fold in data_sets(given.folder / "expression", folds=given.folds, seed=given.seed):
        if fold.n_obs:
            beside = given.out / "folds"
            beside.mkdir(exist_ok=True)
            fold.write_h5ad(beside / f"{name}.h5ad", compression="gzip")
        made.append((name, training))
    store = CellStore.build(sorted(made, key=lambda pair: pair[0]), given.out / "corpus")
    logger.info("%s", store)
    inputs = {
        "--proteins": "protein/human_swissprot.fasta.gz",
        "--genes": "protein/human_gene_to_swissprot.tsv.gz",
        "--orthologs": "genes/Ensembl105_Human2Mouse_Genes.csv.gz",
    }
    script = [sys.executable, str(Path(__file__).with_name("build_gene_features.py"))]
    options = [word for name, file in inputs.items() for word in (name, str(given.folder / file))]
    subprocess.run([*script, str(given.out / "corpus"), str(given.out / "features.parquet"), *options], check=True)  # noqa: S603


if __name__ == "__main__":
    main()

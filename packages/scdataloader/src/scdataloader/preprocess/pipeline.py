"""The ordered preprocessing steps."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
from scipy import sparse

from scdataloader.counts import csr_counts, obs_table
from scdataloader.genes import gene_table
from scdataloader.preprocess import checks, filters
from scdataloader.preprocess.identifiers import map_identifiers, merge_columns
from scdataloader.preprocess.report import Report


@dataclass(frozen=True, kw_only=True)
class Preprocessor:
    """Check and clean one data set: raw counts in, clean counts and a report out. The input is never changed.

    Parameters
    ----------
    min_genes
        Cells that express fewer genes are dropped (200 in the paper).
    primary_only
        Drop cells that CELLxGENE marks as copies from another data set.
    organism
        Overrides what the data say; see `scdataloader.genes.organism_id`.
    min_cells
        Refuse data with fewer cells, before or after filtering.

    Examples
    --------
    >>> from scdataloader import Preprocessor, datasets
    >>> clean, report = Preprocessor(min_genes=1000)(datasets.retina_1k())
    >>> clean.shape[0] < 1000
    True
    """

    min_genes: int = 200
    primary_only: bool = True
    organism: str | None = None
    min_cells: int = 2

    def __call__(self, data: anndata.AnnData | Path | str) -> tuple[anndata.AnnData, Report]:
        """Run all steps.

        Parameters
        ----------
        data
            An AnnData, or the path of an h5ad file.

        Returns
        -------
        tuple
            A new AnnData: ``X`` CSR float32 raw counts over Ensembl ids, sorted; ``var["symbol"]``, ``["biotype"]``;
            ``obs`` as given plus ``total_counts`` (over all the genes given, before mapping) and ``n_genes``; and
            the `Report`.

        Raises
        ------
        FileNotFoundError, ValueError
            For input that cannot be used; the message says why and what to do.
        """
        adata = data if isinstance(data, anndata.AnnData) else checks.read(data)
        report = Report("input" if isinstance(data, anndata.AnnData) else str(data))
        checks.check_shape(adata, min_cells=self.min_cells)
        checks.check_unique(adata)
        organism = checks.find_organism(adata, self.organism)
        counts = csr_counts(adata)
        checks.check_raw_counts(counts)
        report.add(
            "raw counts",
            adata.shape,
            adata.shape,
            f"whole numbers, largest {counts.data.max():.0f}; {organism}",
        )

        obs = obs_table(adata).copy()
        obs["total_counts"] = np.asarray(counts.sum(axis=1, dtype=np.float64)).ravel()
        obs["organism_ontology_term_id"] = organism
        counts, ids = self._identify(adata, counts, organism, report)
        keep = np.ones(len(obs), dtype=bool)
        if self.primary_only:
            primary = filters.primary(obs)
            if not primary.all():
                _record(report, "primary", keep, primary, len(ids), "copies from another data set dropped")
            keep &= primary
        rich = filters.enough_genes(counts, self.min_genes)
        _record(report, "cells", keep, keep & rich, len(ids), f"at least {self.min_genes} expressed genes asked")
        keep &= rich
        if keep.sum() < self.min_cells:
            raise ValueError(
                f"{keep.sum()} of {len(keep)} cells are left after filtering, {self.min_cells} are needed: most cells "
                f"express fewer than min_genes={self.min_genes} genes (median "
                f"{np.median(np.diff(counts.indptr)):.0f}); lower it for targeted panels"
            )
        return self._assemble(counts[keep], ids, obs[keep], organism), report

    def _identify(
        self, adata: anndata.AnnData, counts: sparse.csr_matrix, organism: str, report: Report
    ) -> tuple[sparse.csr_matrix, list[str]]:
        mapping = map_identifiers(adata.var_names.tolist(), gene_table(organism))
        if mapping.n_ensembl + mapping.n_symbol == 0:
            raise ValueError(
                f"none of the {adata.n_vars:,} gene names is an Ensembl id or symbol of {organism}: they look like "
                f"{adata.var_names[:3].tolist()}. Put Ensembl ids or symbols in var_names, or pass the right organism"
            )
        counts, ids = merge_columns(counts, mapping.ids)
        merged = mapping.n_ensembl + mapping.n_symbol - len(ids)
        detail = str(mapping) + (f"; {merged:,} names of one gene summed" if merged else "")
        report.add("gene ids", adata.shape, (adata.n_obs, len(ids)), detail)
        return counts, ids

    def _assemble(self, counts: sparse.csr_matrix, ids: list[str], obs: pd.DataFrame, organism: str) -> anndata.AnnData:
        order = np.argsort(np.asarray(ids))
        counts = sparse.csr_matrix(counts[:, order], dtype=np.float32)
        counts.eliminate_zeros()
        counts.sort_indices()
        var = gene_table(organism).loc[np.asarray(ids)[order], ["symbol", "biotype"]].copy()
        var["biotype"] = var["biotype"].cat.remove_unused_categories()
        out = anndata.AnnData(counts, obs=obs, var=var)
        out.obs["n_genes"] = np.diff(counts.indptr).astype(np.int32)
        return out


def _record(report: Report, name: str, before: np.ndarray, after: np.ndarray, n_genes: int, detail: str) -> None:
    report.add(name, (int(before.sum()), n_genes), (int(after.sum()), n_genes), detail)

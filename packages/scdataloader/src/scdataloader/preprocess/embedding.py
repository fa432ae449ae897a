"""Highly variable genes, principal components, UMAP and Leiden clusters, through scanpy."""

from __future__ import annotations

from dataclasses import dataclass

import anndata
import pandas as pd

from scdataloader.counts import log_normalise


@dataclass(frozen=True, kw_only=True)
class Embedding:
    """Settings of what is computed from clean counts, on log(1 + counts per 10,000); X stays the counts.

    Attributes
    ----------
    n_variable
        Highly variable genes to mark in ``var["highly_variable"]``; the components then use only these.
    n_components
        Principal components, ``obsm["X_pca"]``. None: 50 if UMAP or Leiden need them.
    umap
        Whether to compute ``obsm["X_umap"]``.
    leiden
        Resolution of the clusters in ``obs["leiden"]``; None: no clusters.
    seed
        Of all that is random.

    Raises
    ------
    ValueError
        When a number is not positive.
    """

    n_variable: int | None = None
    n_components: int | None = None
    umap: bool = False
    leiden: float | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("n_variable", "n_components", "leiden"):
            value = getattr(self, name)
            if value is not None and value <= 0:
                raise ValueError(f"{name}={value} must be positive")

    def add_to(self, adata: anndata.AnnData) -> None:
        """Compute and store the results in `adata`.

        Raises
        ------
        ImportError
            When scanpy is not installed.
        """
        try:
            import scanpy
        except ImportError as error:
            raise ImportError("embeddings need scanpy: pip install 'scdataloader[scanpy]'") from error
        work = anndata.AnnData(log_normalise(adata))
        if self.n_variable is not None:
            scanpy.pp.highly_variable_genes(work, n_top_genes=min(self.n_variable, work.n_vars))
            adata.var["highly_variable"] = work.var["highly_variable"].to_numpy()
        if self.n_components is not None or self.umap or self.leiden is not None:
            n_genes = int(work.var["highly_variable"].sum()) if self.n_variable is not None else work.n_vars
            largest = min(work.n_obs, n_genes) - 1
            scanpy.pp.pca(work, n_comps=min(self.n_components or 50, largest), random_state=self.seed)
            adata.obsm["X_pca"] = work.obsm["X_pca"]
        if self.umap or self.leiden is not None:
            scanpy.pp.neighbors(work, random_state=self.seed)
        if self.umap:
            scanpy.tl.umap(work, random_state=self.seed)
            adata.obsm["X_umap"] = work.obsm["X_umap"]
        if self.leiden is not None:
            scanpy.tl.leiden(
                work, resolution=self.leiden, flavor="igraph", n_iterations=2, directed=False, random_state=self.seed
            )
            adata.obs["leiden"] = pd.Categorical(work.obs["leiden"].astype(str).to_numpy())

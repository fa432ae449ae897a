"""The bundled real example."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scdataloader.resources import packaged_file

if TYPE_CHECKING:
    from anndata import AnnData

__all__ = ["retina_1k"]


def retina_1k() -> AnnData:
    """Return 1,000 human retina nuclei: raw counts (CSR, uint16) of 27,019 genes, with all CELLxGENE labels.

    10x multiome, one donor, 11 cell types in ``obs["cell_type"]``. It is a benchmark set: the bundled model was not
    trained on it. Source: CELLxGENE Discover (CC BY 4.0); see ``resources/README.md``.
    """
    import anndata

    with packaged_file("retina_1k.h5ad") as path:
        adata = anndata.read_h5ad(path)
    # The file's names are nullable strings, which anndata 0.12.0 reads and cannot write again.
    adata.obs.index = adata.obs.index.astype(str)
    adata.var.index = adata.var.index.astype(str)
    return adata

"""The bundled real examples."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scdataloader.resources import packaged_file

if TYPE_CHECKING:
    from anndata import AnnData

__all__ = ["pancreas_1k", "retina_1k"]


def pancreas_1k() -> AnnData:
    """Return 1,000 human pancreas cells: raw counts (CSR, int32) of 16,016 genes, with their cell types.

    One donor, inDrop, 13 cell types in ``obs["cell_type"]`` and the authors' 14 in ``obs["label"]``. The bundled model
    was not trained on this donor. The source is Baron et al. 2016 (Cell Systems 3:346, GEO GSE84133);
    ``resources/README.md`` says how the cells were chosen, and the licence.
    """
    return _read("pancreas_1k.h5ad")


def retina_1k() -> AnnData:
    """Return 1,000 human retina nuclei: raw counts (CSR, uint16) of 27,019 genes, with all CELLxGENE labels.

    10x multiome, one donor, 11 cell types in ``obs["cell_type"]``. It is a benchmark set: the bundled model was not
    trained on it. Source: CELLxGENE Discover (CC BY 4.0); see ``resources/README.md``.
    """
    return _read("retina_1k.h5ad")


def _read(name: str) -> AnnData:
    import anndata

    with packaged_file(name) as path:
        adata = anndata.read_h5ad(path)
    # The retina's names are nullable strings, which anndata 0.12.0 reads and cannot write again.
    adata.obs.index = adata.obs.index.astype(str)
    adata.var.index = adata.var.index.astype(str)
    return adata

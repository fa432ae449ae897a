"""Plain AnnData objects that share arrays with another one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from anndata import AnnData

from .schema import GRN_KEY, UNS_KEY, network_name


def without_networks(adata: AnnData, *, keep_named: bool = False) -> AnnData:
    """Return a plain AnnData that shares every array but the networks and their description.

    Of a view only what is kept is materialised.
    """

    def is_kept(key: str) -> bool:
        return key != GRN_KEY and (keep_named or network_name(key) is None)

    return _sharing(adata, is_kept, uns={key: value for key, value in adata.uns.items() if key != UNS_KEY})


def as_anndata(adata: AnnData) -> AnnData:
    """Return a plain AnnData that shares every array, for functions which ask for that very class."""
    return _sharing(adata, lambda _: True, uns=dict(adata.uns))


def _sharing(adata: AnnData, is_kept: Callable[[str], bool], *, uns: dict[str, Any]) -> AnnData:
    X = adata.X
    keys: list[Any] = list(adata.varp.keys())
    layers: list[Any] = list(adata.layers.keys())
    parts: dict[str, Any] = {
        "obs": adata.obs,
        "var": adata.var,
        "uns": uns,
        "obsm": dict(adata.obsm),
        "varm": dict(adata.varm),
        "obsp": dict(adata.obsp),
        "varp": {key: adata.varp[key] for key in keys if is_kept(key)},
        # Newer versions of anndata list X among the layers, as None.
        "layers": {key: adata.layers[key] for key in layers if key is not None},
        "raw": adata.raw,
        "shape": adata.shape if X is None else None,
    }
    return AnnData(X, **parts)

"""`GRNAnnData`: an AnnData that holds a gene network and keeps it."""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike
from typing import Any, Self, cast

import networkx as nx
import numpy as np
import pandas as pd
import scipy.sparse as sp
from anndata import AnnData

from .edges import check_unique, matrix_to_edges, matrix_to_networkx
from .schema import (
    GRN_KEY,
    UNS_KEY,
    Network,
    check_description,
    check_network,
    check_symmetric,
    describe,
    is_sparse,
    nonzero_entries,
)


class GRNAnnData(AnnData):
    """AnnData with a gene network over its genes.

    The network is ``varp["GRN"]``, shape (genes, genes), float32, CSR or dense: **row = regulator (source),
    column = target**, 0 = no edge. ``uns["grn"]`` says how it was made. Everything else is AnnData; slicing,
    views, ``copy``, ``to_memory``, pickling and h5ad files keep the class and the network. Two exceptions,
    both plain AnnData: ``.T``, whose variables are no longer genes, and ``anndata.read_h5ad`` (use
    `grnndata.read_h5ad`).

    Parameters
    ----------
    X
        An AnnData (its arrays are shared, as ``AnnData(adata)`` does; it is not changed), or a matrix cells ×
        genes.
    grn
        Square array or sparse matrix, shape (genes, genes), row = regulator. None when ``varp["GRN"]``
        already holds a network, which then keeps its description.
    method, parameters, directed, normalisation
        What made the network, see `grnndata.schema.describe`. ``directed=False`` asks for a symmetric matrix.
    obs, var, uns, obsm, varm, obsp, varp, layers, raw, shape
        As for AnnData, when `X` is a matrix or None.

    Raises
    ------
    TypeError
        When weights are not real numbers.
    ValueError
        When there is no network, its shape is not that of the genes, it holds NaN or infinite weights, it is
        said to be undirected and is not symmetric, gene names repeat, or the AnnData is backed by a file.

    Examples
    --------
    >>> import numpy as np
    >>> import pandas as pd
    >>> genes = pd.DataFrame(index=["SOX2", "PAX6", "OTX2"])
    >>> weights = np.array([[0, 2, 1], [0, 0, 3], [0, 0, 0]])
    >>> grn = GRNAnnData(np.ones((4, 3)), weights, var=genes, method="by hand")
    >>> grn[:, ["OTX2", "PAX6"]].edges()
      source target  weight
    0   PAX6   OTX2     3.0
    """

    def __init__(
        self,
        X: Any = None,
        grn: Any = None,
        *,
        method: str | None = None,
        parameters: Mapping[str, Any] | None = None,
        directed: bool = True,
        normalisation: str | None = None,
        obs: Any = None,
        var: Any = None,
        uns: Mapping[str, Any] | None = None,
        obsm: Any = None,
        varm: Any = None,
        obsp: Any = None,
        varp: Mapping[str, Any] | None = None,
        layers: Any = None,
        raw: Any = None,
        shape: tuple[int, int] | None = None,
    ) -> None:
        if isinstance(X, AnnData):
            if X.isbacked:
                raise ValueError("this AnnData is backed by a file: pass adata.to_memory()")
            if X.is_view:
                X = X.copy()
        super().__init__(
            X,
            obs=obs,
            var=var,
            # The network and its description are added below: not into the caller's own dicts.
            uns=None if uns is None else dict(uns),
            varp=None if varp is None else dict(varp),
            obsm=obsm,
            varm=varm,
            obsp=obsp,
            layers=layers,
            raw=raw,
            shape=shape,
        )
        self.uns = dict(self.uns)
        check_unique(self.var_names)
        described = method is not None or parameters is not None or normalisation is not None or not directed
        if grn is None:
            grn = _stored_network(self)
            info = check_description(self.uns.get(UNS_KEY))
            if described:
                raise ValueError(
                    "method, parameters, directed and normalisation describe a new network: pass it as grn=, "
                    f"or edit uns[{UNS_KEY!r}] of the one that is there"
                )
        else:
            info = describe(method=method, parameters=parameters, directed=directed, normalisation=normalisation)
        network = check_network(grn, self.n_vars)
        if not info["directed"]:
            check_symmetric(network)
        self.varp[GRN_KEY] = network
        self.uns[UNS_KEY] = info

    @property
    def grn(self) -> Network:
        """The network, shape (genes, genes), row = regulator. Assigning one checks it."""
        return cast("Network", _stored_network(self))

    @grn.setter
    def grn(self, network: Any) -> None:
        checked = check_network(network, self.n_vars)
        if not self.directed:
            check_symmetric(checked)
        self.varp[GRN_KEY] = checked

    @property
    def directed(self) -> bool:
        """Whether i → j and j → i are different edges."""
        return bool(check_description(self.uns.get(UNS_KEY))["directed"])

    @property
    def regulators(self) -> pd.Index:
        """Names of the genes with at least one outgoing edge, in the order of ``var_names``."""
        return self.var_names[_edges_per_row(self.grn) > 0]

    @property
    def targets(self) -> pd.Index:
        """Names of the genes with at least one incoming edge, in the order of ``var_names``."""
        return self.var_names[_edges_per_row(self.grn.T) > 0]

    @property
    def n_edges(self) -> int:
        """Number of non-zero weights, self-edges too; an undirected edge between two genes counts twice."""
        return int(_edges_per_row(self.grn).sum())

    @property
    def density(self) -> float:
        """Share of the n (n - 1) ordered pairs of different genes that are joined; NaN below two genes."""
        pairs = self.n_vars * (self.n_vars - 1)
        network = self.grn
        n_self = int(np.count_nonzero(network.diagonal()))
        return (int(_edges_per_row(network).sum()) - n_self) / pairs if pairs else float("nan")

    def edges(self, top_k: int | None = None, threshold: float | None = None) -> pd.DataFrame:
        """List the edges, strongest first.

        An undirected network lists every pair twice, once a direction, so that source is always a row.

        Parameters
        ----------
        top_k
            Keep this many edges, those of largest absolute weight; all when None.
        threshold
            Keep edges whose absolute weight is at least this; all when None.

        Returns
        -------
        pandas.DataFrame
            Columns ``source, target, weight``, sorted by absolute weight, largest first; ties by place in
            ``var_names``, source before target.

        Raises
        ------
        ValueError
            When `top_k` is not positive, or `threshold` is negative or NaN.
        """
        return matrix_to_edges(self.grn, self.var_names, top_k=top_k, threshold=threshold)

    def to_networkx(self) -> nx.Graph:
        """Return a networkx DiGraph (Graph when undirected) of all genes, each edge with its ``weight``.

        Raises
        ------
        ValueError
            When gene names are not unique (a slice may repeat a gene).
        """
        return matrix_to_networkx(self.grn, self.var_names, directed=self.directed)

    def with_network(self, network: Any, *, step: str) -> GRNAnnData:
        """Return a copy that holds another network over the same genes, described as this one plus one step.

        Parameters
        ----------
        network
            Shape (genes, genes), row = regulator.
        step
            What was done to the network, appended to ``uns["grn"]["steps"]``.

        Returns
        -------
        GRNAnnData
            Independent of this one, except that `network` itself is not copied.

        Raises
        ------
        ValueError
            As the class.
        """
        info = check_description(self.uns.get(UNS_KEY))
        # Without the old network before copying: it may be gigabytes, and is not wanted.
        bare = self.copy() if self.is_view else AnnData(self)
        del bare.varp[GRN_KEY]
        if not self.is_view:
            bare = bare.copy()
        bare.varp[GRN_KEY] = network
        bare.uns[UNS_KEY] = info | {"steps": [*info["steps"], step]}
        return GRNAnnData(bare)

    def __getitem__(self, index: Any) -> Any:
        return _adopt(super().__getitem__(index))

    def copy(self, filename: PathLike[str] | str | None = None) -> Self:
        """Return a full, independent copy."""
        return cast("Self", _adopt(super().copy(filename)))

    def to_memory(self, *, copy: bool = False) -> Self:
        """Return a new object with every array in memory; `copy` also copies those already there."""
        return cast("Self", _adopt(super().to_memory(copy=copy)))

    def write_h5ad(self, filename: PathLike[str] | str | None = None, **options: Any) -> None:
        """Write an h5ad file, atomically: see `grnndata.write_h5ad`."""
        from .io import write_h5ad

        if filename is None:
            raise ValueError("write_h5ad needs a filename")
        write_h5ad(self, filename, **options)

    write = write_h5ad

    def __repr__(self) -> str:
        text = super().__repr__().replace("AnnData object", "GRNAnnData object", 1)
        if GRN_KEY not in self.varp:
            return text
        info = check_description(self.uns.get(UNS_KEY))
        network = self.grn
        form = f"sparse, {network.nnz:,} edges" if sp.issparse(network) else "dense"
        arrow = "directed" if info["directed"] else "undirected"
        return f"{text}\n    network: {self.n_vars:,} genes, {form}, {arrow}, method {info['method']!r}"


def adopt(adata: AnnData) -> GRNAnnData:
    """Turn an AnnData that nobody else holds into a GRNAnnData, in place; gene names are not checked.

    A slice may repeat genes and be written; reading it back must not lose it, so names are checked only where
    they have to be unique.

    Raises
    ------
    ValueError
        When there is no network, or not a valid one.
    """
    network = check_network(_stored_network(adata), adata.n_vars)
    adata.varp[GRN_KEY] = network
    adata.uns[UNS_KEY] = check_description(adata.uns.get(UNS_KEY))
    return cast("GRNAnnData", _adopt(adata))


def _adopt(result: Any) -> Any:
    # anndata builds slices and copies with `AnnData(...)`, not with the class at hand. Views and aligned
    # mappings keep references to the very object that was built, so it changes its class: a second object
    # would orphan them.
    if type(result) is AnnData:
        result.__class__ = GRNAnnData
    return result


def _stored_network(adata: AnnData) -> Any:
    if GRN_KEY not in adata.varp:
        held = ", ".join(map(repr, adata.varp)) or "nothing"
        raise ValueError(f"no network: varp[{GRN_KEY!r}] is missing (varp holds {held}); pass one as grn=")
    return adata.varp[GRN_KEY]


def _edges_per_row(network: Any) -> np.ndarray:
    if is_sparse(network):
        return np.bincount(nonzero_entries(network)[0], minlength=network.shape[0])
    return np.count_nonzero(np.asarray(network), axis=1)

"""`GRNAnnData`: an AnnData that holds a gene network and keeps it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from os import PathLike
from typing import TYPE_CHECKING, Any, Self, cast

import networkx as nx
import numpy as np
import pandas as pd
import scipy.sparse as sp
from anndata import AnnData

from ._provenance import Step
from ._provenance import step as record
from ._wording import listed
from .edges import check_unique, matrix_to_edges, matrix_to_igraph, matrix_to_networkx
from .history import continued
from .networks import Networks
from .schema import (
    GRN_KEY,
    UNS_KEY,
    Network,
    check_description,
    check_network,
    check_symmetric,
    compact,
    describe,
)
from .sharing import without_networks
from .stored import (
    check_networks,
    edges_per_row,
    names_of_planes,
    require_network,
    single_network,
    stored_network,
)
from .write import write_h5ad, write_zarr

if TYPE_CHECKING:
    import igraph


class GRNAnnData(AnnData):
    """AnnData with a gene network over its genes.

    The network is ``varp["GRN"]``, shape (genes, genes), float32, CSR or dense: **row = regulator (source),
    column = target**, 0 = no edge. ``uns["grn"]`` says how it was made. Everything else is AnnData; slicing,
    views, ``copy``, ``to_memory``, backed mode, pickling, h5ad and zarr files keep the class and the network.
    Three things give a plain AnnData: ``.T``, whose variables are cells, ``anndata.read_h5ad`` and
    ``anndata.concat`` (use `grnndata.read_h5ad` and `grnndata.concat`).

    An object may hold several networks: named ones (``adata.networks["rod cell"]``), or one dense stack, shape
    (genes, genes, planes), for example one plane an attention head. See `grnndata.Networks`.

    Parameters
    ----------
    X
        An AnnData (its arrays are shared, as ``AnnData(adata)`` does; it is not changed), or a matrix cells ×
        genes.
    grn
        Square array or sparse matrix, shape (genes, genes), row = regulator; or a stack of them, an array of
        shape (genes, genes, planes). None when the AnnData already holds a network, which then keeps its
        description, or when there are only named `networks`.
    networks
        Named networks: name → square array, sparse matrix, edge table or GRNAnnData.
    planes
        Names of the planes of a stack; ``"0"``, ``"1"``, ... when None.
    method, parameters, directed, normalisation
        Description of what made the network, see `grnndata.describe`. ``directed=False`` asks for a symmetric matrix.
    obs, var, uns, obsm, varm, obsp, varp, layers, raw, shape
        Parts of an AnnData, when `X` is a matrix or None.

    Raises
    ------
    TypeError
        When weights are not real numbers.
    ValueError
        When no network is given or held, its shape is not that of the genes, it holds NaN or infinite weights, it is
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
        networks: Mapping[str, Any] | None = None,
        planes: Sequence[str] | None = None,
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
            if described or planes is not None:
                raise ValueError(
                    "method, parameters, directed, normalisation and planes describe a new network: pass it as "
                    f"grn=, or edit uns[{UNS_KEY!r}] of the one that is there"
                )
            if not networks:
                require_network(self)
        else:
            info = describe(method=method, parameters=parameters, directed=directed, normalisation=normalisation)
            before = check_description(self.uns.get(UNS_KEY))
            checked = check_network(grn, self.n_vars)
            info["planes"] = names_of_planes(checked, planes)
            self.varp[GRN_KEY] = checked
            self.uns[UNS_KEY] = compact(info | {key: before[key] for key in ("names", "networks")})
        check_networks(self)
        self.networks.update(networks or {})

    @property
    def grn(self) -> Network:
        """The network, shape (genes, genes), row = regulator, or the stack. Assigning one checks it.

        A new stack of as many planes keeps their names.
        """
        return cast("Network", stored_network(self))

    @grn.setter
    def grn(self, network: Any) -> None:
        checked = check_network(network, self.n_vars)
        info = check_description(self.uns.get(UNS_KEY))
        if not info["directed"]:
            check_symmetric(checked)
        same_planes = checked.ndim == 3 and checked.shape[2] == len(info["planes"])
        info["planes"] = info["planes"] if same_planes else names_of_planes(checked, None)
        self.varp[GRN_KEY] = checked
        self.uns[UNS_KEY] = compact(info)

    @property
    def networks(self) -> Networks[GRNAnnData]:
        """The named networks and the planes of a stack, by name: see `grnndata.Networks`."""
        return Networks(self, GRNAnnData)

    @property
    def directed(self) -> bool:
        """Whether i → j and j → i are different edges."""
        return bool(check_description(self.uns.get(UNS_KEY))["directed"])

    @property
    def regulators(self) -> pd.Index:
        """Names of the genes with at least one outgoing edge, in the order of ``var_names``."""
        return self.var_names[edges_per_row(single_network(self)) > 0]

    @property
    def targets(self) -> pd.Index:
        """Names of the genes with at least one incoming edge, in the order of ``var_names``."""
        return self.var_names[edges_per_row(single_network(self).T) > 0]

    @property
    def n_edges(self) -> int:
        """Number of non-zero weights, self-edges too; an undirected edge between two genes counts twice."""
        return int(edges_per_row(single_network(self)).sum())

    @property
    def density(self) -> float:
        """Share of the n (n - 1) ordered pairs of different genes that are joined; NaN below two genes."""
        pairs = self.n_vars * (self.n_vars - 1)
        network = single_network(self)
        n_self = int(np.count_nonzero(network.diagonal()))
        return (int(edges_per_row(network).sum()) - n_self) / pairs if pairs else float("nan")

    def edges(self, top_k: int | None = None, threshold: float | None = None) -> pd.DataFrame:
        """List the edges, strongest first.

        An undirected network lists every pair twice, once a direction, so that source is always a row.

        Parameters
        ----------
        top_k
            Number of edges to keep, those of largest absolute weight; all when None.
        threshold
            Smallest absolute weight of an edge that is kept; all when None.

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
        return matrix_to_edges(single_network(self), self.var_names, top_k=top_k, threshold=threshold)

    def to_networkx(self) -> nx.Graph:
        """Return a networkx DiGraph (Graph when undirected) of all genes, each edge with its ``weight``.

        Raises
        ------
        ValueError
            When gene names are not unique (a slice may repeat a gene).
        """
        return matrix_to_networkx(single_network(self), self.var_names, directed=self.directed)

    def to_igraph(self) -> igraph.Graph:
        """Return an igraph graph of all genes (vertex ``name``), each edge with its ``weight``.

        Raises
        ------
        ImportError
            When igraph is not installed.
        ValueError
            When gene names are not unique.
        """
        return matrix_to_igraph(single_network(self), self.var_names, directed=self.directed)

    def with_network(
        self, network: Any, *, step: str, directed: bool | None = None, made: Step | None = None
    ) -> GRNAnnData:
        """Return a copy that holds another network over the same genes, described as this one plus one step.

        Parameters
        ----------
        network
            Shape (genes, genes), row = regulator.
        step
            Name of what was done to the network, appended to ``uns["grn"]["steps"]``.
        directed
            Whether the new network is directed; as this one when None.
        made
            Record of the call that made the network, appended to ``uns["provenance_steps"]``; that of this call when
            None.

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
        bare = without_networks(self, keep_named=True).copy()
        checked = check_network(network, self.n_vars)
        info |= {
            "steps": [*info["steps"], step],
            "directed": info["directed"] if directed is None else directed,
            "planes": names_of_planes(checked, None),
        }
        bare.varp[GRN_KEY] = checked
        bare.uns[UNS_KEY] = compact(info)
        bare.uns.update(continued(self, made or record("grnndata.GRNAnnData.with_network", {"step": step})))
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
        if filename is None:
            raise ValueError("write_h5ad needs a filename")
        write_h5ad(self, filename, **options)

    write = write_h5ad

    # Of all that zarr can write to, only a folder can be replaced atomically.
    def write_zarr(self, store: PathLike[str] | str, **options: Any) -> None:  # type: ignore[override]
        """Write a zarr folder, atomically: see `grnndata.write_zarr`."""
        write_zarr(self, store, **options)

    def __repr__(self) -> str:
        text = super().__repr__().replace("AnnData object", "GRNAnnData object", 1)
        if len(self.networks):
            text += f"\n    networks: {listed(self.networks)}"
        if GRN_KEY not in self.varp:
            return text
        info = check_description(self.uns.get(UNS_KEY))
        network = self.varp[GRN_KEY]
        form = f"sparse, {network.nnz:,} edges" if sp.issparse(network) else "dense"
        if network.ndim == 3:
            form = f"a dense stack of {network.shape[2]} planes"
        arrow = "directed" if info["directed"] else "undirected"
        return f"{text}\n    network: {self.n_vars:,} genes, {form}, {arrow}, method {info['method']!r}"


def adopt(adata: AnnData) -> GRNAnnData:
    """Turn an AnnData that nobody else holds into a GRNAnnData, in place; gene names are not checked.

    A slice may repeat genes and be written; reading it back must not lose it, so names are checked only where
    they have to be unique.

    Raises
    ------
    ValueError
        When the object holds no network, or not a valid one.
    """
    require_network(adata)
    adopted = cast("GRNAnnData", _adopt(adata))
    check_networks(adopted)
    return adopted


def _adopt(result: Any) -> Any:
    # anndata builds slices and copies with `AnnData(...)`, not with the class at hand. Views and aligned
    # mappings keep references to the very object that was built, so it changes its class: a second object
    # would orphan them.
    if type(result) is AnnData:
        result.__class__ = GRNAnnData
    return result

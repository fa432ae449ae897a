"""Several networks in one object: named ones, and the planes of a stack."""

from __future__ import annotations

from collections.abc import Callable, Iterator, MutableMapping
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp
from anndata import AnnData

from ._wording import counted, listed
from .edges import check_unique, edges_to_matrix, matrix_to_edges, some
from .schema import (
    GRN_KEY,
    UNS_KEY,
    Network,
    check_description,
    check_network,
    check_symmetric,
    compact,
    describe,
    is_sparse,
    network_key,
    own_description,
)
from .sharing import without_networks
from .stored import named_ones, network_names, single_network


class Networks[One: AnnData](MutableMapping[str, One]):
    """The networks of one object by name: ``adata.networks``.

    ``networks[name]`` is a `GRNAnnData` with the same cells and genes and that one network, so every tool and
    plot takes it; its arrays are shared, not copied. ``networks[name] = value`` stores a square array, a
    sparse matrix, an edge table (columns source, target, weight), or another `GRNAnnData`, whose genes are
    matched by name and must all be among the genes here (weights of the others are 0). ``del`` removes one.

    Named networks live in ``varp["GRN.<name>"]``, with characters that files do not take percent-quoted, and
    come in the order in which they were added. The planes of a stack are listed first; they can be read here
    and not replaced.
    """

    def __init__(self, adata: One, make: Callable[[AnnData], One]) -> None:
        # The class of what is given out comes as an argument: it is built on this one.
        self._adata = adata
        self._make = make

    def __getitem__(self, name: str) -> One:
        info = self._info
        if name in self._planes:
            described = info
        elif name in self._named:
            described = info["networks"].get(network_key(name), {})
        else:
            there = listed(self) or "no others beside the main one"
            raise KeyError(f"no network {name!r}: there are {there}")
        bare = without_networks(self._adata)
        bare.varp[GRN_KEY] = self._matrix(name)
        bare.uns[UNS_KEY] = own_description(described)
        return self._make(bare)

    def __setitem__(self, name: str, value: Any) -> None:
        key = network_key(name)
        if name in self._planes:
            raise ValueError(f"{name!r} is a plane of the stack: assign the whole stack with adata.grn = ...")
        network, described = self._take(value)
        info = self._info
        if name not in info["names"]:
            info["names"] = [*info["names"], name]
        info["networks"] = info["networks"] | {key: described}
        self._adata.varp[key] = network
        self._adata.uns[UNS_KEY] = compact(info)

    def __delitem__(self, name: str) -> None:
        if name not in self._named:
            raise KeyError(f"no named network {name!r}: there are {listed(self._named) or 'none'}")
        info = self._info
        info["names"] = [other for other in info["names"] if other != name]
        info["networks"] = {key: told for key, told in info["networks"].items() if key != network_key(name)}
        del self._adata.varp[network_key(name)]
        self._adata.uns[UNS_KEY] = compact(info)

    def __iter__(self) -> Iterator[str]:
        return iter(network_names(self._adata))

    def __len__(self) -> int:
        return len(network_names(self._adata))

    def __contains__(self, name: object) -> bool:
        return name in self._planes or name in self._named

    def __repr__(self) -> str:
        return f"Networks({listed(self) or 'none'})"

    def edges(self, top_k: int | None = None, threshold: float | None = None) -> pd.DataFrame:
        """List the edges of every network, see `GRNAnnData.edges`, with a first column ``network``.

        Returns
        -------
        pandas.DataFrame
            Columns ``network, source, target, weight``; the networks in their order, strongest edges first.
        """
        tables = [
            matrix_to_edges(self._matrix(name), self._adata.var_names, top_k=top_k, threshold=threshold).assign(
                network=name
            )
            for name in self
        ]
        columns = ["network", "source", "target", "weight"]
        return pd.concat(tables, ignore_index=True)[columns] if tables else pd.DataFrame(columns=columns)

    def stack(self) -> np.ndarray:
        """Return all networks as one dense stack, float32, shape (genes, genes, networks), in their order."""
        n = self._adata.n_vars
        stacked = np.zeros((n, n, len(self)), dtype=np.float32)
        for place, name in enumerate(self):
            network = self._matrix(name)
            stacked[:, :, place] = network.toarray() if is_sparse(network) else network
        return stacked

    @property
    def _info(self) -> dict[str, Any]:
        return check_description(self._adata.uns.get(UNS_KEY))

    @property
    def _planes(self) -> list[str]:
        return list(self._info["planes"])

    @property
    def _named(self) -> list[str]:
        return named_ones(self._adata)

    def _matrix(self, name: str) -> Any:
        held: Any = self._adata.varp[GRN_KEY if name in self._planes else network_key(name)]
        return held[:, :, self._planes.index(name)] if name in self._planes else held

    def _take(self, value: Any) -> tuple[Network, dict[str, Any]]:
        """Return a network over the genes here and its description."""
        adata = self._adata
        described = describe()
        if isinstance(value, AnnData):
            described = check_description(value.uns.get(UNS_KEY))
            network: Any = place_network(single_network(value), value.var_names, adata.var_names)
        elif isinstance(value, pd.DataFrame):
            network = edges_to_matrix(value, adata.var_names)
        else:
            network = value
        checked = check_network(network, adata.n_vars)
        if checked.ndim == 3:
            raise ValueError(
                "a named network is one network: a stack is passed as grn=, with planes= to name its planes"
            )
        if not described["directed"]:
            check_symmetric(checked)
        return checked, own_description(described)


def place_network(network: Any, genes: pd.Index, among: pd.Index) -> Any:
    """Return a network over other genes: those of `among`, with weights of 0 where it had no gene.

    Parameters
    ----------
    network
        Shape (genes, genes), or (genes, genes, planes) when dense.
    genes, among
        Names of its genes now and then, both unique. Genes of the network which are not wanted are errors
        here: slice first.

    Raises
    ------
    ValueError
        When `among` lacks genes of the network.
    """
    if genes.equals(among):
        return network
    at = check_unique(among).get_indexer(check_unique(genes))
    if (at < 0).any():
        lacking = list(genes[at < 0])
        raise ValueError(
            f"{counted(len(lacking), 'gene of the network is', 'genes of the network are')} not among the "
            f"{len(among):,} genes of var_names: "
            f"{some(lacking)}; slice the network to the shared genes first"
        )
    if is_sparse(network):
        coo = sp.coo_array(network)
        return sp.csr_matrix((coo.data, (at[coo.row], at[coo.col])), shape=(len(among), len(among)))
    placed = np.zeros((len(among), len(among), *network.shape[2:]), dtype=network.dtype)
    placed[np.ix_(at, at)] = network
    return placed

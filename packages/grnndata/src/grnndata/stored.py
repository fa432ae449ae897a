"""The networks that an AnnData holds, of whatever class it is: found, checked, and brought into their stored form."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import numpy as np
from anndata import AnnData
from numpy.typing import NDArray

from ._wording import listed
from .schema import (
    GRN_KEY,
    UNS_KEY,
    Network,
    check_description,
    check_network,
    check_planes,
    check_symmetric,
    compact,
    is_sparse,
    network_name,
    nonzero_entries,
)

_PIECE = 2**22


def single_network(adata: AnnData) -> Network:
    """Return the one network that a tool works on, shape (genes, genes), row = regulator.

    Raises
    ------
    ValueError
        When the object holds a stack of networks, or named ones only: the message says how to choose one.
    """
    network = stored_network(adata)
    if network.ndim == 3:
        names = network_names(adata)
        raise ValueError(
            f"this is a stack of {len(names)} networks: choose one, for example networks[{names[0]!r}], or merge "
            "them with grnndata.tl.consensus"
        )
    return cast("Network", network)


def network_names(adata: AnnData) -> list[str]:
    """Return the names of the planes of a stack, then those of the named networks, in the order they were added."""
    told = check_description(adata.uns.get(UNS_KEY))
    return [*told["planes"], *named_ones(adata)]


def named_ones(adata: AnnData) -> list[str]:
    """Return the names of the named networks, in the order in which they were added."""
    held = [name for key in adata.varp if (name := network_name(key)) is not None]
    told = [name for name in check_description(adata.uns.get(UNS_KEY))["names"] if name in held]
    return told + [name for name in held if name not in told]


def stored_network(adata: AnnData) -> Any:
    """Return the main network or the stack; raise ValueError when there is none."""
    if GRN_KEY in adata.varp:
        return adata.varp[GRN_KEY]
    require_network(adata)
    named = [name for key in adata.varp if (name := network_name(key)) is not None]
    raise ValueError(
        f"there is no main network, only named ones ({listed(named)}): choose one, for example networks[{named[0]!r}]"
    )


def require_network(adata: AnnData) -> None:
    """Raise ValueError when an AnnData holds no network at all."""
    if not any(key == GRN_KEY or network_name(key) is not None for key in adata.varp):
        held = listed(adata.varp) or "nothing"
        raise ValueError(f"no network: varp[{GRN_KEY!r}] is missing (varp holds {held}); pass one as grn=")


def check_networks(adata: AnnData) -> None:
    """Bring every network of an object, and their description, into their stored form."""
    info = check_description(adata.uns.get(UNS_KEY))
    if GRN_KEY in adata.varp:
        checked = check_network(adata.varp[GRN_KEY], adata.n_vars)
        if not info["directed"]:
            check_symmetric(checked)
        info["planes"] = names_of_planes(checked, info["planes"] or None)
        adata.varp[GRN_KEY] = checked
    for key in [key for key in adata.varp if network_name(key) is not None]:
        try:
            checked = check_network(adata.varp[key], adata.n_vars)
        except (TypeError, ValueError) as error:
            raise type(error)(f"varp[{key!r}]: {error}") from error
        if checked.ndim == 3:
            raise ValueError(f"varp[{key!r}] has shape {checked.shape}: a named network has two dimensions")
        adata.varp[key] = checked
    adata.uns[UNS_KEY] = compact(info)


def names_of_planes(network: Any, planes: Sequence[str] | None) -> list[str]:
    """Return the names of a stack's planes, none for a single network; raise ValueError when they do not fit."""
    if network.ndim == 3:
        return check_planes(planes, network.shape[2])
    if planes is not None:
        raise ValueError("planes= names the planes of a stack: this network has two dimensions")
    return []


def edges_per_row(network: Any) -> np.ndarray:
    """Count the edges out of every gene, shape (genes,)."""
    if not is_sparse(network):
        return np.count_nonzero(np.asarray(network), axis=1)
    if network.format == "csr" and network.data.all():
        return np.diff(network.indptr)
    if network.format == "csc" and network.data.all():  # a network's transpose
        return _count(network.indices, network.shape[0])
    return np.bincount(nonzero_entries(network)[0], minlength=network.shape[0])


def _count(places: NDArray[np.integer], n: int) -> NDArray[np.intp]:
    # In pieces: numpy would make a copy in 64 bits of them all.
    total = np.zeros(n, dtype=np.intp)
    for start in range(0, places.size, _PIECE):
        total += np.bincount(places[start : start + _PIECE], minlength=n)
    return total

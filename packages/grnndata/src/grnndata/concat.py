"""Put objects together: their cells, or their networks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, cast

import anndata
import numpy as np
import pandas as pd

from ._provenance import step
from .core import GRNAnnData
from .edges import check_unique, some
from .history import put_together
from .networks import place_network
from .schema import GRN_KEY, UNS_KEY, check_description, compact, is_sparse, network_key, network_name
from .sharing import without_networks
from .stored import single_network

type Join = Literal["inner", "outer"]
type Objects = Mapping[str, GRNAnnData] | Sequence[GRNAnnData]


def concat(
    objects: Objects,
    *,
    join: Join = "inner",
    networks: Literal["same", "named"] = "same",
    keys: Sequence[str] | None = None,
    label: str | None = None,
    index_unique: str | None = None,
) -> GRNAnnData:
    """Put the cells of several objects into one, without losing a network.

    Parameters
    ----------
    objects
        Objects to join, or a mapping of key to object.
    join
        Genes of the result: those of all objects (``"inner"``), or of any (``"outer"``; a network has weights
        of 0 where it had no gene, counts are filled as `anndata.concat` does).
    networks
        ``"same"``: every object holds the same networks (up to the genes that `join` leaves out), and so does
        the result. ``"named"``: each object's own network is kept under its key, see `GRNAnnData.networks`.
    keys
        A name for each object, when `objects` is a sequence.
    label
        Column of ``obs`` that will say which object a cell came from.
    index_unique
        Text put between cell name and key, as in `anndata.concat`; names stay as they are when None.

    Returns
    -------
    GRNAnnData
        Columns of ``var`` are kept where all objects agree. Arrays are new, except that a network of the first
        object which needs no change is shared.

    Raises
    ------
    TypeError
        When an object is not a GRNAnnData.
    ValueError
        When there are none, an option is unknown, gene names repeat, the objects share no gene, ``"same"``
        networks differ, or ``"named"`` ones have no keys.
    """
    made = step(concat, locals(), skip=("objects",))
    if networks not in ("same", "named"):
        raise ValueError(f"networks must be 'same' or 'named', got {networks!r}")
    names, items = _named_objects(objects, keys)
    if networks == "named" and keys is None and not isinstance(objects, Mapping):
        raise ValueError("networks='named' needs a name for each object: pass a mapping, or keys=")
    genes = joint_genes(items, join)
    joined = anndata.concat(
        [without_networks(item) for item in items],
        join=join,
        label=label,
        keys=names,
        index_unique=index_unique,
        merge="same",
    )[:, genes].copy()
    joined.uns.update(put_together(dict(zip(names, items, strict=True)), made))
    if networks == "same":
        _take_same(joined, names, items, genes, join)
        return GRNAnnData(joined)
    result = {name: _restricted(item, genes) for name, item in zip(names, items, strict=True)}
    return GRNAnnData(joined, networks=result)


def concat_networks(objects: Objects, *, join: Join = "inner", keys: Sequence[str] | None = None) -> GRNAnnData:
    """Put the networks of several objects with the same cells (or none) into one object, each under its key.

    Parameters
    ----------
    objects
        Objects to join, or a mapping of key to object.
    join
        Genes of the result: those of all objects (``"inner"``), or of any (``"outer"``, for objects without
        cells only: no counts are made up).
    keys
        A name for each object, when `objects` is a sequence.

    Returns
    -------
    GRNAnnData
        With the cells of the first object and named networks, see `GRNAnnData.networks`.

    Raises
    ------
    TypeError
        When an object is not a GRNAnnData.
    ValueError
        When there are none, they have no keys or other cells, gene names repeat, or they share no gene.
    """
    made = step(concat_networks, locals(), skip=("objects",))
    names, items = _named_objects(objects, keys)
    if keys is None and not isinstance(objects, Mapping):
        raise ValueError("each network needs a name: pass a mapping, or keys=")
    for name, item in zip(names, items, strict=True):
        if not item.obs_names.equals(items[0].obs_names):
            raise ValueError(
                f"{name!r} and {names[0]!r} have other cells: grnndata.concat(..., networks='named') joins those too"
            )
    genes = joint_genes(items, join)
    if join == "inner" or genes.equals(items[0].var_names):
        bare = without_networks(items[0])[:, genes].copy()
    elif items[0].n_obs:
        raise ValueError("join='outer' would make up counts of genes that the cells lack: pass join='inner'")
    else:
        every: Any = pd.concat([cast("pd.DataFrame", item.var) for item in items])
        var = every[~every.index.duplicated()].loc[genes]
        bare = anndata.AnnData(shape=(0, len(genes)), var=var)
    bare.uns.update(put_together(dict(zip(names, items, strict=True)), made))
    return GRNAnnData(bare, networks={name: _restricted(item, genes) for name, item in zip(names, items, strict=True)})


def joint_genes(items: Sequence[GRNAnnData], join: Join) -> pd.Index:
    """Return the genes of all objects, or of any, in the order in which they first come.

    Raises
    ------
    ValueError
        When `join` is unknown, gene names repeat within an object, or no gene is shared.
    """
    if join not in ("inner", "outer"):
        raise ValueError(f"join must be 'inner' or 'outer', got {join!r}")
    genes = check_unique(items[0].var_names)
    for item in items[1:]:
        others = check_unique(item.var_names)
        genes = genes[genes.isin(others)] if join == "inner" else genes.append(others[~others.isin(genes)])
    if not len(genes) and any(item.n_vars for item in items):
        examples = "; ".join(some(list(item.var_names), n=3) for item in items[:2])
        raise ValueError(f"the objects share no gene ({examples}): symbols on one side, ids on the other?")
    return genes


def named_networks(networks: Mapping[str, Any] | Any) -> dict[str, GRNAnnData]:
    """Return networks by name out of what a user holds.

    Parameters
    ----------
    networks
        A mapping of name to GRNAnnData, a GRNAnnData that holds several, or a sequence of them, which are
        called ``"0"``, ``"1"``, ...

    Raises
    ------
    TypeError
        When an item is not a GRNAnnData.
    ValueError
        When there is none.
    """
    held = networks.networks if isinstance(networks, GRNAnnData) else networks
    items = dict(held) if isinstance(held, Mapping) else {str(i): item for i, item in enumerate(held)}
    wrong = [f"{name!r}: {type(item).__name__}" for name, item in items.items() if not isinstance(item, GRNAnnData)]
    if wrong:
        raise TypeError(f"networks must be GRNAnnData objects, not {', '.join(wrong[:3])}")
    if not items:
        raise ValueError("there are no networks: pass a mapping of name to GRNAnnData, or an object that holds several")
    return items


def _named_objects(objects: Objects, keys: Sequence[str] | None) -> tuple[list[str], list[GRNAnnData]]:
    if isinstance(objects, Mapping):
        if keys is not None:
            raise ValueError("keys= names the objects of a sequence: a mapping has names already")
        keys = list(objects)
        objects = list(objects.values())
    items = list(objects)
    names = [str(i) for i in range(len(items))] if keys is None else [str(key) for key in keys]
    if not items:
        raise ValueError("there are no objects to join")
    if len(names) != len(items) or len(set(names)) != len(names):
        raise ValueError(f"keys must hold {len(items)} different names, got {names}")
    for name, item in zip(names, items, strict=True):
        if not isinstance(item, GRNAnnData):
            raise TypeError(
                f"{name!r} is a {type(item).__name__}, not a GRNAnnData: make it one with GRNAnnData(adata)"
            )
    return names, items


def _restricted(item: GRNAnnData, genes: pd.Index) -> GRNAnnData:
    """Return the main network of an object, over those of its genes that are wanted, without cells."""
    # Slicing the object would slice every layer too.
    kept = item.var_names.isin(genes)
    network: Any = single_network(item)
    if not kept.all():
        network = network[np.ix_(kept, kept)]
    var = pd.DataFrame(index=item.var_names[kept])
    uns = {UNS_KEY: compact(check_description(item.uns.get(UNS_KEY)) | {"names": [], "networks": {}})}
    return GRNAnnData(anndata.AnnData(shape=(0, len(var)), var=var, uns=uns, varp={GRN_KEY: network}))


def _take_same(joined: anndata.AnnData, names: list[str], items: list[GRNAnnData], genes: pd.Index, join: Join) -> None:
    """Put the networks of all objects into `joined`, after checking that they agree."""
    held = [_network_keys(item) for item in items]
    for name, keys in zip(names, held, strict=True):
        if keys != held[0]:
            raise ValueError(
                f"{names[0]!r} holds the networks {sorted(held[0])} and {name!r} holds {sorted(keys)}: remove those "
                "which are not in both, or keep each object's own with networks='named'"
            )
    for key in sorted(held[0]):
        merged = _over(items[0], key, genes)
        for later in range(1, len(items)):
            # On the genes of all objects, equality passes on; on those of any, each pair shares others.
            for earlier in range(later if join == "outer" else 1):
                _check_same(key, names[earlier], items[earlier], names[later], items[later])
            if join == "outer":
                merged = _filled(merged, _over(items[later], key, genes))
        joined.varp[key] = merged
    joined.uns[UNS_KEY] = compact(check_description(items[0].uns.get(UNS_KEY)))


def _check_same(key: str, name_a: str, a: GRNAnnData, name_b: str, b: GRNAnnData) -> None:
    shared = a.var_names[a.var_names.isin(b.var_names)]
    gap = _largest_gap(_over(a, key, shared), _over(b, key, shared))
    if gap:
        raise ValueError(
            f"the networks of {name_a!r} and {name_b!r} (varp[{key!r}]) differ, by {gap:.3g} at most: keep each "
            "under its key with networks='named', or merge them with grnndata.tl.consensus"
        )


def _filled(network: Any, other: Any) -> Any:
    """Return a network with the weights of another where it has none."""
    if is_sparse(network) and is_sparse(other):
        return (network + other - other.multiply(network.astype(bool))).tocsr()
    filled = _dense(network).copy()
    np.copyto(filled, _dense(other), where=filled == 0)
    return filled


def _network_keys(item: GRNAnnData) -> set[str]:
    main = {GRN_KEY} if GRN_KEY in item.varp else set()
    return main | {network_key(name) for key in item.varp if (name := network_name(key)) is not None}


def _over(item: GRNAnnData, key: str, genes: pd.Index) -> Any:
    """Return one network over the genes of the result."""
    kept = item.var_names.isin(genes)
    network: Any = item.varp[key]
    if not kept.all():
        network = network[np.ix_(kept, kept)]
    return place_network(network, item.var_names[kept], genes)


def _largest_gap(a: Any, b: Any) -> float:
    if a is b or not a.shape[0]:
        return 0.0
    if a.ndim != b.ndim or a.shape != b.shape:
        return float("inf")
    if is_sparse(a) and is_sparse(b):
        return float(abs(a - b).max())
    # By rows: the difference of two dense networks would be a third one.
    step = max(1, 2**22 // a[0].size) if not is_sparse(a) else max(1, 2**22 // a.shape[1])
    return max(
        float(np.abs(_dense(a[i : i + step]) - _dense(b[i : i + step])).max()) for i in range(0, a.shape[0], step)
    )


def _dense(rows: Any) -> Any:
    return rows.toarray() if is_sparse(rows) else rows

"""Infer networks from cells with any method: choice of cells, genes and regulators, one network a group."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd
from anndata import AnnData
from numpy.typing import NDArray

import grnndata
from bengrn._provenance import in_uns, step, steps_of
from bengrn._wording import counted, listed
from bengrn.cell_draws import draw_cells
from bengrn.network import find_in
from bengrn.registry import get_method

if TYPE_CHECKING:
    from grnndata import GRNAnnData, GRNMethod

logger = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Work:
    """Networks that are to be inferred: a method, and for each network its cells; all have the same genes.

    Attributes
    ----------
    method
        Method with its settings.
    cells
        Cells × genes with expression in X: those of all groups.
    groups
        Places of each network's cells, by its name; ``""`` for all cells together.
    regulators
        Names of the genes with outgoing edges, in the order of the genes; all genes when None.
    """

    method: GRNMethod
    cells: AnnData
    groups: Mapping[str, NDArray[np.int64]]
    regulators: list[str] | None

    @property
    def n_regulators(self) -> int:
        """Number of genes with outgoing edges."""
        return self.cells.n_vars if self.regulators is None else len(self.regulators)

    @property
    def memory(self) -> int:
        """Bytes of the result: 4 for each weight over all genes, 8 (weight and place) where regulators are chosen."""
        return len(self.groups) * self.n_regulators * self.cells.n_vars * (4 if self.regulators is None else 8)


def plan(
    adata: AnnData,
    method: str | GRNMethod = "pearson",
    *,
    settings: Mapping[str, Any] | None = None,
    groupby: str | None = None,
    group: Sequence[str] | None = None,
    genes: Sequence[str] | None = None,
    n_genes: int | None = None,
    regulators: Sequence[str] | Literal["tf"] | None = None,
    organism: str = "human",
    n_cells: int | None = None,
    layer: str | None = None,
    seed: int = 0,
) -> Work:
    """Choose cells, genes and regulators as :func:`infer` does, without inferring anything.

    Parameters
    ----------
    adata, method, settings, groupby, group, genes, n_genes, regulators, organism, n_cells, layer, seed
        Options of :func:`infer`.

    Raises
    ------
    ValueError, TypeError, ImportError
        As :func:`infer`.
    """
    if isinstance(method, str):
        method = get_method(method, **(settings or {}))
    elif settings:
        raise TypeError("settings go with the name of a method; an object has its own")
    for name, value in {"n_genes": n_genes, "n_cells": n_cells}.items():
        if value is not None and value < 1:
            raise ValueError(f"{name} is at least 1, got {value}")
    cells = with_expression(adata, layer)
    groups = groups_of(cells, groupby, group)
    if n_cells is not None:
        names = cells.var_names.astype(str).tolist()
        values: Any = cells.X
        groups = {name: at[draw_cells(values[at], names, n_cells, seed)] for name, at in groups.items()}
    used = np.unique(np.concatenate(list(groups.values())))
    chosen = cells[used, _genes(cells[used], genes, n_genes)].copy()
    places = {name: np.searchsorted(used, at) for name, at in groups.items()}
    return Work(method, chosen, places, _regulators(chosen, regulators, organism))


def infer(
    adata: AnnData,
    method: str | GRNMethod = "pearson",
    *,
    settings: Mapping[str, Any] | None = None,
    groupby: str | None = None,
    group: Sequence[str] | None = None,
    genes: Sequence[str] | None = None,
    n_genes: int | None = None,
    regulators: Sequence[str] | Literal["tf"] | None = None,
    organism: str = "human",
    n_cells: int | None = None,
    layer: str | None = None,
    seed: int = 0,
    progress: Callable[[str, int, int], None] | None = None,
) -> GRNAnnData:
    """Infer gene networks from cells with one method, one network for each group of cells.

    Parameters
    ----------
    adata
        Cells × genes, with raw counts or what else the method takes; not changed.
    method
        Name of a method (:func:`bengrn.list_methods`), or a :class:`grnndata.GRNMethod`.
    settings
        Settings of the method, by name.
    groupby
        Column of obs: one network for each of its values.
    group
        Values of that column whose cells are taken; all when None.
    genes
        Names of the genes of the network; all when None.
    n_genes
        Number of the most variable genes (:func:`grnndata.tl.most_variable_genes`) over the cells of all groups; all
        when None.
    regulators
        Names of the genes that have outgoing edges, or "tf" for the transcription factors among the genes; all genes
        when None. Those that the data lack are told and left out.
    organism
        Organism of the transcription factors.
    n_cells
        Largest number of cells of a group; they are drawn by what they express.
    layer
        Layer that holds the expression, or "raw" for ``adata.raw``; X when None.
    seed
        Seed for the method and the draw of cells.
    progress
        Function that is called before each network with its name, its number from 0, and the number of networks.

    Returns
    -------
    GRNAnnData
        Cells and genes used, with one network, or several by name. Row = regulator.

    Raises
    ------
    ValueError
        If the method, a column, group, layer or gene does not exist, no regulator is among the genes, or the expression
        is not such as the method takes.
    TypeError
        If the method has no such setting, or returns no network.
    """
    choice = {key: value for key, value in locals().items() if key not in ("adata", "method", "progress")}
    work = plan(adata, method, **choice)
    result = carried_out(work, seed=seed, progress=progress)
    record = [*steps_of(adata.uns), step(infer, {"method": work.method.name} | choice, inputs=[adata])]
    result.uns.update(in_uns(record))
    return result


def carried_out(work: Work, *, seed: int = 0, progress: Callable[[str, int, int], None] | None = None) -> GRNAnnData:
    """Infer the networks that were planned, as :func:`infer` does, and record nothing.

    Parameters
    ----------
    work
        Work of :func:`plan`.
    seed, progress
        See :func:`infer`.

    Raises
    ------
    ValueError, TypeError
        If the expression is not such as the method takes, or the method returns no network over these genes.
    """
    networks: dict[str, GRNAnnData] = {}
    for i, (name, at) in enumerate(work.groups.items()):
        if progress is not None:
            progress(name, i, len(work.groups))
        part = work.cells[at].copy()
        try:
            networks[name] = checked(work.method.infer(part, regulators=work.regulators, rng=seed), part, work)
        except ValueError as error:
            raise ValueError(f"{name}: {error}" if name else str(error)) from error
    if set(networks) == {""}:
        return networks[""]
    present = set().union(*(network.var_names for network in networks.values()))
    cells = work.cells[:, [gene in present for gene in work.cells.var_names]].copy()
    return grnndata.GRNAnnData(cells, networks=networks)


def checked(network: GRNAnnData, cells: AnnData, work: Work) -> GRNAnnData:
    """Return what a method made of cells, if it is a network over their genes in which only regulators have targets.

    Raises
    ------
    TypeError
        If it is not a network.
    ValueError
        If it has other genes, or edges out of genes that are not regulators.
    """
    name = work.method.name
    if not isinstance(network, grnndata.GRNAnnData):
        raise TypeError(f"{name} returned {type(network).__name__}, and not a GRNAnnData")
    other = network.var_names.difference(cells.var_names)
    if len(other):
        raise ValueError(f"{name} returned {counted(len(other), 'gene')} that it was not given, such as {other[0]!r}")
    if work.regulators is not None and "GRN" in network.varp:
        odd = network.regulators.difference(work.regulators)
        if len(odd):
            turned = ""
            if not network.targets.difference(work.regulators).size:
                turned = ": it looks transposed, a row is a regulator"
            raise ValueError(
                f"{name} returned edges out of {counted(len(odd), 'gene')} that are no regulators, such as "
                f"{odd[0]!r}{turned}"
            )
    return network


def with_expression(adata: AnnData, layer: str | None) -> AnnData:
    """Return the cells with the wanted values in X, and none of the other values.

    Parameters
    ----------
    adata
        Cells × genes.
    layer
        Layer that holds the values, or "raw" for ``adata.raw``; X when None.

    Raises
    ------
    ValueError
        If the layer does not exist or is empty.
    """
    obs: Any = adata.obs
    var: Any = adata.var
    if layer == "raw" and "raw" not in adata.layers:
        if adata.raw is None:
            raise ValueError("this AnnData has no raw")
        return AnnData(adata.raw.X, obs=obs, var=adata.raw.var)
    if layer is not None and layer not in adata.layers:
        raise ValueError(f"there is no layer {layer!r}; there are: {listed(adata.layers) or 'none'}")
    values = adata.X if layer is None else adata.layers[layer]
    if values is None:
        raise ValueError(f"X is empty; layers: {listed(adata.layers) or 'none'}")
    return AnnData(values, obs=obs, var=var)


def groups_of(cells: AnnData, groupby: str | None, group: Sequence[str] | None) -> dict[str, NDArray[np.int64]]:
    """Return the places of each group's cells, by its name; ``""`` for all cells together.

    Parameters
    ----------
    cells
        Cells with the column in obs.
    groupby, group
        See :func:`infer`.

    Raises
    ------
    ValueError
        If the column or a group does not exist.
    """
    if groupby is None:
        if group is not None:
            raise ValueError(f"group={group!r} needs groupby: the column of obs which names the cells' groups")
        return {"": np.arange(cells.n_obs)}
    if groupby not in cells.obs:
        near = get_close_matches(groupby, list(map(str, cells.obs.columns)), n=3, cutoff=0.4)
        hint = f"near ones: {listed(near)}" if near else f"it has {listed(cells.obs.columns)}"
        raise ValueError(f"obs has no column {groupby!r}; {hint}")
    column = cells.obs[groupby]
    named = column.notna().to_numpy()
    if not named.all():
        logger.warning(
            "%s no value of %r and are left out", counted(int((~named).sum()), "cell has", "cells have"), groupby
        )
    values = column.astype(str).to_numpy()
    there = sorted(set(values[named]))
    wanted = there if group is None else [group] if isinstance(group, str) else list(group)
    missing = [name for name in wanted if name not in there]
    if missing or not wanted:
        near = get_close_matches(missing[0], there, n=3, cutoff=0.4) if missing else []
        hint = f"near ones: {listed(near)}" if near else f"there are: {listed(there)}"
        raise ValueError(f"no cell has {groupby} = {listed(missing) or 'nothing'}; {hint}")
    return {name: np.flatnonzero(named & (values == name)) for name in wanted}


def _genes(cells: AnnData, genes: Sequence[str] | None, n_genes: int | None) -> NDArray[np.int64]:
    """Return the rising places of the genes of the network."""
    if genes is not None:
        if n_genes is not None:
            raise ValueError("genes and n_genes both choose genes: give one of them")
        return np.unique(find_in(cells, genes).all_found("in the data"))
    if n_genes is None:
        return np.arange(cells.n_vars)
    names = grnndata.tl.most_variable_genes(cells, n_genes)
    return np.sort(cells.var_names.get_indexer(pd.Index(names)))


def _regulators(cells: AnnData, regulators: Sequence[str] | Literal["tf"] | None, organism: str) -> list[str] | None:
    if regulators is None:
        return None
    is_list = not (isinstance(regulators, str) and regulators == "tf")
    names = list(regulators) if is_list else grnndata.transcription_factors(organism)
    what = "regulators" if is_list else f"{organism} transcription factors"
    asked = find_in(cells, names, what)
    if not len(asked.places):
        raise ValueError(f"none of the {len(asked):,} {what} is among the {cells.n_vars:,} genes, {asked.examples()}")
    if asked.missing:
        tell = logger.warning if is_list else logger.info  # most factors are not expressed in a kind of cell
        tell("%s of %s %s are not among the genes, %s", len(asked.missing), len(asked), what, asked.examples())
    return cells.var_names[np.unique(asked.places)].astype(str).tolist()

"""Networks of replicates out of cells: one of each donor and group, of as many cells each."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from .._wording import counted, listed
from ..core import GRNAnnData
from ..protocol import GRNMethod
from ..ranking import check_count

if TYPE_CHECKING:
    from anndata import AnnData

logger = logging.getLogger(__name__)

# A network of fewer cells is next to nothing: a replicate that would cut all others down to so few is an oversight.
_LEAST_CELLS = 10


def replicate_networks(
    adata: AnnData,
    method: GRNMethod,
    *,
    groupby: str,
    replicate: str,
    groups: tuple[str, str] | None = None,
    n_cells: int | None = None,
    regulators: Sequence[str] | None = None,
    seed: int = 0,
) -> dict[str, dict[str, GRNAnnData]]:
    """Infer a network of every replicate of two groups of cells, each from the same number of cells.

    Networks of fewer cells are noisier, and noise changes strengths: so the same number of cells is drawn, without
    replacement, of every replicate. Choose the genes before, so that a method does not choose others each time.
    The result is what `differential_hubs`, `differential_edges` and `differential_overlap` compare.

    Parameters
    ----------
    adata
        Cells × genes, raw counts; not changed.
    method
        Any method, see `GRNMethod`.
    groupby
        Column of ``obs`` with the two groups, such as a condition.
    replicate
        Column of ``obs`` with what was sampled independently, such as a donor. One that is in both groups gives a
        network in each.
    groups
        Names of the two groups in `groupby`; not needed where there are two.
    n_cells
        Number of cells of every replicate and group. Replicates with fewer are left out, which is logged. As many
        as the smallest has when None.
    regulators
        Names from ``var_names`` that may have outgoing edges; any gene when None.
    seed
        Seed of the choice of cells and of the method. Cells are chosen, and given to the method, in the order of their
        names, so that the order of the file changes nothing.

    Returns
    -------
    dict
        For each group, in the order of `groups`, a network by the name of its replicate. All are in memory.

    Raises
    ------
    KeyError
        When `groupby` or `replicate` is not a column of ``obs``.
    ValueError
        When there are not two groups, cells of these have no replicate, no replicate is left in a group, or the
        smallest replicate has fewer than 10 cells and `n_cells` is not given.
    """
    group_of, chosen = two_groups(adata, groupby, groups)
    labels = column(adata, replicate)
    cells = {
        (group, label): np.flatnonzero((group_of == group) & (labels == label))
        for group in chosen
        for label in _replicates_of(labels, group_of == group, replicate)
    }
    n = _cells_of_each(cells, n_cells, replicate)
    streams = np.random.default_rng(seed).spawn(len(cells))
    networks: dict[str, dict[str, GRNAnnData]] = {group: {} for group in chosen}
    for ((group, label), at), rng in zip(cells.items(), streams, strict=True):
        if at.size < n:
            continue
        logger.info("network of %s %r, group %r: %d of %d cells", replicate, label, group, n, at.size)
        chosen_cells = rng.choice(by_name(adata, at), n, replace=False)
        networks[group][label] = network_of(adata, method, chosen_cells, regulators, rng)
    empty = [group for group, found in networks.items() if not found]
    if empty:
        raise ValueError(f"no {replicate!r} of {listed(empty)} has n_cells={n:,} cells: lower it")
    return networks


def two_groups(adata: AnnData, groupby: str, groups: tuple[str, str] | None) -> tuple[pd.Series, tuple[str, str]]:
    """Return the group of every cell, and the names of the two that are compared."""
    group_of = column(adata, groupby)
    there = sorted(group_of.dropna().unique())
    if groups is None:
        if len(there) != 2:
            raise ValueError(
                f"obs[{groupby!r}] holds {counted(len(there), 'group')} ({listed(there)}): name two with groups="
            )
        return group_of, (there[0], there[1])
    named = tuple(map(str, groups))
    if len(set(named)) != 2 or len(named) != 2 or not set(named) <= set(there):
        raise ValueError(f"groups must be two different ones of obs[{groupby!r}] ({listed(there)}), got {groups!r}")
    return group_of, (named[0], named[1])


def column(adata: AnnData, key: str) -> pd.Series:
    """Return a column of ``obs`` as text, missing values as they are.

    Raises
    ------
    KeyError
        When ``obs`` lacks the column.
    """
    if key not in adata.obs:
        raise KeyError(f"{key!r} is no column of obs: {listed(adata.obs.columns)}")
    values = adata.obs[key]
    return values.astype(str).astype(object).where(values.notna().to_numpy(), None).reset_index(drop=True)


def network_of(
    adata: AnnData,
    method: GRNMethod,
    cells: NDArray[np.intp],
    regulators: Sequence[str] | None,
    rng: np.random.Generator,
) -> GRNAnnData:
    """Return a method's network of some cells, which it is given in the order of their names."""
    return method.infer(adata[by_name(adata, cells)].copy(), regulators=regulators, rng=rng)


def by_name(adata: AnnData, cells: NDArray[np.intp]) -> NDArray[np.intp]:
    """Return places of cells in the order of their names; those of equal names in the order of the places."""
    at = np.sort(cells)
    return np.asarray(at[np.argsort(adata.obs_names[at].to_numpy(dtype=str), kind="stable")])


def _replicates_of(labels: pd.Series, is_member: pd.Series, replicate: str) -> list[str]:
    members = labels[is_member]
    n_missing = int(members.isna().sum())
    if n_missing:
        raise ValueError(
            f"obs[{replicate!r}] is missing in {n_missing:,} of {len(members):,} cells of a group: leave these out"
        )
    return sorted(members.unique())


def _cells_of_each(cells: dict[tuple[str, str], NDArray[np.intp]], n_cells: int | None, replicate: str) -> int:
    """Return how many cells each replicate gives, and say which are left out."""
    smallest = min(cells, key=lambda key: cells[key].size)
    if n_cells is None:
        n = int(cells[smallest].size)
        if n < _LEAST_CELLS:
            raise ValueError(
                f"{replicate} {smallest[1]!r} has {counted(n, 'cell')} in group {smallest[0]!r}, and every other would "
                "be cut to as many: pass n_cells=, which leaves out replicates with fewer"
            )
        return n
    check_count(n_cells, "n_cells")
    few = [f"{label} ({group})" for (group, label), at in cells.items() if at.size < n_cells]
    if few:
        logger.warning(
            "%s left out, with fewer than n_cells=%d cells: %s", counted(len(few), "network"), n_cells, listed(few)
        )
    return n_cells

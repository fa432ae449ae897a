"""The cells and genes of each network, and the batches that go through the model."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Literal

import numpy as np
import pandas as pd
import torch
from anndata import AnnData
from scipy import sparse
from torch import Tensor

from grnndata import tl
from scdataloader import draw_numbers
from scdataloader.counts import csr_counts, obs_table, total_counts
from scprint_model._wording import counted, listed
from scprint_model.genes import SharedGenes, find_names
from scprint_model.parts import batches, parts

logger = logging.getLogger(__name__)

#: What `groupby` names the cells themselves by.
CELLS = "obs_names"
#: What draws of a cell are for: each purpose has its own.
_WHICH_CELLS, _WHICH_GENES = 1, 2

type Genes = Literal["variable", "expressed", "all"] | Sequence[str]


def cell_groups(adata: AnnData, groupby: str | None, group: str | Sequence[str] | None) -> dict[str, np.ndarray]:
    """Return the positions of the cells of each network, by its name; ``""`` for all cells together.

    ``groupby="obs_names"`` makes every cell a group, unless there is a column of that name.

    Raises
    ------
    ValueError
        When the column or a group does not exist; the message lists near ones.
    """
    if groupby is None:
        if group is not None:
            raise ValueError(f"group={group!r} needs groupby: the column of obs which names the cells' groups")
        return {"": np.arange(adata.n_obs)}
    obs = obs_table(adata)
    if group is not None and not len(group):
        raise ValueError(f"group={group!r} names no group: leave it out for all of {groupby!r}")
    if single_cells(adata, groupby):
        if not obs.index.is_unique:
            raise ValueError("names of cells repeat, so they name no group: call adata.obs_names_make_unique()")
        cells = {str(name): np.array([i]) for i, name in enumerate(obs.index)}
        return cells if group is None else {name: cells[name] for name in _present(group, list(cells), "the name")}
    if groupby not in obs:
        near = get_close_matches(groupby, list(map(str, obs.columns)), n=3, cutoff=0.4)
        raise ValueError(
            f"obs has no column {groupby!r}; {f'near ones: {near}' if near else f'it has [{listed(obs.columns)}]'}"
        )
    named = obs[groupby].notna().to_numpy()
    values = obs[groupby].astype(str).to_numpy()
    there = sorted(set(values[named]))
    wanted = there if group is None else _present(group, there, groupby)
    return {name: np.flatnonzero(named & (values == name)) for name in wanted}


def single_cells(adata: AnnData, groupby: str | None) -> bool:
    """Return whether every cell is a group of its own."""
    return groupby == CELLS and CELLS not in obs_table(adata)


def _present(group: str | Sequence[str], there: list[str], groupby: str) -> list[str]:
    """Return the groups that were asked for, or raise ValueError with the names near one that is not there."""
    wanted = [group] if isinstance(group, str) else list(map(str, group))
    for name in wanted:
        if name not in there:
            near = get_close_matches(name, there, n=3, cutoff=0.4)
            hint = f"near ones: {near}" if near else f"there are {there[:12]}"
            raise ValueError(f"no cell has {groupby} = {name!r}; {hint}")
    return wanted


@dataclass(frozen=True, eq=False)
class CellContents:
    """The content of cells that networks depend on, in place of where they lie.

    Attributes
    ----------
    known_counts
        Each cell's counts of known genes, shape (n_cells,).
    keys
        Each cell's key; see `scprint_model.genes.SharedGenes.keys`.
    rank
        Place of each cell in an order that depends on the cells' counts alone.
    """

    known_counts: np.ndarray
    keys: np.ndarray
    rank: np.ndarray

    @classmethod
    def read(cls, adata: AnnData, shared: SharedGenes) -> CellContents:
        """Read all cells, a part at a time."""
        read = []
        for _, part in parts(adata):
            known = np.asarray(shared.counts(part).sum(axis=1)).ravel()
            read.append((known, shared.keys(part), total_counts(part)))
        known_counts, keys, totals = (np.concatenate(values) for values in zip(*read, strict=True))
        rank = np.empty(len(keys), dtype=np.int64)
        rank[np.lexsort((totals, keys))] = np.arange(len(keys))
        return cls(known_counts, keys, rank)

    def ordered(self, cells: np.ndarray) -> np.ndarray:
        """Return cells in the order of `rank`."""
        return cells[np.argsort(self.rank[cells])]


def drop_empty_cells(
    groups: dict[str, np.ndarray], contents: CellContents, n_cells: int | None, seed: int, *, least: int = 2
) -> dict[str, np.ndarray]:
    """Return the groups without cells that have no count, and at most `n_cells` of each, drawn at random.

    The draw, and the order of the cells in the result, depend on the cells' counts and not on their places.
    Groups with fewer than `least` cells are left out and named in the log.

    Raises
    ------
    ValueError
        When no group has so many cells, or `n_cells` is fewer.
    """
    if n_cells is not None and n_cells < least:
        raise ValueError(f"n_cells={n_cells} is too few: a network of a group needs at least {least} cells")
    kept = {name: contents.ordered(cells[contents.known_counts[cells] > 0]) for name, cells in groups.items()}
    n_empty = sum(map(len, groups.values())) - sum(map(len, kept.values()))
    if n_empty:
        logger.warning(
            "%s no count of a gene that the model knows: left out", counted(n_empty, "cell has", "cells have")
        )
    small = {name: len(cells) for name, cells in kept.items() if len(cells) < least}
    if len(small) == len(kept):
        sizes = next(iter(small.values())) if len(small) == 1 else f"{{{listed(small, sizes=small)}}}"
        raise ValueError(
            f"a network needs at least {least} cells, this group has {sizes}"
            + (f" beside {n_empty} without any count" if n_empty else "")
            + ("; networks of single cells are groupby='obs_names'" if not n_empty and least > 1 else "")
        )
    if small:
        logger.warning("no network of groups with fewer than %d cells: {%s}", least, listed(small, sizes=small))
    result = {}
    for name, cells in kept.items():
        if name not in small:
            drawn = cells
            if n_cells is not None and len(cells) > n_cells:
                keys = contents.keys[cells]
                repeats = pd.Series(keys).groupby(keys).cumcount().to_numpy()  # equal cells are drawn one by one, too
                numbers = draw_numbers((seed, _WHICH_CELLS), keys, repeats)
                drawn = cells[np.sort(np.argsort(numbers, kind="stable")[:n_cells])]
            result[name] = drawn
    return result


def choose_genes(known: AnnData, index: np.ndarray, genes: Genes, n_genes: int) -> np.ndarray:
    """Return the positions of a network's genes among those of `known`, which has the cells to choose by.

    Of genes that vary, or are expressed, equally the first in the vocabulary are chosen: `index` says where each is.

    Raises
    ------
    ValueError
        When a named gene is not there, repeats, or fewer than 2 are left.
    """
    if isinstance(genes, str):
        if genes == "variable":
            if known.n_obs < 2:
                raise ValueError("genes do not vary in one cell: take genes='expressed', or a list")
            names = tl.most_variable_genes(known[:, np.argsort(index)], n_genes).tolist()
            at = np.sort(find_names(known.var_names, names))
        elif genes == "expressed":
            order = np.argsort(index)
            at = np.sort(order[_most_expressed(known[:, order], n_genes)])
        elif genes == "all":
            at = np.arange(known.n_vars)
        else:
            raise ValueError(f"genes={genes!r} must be 'variable', 'expressed', 'all' or a list of gene names")
    else:
        at = find_names(known.var_names, genes)
        if len(set(at)) < len(at):
            raise ValueError(f"{len(at) - len(set(at))} of the {len(at)} genes are named twice")
    if len(at) < 2:
        raise ValueError(f"a network needs at least 2 genes, here are {len(at)}: choose more, or other cells")
    return np.asarray(at)


def variable_genes(adata: AnnData, shared: SharedGenes, n: int, *, n_cells: int) -> np.ndarray:
    """Return the positions among the shared genes of the `n` most variable ones, in the data's order.

    At most `n_cells` cells are looked at. Which ones, and which of equal genes, depends on the cells' counts alone.
    """
    contents = CellContents.read(adata, shared)
    looked_at = np.sort(np.argsort(contents.rank)[:n_cells])
    part = adata[looked_at].to_memory()
    obs = pd.DataFrame({"total_counts": total_counts(part)}, index=part.obs_names)
    known = AnnData(shared.counts(part), obs=obs, var=pd.DataFrame(index=np.arange(len(shared)).astype(str)))
    return choose_genes(known[np.argsort(contents.rank[looked_at])], shared.index[shared.columns], "variable", n)


def used_cells(adata: AnnData, groups: dict[str, np.ndarray]) -> tuple[AnnData, np.ndarray, dict[str, np.ndarray]]:
    """Read the cells that any group has: (these cells, their positions in the data, each group's among these)."""
    numbers = np.unique(np.concatenate(list(groups.values())))
    in_memory = not adata.isbacked and isinstance(adata.X, (np.ndarray, sparse.spmatrix, sparse.sparray))
    used = adata if in_memory and len(numbers) == adata.n_obs else adata[numbers].to_memory()
    return used, numbers, {name: np.searchsorted(numbers, cells) for name, cells in groups.items()}


@dataclass(frozen=True, eq=False)
class NetworkCells:
    """Counts of chosen cells and genes, and the batches made of them.

    Attributes
    ----------
    counts
        CSR, shape (n_cells, n_genes).
    total_counts
        Of all genes, float32, shape (n_cells,).
    genes
        Vocabulary index of each gene, int64.
    keys
        What each cell's draw of genes depends on beside the seed, uint64; see `scdataloader.cell_keys`.
    context
        Genes of a cell that the model sees at a time; fewer than there are: a draw of its expressed ones, filled up
        with unexpressed ones.
    """

    counts: sparse.csr_matrix
    total_counts: np.ndarray
    genes: np.ndarray
    keys: np.ndarray
    context: int
    seed: int

    @classmethod
    def build(
        cls,
        adata: AnnData,
        shared: SharedGenes,
        at: np.ndarray,
        cells: np.ndarray,
        keys: np.ndarray,
        context: int | None,
        seed: int,
    ) -> NetworkCells:
        """Take genes, positions `at` among the shared ones, and cells of the data, which have these keys."""
        part = adata[cells]
        return cls(
            counts=shared.counts(part, at),
            total_counts=total_counts(part),
            genes=np.asarray(shared.index[shared.columns[at]]),
            keys=keys,
            context=min(context or len(at), len(at)),
            seed=seed,
        )

    @property
    def whole(self) -> bool:
        """Whether every cell shows all genes, in one order."""
        return self.context == len(self.genes)

    def batches(self, cells: np.ndarray, batch_size: int) -> Iterator[tuple[Tensor | None, Tensor, Tensor, Tensor]]:
        """Yield (places, genes, counts, total counts) of batches of cells, in order.

        Places are those of the genes in `genes`, (B, context) int64, or None where every cell shows all in order.
        """
        for rows in batches(len(cells), batch_size):
            some = cells[rows.start : rows.stop]
            counts = torch.from_numpy(self.counts[some].toarray().astype(np.float32, copy=False))
            totals = torch.from_numpy(self.total_counts[some].astype(np.float32, copy=False))
            if self.whole:
                yield None, torch.from_numpy(self.genes).expand(len(some), -1), counts, totals
            else:
                places = torch.from_numpy(self._draw(some, counts.numpy() > 0))
                yield places, torch.from_numpy(self.genes)[places], counts.gather(1, places), totals

    def _draw(self, cells: np.ndarray, expressed: np.ndarray) -> np.ndarray:
        """Return the places of the genes that each cell shows, rising: random expressed ones, or all and others."""
        numbers = draw_numbers((self.seed, _WHICH_GENES), self.keys[cells][:, None], self.genes)
        # the smallest are drawn: those of genes that are not expressed become larger than all others
        numbers = (numbers >> np.uint64(1)) | (~expressed).astype(np.uint64) << np.uint64(63)
        return np.sort(np.argpartition(numbers, self.context - 1, axis=1)[:, : self.context], axis=1)


def _most_expressed(known: AnnData, n: int) -> np.ndarray:
    """Return the positions of the genes with the largest mean share of the cells' counts, in the data's order."""
    totals = np.maximum(total_counts(known).astype(np.float64), 1)
    shares = np.asarray((sparse.diags_array(1 / totals) @ csr_counts(known).astype(np.float64)).sum(axis=0)).ravel()
    order = np.argsort(-shares, kind="stable")[:n]
    return np.sort(order[shares[order] > 0])

"""The user's cells as the network takes them, and which of them are held out."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData
from scipy import sparse

from scdataloader import CellBatch, CellDataset, GeneVocabulary, LabelSpace, draw_numbers
from scdataloader.counts import log_normalise, obs_table
from scdataloader.expression import CountsChoice, read_expression, with_counts
from scdataloader.sources import find_sources, unique_names
from scprint_model._provenance import tell
from scprint_model.genes import match_genes

#: Data to fine-tune on: raw counts in memory, files of them, or several under names.
type Data = AnnData | Path | str | Sequence[Path | str] | Mapping[str, AnnData]


#: Groups beside those held out, of which some tell when to stop; of fewer, cells do.
FEWEST_GROUPS = 5
#: What draws of a seed are for.
_PART, _ROUNDING = 1, 2


@dataclass(frozen=True, eq=False)
class Cells:
    """The cells of all data sets, numbered by their content: by `keys`, not by their place in a file.

    Attributes
    ----------
    dataset
        The cells over the model's genes, in the order of the files.
    order
        (n_cells,) int64: the place in `dataset` of each cell, by number.
    keys
        (n_cells,) uint64: key of each cell's counts, rising; see `scdataloader.cell_keys`.
    sources
        Counts of the genes that the model knows, by data set.
    """

    dataset: CellDataset
    order: np.ndarray
    keys: np.ndarray
    sources: tuple[AnnData, ...]

    def __len__(self) -> int:
        return len(self.order)

    def batch(self, at: np.ndarray) -> CellBatch:
        """Return the cells of these numbers."""
        return self.dataset.__getitems__(self.order[at].tolist())

    def profiles(self, at: np.ndarray) -> sparse.csr_matrix:
        """Return log(1 + counts per 10,000) over the genes that all data sets have; shape (len(at), n_genes)."""
        genes = self.sources[0].var_names
        for source in self.sources[1:]:
            genes = genes.intersection(source.var_names, sort=False)
        begins = np.cumsum([0, *(source.n_obs for source in self.sources)])
        places = self.order[at]
        number = np.searchsorted(begins, places, side="right") - 1
        rows, numbers = [], []
        for i in np.unique(number).tolist():
            here = np.flatnonzero(number == i)
            some = self.sources[i][places[here] - begins[i]]
            rows.append(log_normalise(some)[:, some.var_names.get_indexer(genes)])
            numbers.append(here)
        back = np.argsort(np.concatenate(numbers), kind="stable")
        return sparse.csr_matrix(sparse.vstack(rows, format="csr")[back])


@dataclass(frozen=True, eq=False)
class Parts:
    """Indices of cells: to learn from, to know when to stop, and to score on."""

    train: np.ndarray
    validation: np.ndarray
    held_out: np.ndarray


def read(data: Data, choice: CountsChoice = CountsChoice()) -> dict[str, AnnData]:  # noqa: B008 (frozen)
    """Return the data sets by name, with the raw counts that are meant; ValueError where there is none."""
    place: dict[str, Any] = {"layer": choice.layer, "counts": choice.counts, "round": choice.round}
    if isinstance(data, AnnData):
        return {"input": with_counts(data, **place)}
    if isinstance(data, Mapping):
        if not data:
            raise ValueError("there are no data sets: pass one at least")
        return {name: with_counts(cells, **place) for name, cells in data.items()}
    files = find_sources([str(data)] if isinstance(data, Path | str) else [str(file) for file in data])
    if not files:
        raise ValueError("there are no files: pass one at least")
    found = {}
    for name, file in zip(unique_names(files), files, strict=True):
        found[name] = read_expression(file, None if choice == CountsChoice() else choice)
    return found


def inputs_of(data: Data) -> list[Any]:
    """Return what a record tells of data: each AnnData, with its name where it has one, or each file."""
    if isinstance(data, AnnData):
        return [data]
    if isinstance(data, Mapping):
        return [{"name": name} | tell(adata) for name, adata in data.items()]
    return find_sources([str(data)] if isinstance(data, Path | str) else [str(file) for file in data])


def tables(data: Mapping[str, AnnData]) -> list[pd.DataFrame]:
    """Return each data set's ``obs``."""
    return [obs_table(adata) for adata in data.values()]


def column(data: Mapping[str, AnnData], name: str, *, argument: str) -> np.ndarray:
    """Return one value a cell as text, ``"unknown"`` where it is missing; ``"dataset"`` is the data set's name.

    Raises
    ------
    ValueError
        When a data set has no such column; the message names near ones.
    """
    values: list[str] = []
    for data_set, table in zip(data, tables(data), strict=True):
        if name in table:
            values += table[name].astype(object).where(table[name].notna(), "unknown").map(str).tolist()
        elif name == "dataset":
            values += [data_set] * len(table)
        else:
            present = [str(c) for c in table.columns]
            near = difflib.get_close_matches(name, present, n=3, cutoff=0.4) or present
            raise ValueError(f"{argument}={name!r}: obs of {data_set!r} has no such column; near ones are {near}")
    return np.array(values, dtype=object)


def to_cells(
    data: Mapping[str, AnnData],
    vocabulary: GeneVocabulary,
    columns: Sequence[np.ndarray] = (),
    *,
    context: int,
    seed: int,
) -> Cells:
    """Return the cells over the model's genes, their most expressed ones, at most `context` of them.

    Parameters
    ----------
    data
        Raw counts by data set.
    vocabulary
        Genes of the model.
    columns
        Further columns of the cells, (n_cells,) arrays: they decide the order of cells with the same counts.
    context
        Number of genes per cell at most.
    seed
        Seed for the choice between genes with equal counts.

    Raises
    ------
    ValueError
        When a data set shares too few genes with the vocabulary; see `scprint_model.genes.match_genes`.
    """
    sources, sizes, keys = [], [context], []
    for name, adata in data.items():
        try:
            known = match_genes(vocabulary, adata)
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from error
        sources.append((name, known.source(vocabulary, adata)))
        sizes.append(len(known))
        keys.append(known.keys(adata))
    every = np.concatenate(keys)
    order = np.lexsort((*columns, every))
    dataset = CellDataset(sources, vocabulary, LabelSpace({}), context=min(sizes), choice="most_expressed", seed=seed)
    return Cells(dataset, order, every[order], tuple(source for _, source in sources))


def divide(
    codes: np.ndarray,
    *,
    held_out: float,
    groups: np.ndarray | None,
    named: Sequence[str] = (),
    keys: np.ndarray | None = None,
    validation: float = 0.1,
    seed: int = 0,
) -> Parts:
    """Divide the cells; the same cells give the same parts, in whatever order.

    Parameters
    ----------
    codes
        (n_cells,) label that shall be in all parts in the same proportions where cells are drawn one by one; of labels
        with two cells, one is to learn from.
    held_out
        Share of the cells to score on, or with `groups` of the groups, one at least.
    groups
        (n_cells,) such as donors: those drawn are held out as a whole.
    named
        Groups to hold out; none: as many as `held_out` says are drawn.
    keys
        (n_cells,) key of each cell's counts, on which its part hangs; None: its place. Cells with the same counts and
        label are in one part.
    validation
        Share of the other cells that tells when to stop, at least: whole groups of them where `FEWEST_GROUPS` are left,
        since what is better on cells of known groups may be worse on others.
    seed
        Seed for the draw.

    Raises
    ------
    ValueError
        When `held_out` is not a share, all cells are of one group, a group that is named is not there, or nothing is
        left to learn from.
    """
    if not 0 < held_out < 1:
        raise ValueError(f"held_out={held_out} must lie between 0 and 1")
    keys = np.arange(len(codes), dtype=np.uint64) if keys is None else keys
    if groups is None:
        part = _stratified(codes, held_out, keys, (seed, _PART))
    else:
        names = np.unique(groups.astype(str))
        if len(names) < 2:
            raise ValueError(f"held_out_by has one value, {names.tolist()}: nothing would be left to learn from")
        absent = sorted(set(named) - set(names.tolist()))
        if absent:
            raise ValueError(f"held_out_groups: there is no {absent} among {names.tolist()}")
        n = min(max(1, round(held_out * len(names))), len(names) - 1)
        drawn = list(named) or np.random.default_rng(seed).permutation(names)[:n].tolist()
        part = np.isin(groups.astype(str), drawn)
    rest = np.flatnonzero(~part)
    stop = None if groups is None else _whole_groups(groups[rest].astype(str), validation, seed)
    if stop is None:
        stop = _stratified(codes[rest], validation, keys[rest], (seed, _PART, 1))
    stop = rest[stop]
    train = np.setdiff1d(rest, stop)
    if not (len(train) and len(stop) and part.any()):
        raise ValueError(
            f"{len(codes)} cells give {len(train)} to learn from, {len(stop)} to stop by and {int(part.sum())} "
            "to score on: each needs one at least"
        )
    return Parts(train, stop, np.flatnonzero(part))


def _whole_groups(groups: np.ndarray, share: float, seed: int) -> np.ndarray | None:
    """Draw groups until they have a share of the cells; bool, or None where too few groups or cells would be left."""
    names, sizes = np.unique(groups, return_counts=True)
    order = np.random.default_rng((seed, _PART)).permutation(len(names))
    n = 1 + int(np.searchsorted(np.cumsum(sizes[order]), share * len(groups)))
    drawn = np.isin(groups, names[order[:n]])
    return None if len(names) < FEWEST_GROUPS or drawn.mean() > 0.5 else drawn


def _stratified(codes: np.ndarray, share: float, keys: np.ndarray, seed: tuple[int, ...]) -> np.ndarray:
    """Draw about a share of the cells of each code, rounded at random, never all of them; bool."""
    chosen = np.zeros(len(codes), dtype=bool)
    numbers = draw_numbers(seed, keys, np.zeros(1, np.int64))
    for code in np.unique(codes):
        at = np.flatnonzero(codes == code)
        rounding = draw_numbers((*seed, _ROUNDING), np.array([code + 1], dtype=np.uint64), np.zeros(1, np.int64))[0]
        n = min(int(share * len(at) + float(rounding) * 2.0**-64), len(at) - 1)
        # copies of a cell have its number: they go together, to the part that is learned from where they do not fit
        beyond = np.sort(numbers[at])[n]
        chosen[at] = numbers[at] < beyond
    return chosen

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

from scdataloader import CellDataset, GeneVocabulary, LabelSpace
from scdataloader.counts import obs_table
from scdataloader.sources import find_sources, open_source, to_anndata, unique_names
from scprint_model._provenance import tell
from scprint_model.genes import match_genes

#: Data to fine-tune on: raw counts in memory, files of them, or several under names.
type Data = AnnData | Path | str | Sequence[Path | str] | Mapping[str, AnnData]


@dataclass(frozen=True, eq=False)
class Parts:
    """Indices of cells: to learn from, to know when to stop, and to score on."""

    train: np.ndarray
    validation: np.ndarray
    held_out: np.ndarray


def read(data: Data) -> dict[str, AnnData]:
    """Return the data sets by name; ValueError where there is none."""
    if isinstance(data, AnnData):
        return {"input": data}
    if isinstance(data, Mapping):
        if not data:
            raise ValueError("there are no data sets: pass one at least")
        return dict(data)
    files = find_sources([str(data)] if isinstance(data, Path | str) else [str(file) for file in data])
    if not files:
        raise ValueError("there are no files: pass one at least")
    found = {}
    for name, file in zip(unique_names(files), files, strict=True):
        with open_source(file) as source:
            found[name] = to_anndata(source)
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


def to_cells(data: Mapping[str, AnnData], vocabulary: GeneVocabulary, *, context: int, seed: int) -> CellDataset:
    """Return the cells over the model's genes, their most expressed ones, at most `context` of them.

    Raises
    ------
    ValueError
        When a data set shares too few genes with the vocabulary; see `scprint_model.genes.match_genes`.
    """
    sources, sizes = [], [context]
    for name, adata in data.items():
        try:
            known = match_genes(vocabulary, adata)
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from error
        sources.append((name, known.source(vocabulary, adata)))
        sizes.append(len(known))
    return CellDataset(sources, vocabulary, LabelSpace({}), context=min(sizes), choice="most_expressed", seed=seed)


def divide(
    codes: np.ndarray, *, held_out: float, groups: np.ndarray | None, validation: float = 0.1, seed: int = 0
) -> Parts:
    """Divide the cells; the same arguments give the same parts.

    Parameters
    ----------
    codes
        (n_cells,) label that shall be in all parts in the same proportions where cells are drawn one by one; of labels
        with two cells, one is to learn from.
    held_out
        Share of the cells to score on, or with `groups` of the groups, one at least.
    groups
        (n_cells,) such as donors: those drawn are held out as a whole.
    validation
        Share of the other cells that tells when to stop.
    seed
        Of the draw.

    Raises
    ------
    ValueError
        When `held_out` is no share, there is one group, or nothing is left to learn from.
    """
    if not 0 < held_out < 1:
        raise ValueError(f"held_out={held_out} must lie between 0 and 1")
    rng = np.random.default_rng(seed)
    if groups is None:
        part = _stratified(codes, held_out, rng)
    else:
        names = np.unique(groups.astype(str))
        if len(names) < 2:
            raise ValueError(f"held_out_by has one value, {names.tolist()}: nothing would be left to learn from")
        n = min(max(1, round(held_out * len(names))), len(names) - 1)
        part = np.isin(groups.astype(str), rng.permutation(names)[:n])
    rest = np.flatnonzero(~part)
    stop = rest[_stratified(codes[rest], validation, rng)]
    train = np.setdiff1d(rest, stop)
    if not (len(train) and len(stop) and part.any()):
        raise ValueError(
            f"{len(codes)} cells give {len(train)} to learn from, {len(stop)} to stop by and {int(part.sum())} "
            "to score on: each needs one at least"
        )
    return Parts(train, stop, np.flatnonzero(part))


def _stratified(codes: np.ndarray, share: float, rng: np.random.Generator) -> np.ndarray:
    """Draw about a share of the cells of each code, rounded at random, never all of them; bool."""
    chosen = np.zeros(len(codes), dtype=bool)
    for code in np.unique(codes):
        at = rng.permutation(np.flatnonzero(codes == code))
        n = int(share * len(at) + rng.random())
        chosen[at[: min(n, len(at) - 1)]] = True
    return chosen

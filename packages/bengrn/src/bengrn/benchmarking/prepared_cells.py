"""Cells of a data set, cut to the groups, genes and regulators of a benchmark, and kept in its folder."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, cast

import numpy as np
import pandas as pd
from anndata import AnnData

from bengrn._provenance import content, tell
from bengrn._wording import listed
from bengrn.benchmarking.config import DataEntry, HeldOut
from bengrn.benchmarking.work_files import (
    DIGITS,
    REGULATOR,
    WorkFiles,
    digest,
    read_json,
    sha256_of_cells,
    write_json,
)
from bengrn.infer_command import read_cells
from bengrn.inference import Work, groups_of, plan
from bengrn.prediction import hold_out
from grnndata import atomic_path

logger = logging.getLogger(__name__)

#: Between group and replicate in the names of their cells, while they are chosen.
_BETWEEN = "\x1f"


@dataclass(frozen=True)
class PreparedCells:
    """Cells of one group and replicate of a data set: which they are, and where they lie.

    Where `held_out` is a checksum, they are those that are left when the cells of that checksum are held out.
    """

    dataset: str
    group: str
    replicate: str
    organism: str
    name: str
    sha256: str
    n_cells: int
    n_genes: int
    n_regulators: int
    held_out: str = ""


def prepare(entry: DataEntry, files: WorkFiles) -> list[PreparedCells]:
    """Choose the cells, genes and regulators of a data set, and write those of each group.

    What was written by an earlier run of the same file and the same choice is found again.

    Parameters
    ----------
    entry
        Data set of the configuration.
    files
        Folder of the benchmark.

    Raises
    ------
    ValueError
        If the file holds no cells, or has no such column, group or gene; the message begins with the data set.
    """
    choice = {
        key: value for key, value in asdict(replace(entry, cells=None)).items() if key not in ("path", "truths", "name")
    }
    source: Any = entry.cells if entry.cells is not None else entry.path
    told: Any = None if source is None else content(source) if isinstance(source, AnnData) else tell(source)
    if isinstance(source, AnnData):
        by = None if entry.held_out is None else entry.held_out.by
        columns = [
            column
            for column in (entry.groupby, entry.replicates, by)
            if isinstance(column, str) and column in source.obs
        ]
        told = [told, {column: source.obs[column].astype(str).tolist() for column in columns}]
    elif told is not None:
        told.pop("file", None)
    place = files.plan(digest([choice, told])[:DIGITS])
    found = read_json(place)
    if found is not None and all(_is_there(one, files) for one in found):
        return [PreparedCells(**one | {"dataset": entry.name}) for one in found]
    try:
        prepared = []
        for group, replicate, cells in _chosen(entry):
            prepared.append(_written(entry, group, replicate, cells, files))
            if entry.held_out is not None:
                prepared.append(_rest(entry, entry.held_out, group, replicate, cells, files))
    except (ValueError, TypeError, KeyError) as error:
        raise ValueError(f"data set {entry.name}: {error}") from error
    write_json(place, [asdict(one) for one in prepared])
    return prepared


def genes_alone(name: str, genes: list[str], organism: str, files: WorkFiles) -> PreparedCells:
    """Keep names of genes as the place where networks are scored that belong to no cells."""
    table = pd.DataFrame(index=pd.Index(genes, dtype=str))
    return _written(DataEntry(name=name, organism=organism), "", "", AnnData(var=table), files)


def _written(entry: DataEntry, group: str, replicate: str, cells: AnnData, files: WorkFiles) -> PreparedCells:
    sha256 = sha256_of_cells(cells)
    name = sha256[:DIGITS]
    _write_cells(name, cells, files)
    is_regulator = cells.var.get(REGULATOR)
    n_regulators = cells.n_vars if is_regulator is None else int(is_regulator.sum())
    sizes = (cells.n_obs, cells.n_vars, n_regulators)
    return PreparedCells(entry.name, group, replicate, entry.organism, name, sha256, *sizes)


def _rest(
    entry: DataEntry, how: HeldOut, group: str, replicate: str, cells: AnnData, files: WorkFiles
) -> PreparedCells:
    """Hold cells out, and keep both them and the rest."""
    is_held = hold_out(cells, share=how.share, by=how.by, seed=entry.seed)
    held = cells[is_held].copy()
    obs: Any = held.obs
    sha256 = digest([sha256_of_cells(held), None if how.by is None else obs[how.by].astype(str).tolist()])
    _write_cells(sha256[:DIGITS], held, files)
    return replace(_written(entry, group, replicate, cells[~is_held].copy(), files), held_out=sha256)


def _is_there(told: Mapping[str, Any], files: WorkFiles) -> bool:
    held = told["held_out"][:DIGITS]
    return files.cells(told["name"]).is_file() and (not held or files.cells(held).is_file())


def _write_cells(name: str, cells: AnnData, files: WorkFiles) -> None:
    if not files.cells(name).is_file():
        with atomic_path(files.cells(name)) as temporary:
            cells.write_h5ad(temporary, compression="lzf")


def _chosen(entry: DataEntry) -> Iterator[tuple[str, str, AnnData]]:
    """Yield group, replicate and cells."""
    if entry.cells is None and entry.path is None:
        yield "", "", AnnData(var=pd.DataFrame(index=pd.Index(entry.gene_list, dtype=str)))
        return
    adata = entry.cells
    if adata is None:
        adata = read_cells(str(entry.path), **({} if entry.counts == "X" else {"counts": entry.counts}))
    adata = _with_plain_names(adata)
    choice: dict[str, Any] = {
        "n_genes": entry.n_genes,
        "genes": None if entry.gene_list is None else list(entry.gene_list),
        "regulators": list(entry.regulators) if isinstance(entry.regulators, tuple) else entry.regulators,
        "organism": entry.organism,
        "layer": entry.layer,
    }
    groups: list[str] | None = None if entry.groups is None else list(entry.groups)
    if entry.genes_by == "group" and entry.groupby is not None:
        for group in groups_of(adata, entry.groupby, groups):
            yield from _replicates(adata, entry, [group], choice)
    else:
        yield from _replicates(adata, entry, groups, choice)


def _replicates(
    adata: AnnData, entry: DataEntry, groups: list[str] | None, choice: Mapping[str, Any]
) -> Iterator[tuple[str, str, AnnData]]:
    by: dict[str, Any] = {"groupby": entry.groupby, "group": groups}
    if isinstance(entry.replicates, int):
        # All draws have the genes that are chosen over all cells.
        every = plan(adata, "random", **choice, **by)
        same = dict(choice) | {"genes": every.cells.var_names.tolist(), "n_genes": None}
        for i in range(entry.replicates):
            work = plan(adata, "random", **same, **by, n_cells=entry.n_cells, seed=entry.seed + i)
            for group in work.groups:
                yield group, f"draw {i + 1}", _part(work, group)
        return
    if entry.replicates is None:
        work = plan(adata, "random", **choice, **by, n_cells=entry.n_cells, seed=entry.seed)
        for group in work.groups:
            yield group, "", _part(work, group)
        return
    of_cells, wanted = _group_and_replicate(adata, entry, groups)
    is_known = np.array([one is not None for one in of_cells])
    named = adata[is_known].copy()
    obs: Any = named.obs
    named.obs = obs.assign(**{_BETWEEN: of_cells[is_known]})
    work = plan(named, "random", **choice, groupby=_BETWEEN, group=wanted, n_cells=entry.n_cells, seed=entry.seed)
    for both in work.groups:
        group, _, replicate = both.partition(_BETWEEN)
        yield group, replicate, _part(work, both)


def _group_and_replicate(adata: AnnData, entry: DataEntry, groups: list[str] | None) -> tuple[Any, list[str]]:
    """Return the group and replicate of each cell in one text, and those that are wanted."""
    column = str(entry.replicates)
    if column not in adata.obs:
        raise ValueError(f"obs has no column {column!r} of replicates; it has {listed(adata.obs.columns)}")
    of_cells = np.full(adata.n_obs, None, dtype=object)
    replicate = adata.obs[column]
    for group, at in groups_of(adata, entry.groupby, groups).items():
        names = replicate.iloc[at]
        of_cells[at] = [
            f"{group}{_BETWEEN}{name}" if known else None for name, known in zip(names, names.notna(), strict=True)
        ]
    wanted = sorted({one for one in of_cells if one is not None})
    if not wanted:
        raise ValueError(f"no cell has a value of {column!r}, the column of replicates")
    return of_cells, wanted


def _part(work: Work, group: str) -> AnnData:
    part = work.cells[work.groups[group]].copy()
    obs: Any = part.obs
    part.obs = obs.drop(columns=_BETWEEN, errors="ignore")
    if work.regulators is not None:
        part.var[REGULATOR] = part.var_names.isin(work.regulators)
    return part


def _with_plain_names(adata: AnnData) -> AnnData:
    """Return cells whose names anndata of any version writes again; the given ones are not changed."""
    obs, var, layers = (cast("Any", one) for one in (adata.obs, adata.var, adata.layers))
    plain = AnnData(adata.X, obs=obs.copy(), var=var.copy(), layers=layers)
    if adata.raw is not None:
        plain.raw = adata.raw.to_adata()
    plain.obs_names = obs.index.astype(str).astype(object)
    plain.var_names = var.index.astype(str).astype(object)
    return plain

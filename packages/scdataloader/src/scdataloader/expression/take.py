"""The raw counts that are meant, as a source of its own; what was left out is told and recorded."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData
from anndata.utils import make_index_unique
from scipy import sparse

from scdataloader._provenance import in_uns, step, steps_of
from scdataloader._wording import counted, listed
from scdataloader.expression.bad_cells import MOST, BadCells, bad_cells
from scdataloader.expression.counts_choice import CountsChoice, option
from scdataloader.expression.find_counts import Counts, find_counts
from scdataloader.expression.find_counts import way_out as way_out_of
from scdataloader.expression.genomes import of_genome
from scdataloader.expression.views import of_cells
from scdataloader.genes.identifiers import cells_of_organism
from scdataloader.genes.tables import organism_id
from scdataloader.sources import Source
from scdataloader.sources.anndata_memory import from_anndata

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class TakenCounts:
    """Raw counts that were taken of a source.

    Attributes
    ----------
    counts
        The counts, and where they were.
    obs
        Table of the cells that stay.
    places
        Positions of these cells in the source; None: all.
    notes
        What was left out or changed, one sentence each.
    facts
        The same for a record; where the counts were, unless they are X as it is.
    """

    counts: Counts
    obs: pd.DataFrame
    places: np.ndarray | None
    notes: tuple[str, ...] = ()
    facts: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return "; ".join([str(self.counts), *self.notes])

    def told_in(self, uns: Mapping[str, Any]) -> dict[str, Any]:
        """Return the ``uns`` of a result whose last step says of its first input what was taken of it."""
        *before, last = steps_of(uns)
        first, *others = last["inputs"]
        return {**uns, **in_uns([*before, last | {"inputs": [first | self.facts, *others]}])}

    def of(self, source: Source) -> Source:
        """Return the source with nothing but these counts, as ``X``, each value checked when it is read."""
        matrix = replace(self.counts.matrix, rows=self._rows)
        embeddings = {name: self._entry(read) for name, read in source.embeddings.items()}
        return replace(source, obs=self.obs, matrices={"X": matrix}, embeddings=embeddings)

    def _rows(self, begin: int, end: int) -> sparse.csr_matrix:
        return self.counts.checked(begin, end, self.counts.matrix.rows(begin, end))

    def _entry(self, read: Any) -> Any:
        return read if self.places is None else lambda: read()[self.places]


def take_counts(source: Source, choice: CountsChoice | None = None, *, undo_log: bool = False) -> TakenCounts:
    """Find the raw counts that are meant, and leave out the cells and genes that are not.

    Nothing is read but a sample, unless bad cells are to be left out: these are looked for everywhere.

    Parameters
    ----------
    source
        Cells; see `scdataloader.open_source`.
    choice
        Counts that are meant; None: those of X.
    undo_log
        Whether to take counts behind a logarithm or a scale, where there are none as such.

    Raises
    ------
    ValueError
        When such counts are not found; the message says where there are some, or which option helps.
    """
    choice = choice or CountsChoice()
    notes: list[str] = []
    facts: dict[str, Any] = {}
    source, told = of_genome(source, choice.genome)
    notes += told
    counts = find_counts(
        source, choice.place, undo_log=undo_log, round=choice.round, drop_bad_cells=choice.drop_bad_cells
    )
    if counts.name != "X" or counts.undo is not None or counts.is_rounded:
        facts["counts_from"] = str(counts)
    keep = np.ones(len(source.obs), bool)
    if choice.organism is not None:
        keep &= cells_of_organism(source.obs, choice.organism)
        if not keep.all():
            facts["cells_of_other_organisms"] = int((~keep).sum())
            notes.append(f"{counted(int((~keep).sum()), 'cell')} of other organisms left out")
    if choice.drop_bad_cells and counts.undo is None:
        bad = bad_cells(counts.matrix, source.obs.index)
        _check_few(bad)
        keep[bad.places] = False
        if len(bad.places):
            facts["bad_cells"] = bad.record()
            notes.append(f"left out {bad}")
    obs = source.obs if keep.all() else source.obs[keep]
    if choice.organism is not None:
        obs = obs.assign(organism_ontology_term_id=organism_id(choice.organism))
    if choice.unique_names and not obs.index.is_unique:
        repeated = obs.index[obs.index.duplicated()]
        facts["renamed_cells"] = len(repeated)
        notes.append(
            f"numbered {counted(len(repeated), 'repeated cell name')}, such as [{listed(repeated, 3, more=False)}]"
        )
        obs = obs.set_axis(make_index_unique(pd.Index(obs.index.astype(str))))
    if notes:
        logger.warning("%s: %s", source.uri, "; ".join(notes))
    places = None if keep.all() else np.flatnonzero(keep)
    matrix = counts.matrix if places is None else of_cells(counts.matrix, places)
    return TakenCounts(replace(counts, matrix=matrix, cells=obs.index), obs, places, tuple(notes), facts)


def _check_few(bad: BadCells) -> None:
    if len(bad.places) and not bad.are_few:
        raise ValueError(
            f"{bad}; {option('drop_bad_cells')} leaves out at most {MOST:.0%} of the cells: these are no raw counts"
        )


def with_counts(
    adata: AnnData,
    *,
    layer: str | None = None,
    counts: str = "X",
    round: bool = False,  # noqa: A002 (the option's name)
) -> AnnData:
    """Return an AnnData whose X holds the raw counts that are meant; the same one where they are in X.

    Parameters
    ----------
    adata
        Cells, in memory or in a file; not changed.
    layer, counts, round
        Counts that are meant; see `CountsChoice`.

    Returns
    -------
    AnnData
        All else as it was, and in the record where the counts lay; of ``raw``, with the genes of ``raw`` and nothing
        that belongs to the others.

    Raises
    ------
    ValueError
        When such counts are not found; the message says where there are some, or which option helps.
    """
    choice = CountsChoice(layer=layer, counts=counts, round=round)
    if choice == CountsChoice():
        return adata
    source = from_anndata(adata)
    found = find_counts(source, choice.place, undo_log=False, round=round)
    if found.name == "X" and not found.is_rounded:
        return adata
    matrix: Any
    if found.is_rounded:
        matrix = sparse.vstack([block for _, _, block in found.matrix.blocks()], format="csr")
    elif found.name == "raw":
        matrix = adata.raw.X
    else:
        matrix = adata.layers[found.name.removeprefix("layers/")]
    logger.info("%s are taken", found)
    # the same again, whatever auto finds by then
    place = {"layer": None, "counts": found.name, "round": found.is_rounded}
    uns = {**adata.uns, **in_uns([*steps_of(adata.uns), step(with_counts, place)])}
    aligned: dict[str, Any] = {"obsm": dict(adata.obsm), "obsp": dict(adata.obsp)}
    if found.name != "raw":  # which has genes of its own
        aligned["layers"] = {name: values for name, values in adata.layers.items() if name is not None}
        aligned |= {"varm": dict(adata.varm), "varp": dict(adata.varp)}
    return AnnData(X=matrix, obs=source.obs, var=found.matrix.var, uns=uns, **aligned)


def way_out(adata: AnnData) -> str:
    """Return what to do where X holds no raw counts, for the end of a message; empty where nothing helps.

    It names where else counts lie, or which cells hold none, with the option that takes or leaves them.

    Parameters
    ----------
    adata
        Cells whose X was refused.
    """
    return way_out_of(from_anndata(adata), "X")

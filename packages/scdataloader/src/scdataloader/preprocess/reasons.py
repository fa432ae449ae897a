"""All reasons for which a data set cannot be used, not the first alone."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from scdataloader.counts import check_cell_names, check_size
from scdataloader.expression.take import take_counts
from scdataloader.genes.columns import all_names
from scdataloader.genes.identifiers import find_organism
from scdataloader.labels.space import class_scope
from scdataloader.preprocess.report import Report
from scdataloader.preprocess.steps import filter_labels, map_genes
from scdataloader.sources import Source

if TYPE_CHECKING:
    from scdataloader.preprocess.pipeline import Preprocessor


def all_reasons(settings: Preprocessor, source: Source) -> list[str]:
    """Return every reason that can be seen without reading all counts, in the order of the steps.

    What builds on something that fails is not looked at: genes are not, where nobody knows the organism.

    Parameters
    ----------
    settings
        Settings of the cleaning.
    source
        The cells.
    """
    reasons: list[str] = []

    def tried[T](look: Callable[[], T]) -> T | None:
        try:
            return look()
        except ValueError as error:
            reasons.append(str(error))
            return None

    report = Report(source.uri)
    widest = max((matrix.shape[1] for matrix in source.matrices.values()), default=0)
    tried(lambda: check_size(len(source.obs), widest, min_cells=settings.min_cells))
    is_small = bool(reasons)
    if not settings.unique_names:
        tried(lambda: check_cell_names(source.obs.index))
    for name in settings.labels:
        tried(partial(class_scope, [source.obs], name))
    taken = tried(lambda: take_counts(source, settings.choice, undo_log=settings.undo_log))
    obs = source.obs if taken is None else taken.obs
    matrix = taken.counts.matrix if taken is not None else next(iter(source.matrices.values()), None)
    if matrix is None:
        return reasons
    organism = tried(lambda: find_organism(obs, all_names(matrix.var), settings.organism))
    if organism is not None:
        tried(lambda: map_genes(settings, matrix, organism, report))
    if not is_small:  # else it would be said twice
        tried(lambda: filter_labels(settings, obs, matrix.shape[1], report))
    return reasons

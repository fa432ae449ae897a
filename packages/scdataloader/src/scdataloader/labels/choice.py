"""The label classes that a corpus has: those asked for, those of a trained model, or those that it can teach."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Sequence
from typing import Protocol

import numpy as np
import pandas as pd

from scdataloader.labels.label_class import LabelClass
from scdataloader.labels.space import SUFFIX, LabelSpace

logger = logging.getLogger(__name__)

#: Label classes where neither the caller nor a label space says.
DEFAULT_CLASSES = ("cell_type", "disease", "assay", "organism")


class _Cells(Protocol):
    """Cells that tell the columns of their tables, and these tables, one a data set (a `CellReader`)."""

    @property
    def columns(self) -> list[str]: ...

    def obs_tables(self, columns: Sequence[str] | None = None) -> list[pd.DataFrame]: ...


def corpus_label_space(
    store: _Cells,
    rows: np.ndarray | None,
    classes: Sequence[str] | None,
    file: str | None,
    *,
    own_outputs: bool = False,
) -> LabelSpace:
    """Return the label space of a corpus.

    Parameters
    ----------
    store
        Cells with their labels.
    rows
        Rows that are used; None: all.
    classes
        Classes that are asked for; None: those of `file`, or those of `DEFAULT_CLASSES` that have two leaf labels at
        least; what is left out is told in the log.
    file
        File of a label space, whose classes and codes are taken; None: the labels of the data.
    own_outputs
        Whether coarser labels are outputs of their own; see `LabelClass.from_terms`.

    Raises
    ------
    ValueError
        When a class that was asked for is not there, or has too few labels.
    """
    if file is not None:
        return _of_file(LabelSpace.load(file), file, classes)
    tables = _label_tables(store, rows, DEFAULT_CLASSES if classes is None else classes)
    if classes is not None:
        return LabelSpace.from_obs(tables, classes, own_outputs=own_outputs)
    found: dict[str, LabelClass] = {}
    left_out = []
    for name in DEFAULT_CLASSES:
        try:
            found |= LabelSpace.from_obs(tables, [name], own_outputs=own_outputs).classes
        except ValueError as error:
            left_out.append(f"{name} ({error})")
    if left_out:
        logger.warning("label classes that these data cannot teach are left out: %s", "; ".join(left_out))
    return LabelSpace(found)


def _of_file(space: LabelSpace, file: str, classes: Sequence[str] | None) -> LabelSpace:
    if classes is None:
        return space
    unknown = [name for name in classes if name not in space.classes]
    if unknown:
        raise ValueError(f"{file} has no classes {unknown}, only {list(space.classes)}: choose among these")
    return LabelSpace({name: space.classes[name] for name in classes})


def _label_tables(store: _Cells, rows: np.ndarray | None, classes: Sequence[str]) -> list[pd.DataFrame]:
    """Return the columns of labels of each data set; all columns where one is missing, for the message to list."""
    there = set(store.columns)
    wanted = [column for name in (*classes, "organism") for column in (name + SUFFIX, name) if column in there]
    complete = all({name, name + SUFFIX} & there for name in classes)
    tables = store.obs_tables(list(dict.fromkeys(wanted)) if complete else None)
    if rows is None:
        return tables
    ends = np.cumsum([0, *(len(table) for table in tables)])
    parts = [rows[(rows >= begin) & (rows < end)] - begin for begin, end in itertools.pairwise(ends.tolist())]
    return [table.iloc[part] for table, part in zip(tables, parts, strict=True) if len(part)]

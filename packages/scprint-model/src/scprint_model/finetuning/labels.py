"""The labels that a model shall learn: which columns they are in, and the label space that holds old and new ones."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import sparse
from torch import nn

from scdataloader import LabelSpace
from scdataloader.labels import (
    SUFFIX,
    LabelClass,
    ancestors,
    class_scope,
    corpus_labels,
    is_joined,
    is_unknown,
    label_column,
    term_name,
)
from scprint_model._wording import listed, percent
from scprint_model.config import SPECIAL_TOKENS

logger = logging.getLogger(__name__)

#: Of the labels of a class that has an ontology, those that must be its terms; else they are words of one's own.
ENOUGH_TERMS = 0.5


@dataclass(frozen=True)
class Target:
    """A class to learn: its name in the model, and the column of ``obs`` that holds its labels."""

    name: str
    column: str


def find_targets(tables: Sequence[pd.DataFrame], columns: Sequence[str], known: LabelSpace) -> list[Target]:
    """Return the class of each column that the caller names; ``cell_type`` may stand for its column of ids.

    Raises
    ------
    ValueError
        When no table has such a column (the message names near ones), or two columns are of one class.
    """
    targets: list[Target] = []
    for given in columns:
        present = {str(column) for table in tables for column in table.columns}
        column = given if given in present else label_column(present, given)
        if label_column(present, given) == given + SUFFIX:
            column = given + SUFFIX
        if column is None:
            class_scope(tables, given)  # raises, and says which columns are near
            raise ValueError(f"there is no column {given!r}")
        stem = given.removesuffix(SUFFIX)
        names = (given, stem, stem + SUFFIX)
        name = next((n for n in names if n in known.classes), re.sub(r"\W", "_", stem))
        targets.append(Target(name if _is_free(name) else f"class_{name}", column))
    names_there = [target.name for target in targets]
    twice = sorted({name for name in names_there if names_there.count(name) > 1})
    if twice:
        raise ValueError(f"columns {list(columns)} name class {twice} more than once: give one of them")
    return targets


def extend_space(
    tables: Sequence[pd.DataFrame], targets: Sequence[Target], known: LabelSpace, *, coarse_outputs: bool = False
) -> tuple[LabelSpace, list[np.ndarray]]:
    """Add labels to a label space; codes of leaves that it has stay as they are.

    Parameters
    ----------
    tables
        ``obs`` of each data set.
    targets
        See `find_targets`.
    known
        The model's.
    coarse_outputs
        Whether a label that has others below it is an output of its own beside these, where cells have it; else it
        asks only for any of those below.

    Returns
    -------
    space
        The classes of `known` in their order, with new leaves behind the old ones, then the new classes. An old leaf
        stays a leaf, even where a new label lies below it.
    codes
        For each table int64, shape (n_cells, n_targets), as of `LabelClass`; -1 unknown.

    Raises
    ------
    ValueError
        When a label has one cell, or a new class fewer than two leaves.
    """
    classes: dict[str, LabelClass] = dict(known.classes)
    columns: list[list[np.ndarray]] = [[] for _ in tables]
    for target in targets:
        terms = [_standard(table, target, classes.get(target.name), tables) for table in tables]
        _check_counts(target, terms)
        scope = _scope(tables, target, classes.get(target.name))
        classes[target.name] = extend_class(
            classes.get(target.name), [t for one in terms for t in one], scope, coarse_outputs=coarse_outputs
        )
        if len(classes[target.name].leaves) < 2:
            raise ValueError(
                f"column {target.column!r} has the leaf labels [{listed(classes[target.name].leaves)}]: a class "
                "needs two"
            )
        for at, one in zip(columns, terms, strict=True):
            codes = classes[target.name].codes
            at.append(np.array([codes.get(term, -1) for term in one], dtype=np.int64))
    coded = [
        np.stack(at, axis=1) if at else np.empty((len(table), 0), np.int64)
        for at, table in zip(columns, tables, strict=True)
    ]
    return LabelSpace(classes), coded


def extend_class(
    old: LabelClass | None, terms: Sequence[str], scope: tuple[str, ...] | None, *, coarse_outputs: bool = False
) -> LabelClass:
    """Return a class with the labels of `old`, codes of its leaves unchanged, and those of `terms`.

    Parameters
    ----------
    old
        None: a new class.
    terms
        Standard labels; ``"unknown"`` is left out.
    scope
        Ontologies of a new class; ``()``: labels are taken as they are.
    coarse_outputs
        See `extend_space`.
    """
    found = sorted(set(terms) - {"unknown"})
    if old is None:
        old = LabelClass.from_terms(found, scope)
        if not coarse_outputs:
            return old
    new = [term for term in found if term not in old.codes]
    if coarse_outputs:
        kept_apart = set(old.leaves)  # those that are outputs already
        new += [term for term in old.parents if term in found and not is_joined(term) and term not in kept_apart]
    if not new:
        return old
    above: dict[str, frozenset[str]] = {}
    if old.scope != ():
        above = {t: ancestors(t) for t in (*old.leaves, *new) if ":" in t and not is_joined(t)}
    single = [term for term in new if not is_joined(term) or old.scope == ()]
    candidates = (*old.leaves, *single)
    coarse = {term for term in single if any(term in above.get(leaf, ()) for leaf in candidates)}
    if coarse_outputs:
        coarse = set()
    leaves = (*old.leaves, *(term for term in single if term not in coarse))
    code = {term: i for i, term in enumerate(leaves)}
    under: dict[str, set[int]] = {}
    for row, parent in enumerate(old.parents):
        if parent in code and old.own_outputs[row] < 0:
            continue
        kept = set(old.descendants[[row]].indices.tolist())
        under[parent] = kept | _below(parent, code, above)
    under |= {term: _below(term, code, above) for term in sorted(coarse)}
    for term in new:
        if term not in single:
            parts = [{code[t]} if t in code else under.get(t, set()) for t in term.split(",")]
            if all(parts):
                under[term] = set().union(*parts)
    names = dict(old.names) | {term: _name(term) for term in new if term in code or term in under}
    indices = [sorted(under[parent]) for parent in under]
    flat = np.array([i for row in indices for i in row], dtype=np.int32)
    starts = np.cumsum([0, *map(len, indices)]).astype(np.int32)
    matrix = sparse.csr_array((np.ones(len(flat), dtype=np.bool_), flat, starts), shape=(len(under), len(leaves)))
    return LabelClass(leaves, tuple(under), matrix, names, old.scope)


def new_labels(old: LabelSpace, new: LabelSpace) -> dict[str, list[str]]:
    """Return the leaves of each class that the old space has not; classes without any are left out."""
    added = {
        name: list(labels.leaves[len(old.classes[name].leaves) :] if name in old.classes else labels.leaves)
        for name, labels in new.classes.items()
    }
    return {name: leaves for name, leaves in added.items() if leaves}


def _is_free(name: str) -> bool:
    # torch keeps the heads by name, among its own attributes such as "type"
    return name.isidentifier() and name not in SPECIAL_TOKENS and not hasattr(nn.ModuleDict(), name)


def _below(term: str, code: Mapping[str, int], above: Mapping[str, frozenset[str]]) -> set[int]:
    parts = term.split(",") if is_joined(term) else [term]
    return {at for leaf, at in code.items() if any(part in above.get(leaf, ()) for part in parts)}


def _name(term: str) -> str:
    if ":" not in term:
        return term
    return " + ".join(map(term_name, term.split(",")))


def _scope(tables: Sequence[pd.DataFrame], target: Target, old: LabelClass | None) -> tuple[str, ...] | None:
    """Return the ontologies of a class: the model's own, else by its name, else of a column of ids; () for words."""
    if old is not None:
        return old.scope
    holding = [table[[target.column]] for table in tables if target.column in table]
    scope = class_scope(holding, target.column.removesuffix(SUFFIX))
    if scope == () or target.column.endswith(SUFFIX):
        return scope
    labels = corpus_labels(holding, target.column, scope)
    labels = labels[~labels["label"].map(is_unknown).astype(bool)]
    understood = float((labels["problem"] == "").mean()) if len(labels) else 1.0
    if understood < ENOUGH_TERMS:
        logger.info("%s: %s of the labels are ontology terms; they are taken as they are", target, percent(understood))
        return ()
    return scope


def _standard(table: pd.DataFrame, target: Target, old: LabelClass | None, tables: Sequence[pd.DataFrame]) -> list[str]:
    """Return each cell's standard label, ``"unknown"`` where there is none."""
    if target.column not in table:
        return ["unknown"] * len(table)
    scope = _scope(tables, target, old)
    labels = corpus_labels([table[[target.column]]], target.column, scope)
    meaning: dict[str, str] = {}
    ignored = []
    for label, standard, problem in labels[["label", "standard", "problem"]].itertuples(index=False):
        if old is not None and label in old.codes:
            meaning[label] = label
        elif problem and not is_unknown(label) and old is not None:
            meaning[label] = label  # a word of one's own beside the class's terms
        else:
            meaning[label] = standard
            if problem and not is_unknown(label):
                ignored.append(label)
    if ignored:
        logger.warning("column %r: %s are no terms of its ontology and count as unknown", target.column, ignored[:5])
    values = table[target.column].astype(object).where(table[target.column].notna(), "unknown")
    return [meaning.get(str(value), "unknown") for value in values.tolist()]


def _check_counts(target: Target, terms: Sequence[Sequence[str]]) -> None:
    counts = pd.Series([term for one in terms for term in one if term != "unknown"], dtype=object).value_counts()
    if counts.empty:
        raise ValueError(f"column {target.column!r} has no label that is known: all cells count as unknown")
    single = [str(label) for label in counts[counts == 1].index.tolist()]
    if single:
        raise ValueError(
            f"column {target.column!r} has one cell each of {single[:5]}{'' if len(single) < 6 else ' and others'}: it "
            "cannot be learned and checked; set these cells to 'unknown', merge the labels, or add cells"
        )

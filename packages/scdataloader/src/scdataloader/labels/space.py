"""The label space that a classifier is trained on: the leaves of each class, and which lie under coarser labels."""

from __future__ import annotations

import difflib
import json
import logging
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from scdataloader._atomic import atomic_path
from scdataloader._wording import counted, listed
from scdataloader.labels.label_class import LabelClass, distinct, rows_below
from scdataloader.labels.ontology import (
    CLASS_SCOPES,
    describe,
    is_obsolete,
    is_unknown,
    name_scope,
    standard_label,
)

logger = logging.getLogger(__name__)

#: The classes that are looked up in ontologies.
CLASSES = tuple(CLASS_SCOPES)
SUFFIX = "_ontology_term_id"
#: Newest layout of a saved label space; see `LabelSpace.format`.
NEWEST_FORMAT = 2
_SHOWN = 5  # looking for the nearest terms takes up to half a second a label


def label_column(columns: Iterable[object], name: str) -> str | None:
    """Return the column that holds a class's labels: ``<class>_ontology_term_id``, else ``<class>``, else None."""
    present = set(columns)
    return next((column for column in (name + SUFFIX, name) if column in present), None)


@dataclass(frozen=True, eq=False)
class LabelSpace:
    """All label classes of a corpus, in a fixed order; saved beside a model's weights."""

    classes: Mapping[str, LabelClass]

    @classmethod
    def from_obs(
        cls,
        tables: Sequence[pd.DataFrame],
        classes: Sequence[str],
        *,
        flat: Collection[str] = (),
        strict: bool = False,
        min_leaves: int = 2,
        own_outputs: bool = False,
    ) -> LabelSpace:
        """Collect the labels of a corpus.

        Parameters
        ----------
        tables
            One ``obs`` a data set. Labels are read from the column ``<class>_ontology_term_id``, or where a table has
            none from ``<class>``; they may be ids or names, or several joined by ``||`` or commas. A table with
            neither column counts as unlabelled.
        classes
            Names of the classes. Those in `CLASSES` are looked up in their ontologies. Any other class with a column of
            ids is looked up in all of them. Any other column, such as ``"batch"`` or ``"donor_id"``, gives flat labels,
            taken as they are.
        flat
            Names of classes whose labels are taken as they are even so, such as a ``"cell_type"`` in one's own words.
        strict
            Whether to refuse labels that are not understood. By default they are logged and count as unknown;
            `check_labels` lists them.
        min_leaves
            Number of leaf labels that a class must have; fewer than two leave a classifier nothing to learn.
        own_outputs
            Whether coarser labels are outputs of their own beside the leaves below them; see `LabelClass.from_terms`.

        Raises
        ------
        ValueError
            When no table has a column for a class; when a class has fewer than `min_leaves` leaf labels; with `strict`,
            when a label is in none of its class's ontologies or fits several terms.
        """
        found: dict[str, LabelClass] = {}
        for name in classes:
            scope = class_scope(tables, name, flat=flat)
            labels = corpus_labels(tables, name, scope)
            wrong = labels[labels["problem"] != ""]
            if len(wrong):
                _complain(name, wrong, scope, strict=strict)
            terms = {term for label in labels["standard"].tolist() for term in label.split(",")}
            for term in sorted(term for term in terms if scope != () and is_obsolete(term)):
                logger.warning("class %r: %s is obsolete, without a known successor", name, describe(term))
            found[name] = LabelClass.from_terms(labels["standard"].tolist(), scope, own_outputs=own_outputs)
            if len(found[name].leaves) < min_leaves:
                columns = sorted({column for t in tables if (column := label_column(t.columns, name))})
                raise ValueError(
                    f"class {name!r} has {len(found[name].leaves)} leaf label(s) in {columns} of {len(tables)} data "
                    f"sets: {min_leaves} are needed; leave the class out or add data"
                )
        return cls(found)

    def encode(self, obs: pd.DataFrame, *, strict: bool = False) -> np.ndarray:
        """Return the codes of a table's labels; int64, shape (n_cells, n_classes), -1 where unknown or not given.

        Parameters
        ----------
        obs
            Columns as for `from_obs`.
        strict
            Whether to refuse labels that the space does not hold.

        Raises
        ------
        ValueError
            With `strict`, when a label is not in the space; `not_found` lists them.
        """
        if strict and len(missing := self.not_found(obs)):
            shown = "; ".join(
                f"{name} {label!r} of {counted(n, 'cell')}: {problem}"
                for name, label, n, problem in missing.head(_SHOWN).itertuples(index=False)
            )
            raise ValueError(
                f"{counted(len(missing), 'label is', 'labels are')} not in the label space: {shown}. Correct them, "
                "set them to 'unknown', or make the space from a corpus that has them"
            )
        columns = []
        for name, labels in self.classes.items():
            column = label_column(obs.columns, name)
            names = _names(name, labels.scope, obs)
            unlabelled = np.full(len(obs), -1, dtype=np.int64)
            columns.append(unlabelled if column is None else labels.encode(obs[column], names=names))
        return np.stack(columns, axis=1) if columns else np.empty((len(obs), 0), dtype=np.int64)

    def not_found(self, obs: pd.DataFrame) -> pd.DataFrame:
        """Return the labels of a table that `encode` takes for unknown though they do not say so.

        Returns
        -------
        pandas.DataFrame
            Columns ``class``, ``label``, ``n_cells``, ``problem``; commonest first within each class.
        """
        parts = [_empty()]
        for name, labels in self.classes.items():
            if label_column(obs.columns, name) is None:
                continue
            table = corpus_labels([obs], name, labels.scope)
            codes = labels.encode(table["label"], names=_names(name, labels.scope, obs))
            table = table[(codes < 0) & ~table["label"].map(is_unknown).astype(bool)]
            parts.append(_suggest(table.replace({"problem": {"": "not in the label space"}}), labels.scope))
        return pd.concat(parts, ignore_index=True)

    @property
    def sizes(self) -> dict[str, int]:
        """Number of leaf labels of each class."""
        return {name: len(labels.leaves) for name, labels in self.classes.items()}

    @property
    def format(self) -> int:
        """Number of the layout: 1 where the outputs are leaves, 2 where coarser labels are outputs, too."""
        return 2 if any((labels.own_outputs >= 0).any() for labels in self.classes.values()) else 1

    def save(self, path: Path | str) -> None:
        """Write as JSON; a space of format 1 as it always was, without a number."""
        content: dict[str, Any] = {}
        for name, labels in self.classes.items():
            rows = np.split(labels.descendants.indices, labels.descendants.indptr[1:-1]) if labels.parents else []
            content[name] = {
                "leaves": list(labels.leaves),
                "parents": {p: row.tolist() for p, row in zip(labels.parents, rows, strict=True)},
                "names": dict(labels.names),
                "ontologies": None if labels.scope is None else list(labels.scope),
            }
        if self.format != 1:
            content = {"format": self.format, "classes": content}
        with atomic_path(path) as temporary:
            temporary.write_text(json.dumps(content, indent=1), encoding="utf-8")

    @classmethod
    def load(cls, path: Path | str) -> LabelSpace:
        """Read what `save` wrote: needs no ontology, and its codes never change with one.

        Raises
        ------
        ValueError
            When the file is of a newer format.
        """
        classes = {}
        content = json.loads(Path(path).read_text(encoding="utf-8"))
        number = content.get("format", 1)
        if isinstance(number, int) and number > NEWEST_FORMAT:
            raise ValueError(
                f"{path} is a label space of format {number}, this version reads up to {NEWEST_FORMAT}: upgrade "
                "scdataloader"
            )
        for name, entry in (content["classes"] if number == NEWEST_FORMAT else content).items():
            scope = entry.get("ontologies", CLASS_SCOPES.get(name))  # files of before names were looked up have none
            under = rows_below(list(entry["parents"].values()), len(entry["leaves"]))
            scope = None if scope is None else tuple(scope)
            classes[name] = LabelClass(tuple(entry["leaves"]), tuple(entry["parents"]), under, entry["names"], scope)
        return cls(classes)


def check_labels(tables: Sequence[pd.DataFrame], classes: Sequence[str]) -> pd.DataFrame:
    """Return the labels of a corpus that are in none of their class's ontologies, or fit several terms.

    The arguments are those of `LabelSpace.from_obs`; ValueError where no table has a column for a class.

    Returns
    -------
    pandas.DataFrame
        Columns ``class``, ``label``, ``n_cells``, ``problem`` (with the nearest terms for the commonest labels);
        commonest first within each class.
    """
    parts = [_empty()]
    for name in classes:
        scope = class_scope(tables, name)
        labels = corpus_labels(tables, name, scope)
        parts.append(_suggest(labels[labels["problem"] != ""], scope))
    return pd.concat(parts, ignore_index=True)


def _names(name: str, scope: tuple[str, ...] | None, obs: pd.DataFrame) -> tuple[str, ...] | None:
    """Return where the names of a table's labels are looked up: stages of man and mouse have the same names."""
    if not scope or name != "development_stage":
        return None
    column = label_column(obs.columns, "organism")
    taxa = CLASS_SCOPES["organism"]
    labels = distinct(obs[column])[1] if column is not None else []
    return name_scope(scope, frozenset(standard_label(label, taxa, suggest=False)[0] for label in labels))


def class_scope(tables: Sequence[pd.DataFrame], name: str, *, flat: Collection[str] = ()) -> tuple[str, ...] | None:
    """Return the ontologies of a class, as for `standard_label`; ValueError where no table has a column for it."""
    columns = sorted({str(column) for table in tables for column in table.columns})
    if label_column(columns, name) is None:
        stems = {re.sub(f"{SUFFIX}$", "", column): column for column in columns}
        near = difflib.get_close_matches(name, stems, n=1) or difflib.get_close_matches(name, columns, n=1, cutoff=0.0)
        raise ValueError(
            f"none of {len(tables)} tables has a column {name + SUFFIX!r} or {name!r} for class {name!r}"
            + (f"; did you mean {near[0]!r}?" if near else "")
            + f" They have [{listed(columns, 40)}]"
        )
    if name in CLASS_SCOPES and name not in flat:
        return CLASS_SCOPES[name]
    return None if name + SUFFIX in columns and name not in flat else ()


def corpus_labels(tables: Sequence[pd.DataFrame], name: str, scope: tuple[str, ...] | None) -> pd.DataFrame:
    """Return each label of a corpus: ``label``, ``standard``, ``n_cells``, ``problem``; commonest first."""
    rows: dict[tuple[str, str, str], int] = {}
    for table in tables:
        column = label_column(table.columns, name)
        if column is None:
            continue
        codes, labels = distinct(table[column])
        counts = np.bincount(codes[codes >= 0], minlength=len(labels))
        names = _names(name, scope, table)
        for label, n in zip(labels, counts.tolist(), strict=True):
            if n:
                key = (label, *standard_label(label, scope, names, suggest=False))
                rows[key] = rows.get(key, 0) + n
    ordered = sorted(rows, key=lambda key: (-rows[key], key))
    table = pd.DataFrame(ordered, columns=["label", "standard", "problem"])
    return table.assign(n_cells=[rows[key] for key in ordered], **{"class": name})


def _suggest(labels: pd.DataFrame, scope: tuple[str, ...] | None) -> pd.DataFrame:
    problems = labels["problem"].tolist()
    for i, label in enumerate(labels["label"].tolist()[:_SHOWN]):
        problems[i] = standard_label(label, scope)[1] or problems[i]
    return labels.assign(problem=problems)[["class", "label", "n_cells", "problem"]]


def _complain(name: str, wrong: pd.DataFrame, scope: tuple[str, ...] | None, *, strict: bool) -> None:
    table = _suggest(wrong, scope)  # names the nearest terms of the commonest labels
    rows = zip(table["n_cells"].tolist(), table["problem"].head(_SHOWN), strict=False)
    shown = "; ".join(f"{counted(n, 'cell')}: {p}" for n, p in rows)
    cells = counted(int(table["n_cells"].sum()), "cell")
    wrong_ones = counted(len(table), f"label of {cells} is", f"labels of {cells} are")
    text = f"class {name!r}: {wrong_ones} not understood: {shown}"
    if strict:
        raise ValueError(f"{text}. Correct them, set them to 'unknown', or name a column of free labels as the class")
    logger.warning("%s; they count as unknown", text)


def _empty() -> pd.DataFrame:
    return pd.DataFrame({"class": [], "label": [], "n_cells": np.empty(0, np.int64), "problem": []})

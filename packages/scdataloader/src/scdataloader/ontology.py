"""Ontology terms, and the label space that a classifier is trained on. Offline: the ontologies come with a package."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from cellxgene_ontology_guide.ontology_parser import OntologyParser

#: What stands for "no label" in CELLxGENE-style columns.
UNKNOWN = frozenset({"unknown", "na", "nan", "none", ""})
#: Ontologies whose hierarchy is used. Taxa are not among them: their first look-up would cost seconds and gigabytes.
_HIERARCHIES = ("CL", "MONDO", "EFO", "HANCESTRO", "UBERON")
_TAXA = {"NCBITaxon:9606": "Homo sapiens", "NCBITaxon:10090": "Mus musculus"}


@lru_cache(maxsize=1)
def _parser() -> OntologyParser:
    from cellxgene_ontology_guide.ontology_parser import OntologyParser

    return OntologyParser()


def _has_hierarchy(term: str) -> bool:
    return term.split(":")[0] in _HIERARCHIES and _parser().is_valid_term_id(term)


@lru_cache(maxsize=65536)
def ancestors(term: str) -> frozenset[str]:
    """Return all terms above an ontology term, without itself; empty where there is no hierarchy."""
    return frozenset(_parser().get_term_ancestors(term)) if _has_hierarchy(term) else frozenset()


@lru_cache(maxsize=65536)
def term_name(term: str) -> str:
    """Return the readable name of a term, or the term itself where it is not known."""
    if term in _TAXA:
        return _TAXA[term]
    if term.split(":")[0] in (*_HIERARCHIES, "PATO") and _parser().is_valid_term_id(term):
        return str(_parser().get_term_label(term))
    return term


def current_term(term: str) -> str:
    """Return the term that replaces an obsolete one, else the term itself."""
    if _has_hierarchy(term) and _parser().is_term_deprecated(term):
        return _parser().get_term_replacement(term) or term
    return term


def roll_up(terms: Sequence[str], broad: Sequence[str]) -> list[str | None]:
    """Replace each term by the first of the `broad` terms that it equals or lies under; None where there is none."""
    out: list[str | None] = []
    for term in terms:
        above = ancestors(term) | {term}
        out.append(next((b for b in broad if b in above), None))
    return out


@dataclass(frozen=True, eq=False)
class LabelClass:
    """The labels of one class (such as cell type).

    Codes: ``0 .. n_leaves-1`` are leaves, ``n_leaves ..`` are coarser labels, -1 is unknown.

    Attributes
    ----------
    leaves
        Terms that have no other term of the corpus below them, sorted.
    parents
        Coarser terms that occur in the corpus, sorted.
    descendants
        bool, shape (n_parents, n_leaves): which leaves lie under each coarser label.
    names
        Readable name of each term.
    """

    leaves: tuple[str, ...]
    parents: tuple[str, ...]
    descendants: np.ndarray = field(repr=False)
    names: Mapping[str, str] = field(repr=False)

    @cached_property
    def codes(self) -> dict[str, int]:
        """Code of each term."""
        return {term: i for i, term in enumerate((*self.leaves, *self.parents))}

    @classmethod
    def from_terms(cls, terms: Iterable[str]) -> LabelClass:
        """Split the terms of a corpus into leaves and coarser labels. The result does not depend on their order."""
        present = sorted({current_term(t) for t in map(str, terms) if t.lower() not in UNKNOWN})
        above = {term: ancestors(term) for term in present}
        coarse = set().union(*above.values()) & set(present) if present else set()
        leaves = tuple(t for t in present if t not in coarse)
        parents = tuple(t for t in present if t in coarse)
        descendants = np.array([[p in above[leaf] for leaf in leaves] for p in parents], dtype=bool)
        shaped = descendants.reshape(len(parents), len(leaves))
        return cls(leaves, parents, shaped, {t: term_name(t) for t in present})

    def encode(self, terms: Iterable[object]) -> np.ndarray:
        """Return the code of each term; int64. Terms that the class does not hold are unknown (-1)."""
        series = pd.Series([str(term) for term in terms], dtype=object)
        lookup = {t: self.codes.get(current_term(t), -1) if t.lower() not in UNKNOWN else -1 for t in series.unique()}
        return series.map(lookup).to_numpy(dtype=np.int64)

    def decode(self, codes: Iterable[int]) -> list[str]:
        """Return the term of each code, ``"unknown"`` for -1."""
        terms = (*self.leaves, *self.parents)
        return [terms[code] if code >= 0 else "unknown" for code in codes]


@dataclass(frozen=True, eq=False)
class LabelSpace:
    """All label classes of a corpus, in a fixed order; saved beside a model's weights."""

    classes: Mapping[str, LabelClass]

    @classmethod
    def from_obs(cls, tables: Sequence[pd.DataFrame], classes: Sequence[str]) -> LabelSpace:
        """Collect the labels of a corpus.

        Parameters
        ----------
        tables
            One ``obs`` a data set, with columns ``<class>_ontology_term_id``; a table without one counts as unlabelled.
        classes
            Names such as ``"cell_type"``, ``"disease"``, ``"assay"``, ``"organism"``.

        Raises
        ------
        ValueError
            When a class has fewer than two leaf labels: nothing can be learnt from it.
        """
        found: dict[str, LabelClass] = {}
        for name in classes:
            column = f"{name}_ontology_term_id"
            terms = {str(t) for table in tables if column in table for t in table[column].unique()}
            found[name] = LabelClass.from_terms(terms)
            if len(found[name].leaves) < 2:
                raise ValueError(
                    f"class {name!r} has {len(found[name].leaves)} leaf label(s) in column {column!r} of {len(tables)} "
                    "data sets: two are needed; leave the class out or add data"
                )
        return cls(found)

    def encode(self, obs: pd.DataFrame) -> np.ndarray:
        """Return the codes of a table's labels; int64, shape (n_cells, n_classes), -1 where unknown or not given."""
        columns = []
        for name, labels in self.classes.items():
            column = f"{name}_ontology_term_id"
            columns.append(labels.encode(obs[column]) if column in obs else np.full(len(obs), -1, dtype=np.int64))
        return np.stack(columns, axis=1) if columns else np.empty((len(obs), 0), dtype=np.int64)

    @property
    def sizes(self) -> dict[str, int]:
        """Number of leaf labels of each class."""
        return {name: len(labels.leaves) for name, labels in self.classes.items()}

    def save(self, path: Path | str) -> None:
        """Write as JSON."""
        content = {
            name: {
                "leaves": list(labels.leaves),
                "parents": {
                    p: np.flatnonzero(row).tolist() for p, row in zip(labels.parents, labels.descendants, strict=True)
                },
                "names": dict(labels.names),
            }
            for name, labels in self.classes.items()
        }
        Path(path).write_text(json.dumps(content, indent=1), encoding="utf-8")

    @classmethod
    def load(cls, path: Path | str) -> LabelSpace:
        """Read what `save` wrote: needs no ontology, and its codes never change with one."""
        classes = {}
        for name, entry in json.loads(Path(path).read_text(encoding="utf-8")).items():
            descendants = np.zeros((len(entry["parents"]), len(entry["leaves"])), dtype=bool)
            for i, under in enumerate(entry["parents"].values()):
                descendants[i, under] = True
            classes[name] = LabelClass(tuple(entry["leaves"]), tuple(entry["parents"]), descendants, entry["names"])
        return cls(classes)

"""Terms of the ontologies that label cells: their names, what lies above them, what replaced them. All offline."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from functools import cache, lru_cache
from typing import Any

#: What stands for "no label", in lower case. CELLxGENE wrote "multiethnic" before it allowed several ancestries.
UNKNOWN = frozenset({"unknown", "na", "n/a", "nan", "<na>", "none", "null", "multiethnic", ""})

#: The ontologies that a class's labels come from. An entry with a colon is one term and all that lies below it.
CLASS_SCOPES: dict[str, tuple[str, ...]] = {
    "cell_type": ("CL", "FBbt", "ZFA", "WBbt"),
    "tissue": ("UBERON", "CL", "CVCL", "FBbt", "ZFA", "WBbt"),
    "disease": ("MONDO", "PATO:0000461"),
    "assay": ("EFO",),
    "sex": ("PATO:0001894",),
    "self_reported_ethnicity": ("HANCESTRO",),
    "development_stage": ("HsapDv", "MmusDv", "FBdv", "ZFA", "WBls", "UBERON"),
    "organism": ("NCBITaxon",),
}
_ONTOLOGIES = frozenset(
    "CL CVCL EFO FBbt FBdv HANCESTRO HsapDv MONDO MmusDv PATO UBERON WBbt WBls ZFA".split()  # noqa: SIM905
)
_IMPORTED = {"AfPO": "HANCESTRO", "ZFS": "ZFA"}
#: The stages of man and mouse, and the atlases of other animals, share names with one another: see `name_scope`.
_NAMED = frozenset("CL EFO HANCESTRO HsapDv MONDO MmusDv NCBITaxon PATO UBERON".split())  # noqa: SIM905
_STAGES = {"NCBITaxon:9606": "HsapDv", "NCBITaxon:10090": "MmusDv"}
#: Id, scientific and common name. The first look-up in the full table of taxa would cost ten seconds and 3 GB.
_TAXA = {
    "NCBITaxon:9606": ("Homo sapiens", "human"),
    "NCBITaxon:10090": ("Mus musculus", "mouse"),
    "NCBITaxon:10116": ("Rattus norvegicus", "rat"),
    "NCBITaxon:9544": ("Macaca mulatta", "rhesus macaque"),
    "NCBITaxon:9541": ("Macaca fascicularis", "crab-eating macaque"),
    "NCBITaxon:9483": ("Callithrix jacchus", "marmoset"),
    "NCBITaxon:30608": ("Microcebus murinus", "mouse lemur"),
    "NCBITaxon:9598": ("Pan troglodytes", "chimpanzee"),
    "NCBITaxon:9595": ("Gorilla gorilla gorilla", "gorilla"),
    "NCBITaxon:9823": ("Sus scrofa", "pig"),
    "NCBITaxon:9986": ("Oryctolagus cuniculus", "rabbit"),
    "NCBITaxon:9615": ("Canis lupus familiaris", "dog"),
    "NCBITaxon:9913": ("Bos taurus", "cow"),
    "NCBITaxon:9940": ("Ovis aries", "sheep"),
    "NCBITaxon:9031": ("Gallus gallus", "chicken"),
    "NCBITaxon:8364": ("Xenopus tropicalis", "western clawed frog"),
    "NCBITaxon:7955": ("Danio rerio", "zebrafish"),
    "NCBITaxon:7227": ("Drosophila melanogaster", "fruit fly"),
    "NCBITaxon:6239": ("Caenorhabditis elegans", "roundworm"),
}
_TAXON = re.compile(r"NCBITaxon:\d+")
_TERM = re.compile(r"([A-Za-z]+)[:_]([A-Za-z0-9]+)")


@cache
def _schema() -> Any:
    from cellxgene_ontology_guide.supported_versions import CXGSchema

    return CXGSchema()


def _terms(ontology: str) -> dict[str, dict[str, Any]]:
    # read from the package's files on first use, kept by the package
    return _schema().ontology(ontology) if ontology in _ONTOLOGIES else {}


def _entry(term: str) -> dict[str, Any] | None:
    prefix = re.split("[:_]", term, maxsplit=1)[0]
    return _terms(_IMPORTED.get(prefix, prefix)).get(term)


def is_unknown(label: object) -> bool:
    """Tell whether a label says that there is none: ``None``, not-a-number, empty, "unknown", "na" and the like."""
    return str(label).strip().lower() in UNKNOWN


def ontology_of(term: str) -> str | None:
    """Return the ontology that has the term, such as ``"CL"``; None where the term is unknown.

    Taxa are not looked up: every ``NCBITaxon:`` and a number is taken for one.
    """
    if _TAXON.fullmatch(term):
        return "NCBITaxon"
    if _entry(term) is None:
        return None
    prefix = re.split("[:_]", term, maxsplit=1)[0]
    return _IMPORTED.get(prefix, prefix)


@lru_cache(maxsize=65536)
def ancestors(term: str) -> frozenset[str]:
    """Return all terms above an ontology term, without itself; empty without a hierarchy, as for taxa."""
    entry = _entry(term)
    return frozenset(entry["ancestors"]) - {term} if entry and "ancestors" in entry else frozenset()


@lru_cache(maxsize=65536)
def term_name(term: str) -> str:
    """Return the readable name of a term, or the term itself where it is not known."""
    if term in _TAXA:
        return _TAXA[term][0]
    entry = _entry(term)
    return str(entry["label"]) if entry else term


def is_obsolete(term: str) -> bool:
    """Tell whether the ontology has withdrawn the term."""
    entry = _entry(term)
    return bool(entry and entry.get("deprecated"))


@lru_cache(maxsize=65536)
def current_term(term: str) -> str:
    """Return the term that replaces an obsolete one, in the end of the chain of replacements, else the term itself.

    Terms that an ontology only suggests to consider are not taken. Where the chain ends outside the ontologies at hand,
    in a circle or in a term without a successor, the term itself is returned, and `is_obsolete` tells.
    """
    seen = {term}
    now = term
    while is_obsolete(now):
        entry = _entry(now) or {}
        now = str(entry.get("replaced_by") or "")
        if now in seen or ontology_of(now) is None:
            return term
        seen.add(now)
    return now


def roll_up(terms: Sequence[str], broad: Sequence[str]) -> list[str | None]:
    """Replace each term by the first of the `broad` terms that it equals or lies under; None where there is none."""
    out: list[str | None] = []
    for term in terms:
        above = ancestors(term) | {term}
        out.append(next((b for b in broad if b in above), None))
    return out


def in_scope(term: str, scope: Sequence[str]) -> bool:
    """Tell whether a term is of one of the ontologies, or is or lies under one of the terms, that `scope` lists."""
    ontology = ontology_of(term)
    return ontology is not None and any(s in (ontology, term) or s in ancestors(term) for s in scope)


def name_scope(scope: Sequence[str], organisms: frozenset[str] = frozenset()) -> tuple[str, ...]:
    """Return the part of a scope in which names are looked up; the rest is known by id only.

    Parameters
    ----------
    scope
        Ontologies and terms, such as ``CLASS_SCOPES["tissue"]``.
    organisms
        Taxa of the cells. Man and mouse have stages of the same name ("fetal stage"), which only this tells apart.
    """
    named = tuple(s for s in scope if s.split(":")[0] in _NAMED)
    stages = {_STAGES.get(organism, "") for organism in organisms}
    if organisms and "" not in stages and stages & set(named):
        return tuple(s for s in named if s in stages)
    return named


@cache
def _names(ontology: str) -> tuple[dict[str, set[str]], ...]:
    """Terms by exact name, by name in lower case, by synonym, and by the name of the term that they replaced."""
    exact: dict[str, set[str]] = {}
    lower: dict[str, set[str]] = {}
    synonym: dict[str, set[str]] = {}
    former: dict[str, set[str]] = {}
    levels = (exact, lower, synonym, former)
    if ontology == "NCBITaxon":
        for term, (scientific, common) in _TAXA.items():
            exact[scientific] = lower[scientific.lower()] = synonym[common] = {term}
        return levels
    for term, entry in _terms(ontology).items():
        name = str(entry["label"])
        if entry.get("deprecated"):
            if (now := current_term(term)) != term:
                former.setdefault(re.sub("^obsolete[ _]", "", name.lower()), set()).add(now)
            continue
        exact.setdefault(name, set()).add(term)
        lower.setdefault(name.lower(), set()).add(term)
        for other in entry.get("synonyms") or ():
            synonym.setdefault(str(other).lower(), set()).add(term)
    return levels


def match_terms(label: str, scope: Sequence[str], names: Sequence[str] | None = None) -> list[str]:
    """Return the current terms that a label may stand for: none, one, or several where it is ambiguous.

    Parameters
    ----------
    label
        An id, or a name: the exact one goes before another case, that before an exact synonym, and that before the
        name of a term that was replaced since.
    scope
        Ontologies such as ``"CL"``, and terms such as ``"PATO:0000461"`` that stand for all below them too.
    names
        The scope of names; by default `name_scope` of `scope`.
    """
    label = label.strip()
    if ontology_of(label) is not None:
        term = current_term(label)
        return [term] if in_scope(label, scope) or in_scope(term, scope) else []
    names = name_scope(scope) if names is None else names
    for level in range(4):
        key = label if level == 0 else label.lower()
        found: set[str] = set()
        for part in names:
            terms = _names(part.split(":")[0])[level].get(key, ())
            found.update(t for t in terms if ":" not in part or in_scope(t, [part]))
        if found:
            return sorted(found)
    return []


def describe(term: str) -> str:
    """Return name and id, as ``neuron (CL:0000540)``."""
    name = term_name(term)
    return term if name == term else f"{name} ({term})"


@lru_cache(maxsize=4096)
def nearest_terms(label: str, scope: tuple[str, ...], n: int = 3) -> tuple[str, ...]:
    """Return the terms whose ids, names or synonyms look most like a label that is none of them, best first.

    Takes up to half a second.
    """
    label = label.strip()
    match = _TERM.fullmatch(label)
    for part in scope if match else ():
        ontology = part.split(":")[0]
        if match and ontology.lower() == _IMPORTED.get(match[1], match[1]).lower():
            return _nearest_ids(match[2], ontology, part, n)
    found: dict[str, set[str]] = {}
    for part in name_scope(scope):
        for names in _names(part.split(":")[0])[1:3]:
            for name, terms in names.items():
                found.setdefault(name, set()).update(t for t in terms if ":" not in part or in_scope(t, [part]))
    close = difflib.get_close_matches(label.lower(), [name for name, terms in found.items() if terms], n=3 * n)
    return tuple(dict.fromkeys(term for name in close for term in sorted(found[name])))[:n]


def _nearest_ids(number: str, ontology: str, part: str, n: int) -> tuple[str, ...]:
    ranked = []
    for term, entry in _terms(ontology).items():
        other = re.split("[:_]", term, maxsplit=1)[1]
        wrong = sum(a != b for a, b in zip(number.rjust(len(other), "0"), other, strict=False))
        if wrong <= 2 and len(number) <= len(other) and not entry.get("deprecated"):
            ranked.append((wrong, sorted(number) != sorted(other), term))
    best = [term for _, _, term in sorted(ranked) if ":" not in part or in_scope(term, [part])]
    return tuple(best[:n])


def why_not(label: str, scope: Sequence[str], names: Sequence[str] | None = None, *, suggest: bool = True) -> str:
    """Return why `match_terms` does not give one term for a label, with the nearest terms if they are asked for."""
    found = match_terms(label, scope, names)
    if len(found) > 1:
        return f"{label!r} fits {' and '.join(map(describe, found))}: give the id"
    ontology = ontology_of(label.strip())
    if ontology is not None:
        return f"{label!r} is {term_name(label.strip())!r} of {ontology}, which is not under {', '.join(scope)}"
    near = nearest_terms(label, tuple(scope)) if suggest else ()
    hint = f"; nearest: {', '.join(map(describe, near))}" if near else ""
    return f"{label!r} is no term or name of {', '.join(name_scope(scope))}{hint}"


def find_term(label: str, scope: Sequence[str]) -> str:
    """Return the current id of the term that a label stands for.

    Parameters
    ----------
    label
        Id, name (in any case) or exact synonym.
    scope
        Ontologies, and terms that stand for all below them: ``("CL",)``, or ``CLASS_SCOPES["disease"]``.

    Raises
    ------
    ValueError
        When no term fits (the nearest are named), or when the label fits several.

    Examples
    --------
    >>> find_term("T lymphocyte", ("CL",))
    'CL:0000084'
    """
    found = match_terms(label, scope)
    if len(found) != 1:
        raise ValueError(why_not(label, scope))
    return found[0]


def is_joined(label: str) -> bool:
    """Tell whether a standard label is of several terms: see `standard_label`."""
    return "," in label and all(ontology_of(part) for part in label.split(","))


def standard_label(
    label: str, scope: Sequence[str] | None, names: Sequence[str] | None = None, *, suggest: bool = True
) -> tuple[str, str]:
    """Return a label in its standard form, and what is wrong with it (``""``: nothing).

    Parameters
    ----------
    label
        An id, a name, or several joined by ``||`` or commas.
    scope
        Ontologies of the class; empty: the label is taken as it is; None: ids of any ontology are recognised, and other
        text is taken as it is.
    names
        Scope of names; by default all of `scope`.
    suggest
        Name the nearest terms.

    Returns
    -------
    tuple
        The current term's id. For several: their ids, sorted, joined by commas, without those that lie above another of
        them. ``"unknown"`` where the label says so, or is not understood.
    """
    if is_unknown(label):
        return "unknown", ""
    if scope is not None and not scope:
        return label, ""
    label = label.strip()
    parts = [label]
    if "||" in label:
        parts = [part.strip() for part in label.split("||")]
    elif "," in label and not (scope and match_terms(label, scope, names)):  # many a name has a comma
        several = [part.strip() for part in label.split(",")]
        if all(_TERM.fullmatch(part) for part in several) or all(
            is_unknown(part) or (scope and match_terms(part, scope, names)) for part in several
        ):
            parts = several
    if any(map(is_unknown, parts)):
        return "unknown", ""
    if scope is None:
        if not all(map(ontology_of, parts)):
            return label, ""
        terms = set(map(current_term, parts))
    else:
        terms = set()
        for part in parts:
            found = match_terms(part, scope, names)
            if len(found) != 1:
                return "unknown", why_not(part, scope, names, suggest=suggest)
            terms.update(found)
    terms -= set().union(*map(ancestors, terms))
    return ",".join(sorted(terms)), ""

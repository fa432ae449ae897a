"""Regulons of pySCENIC outside of looms: the table of motifs that ``pyscenic ctx`` writes, and GMT files."""

from __future__ import annotations

import csv
import logging
import re
import sys
from os import PathLike

import numpy as np
import pandas as pd

from ._wording import counted
from .edges import some
from .gene_sets import read_gmt
from .loom import regulon_factor
from .text_tables import TextTable

logger = logging.getLogger(__name__)

TARGETS, CONTEXT = "TargetGenes", "Context"

# ('RHO', 1.5), ("5'NT", np.float64(1.5)): numpy 2 writes its own numbers so.
_TARGET = re.compile(r"""\(\s*(['"])(?P<gene>.+?)\1\s*,\s*(?:np\.float\d+\()?(?P<weight>[-+.\deE]+)\)?\s*\)""")
_ENTRY = re.compile(r"""\(\s*['"]""")


def is_regulon_table(text: TextTable) -> bool:
    """Say whether a table of text is that of ``pyscenic ctx``: a header of two or three lines, with TargetGenes."""
    return any(TARGETS in line for line in text.lines[:3])


def read_regulon_table(text: TextTable) -> pd.DataFrame:
    """Read the motifs that ``pyscenic ctx`` found, and the targets of each, as edges.

    Parameters
    ----------
    text
        Table with the transcription factor in its first column and the columns TargetGenes, a list of genes and
        importances as Python writes it, and Context. The names of the columns may stand in any of the first lines.

    Returns
    -------
    pandas.DataFrame
        Columns ``source, target, weight``, each pair once. The weight is the importance, negative where the context
        is repressing. Of several motifs the largest is taken, of both signs the activating one, as `read_loom` does.

    Raises
    ------
    ValueError
        When a list of targets cannot be read.
    """
    header = next(line for line in text.lines[:3] if TARGETS in line)
    at = header.index(TARGETS)
    context = header.index(CONTEXT) if CONTEXT in header else None
    sources: list[str] = []
    targets: list[str] = []
    weights: list[float] = []
    for number, fields in _rows(text):
        if len(fields) <= at or not fields[at].lstrip().startswith("["):
            if fields[at:] and fields[at].strip() not in ("", TARGETS, "Enrichment"):
                raise ValueError(f"line {number} holds no list of genes as {TARGETS}: {fields[at][:60]!r}")
            continue  # a line of the header
        found = [(match["gene"], float(match["weight"])) for match in _TARGET.finditer(fields[at])]
        n_entries = len(_ENTRY.findall(fields[at]))
        if len(found) != n_entries:
            raise ValueError(
                f"line {number}: {len(found):,} of {n_entries:,} entries of {TARGETS} are a gene and a number"
            )
        sign = -1 if context is not None and "'repressing'" in fields[context] else 1
        sources += [fields[0].strip()] * len(found)
        targets += [gene for gene, _ in found]
        weights += [sign * weight for _, weight in found]
    if not sources:
        raise ValueError(f"the table of motifs holds no targets in the column {TARGETS}")
    return _each_once(sources, targets, weights, "motifs")


def read_regulon_sets(path: PathLike[str] | str) -> pd.DataFrame:
    """Read gene sets named after transcription factors, as ``TF(+)``, as edges.

    Parameters
    ----------
    path
        ``.gmt`` or ``.gmt.gz``. Genes are separated by tabs or, as early pySCENIC wrote them, by commas.

    Returns
    -------
    pandas.DataFrame
        Columns ``source, target, weight``, each pair once, weight 1, or -1 for a repressing regulon, ``TF(-)``; a pair
        in both is activating. `grnndata.loom.regulon_factor` tells how names are understood.

    Raises
    ------
    ValueError
        As `grnndata.read_gmt`.
    """
    sets = read_gmt(path, duplicates="merge")
    sources: list[str] = []
    targets: list[str] = []
    weights: list[float] = []
    for name, members in sets.items():
        factor, sign = regulon_factor(name)
        genes = [gene for member in members for gene in member.split(",") if gene]
        sources += [factor] * len(genes)
        targets += genes
        weights += [float(sign)] * len(genes)
    edges = _each_once(sources, targets, weights, "regulons")
    if set(edges["source"]).isdisjoint(edges["target"]):
        note = (
            f"no name of {counted(len(sets), 'gene set')} ({some(list(sets), n=2)}) is a gene of a set: they are taken "
            "for regulators of their genes"
        )
        edges.attrs["notes"].append(note)
    return edges


def _each_once(sources: list[str], targets: list[str], weights: list[float], of: str) -> pd.DataFrame:
    edges = pd.DataFrame({"source": sources, "target": targets, "weight": np.array(weights, np.float32)})
    # Activating ones first, and of each sign the strongest: the first of a pair is kept.
    order = np.lexsort((-edges["weight"].abs(), edges["weight"] < 0))
    kept = edges.iloc[order].drop_duplicates(["source", "target"]).sort_index().reset_index(drop=True)
    signs = edges.assign(weight=edges["weight"] < 0).drop_duplicates()
    n_both = int(signs.duplicated(["source", "target"]).sum())
    notes = []
    if len(kept) < len(edges):
        notes.append(f"{len(edges):,} entries of {of} are {len(kept):,} pairs, each with its largest weight")
    if n_both:
        notes.append(f"{counted(n_both, 'pair is', 'pairs are')} both activating and repressing: activating is kept")
    kept.attrs["notes"] = notes
    return kept


def _rows(text: TextTable) -> list[tuple[int, list[str]]]:
    limit = csv.field_size_limit(sys.maxsize)  # a list of thousands of genes is one field
    try:
        return list(enumerate(csv.reader(text.rest(), delimiter=text.sep), start=2))
    finally:
        csv.field_size_limit(limit)

"""Map whatever names a data set's genes carry to the Ensembl ids of the gene table."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy import sparse

from scdataloader._wording import listed
from scdataloader.genes.tables import ORGANISMS, organism_id

#: Ensembl ids of each organism, also behind a genome's name as aligners to two genomes write it (``GRCh38_ENSG...``).
_ID_OF = {
    "NCBITaxon:9606": re.compile(r"^([A-Za-z0-9.]+_+)?ENSG\d{11}"),
    "NCBITaxon:10090": re.compile(r"^([A-Za-z0-9.]+_+)?ENSMUSG\d{11}"),
}
_VERSION = re.compile(r"(\.\d+)?(_PAR_Y)?\Z")
_PAR_Y = re.compile(r"^ENSGR(\d{10})")
_REPEAT = re.compile(r"^(.+)[-.]\d+$")
#: Of the names that must be bare numbers, and of those that must be known, before numbers are taken as NCBI Gene ids.
_DIGITS, _KNOWN, _KNOWN_IF_LOW = 0.9, 0.5, 0.9
#: Row numbers stay below this; the NCBI Gene ids of a whole genome do not.
_LOW = 100_000
_MOST_INDICES = 8
#: What tables write where a gene has no name; some are aliases, such as NaN of SCN11A, which no one means by them.
_NO_NAME = frozenset({"", "nan", "NaN", "NA", "N/A", "<NA>", "None", "null", "NULL"})


@dataclass(frozen=True)
class GeneMapping:
    """Tells which Ensembl id each given name stands for.

    Attributes
    ----------
    ids
        One entry a name: the Ensembl id, or None where the table has none.
    n_ensembl, n_symbol, n_alias, n_entrez
        How many names were recognised as Ensembl ids, as symbols, as former symbols or aliases, and as NCBI Gene ids.
    unknown
        The names that were not recognised or stand for no one gene.
    n_missing
        Number of entries that are not names: None, NaN, or what a table writes for them.
    names
        The names as they were given, as text.
    kinds
        One entry a name: ``"ensembl"``, ``"symbol"``, ``"previous"``, ``"alias"``, ``"entrez"`` or, without id, ``""``.
    reasons
        One entry a name: why it has no id, ``""`` where it has one.
    """

    ids: tuple[str | None, ...]
    n_ensembl: int
    n_symbol: int
    unknown: tuple[str, ...]
    n_alias: int
    n_entrez: int
    n_missing: int
    names: tuple[str, ...]
    kinds: tuple[str, ...]
    reasons: tuple[str, ...]

    def __str__(self) -> str:
        text = f"{self.n_ensembl:,} Ensembl ids and {self.n_symbol:,} symbols recognised"
        if self.unknown:
            text += f", {len(self.unknown):,} unknown, such as [{listed(self.unknown, 3, more=False)}]"
        if self.n_alias:
            text += f", {self.n_alias:,} aliases"
        if self.n_entrez:
            text += f", {self.n_entrez:,} Entrez ids"
        return text + (f", {self.n_missing:,} without a name" if self.n_missing else "")

    def to_frame(self) -> pd.DataFrame:
        """Return a row for each name: ``name, gene_id, kind, reason``; those without gene_id were lost."""
        columns = {"name": self.names, "gene_id": self.ids, "kind": self.kinds, "reason": self.reasons}
        return pd.DataFrame(columns, dtype="str")


class _Found(NamedTuple):
    gene: str | None
    kind: str
    reason: str


class _Index(NamedTuple):
    """The meanings of all names of a gene table."""

    ids: dict[str, _Found]
    symbols: dict[str, _Found]
    symbols_upper: dict[str, _Found]
    others: dict[str, _Found]
    others_upper: dict[str, _Found]
    entrez: dict[str, _Found]


_UNKNOWN = _Found(None, "", "unknown")
_MISSING = _Found(None, "", "missing")
_AMBIGUOUS = _Found(None, "", "ambiguous alias")
_indices: dict[bytes, _Index] = {}  # by content of the table: building one takes longer than using it


def map_identifiers(names: Sequence[object], table: pd.DataFrame) -> GeneMapping:
    """Map gene names to Ensembl ids.

    A name is, in this order: an Ensembl id, also with a version or ``_PAR_Y``; a symbol, as written or else in any
    case; a former symbol or an alias. Counts never go to a gene by a guess:

    - A symbol that several genes share stands for the one to which the nomenclature (HGNC, MGI) gives it, else for the
      protein-coding one if only one of them is, else for none. A former symbol or alias of several genes stands for
      none.
    - A symbol is never read as the alias of another gene.
    - An alias does not add to a gene that the data hold already: where its gene is among the names by its id, its
      symbol, a former symbol (for aliases) or another alias, the annotation of the data took the two for different
      genes, and the alias stands for none. Several former symbols of one gene (records that were merged since) are all
      that gene.
    - ``GENE-1`` and ``GENE.1``, as scanpy and R make repeated names unique, are ``GENE`` where that is a name too.
    - Bare numbers are NCBI Gene ids when at least 90 % of all different names are numbers and half of these are known.
      Where none reaches 100,000 they may be row numbers: then 90 % must be known and the numbers must not follow one
      another without a gap.
    - A missing name (None, NaN, or as text ``nan``, ``NA`` and the like) stands for none, unless it is the very symbol
      of a gene, as *nan* is in *Drosophila*.

    What a name stands for so depends on which other names there are, never on their order.

    Parameters
    ----------
    names
        Names as in ``adata.var_names``.
    table
        Gene table of the organism; see `scdataloader.gene_table`. Columns ``symbol, biotype`` and, where they are
        there, ``approved, previous, aliases, entrez``.
    """
    given = [str(name) for name in names]
    index = _index_of(table)
    absent = np.asarray(pd.isna(pd.Series(list(names), dtype=object)), dtype=bool)
    missing = [
        gone or (name in _NO_NAME and name not in index.symbols) for name, gone in zip(given, absent, strict=True)
    ]
    different = dict.fromkeys(name for name, gone in zip(given, missing, strict=True) if not gone)
    numbers = _are_entrez(different, index)
    found = {name: _look_up(name, different, index, numbers=numbers) for name in different}
    _drop_rivals(found)
    hits = [_MISSING if gone else found[name] for name, gone in zip(given, missing, strict=True)]
    kinds = Counter(hit.kind for hit in hits)
    return GeneMapping(
        ids=tuple(hit.gene for hit in hits),
        n_ensembl=kinds["ensembl"],
        n_symbol=kinds["symbol"],
        unknown=tuple(name for name, hit in zip(given, hits, strict=True) if hit.gene is None and hit is not _MISSING),
        n_alias=kinds["previous"] + kinds["alias"],
        n_entrez=kinds["entrez"],
        n_missing=sum(missing),
        names=tuple(given),
        kinds=tuple(hit.kind for hit in hits),
        reasons=tuple(hit.reason for hit in hits),
    )


def _look_up(name: str, others: dict[str, None], index: _Index, *, numbers: bool) -> _Found:
    if hit := index.ids.get(name) or _without_version(name, index):
        return hit
    if numbers and name.isdigit():
        return index.entrez.get(name, _UNKNOWN)
    hit = index.symbols.get(name) or _by_other_name(name, index)
    # GENE.1 beside GENE is its second row, unless it is a name of its own
    if (hit is None or hit.kind != "symbol") and (repeat := _REPEAT.match(name)) and repeat[1] in others:
        bare = index.symbols.get(repeat[1]) or _by_other_name(repeat[1], index)
        if bare is not None and bare.gene is not None:
            if hit is None or hit.gene == bare.gene:
                return bare
            return _Found(None, "", f"ambiguous: a second {repeat[1]}, or a name of its own")
    return hit or _UNKNOWN


def _by_other_name(name: str, index: _Index) -> _Found | None:
    """Look for a symbol in any case, then a former symbol or alias; None if it is neither."""
    upper = name.upper()
    return index.symbols_upper.get(upper) or index.others.get(name) or index.others_upper.get(upper)


def _without_version(name: str, index: _Index) -> _Found | None:
    if "." not in name and not name.startswith("ENS"):
        return None
    return index.ids.get(_PAR_Y.sub(r"ENSG0\1", _VERSION.sub("", name)))


def _are_entrez(names: Iterable[str], index: _Index) -> bool:
    """Say whether bare numbers among the names are NCBI Gene ids; row numbers must not pass for them."""
    every = list(names)
    numbers = [name for name in every if name.isascii() and name.isdigit()]
    if not numbers or len(numbers) < _DIGITS * len(every):
        return False
    known = sum(name in index.entrez for name in numbers) / len(numbers)
    values = [int(name) for name in numbers]
    if max(values) >= _LOW:
        return known >= _KNOWN
    without_gap = len(values) > 1 and max(values) - min(values) == len(values) - 1
    return known >= _KNOWN_IF_LOW and not without_gap


def _drop_rivals(found: dict[str, _Found]) -> None:
    """Take the gene from former symbols and aliases where the data hold it under a better name."""
    proper = {hit.gene for hit in found.values() if hit.kind in ("ensembl", "symbol", "entrez")}
    former = {hit.gene for hit in found.values() if hit.kind == "previous"}
    n_aliases = Counter(hit.gene for hit in found.values() if hit.kind == "alias")
    for name, (gene, kind, _) in found.items():
        if kind in ("previous", "alias") and gene in proper:
            found[name] = _Found(None, "", f"{kind} name of {gene}, which is there under its own")
        elif kind == "alias" and gene in former:
            found[name] = _Found(None, "", f"alias of {gene}, which is there under a former symbol")
        elif kind == "alias" and n_aliases[gene] > 1:
            found[name] = _Found(None, "", f"one of several aliases of {gene} that are there")


def _index_of(table: pd.DataFrame) -> _Index:
    """Return the names of a table; they are looked up once for all tables of the same content."""
    columns = {"gene_id": [str(gene) for gene in table.index.tolist()]}
    for name in ("symbol", "biotype", "approved", "previous", "aliases", "entrez"):
        columns[name] = table[name].astype(str).tolist() if name in table else [""] * len(table)
    digest = hashlib.blake2b(digest_size=16)
    for values in columns.values():
        digest.update("\n".join(values).encode())
        digest.update(b"\0")
    key = digest.digest()
    if key not in _indices:
        while len(_indices) >= _MOST_INDICES:
            _indices.pop(next(iter(list(_indices))), None)  # another thread may have been here
        _indices[key] = _build(columns)
    return _indices[key]


def _build(columns: dict[str, list[str]]) -> _Index:
    ids = columns["gene_id"]
    coding = {gene for gene, biotype in zip(ids, columns["biotype"], strict=True) if biotype == "protein_coding"}
    approved = {gene for gene, symbol in zip(ids, columns["approved"], strict=True) if symbol}

    def by_right(genes: set[str], kind: str) -> _Found:
        """Choose among genes of one symbol: the one that has it by right, else the only one that makes a protein."""
        for some in (genes & approved if kind == "symbol" else set(), genes & coding):
            if len(some) == 1:
                return _Found(next(iter(some)), kind, "")
        return _Found(None, "", f"ambiguous {kind}")

    def written(*of: tuple[str, str]) -> list[tuple[str, _Found]]:
        """Return the names in some columns, which join those of a gene, with what each says; (column, kind) each."""
        rows = ((gene, joined, kind) for column, kind in of for gene, joined in zip(ids, columns[column], strict=True))
        found = ((joined.split("|"), _Found(gene, kind, "")) for gene, joined, kind in rows if joined)
        return [(name, one) for names, one in found for name in names]

    proper = [(name, _Found(gene, "symbol", "")) for gene, name in zip(ids, columns["symbol"], strict=True) if name]
    others = written(("previous", "previous"), ("aliases", "alias"))
    return _Index(
        ids={gene: _Found(gene, "ensembl", "") for gene in ids},
        symbols=_meanings(proper, lambda genes: by_right(genes, "symbol")),
        symbols_upper=_meanings(_upper(proper), lambda genes: by_right(genes, "symbol")),
        others=_meanings(others, lambda _: _AMBIGUOUS),
        others_upper=_meanings(_upper(others), lambda _: _AMBIGUOUS),
        entrez=_meanings(written(("entrez", "entrez")), lambda genes: by_right(genes, "entrez")),
    )


def _upper(names: list[tuple[str, _Found]]) -> Iterable[tuple[str, _Found]]:
    return ((name.upper(), one) for name, one in names)


def _meanings(names: Iterable[tuple[str, _Found]], choose: Callable[[set[str]], _Found]) -> dict[str, _Found]:
    """Return what each name stands for: the first that is said of it, or what is chosen among several genes.

    Nearly all names are of one gene: no sets are made for these, which would take longer than all else.
    """
    found: dict[str, _Found] = {}
    several: dict[str, set[str]] = {}
    for name, one in names:
        first = found.setdefault(name, one)
        if first.gene != one.gene:
            several.setdefault(name, {str(first.gene)}).add(str(one.gene))
    return found | {name: choose(genes) for name, genes in several.items()}


def merge_columns(matrix: sparse.csr_matrix, ids: Sequence[str | None]) -> tuple[sparse.csr_matrix, list[str]]:
    """Sum the columns of the same id and drop those without one.

    Parameters
    ----------
    matrix
        Counts, shape (n_cells, n_names).
    ids
        Id of each column, or None.

    Returns
    -------
    tuple
        Counts of shape (n_cells, n_ids) and the ids, in the order in which they first occur.
    """
    order: dict[str, int] = {}
    target = np.array([-1 if gene is None else order.setdefault(gene, len(order)) for gene in ids], dtype=np.int64)
    source = np.flatnonzero(target >= 0)
    if len(order) == len(ids):
        return matrix, list(order)
    if len(order) == len(source):  # nothing to sum: plain selection keeps the integer type and is faster
        return sparse.csr_matrix(matrix[:, source]), list(order)
    # float64: the sum of two counts may not fit their narrow integer type
    gather = sparse.csr_matrix((np.ones(len(source)), (source, target[source])), shape=(len(ids), len(order)))
    return sparse.csr_matrix(matrix @ gather), list(order)


def find_organism(obs: pd.DataFrame, names: pd.Index, organism: str | None = None) -> str:
    """Return the NCBI taxon id of the data's organism.

    Taken from `organism` if given, else from ``obs["organism_ontology_term_id"]`` or ``obs["organism"]``, else
    from the prefix of Ensembl ids among the gene names.

    Parameters
    ----------
    obs
        One row a cell.
    names
        Names of the genes.
    organism
        Overrides what the data say; see `organism_id`.

    Raises
    ------
    ValueError
        When the organism is unknown, mixed, or cannot be told.
    """
    if organism is not None:
        return organism_id(organism)
    column, found = _organisms_in(obs)
    if len(found) > 1:
        raise ValueError(
            f"obs[{column!r}] mixes organisms {found[:5]}: choose the cells of one with organism={found[0]!r} "
            f"(--organism {found[0]}), and the others in another run"
        )
    return organism_id(found[0]) if found else _organism_of_names([str(name) for name in names.tolist()])


def _organisms_in(obs: pd.DataFrame) -> tuple[str, list[str]]:
    """Return the first column of obs that tells organisms, and which it tells; none where they are not known."""
    for column in ("organism_ontology_term_id", "organism"):
        if column in obs:
            found = [str(x) for x in pd.unique(obs[column].dropna()) if str(x) not in {"unknown", "na", ""}]
            if found:
                return column, found
    return "", []


def cells_of_organism(obs: pd.DataFrame, organism: str) -> np.ndarray:
    """Return which cells are of an organism: all where the table does not tell several; bool, shape (n_cells,).

    Raises
    ------
    ValueError
        When several are told, and this is not among them.
    """
    wanted = organism_id(organism)
    column, found = _organisms_in(obs)
    if len(found) < 2:
        return np.ones(len(obs), bool)
    meant = [name for name in found if _is_organism(name, wanted)]
    if not meant:
        raise ValueError(f"organism={organism!r} (--organism): obs[{column!r}] has no cell of it, only of {found[:5]}")
    return obs[column].astype(str).isin(meant).to_numpy()


def _is_organism(name: str, taxon: str) -> bool:
    try:
        return organism_id(name) == taxon
    except ValueError:  # one that nobody has a table of
        return False


def _organism_of_names(names: list[str]) -> str:
    """Tell the organism by Ensembl ids; those of a mixture carry the genome's name in front of them."""
    counts = {taxon: sum(bool(pattern.match(name)) for name in names) for taxon, pattern in _ID_OF.items()}
    found = [taxon for taxon, n in counts.items() if n > 0.01 * len(names)]
    if len(found) > 1:
        numbers = ", ".join(f"{counts[taxon]:,} of {ORGANISMS[taxon]}" for taxon in found)
        raise ValueError(
            f"the genes are of several organisms ({numbers}): choose one with organism= (--organism), or the genome of "
            "a 10x file with genome= (--genome)"
        )
    if found:
        return found[0]
    choices = " or ".join(repr(name) for name in ORGANISMS.values())
    raise ValueError(
        f"cannot tell the organism: obs has no 'organism_ontology_term_id' and the gene names "
        f"({names[:3]}) are no Ensembl ids: pass organism={choices} (--organism)"
    )

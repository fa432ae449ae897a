"""The gene vocabulary and the label space of a published checkpoint."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
from scipy import sparse

from scdataloader import GeneVocabulary, LabelSpace
from scdataloader.genes import gene_table, organism_id
from scdataloader.labels import CLASS_SCOPES, SUFFIX, LabelClass, is_joined, term_name
from scprint_model._wording import counted

_DIGITS = "0123456789"
_PREFIXES = {"ENSG": "NCBITaxon:9606", "ENSMUSG": "NCBITaxon:10090"}


class OntologyNames(Mapping[str, str]):
    """Readable names of labels, looked up when asked for: reading all ontologies takes longer than all the weights."""

    def __init__(self, labels: Sequence[str]) -> None:
        self._labels = dict.fromkeys(labels)

    def __getitem__(self, label: str) -> str:
        if label not in self._labels:
            raise KeyError(label)
        return " + ".join(map(term_name, label.split(","))) if is_joined(label) else term_name(label)

    def __iter__(self) -> Iterator[str]:
        return iter(self._labels)

    def __len__(self) -> int:
        return len(self._labels)


class PublishedVocabulary(GeneVocabulary):
    """The genes of a published checkpoint; symbols are looked up when asked for, as are the names of labels.

    Symbols are those of scdataloader's gene tables; the id where a gene is not there.
    """

    def __init__(self, ids: tuple[str, ...], organisms: tuple[str, ...], locations: np.ndarray) -> None:
        for name, value in (("ids", ids), ("organisms", organisms), ("locations", locations)):
            object.__setattr__(self, name, value)  # the class is frozen
        self.__post_init__()

    def __post_init__(self) -> None:
        if len(self._index) != len(self.ids):
            repeated = [gene for gene, n in Counter(self.ids).items() if n > 1]
            raise ValueError(
                f"{counted(len(repeated), 'gene occurs', 'genes occur')} more than once, such as {repeated[:3]}"
            )

    @cached_property
    def symbols(self) -> tuple[str, ...]:
        """Gene symbols, same length."""
        known: dict[str, str] = {}
        for organism in dict.fromkeys(self.organisms):
            try:
                table = gene_table(organism)
            except ValueError:  # of an organism whose table nobody fetched
                continue
            known.update(zip(table.index.tolist(), table["symbol"].tolist(), strict=True))
        return tuple(known.get(gene, gene) for gene in self.ids)


def vocabulary_of(hparams: Mapping[str, Any], n_genes: int) -> GeneVocabulary:
    """Return the genes of a published network, in its order.

    Parameters
    ----------
    hparams
        ``genes``: Ensembl ids; ``organisms``: taxon ids; ``gene_pos_enc``: genome location index of each gene, 0 where
        it is missing.
    n_genes
        Rows of its gene table.

    Raises
    ------
    ValueError
        When the ids are missing, or are not as many as the rows.

    Notes
    -----
    Organisms are told by the prefix of the ids, and for other prefixes than those of man and mouse by ``organisms``,
    where it names one, or one other than these two.
    """
    genes = [str(gene) for gene in _values(hparams.get("genes"))]
    if len(genes) != n_genes:
        raise ValueError(f"the hyper-parameters name {len(genes):,} genes, the gene table has {n_genes:,} rows")
    locations = [int(at) for at in _values(hparams.get("gene_pos_enc"))] or [0] * n_genes
    if len(locations) != n_genes:
        raise ValueError(f"gene_pos_enc gives {len(locations):,} locations for {n_genes:,} genes")
    declared = [str(name) for name in _values(hparams.get("organisms"))]
    taxa = list(dict.fromkeys(map(_taxon, declared)))
    left = taxa if len(taxa) == 1 else [taxon for taxon in taxa if taxon not in _PREFIXES.values()]
    rest = left[0] if len(left) == 1 else "unknown"
    return PublishedVocabulary(
        tuple(genes),
        tuple(_PREFIXES.get(gene.rstrip(_DIGITS), rest) for gene in genes),
        np.array(locations, dtype=np.int32),
    )


def labels_of(hparams: Mapping[str, Any], sizes: Mapping[str, int]) -> LabelSpace:
    """Return the label space, always with the stored codes: the order of the labels cannot be made again.

    Parameters
    ----------
    hparams
        ``label_decoders``: class to code to ontology id; ``labels_hierarchy``: class to code of a coarser label to the
        codes of its leaves. Codes may be numbers or text. Labels without an id are called ``class:code``.
    sizes
        Class to number of leaf labels.

    Raises
    ------
    ValueError
        When codes are not numbers, or contradict the number of leaf labels.
    """
    decoders, hierarchies = (hparams.get(name) or {} for name in ("label_decoders", "labels_hierarchy"))
    return LabelSpace(
        {name: _class(name, n, decoders.get(name) or {}, hierarchies.get(name) or {}) for name, n in sizes.items()}
    )


def _class(name: str, n_leaves: int, decoder: Mapping[Any, Any], hierarchy: Mapping[Any, Any]) -> LabelClass:
    try:
        labels = {int(code): str(label) for code, label in decoder.items()}
        under = {int(code): sorted({int(leaf) for leaf in _values(leaves)}) for code, leaves in hierarchy.items()}
    except (TypeError, ValueError) as error:
        raise ValueError(f"the stored labels of {name} have codes that are no numbers: {error}") from error
    n_all = 1 + max([n_leaves - 1, *labels, *under])
    outside = [leaf for leaves in under.values() for leaf in leaves if not 0 <= leaf < n_leaves]
    if outside or any(code < n_leaves for code in under):
        raise ValueError(
            f"the hierarchy of {name} is damaged: with {n_leaves} leaf labels, coarser ones are numbered "
            f"{sorted(under)[:5]} and lie above {outside[:5] or 'leaves'}"
        )
    if n_all > n_leaves + len(labels) + len(under):
        raise ValueError(f"the labels of {name} are numbered up to {n_all - 1}, but there are {len(labels)}")
    terms: list[str] = []
    seen: set[str] = set()
    for code in range(n_all):
        term = labels.get(code, f"{name}:{code}")
        term = f"{term} (code {code})" if term in seen else term  # codes must stay apart, whatever they are called
        seen.add(term)
        terms.append(term)
    rows = [under.get(code, []) for code in range(n_leaves, n_all)]
    columns = np.array([leaf for row in rows for leaf in row], dtype=np.int32)
    starts = np.cumsum([0, *map(len, rows)]).astype(np.int32)
    values = np.ones(len(columns), dtype=np.bool_)
    return LabelClass(
        leaves=tuple(terms[:n_leaves]),
        parents=tuple(terms[n_leaves:]),
        descendants=sparse.csr_array((values, columns, starts), shape=(len(rows), n_leaves)),
        names=OntologyNames(terms),
        scope=CLASS_SCOPES.get(name.removesuffix(SUFFIX)),
    )


def _values(stored: Any) -> list[Any]:
    """Return a stored list, tuple, array or set as a list."""
    if stored is None or isinstance(stored, bool):
        return []
    return list(stored.tolist()) if hasattr(stored, "tolist") else list(stored)


def _taxon(name: str) -> str:
    try:
        return organism_id(name)
    except ValueError:
        return name

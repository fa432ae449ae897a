"""Find the genes of a data set that the model works on, whatever they are called there."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import cast

import numpy as np
import pandas as pd
from anndata import AnnData
from scipy import sparse

from scdataloader import GeneVocabulary, cell_keys
from scdataloader.counts import CountEvidence, check_raw_counts, check_shape, csr_counts, obs_table, total_counts
from scdataloader.expression import way_out
from scdataloader.genes import find_organism, gene_columns, gene_table, measured
from scprint_model._wording import counted, listed, percent
from scprint_model.parts import parts

logger = logging.getLogger(__name__)

#: With fewer genes in common a cell cannot be told from noise; targeted panels have hundreds.
MIN_SHARED_GENES = 50
#: Below this share of the counts a cell's profile is told in the log to be incomplete.
FEW_COUNTS = 0.5
_ENSEMBL = re.compile(r"ENS[A-Z]*G\d{11}")
_VERSION = re.compile(r"(ENS[A-Z]*\d{11})(\.\d+)?(_PAR_Y)?")
_OLD_PAR_Y = re.compile(r"ENSGR(\d{10})(\.\d+)?")


@dataclass(frozen=True, eq=False)
class SharedGenes:
    """Columns of a data set that are genes that the model knows.

    Attributes
    ----------
    index
        int64, shape (n_vars,): vocabulary index of each column's gene, -1 for those that the model does not know, and
        for those that ``var["measured"]`` says were not measured.
    columns
        int64: the columns that are used, one a gene, in the order of the data.
    share_of_genes
        Share of the data's columns that are known.
    share_of_counts
        Share of the data's counts that are of known genes.
    repeated
        Names of further columns of a gene that an earlier column has; their counts are added to that column's.
    unknown
        Names of the columns that are not known.
    """

    index: np.ndarray = field(repr=False)
    columns: np.ndarray = field(repr=False)
    share_of_genes: float
    share_of_counts: float
    repeated: tuple[str, ...]
    unknown: tuple[str, ...] = field(repr=False)

    def __len__(self) -> int:
        return len(self.columns)

    def __str__(self) -> str:
        text = (
            f"{len(self.columns):,} of {len(self.index):,} genes ({percent(self.share_of_genes)}), with "
            f"{percent(self.share_of_counts)} of the counts, are in the model's vocabulary"
        )
        if self.unknown:
            text += f"; not there: {len(self.unknown):,}, such as [{listed(self.unknown, 3, more=False)}]"
        return text

    def select(self, adata: AnnData, at: np.ndarray | None = None) -> AnnData:
        """Return the known genes of the data, under the data's names; a copy.

        Counts of repeated columns are added up, and ``obs["total_counts"]`` counts all genes of the data, known or not,
        unless the data say it themselves.

        Parameters
        ----------
        adata
            The data that were matched, or some of their cells.
        at
            Positions in `columns`; None: all.
        """
        selected = adata[:, self.columns if at is None else self.columns[at]].copy()
        if "total_counts" not in selected.obs:
            selected.obs["total_counts"] = total_counts(adata)
        if self.repeated:
            selected.X = self.counts(adata, at)
        return selected

    def counts(self, adata: AnnData, at: np.ndarray | None = None) -> sparse.csr_matrix:
        """Return the counts of `select` alone, shape (n_cells, number of genes)."""
        columns = self.columns if at is None else self.columns[at]
        if not self.repeated:
            return sparse.csr_matrix(csr_counts(adata)[:, columns])
        place = np.full(1 + int(self.index.max()), -1)
        place[self.index[columns]] = np.arange(len(columns))
        source = np.flatnonzero((self.index >= 0) & (place[self.index] >= 0))
        # float64: the sum of two counts may not fit their narrow integer type
        gather = sparse.csr_matrix(
            (np.ones(len(source)), (source, place[self.index[source]])), shape=(len(self.index), len(columns))
        )
        return sparse.csr_matrix(csr_counts(adata) @ gather)

    def keys(self, adata: AnnData) -> np.ndarray:
        """Return a key of each cell's counts of the genes that the model knows, uint64; see `scdataloader.cell_keys`.

        Whatever chance decides of a cell depends on it and a seed: the same in every file.
        """
        if self.repeated:
            return cell_keys(self.counts(adata), self.index[self.columns])
        return cell_keys(csr_counts(adata), self.index)

    def source(self, vocabulary: GeneVocabulary, adata: AnnData, at: np.ndarray | None = None) -> AnnData:
        """Return the counts of `select` under the model's gene ids, for `scdataloader.CellDataset`."""
        columns = self.columns if at is None else self.columns[at]
        obs = pd.DataFrame({"total_counts": total_counts(adata)}, index=adata.obs_names)
        # in the vocabulary's order: what a cell shows must not hang on the order in which a file lists its genes
        order = np.argsort(self.index[columns])
        counts = self.counts(adata, at)[:, order]
        counts.sort_indices()
        ids = pd.Index([vocabulary.ids[i] for i in self.index[columns][order]])
        return AnnData(X=counts, obs=obs, var=pd.DataFrame(index=ids))


def match_genes(vocabulary: GeneVocabulary, adata: AnnData) -> SharedGenes:
    """Find the genes of a data set in a model's vocabulary.

    Names may be Ensembl ids, with versions or without, of any organism of the vocabulary and of several, in any order.
    Otherwise they are looked up as symbols, former symbols, aliases or NCBI Gene ids of the data's organism, also in
    columns of ``var`` such as ``gene_ids``; see `scdataloader.genes.map_identifiers`. The organism is
    that of ``obs["organism_ontology_term_id"]`` or ``obs["organism"]``, else the only one of the vocabulary, else the
    one most of whose symbols are written so.

    Parameters
    ----------
    vocabulary
        Vocabulary of the model.
    adata
        Raw counts in X; not changed.

    Raises
    ------
    ValueError
        When X holds no raw counts (the message says where they are, or which cells are bad), when the organism cannot
        be told, or when fewer than `MIN_SHARED_GENES` genes are known; then with their share of genes and counts.
    """
    check_shape(adata, min_cells=1)
    per_gene = np.zeros(adata.n_vars)
    evidence = CountEvidence()
    for _, part in parts(adata):
        counts = csr_counts(part)
        try:
            check_raw_counts(counts, all_zero=True)
        except ValueError as error:
            raise ValueError(f"{error}{way_out(adata)}") from None
        evidence.add(counts)
        per_gene += np.asarray(counts.sum(axis=0, dtype=np.float64)).ravel()
    check_raw_counts(per_gene)  # not all zero
    for warning in evidence.warnings():
        logger.warning("X may not hold raw counts: %s", warning)
    names = [str(name) for name in adata.var_names.tolist()]
    index = vocabulary.index(map(without_version, names))
    n_ensembl = sum(_ENSEMBL.match(name) is not None for name in names)
    if (index >= 0).sum() < len(names) / 2 and n_ensembl < len(names) / 2:
        index = np.where(index >= 0, index, _by_symbol(vocabulary, adata))
    unknown = tuple(names[i] for i in np.flatnonzero(index < 0))
    if "measured" in adata.var:  # columns that were only added, so that all data sets have the same genes
        index[~measured(cast("pd.DataFrame", adata.var))] = -1
    known = np.flatnonzero(index >= 0)
    _, first = np.unique(index[known], return_index=True)
    columns = known[np.sort(first)]
    found = SharedGenes(
        index=index,
        columns=columns,
        share_of_genes=len(known) / len(names),
        share_of_counts=float(per_gene[known].sum() / per_gene.sum()),
        repeated=tuple(names[i] for i in np.setdiff1d(known, columns)),
        unknown=unknown,
    )
    if len(columns) < MIN_SHARED_GENES:
        raise ValueError(
            f"{len(columns)} of the data's {adata.n_vars:,} genes are among the model's {len(vocabulary):,}, with "
            f"{percent(found.share_of_counts)} of the counts; {MIN_SHARED_GENES} are needed. The data's names look "
            f"like {names[:3]}, the model's like {list(vocabulary.ids[:2])}. Put Ensembl ids or symbols in "
            "var_names, or "
            "run scdataloader.Preprocessor first: it says what became of each name"
        )
    logger.info("%s", found)
    if found.repeated:
        logger.warning(
            "%s of genes that other columns have too, such as %s: their counts are added up",
            counted(len(found.repeated), "column is", "columns are"),
            list(found.repeated[:3]),
        )
    if found.share_of_counts < FEW_COUNTS:
        logger.warning(
            "only %s of the counts are of genes that the model knows: it sees a small part of each cell",
            percent(found.share_of_counts),
        )
    return found


def without_version(gene: str) -> str:
    """Return an Ensembl id without version, and a gene of Y's pseudoautosomal part under its id on X; others as is."""
    if match := _VERSION.fullmatch(gene):
        return match[1]
    if match := _OLD_PAR_Y.fullmatch(gene):
        return f"ENSG0{match[1]}"
    return gene


def shared_genes(vocabulary: GeneVocabulary, adata: AnnData) -> np.ndarray:
    """Return the columns of `adata` whose genes the model knows, one a gene; int64, in the data's order.

    See `match_genes`, which says more and raises the same.
    """
    return match_genes(vocabulary, adata).columns


def check_names(names: pd.Index) -> None:
    """Raise ValueError where names of the data's genes repeat, so that they name no gene."""
    if not names.is_unique:
        raise ValueError(
            f"names of genes repeat in the data, such as {names[names.duplicated()][:3].tolist()}: put their ids in "
            "var_names, or call adata.var_names_make_unique() where var has a column of ids"
        )


def find_names(names: pd.Index, genes: Sequence[str]) -> np.ndarray:
    """Return the positions of genes, int64, in their order, among the names of the data's genes that the model knows.

    Raises
    ------
    ValueError
        When one is not there, or names of the data repeat, so that they name no gene.
    """
    check_names(names)
    wanted = [str(gene) for gene in genes]
    at = names.get_indexer(pd.Index(wanted))
    bad = [gene for gene, i in zip(wanted, at, strict=True) if i < 0]
    if bad:
        raise ValueError(
            f"{len(bad)} of {len(wanted)} genes are not in the data or not known to the model, such as {bad[:3]}"
        )
    return np.asarray(at)


def _by_symbol(vocabulary: GeneVocabulary, adata: AnnData) -> np.ndarray:
    """Return the vocabulary index of each column, looked up by all the names that genes have."""
    organism = _organism(vocabulary, adata)
    try:
        table = gene_table(organism)
    except ValueError:  # nobody fetched the table of this organism: the model's own symbols
        own = [i for i, of in enumerate(vocabulary.organisms) if of == organism]
        table = pd.DataFrame(
            {"symbol": [vocabulary.symbols[i] for i in own], "biotype": "protein_coding"},
            index=pd.Index([vocabulary.ids[i] for i in own]),
        )
    try:
        mapping = gene_columns(cast("pd.DataFrame", adata.var), table, organism=organism).mapping
    except ValueError as error:  # none is known: the caller says so with what else it saw
        logger.info("%s", error)
        return np.full(adata.n_vars, -1, dtype=np.int64)
    logger.info("genes of %s by name: %s", organism, mapping)
    return vocabulary.index(gene or "" for gene in mapping.ids)


def _organism(vocabulary: GeneVocabulary, adata: AnnData) -> str:
    """Return the taxon id of the data's organism; for symbols, which Ensembl's prefixes do not tell."""
    there = list(dict.fromkeys(vocabulary.organisms))
    obs = obs_table(adata)
    if any(column in obs for column in ("organism_ontology_term_id", "organism")):
        return find_organism(obs, adata.var_names)
    if len(there) == 1:
        return there[0]
    names = set(map(str, adata.var_names.tolist()))
    hits = {
        organism: sum(
            symbol in names
            for symbol, of in zip(vocabulary.symbols, vocabulary.organisms, strict=True)
            if of == organism
        )
        for organism in there
    }
    best, *others = sorted(there, key=lambda organism: -hits[organism])
    if hits[best] == hits[others[0]] and hits[best]:
        raise ValueError(
            f"the gene names, such as {adata.var_names[:3].tolist()}, fit {best} as well as {others[0]}: say which it "
            "is in obs['organism_ontology_term_id'] (--organism)"
        )
    return best

"""Genes that a task is asked for by name, among those of its data or of the model: one way for all tasks."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

from anndata import AnnData

from grnndata import NamedGenes, find_genes, plain_gene_name
from scdataloader import GeneVocabulary, gene_table
from scdataloader.genes import map_identifiers
from scprint_model.genes import SharedGenes, check_names

#: Where genes were looked for, in the words of a message.
NOT_IN_DATA, NOT_IN_MODEL = "in the data or not known to the model", "known to the model"


def genes_of_data(
    vocabulary: GeneVocabulary, adata: AnnData, known: SharedGenes, names: Iterable[str], *, what: str = "genes"
) -> NamedGenes:
    """Find genes by name among the columns of a data set that the model knows.

    A name may be the one that the data have (``var_names``), the id or symbol that the model has, or a former symbol or
    alias in the gene table of the organism, each in any spelling that `grnndata.find_genes` understands.

    Parameters
    ----------
    vocabulary
        Vocabulary of the model.
    adata, known
        Data set, and what `scprint_model.genes.match_genes` found in it.
    names
        Names of genes.
    what
        Word for them in messages.

    Returns
    -------
    grnndata.NamedGenes
        Places are positions in ``known.columns``.

    Raises
    ------
    ValueError
        When names of the data repeat, so that they name no gene.
    TypeError
        When `names` is one string.
    """
    called = adata.var_names[known.columns]
    check_names(called)
    index = known.index[known.columns]
    found = find_genes(
        names,
        called.astype(str).tolist(),
        [vocabulary.ids[i] for i in index],
        [vocabulary.symbols[i] for i in index],
        what=what,
    )
    if not found.missing:
        return found
    place = dict(zip(index.tolist(), range(len(index)), strict=True))
    repeated = {
        str(adata.var_names[column]): [place[gene]] for column, gene in enumerate(known.index.tolist()) if gene in place
    }
    found = found.also(repeated)
    places = {
        name: [place[gene] for gene in genes if gene in place]
        for name, genes in _by_other_names(vocabulary, found, {vocabulary.organisms[i] for i in index}).items()
    }
    return found.also(places)


def names_in_data(vocabulary: GeneVocabulary, adata: AnnData, known: SharedGenes, names: Iterable[str]) -> list[str]:
    """Return the names in the data of genes that may be named otherwise; see `genes_of_data`.

    Raises
    ------
    ValueError
        When one is not in the data or not known to the model.
    """
    at = genes_of_data(vocabulary, adata, known, names).all_found(NOT_IN_DATA)
    return [str(name) for name in adata.var_names[known.columns[at]]]


def genes_of_model(
    vocabulary: GeneVocabulary, names: Iterable[str], *, organisms: Collection[str] = (), what: str = "genes"
) -> NamedGenes:
    """Find genes by name among those that the model knows.

    Parameters
    ----------
    vocabulary
        Vocabulary of the model.
    names
        Ids, symbols, former symbols or aliases, as for `genes_of_data`.
    organisms
        Taxon ids of the organisms whose genes these names are of, those of other organisms being found by their id
        alone; all of the vocabulary where it is empty.
    what
        Word for the genes in messages.

    Returns
    -------
    grnndata.NamedGenes
        Places are vocabulary indices.

    Raises
    ------
    TypeError
        When `names` is one string.
    """
    symbols: Sequence[str] = vocabulary.symbols
    if organisms:
        symbols = [name if of in organisms else "" for name, of in zip(symbols, vocabulary.organisms, strict=True)]
    found = find_genes(names, vocabulary.ids, symbols, what=what)
    return found.also(_by_other_names(vocabulary, found, organisms or set(vocabulary.organisms)))


def _by_other_names(
    vocabulary: GeneVocabulary, found: NamedGenes, organisms: Collection[str]
) -> Mapping[str, list[int]]:
    """Return the vocabulary indices of the genes that have the missing names as former symbols or aliases."""
    missing = [name for name in found.missing if name not in found.ambiguous]
    genes: dict[str, list[int]] = {name: [] for name in missing}
    for organism in sorted(organisms):
        try:
            table = gene_table(organism)
        except ValueError:  # nobody fetched the table of this organism
            continue
        mapping = map_identifiers([plain_gene_name(name) for name in missing], table)
        for name, gene, reason in zip(missing, mapping.ids, mapping.reasons, strict=True):
            # a name of the list must not keep another from its gene, as a column of counts would
            alone = gene or (map_identifiers([plain_gene_name(name)], table).ids[0] if reason != "unknown" else None)
            at = int(vocabulary.index([alone or ""])[0])
            if at >= 0:
                genes[name].append(at)
    return genes

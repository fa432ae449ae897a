"""Find gene sets that stand out in a ranking of genes, or among the genes of a group."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd
import scipy.sparse as sp
from numpy.typing import NDArray

from .._wording import counted
from ..core import GRNAnnData
from ..edges import some
from ..gene_labels import gene_labels
from ..gene_sets import read_gmt
from ..ranking import check_count
from .centrality import strength

type GeneSets = Mapping[str, Iterable[str]] | os.PathLike[str] | str
type Ranking = Literal["out_strength", "in_strength", "eigenvector"]


def prerank(
    grn: GRNAnnData,
    gene_sets: GeneSets,
    *,
    ranking: Ranking | pd.Series = "out_strength",
    label: str = "symbol",
    min_size: int = 5,
    max_size: int = 1000,
    n_permutations: int = 1000,
    seed: int = 0,
) -> pd.DataFrame:
    """Find gene sets that lie at the top, or the bottom, of a ranking of genes by how central they are.

    Sets are compared with random genes, which are not co-regulated. Where those of a set are, about a third of sets
    come out significant though nothing is there: `camera` allows for the correlation of genes.

    Gene-set enrichment analysis of a ranked list, with gseapy. Centralities are used as they are, not centred:
    most genes of a network have little or no strength, and as a hit counts by its absolute value, centring
    would let those genes decide. A positive score therefore means hubs, a negative one a set that lacks hubs.
    Pass another `ranking` to test something signed, such as the differences of two networks. With 20,000 genes
    and 1,000 permutations gseapy takes about 0.1 s and 2 MB a set.

    Genes of one value are put in a random order, drawn from `seed` and their names: the order of ``var_names`` may hold
    whole families in a row, which would pass for enrichment. Values of 0 count as one billionth of the largest, or a
    set of nothing else would have no score.

    Parameters
    ----------
    grn
        The network. Genes in none of the sets stay in the ranking, as the background.
    gene_sets
        Gene symbols by name of the set, or a GMT file. Names are compared as they are spelled.
    ranking
        ``"out_strength"`` (row sums), ``"in_strength"`` (column sums), both of absolute weights without
        self-edges; ``"eigenvector"`` (see `eigenvector`); or a value for every gene, or for some, indexed by
        ``var_names``.
    label
        Column of ``var`` with the names that the sets use, ``var_names`` where it is absent. Of genes of one
        label only the one of largest value is kept.
    min_size, max_size
        Sets with fewer or more genes of the ranking are left out.
    n_permutations
        Number of random sets that the score of each set is compared with.
    seed
        Seed for these and for the order of ties.

    Returns
    -------
    pandas.DataFrame
        Columns ``term, es, nes, p_value, q_value`` (enrichment score, normalised score, nominal p-value,
        false discovery rate), ``n_genes`` (of the set, in the ranking) and ``leading_edge`` (the genes that
        make the score, joined with ``;``); smallest p-value first, then largest absolute ``nes``. p-values
        are at least 1 / (1 + n_permutations); a ``q_value`` may be 0, and means less than can be resolved.
        ``attrs["test"]`` says which test was run.

    Raises
    ------
    ImportError
        When gseapy is not installed.
    KeyError
        When `label` is neither ``"symbol"`` nor a column of ``var``.
    ValueError
        When no set has enough genes, the ranking is unknown, or a Series holds NaN, infinite values or unknown
        or repeated genes.

    References
    ----------
    Subramanian et al. 2005, Gene set enrichment analysis, PNAS 102:15545-15550; Fang, Liu and Peltz 2023,
    GSEApy, Bioinformatics 39:btac757. On networks: Kalfon et al. 2025, scPRINT, Nature Communications 16:3607,
    Methods, "Enrichment".
    """
    try:
        import gseapy
    except ImportError as error:
        raise ImportError("prerank needs gseapy: pip install grnndata[enrichment]") from error
    check_count(n_permutations, "n_permutations")
    values = ranked_genes(grn, ranking, label)["value"]
    kept = sets_among(values.index, gene_sets, min_size, max_size, proper=True)
    order = np.random.default_rng(seed).permutation(values.size)
    order = order[np.argsort(-values.to_numpy()[order], kind="stable")]
    symbols = values.index[order]
    # gseapy turns names to upper case when it finds that sets and ranking differ in this: numbers are safe.
    coded = pd.Series(_without_ties(values.to_numpy()[order]), index=[f"G{i}" for i in range(order.size)], name="value")
    code = pd.Series(coded.index, index=symbols)
    with warnings.catch_warnings():
        # Of gseapy's own use of pandas: nothing that a caller can mend.
        warnings.simplefilter("ignore", DeprecationWarning)
        done = gseapy.prerank(
            rnk=coded,
            gene_sets={term: code.loc[genes].tolist() for term, genes in kept.items()},
            outdir=None,
            min_size=1,
            max_size=values.size,
            permutation_num=n_permutations,
            ascending=None,
            threads=1,
            no_plot=True,
            seed=seed,
            verbose=False,
        ).res2d
    leading = [";".join(symbols[int(gene[1:])] for gene in genes.split(";") if gene) for genes in done["Lead_genes"]]
    table = pd.DataFrame(
        {
            "term": done["Term"].astype(str),
            "es": done["ES"].astype(float),
            "nes": done["NES"].astype(float),
            "p_value": np.maximum(done["NOM p-val"].astype(float), 1 / (1 + n_permutations)),
            "q_value": done["FDR q-val"].astype(float),
            "n_genes": [len(kept[term]) for term in done["Term"]],
            "leading_edge": leading,
        }
    )
    order = np.lexsort((table["term"].to_numpy(dtype=object), -table["nes"].abs(), table["p_value"]))
    table = table.iloc[order].reset_index(drop=True)
    table.attrs["test"] = "prerank: against random genes, as if genes were independent; camera allows for co-regulation"
    return table


def over_representation(
    genes: Iterable[str] | pd.Series,
    gene_sets: GeneSets,
    *,
    background: GRNAnnData | Iterable[str],
    label: str = "symbol",
    min_size: int = 5,
    max_size: int = 1000,
) -> pd.DataFrame:
    """Find gene sets that hold more of some genes than chance would give: one-sided Fisher tests.

    Parameters
    ----------
    genes
        The genes, each counted once. Or a Series of communities indexed by gene, as `louvain` and `leiden`
        return: then every community is tested, except those of one gene.
    gene_sets
        Gene symbols by name of the set, or a GMT file. Names are compared as they are spelled.
    background
        All genes that could have been among `genes`: a network, or their names. Sets are reduced to these.
    label
        Column of ``var`` with the names that the sets use, where the background is a network; ``var_names``
        where it is absent. `genes` may be ``var_names`` or such labels. Not used otherwise.
    min_size, max_size
        Sets with fewer or more genes of the background are left out.

    Returns
    -------
    pandas.DataFrame
        One row for every set, or every community and set (first column ``community``): ``term``,
        ``odds_ratio`` (of the sample; infinite when all genes, or all of the set, are in both), ``p_value``
        (hypergeometric), ``q_value`` (over all rows), ``n_overlap``, ``n_genes`` (of the set, in the
        background), ``genes`` (in both, joined with ``;``). By community, then smallest p-value first.

    Raises
    ------
    TypeError
        When `genes` or `background` is one string.
    ValueError
        When `genes` is empty, some are not in the background, or no set has enough genes of it.

    References
    ----------
    Rivals et al. 2007, Enrichment or depletion of a GO category within a class of genes: which test?,
    Bioinformatics 23:401-407; Benjamini and Hochberg 1995, J. R. Stat. Soc. B 57:289-300.
    """
    for name, given in (("genes", genes), ("background", background)):
        if isinstance(given, str):
            raise TypeError(f"{name} must be a list of gene names, not the string {given!r}")
    names, universe = _background(background, label)
    sets = sets_among(universe, gene_sets, min_size, max_size)
    groups = _groups(genes, names, universe)
    terms = list(sets)
    in_set = _membership(list(sets.values()), universe)
    in_group = _membership(list(groups.values()), universe)
    n_overlap = (in_group @ in_set.T).toarray()
    n_group, n_set = in_group.sum(axis=1)[:, None], in_set.sum(axis=1)[None, :]
    odds, p_values = _fisher(n_overlap, n_group, n_set, len(universe))
    community = np.repeat(np.arange(len(groups)), len(terms))
    from scipy.stats import false_discovery_control  # takes a second to import

    table = pd.DataFrame(
        {
            "community": pd.Index(groups).take(community),
            "term": np.tile(np.array(terms, dtype=object), len(groups)),
            "odds_ratio": odds.ravel(),
            "p_value": p_values.ravel(),
            "q_value": false_discovery_control(p_values.ravel()),
            "n_overlap": n_overlap.ravel(),
            "n_genes": np.broadcast_to(n_set, n_overlap.shape).ravel(),
            "genes": _joined(in_group, in_set, universe),
        }
    )
    order = np.lexsort((table["term"].to_numpy(dtype=object), table["p_value"], community))
    table = table.iloc[order].reset_index(drop=True)
    return table if isinstance(genes, pd.Series) else table.drop(columns="community")


def ranked_genes(grn: GRNAnnData, ranking: Ranking | pd.Series, label: str) -> pd.DataFrame:
    """Return ``value`` to rank by and ``place`` in ``var_names``, largest value first, indexed by label, each once."""
    if isinstance(ranking, pd.Series):
        values = ranking
        unknown = values.index[~values.index.isin(grn.var_names)].astype(str)
        repeated = values.index[values.index.duplicated()].astype(str)
        if len(unknown) or len(repeated):
            wrong, what = (unknown, "not in var_names") if len(unknown) else (repeated, "there more than once")
            raise ValueError(
                f"{counted(len(wrong), 'gene of the ranking is', 'genes of the ranking are')} {what}: "
                f"{some(list(wrong))}"
            )
        n_bad = int((~np.isfinite(values.to_numpy(dtype=np.float64))).sum())
        if n_bad:
            raise ValueError(f"{n_bad:,} values of the ranking are NaN or infinite: drop or replace them")
    elif ranking == "eigenvector":
        from .spectral import eigenvector

        values = eigenvector(grn)
    elif ranking in get_args(Ranking.__value__):
        values = strength(grn, "out" if ranking == "out_strength" else "in")
    else:
        choices = ", ".join(map(repr, get_args(Ranking.__value__)))
        raise ValueError(f"ranking must be one of {choices} or a Series, got {ranking!r}")
    if values.nunique() < 2:
        raise ValueError(f"the ranking holds {len(values):,} genes and one value only: there is nothing to rank")
    labels = gene_labels(grn, label).loc[values.index].to_numpy()
    value = values.to_numpy(dtype=np.float64)
    # Of one value by their names, so that the order of the file decides nothing.
    order = np.lexsort((values.index.to_numpy(dtype=str), np.asarray(labels, dtype=str), -value))
    ranked = pd.DataFrame(
        {"value": value[order], "place": grn.var_names.get_indexer(values.index)[order]}, index=labels[order]
    )
    return ranked[~ranked.index.duplicated()]


def _without_ties(descending: NDArray[np.float64]) -> NDArray[np.float64]:
    """Make values strictly descending and none of them 0, by changes that are too small for a score to show."""
    scale = float(np.abs(descending).max())
    floor = 1e-9 * scale
    values = np.where(np.abs(descending) < floor, np.where(descending < 0, -floor, floor), descending)
    return values + 1e-15 * scale * np.arange(values.size, 0, -1)


def sets_among(
    universe: pd.Index, gene_sets: GeneSets, min_size: int, max_size: int, *, proper: bool = False
) -> dict[str, list[str]]:
    """Return the sets reduced to known genes, those of the right size; `proper` leaves out a set of all genes."""
    check_count(min_size, "min_size")
    check_count(max_size, "max_size")
    sets = read_gmt(Path(gene_sets)) if isinstance(gene_sets, str | os.PathLike) else gene_sets
    known = set(universe)
    kept: dict[str, list[str]] = {}
    for term, genes in sets.items():
        if isinstance(genes, str):
            raise TypeError(f"the set {term!r} must be a list of genes, not the string {genes!r}")
        found = [gene for gene in dict.fromkeys(genes) if gene in known]
        if min_size <= len(found) <= max_size and not (proper and len(found) == len(known)):
            kept[term] = found
    if not kept:
        examples = ", ".join(list(dict.fromkeys(gene for genes in sets.values() for gene in genes))[:3]) or "nothing"
        raise ValueError(
            f"none of {len(sets):,} sets has {min_size:,} to {max_size:,} of the {len(universe):,} genes: the sets "
            f"hold {examples}, the genes are {', '.join(universe[:3]) or 'none'}; give both the same kind of names "
            "(label= names the column of var with symbols), or widen min_size and max_size"
        )
    return kept


def _background(background: GRNAnnData | Iterable[str], label: str) -> tuple[pd.Series, pd.Index]:
    """Return the label of every gene, indexed by its name, and all labels, each once."""
    if isinstance(background, GRNAnnData):
        labels = gene_labels(background, label)
    else:
        listed = list(dict.fromkeys(map(str, background)))
        labels = pd.Series(listed, index=listed, dtype="str")
    return labels[~labels.index.duplicated()], pd.Index(labels.unique(), dtype="str")


def _groups(genes: Iterable[str] | pd.Series, names: pd.Series, universe: pd.Index) -> dict[Any, list[str]]:
    """Return the labels of the genes of every group; of a plain list, that of its one group."""
    communities = isinstance(genes, pd.Series)
    of_gene = genes.dropna() if isinstance(genes, pd.Series) else pd.Series(0, index=list(dict.fromkeys(genes)))
    if of_gene.empty:
        raise ValueError("there are no genes to test: pass at least one")
    given = of_gene.index.astype(str)
    unknown = given[~(given.isin(names.index) | given.isin(universe))]
    if len(unknown):
        hint = " (a Series holds communities and is indexed by gene)" if communities else ""
        raise ValueError(
            f"{counted(len(unknown), 'gene is', 'genes are')} not in the background of {len(universe):,}: "
            f"{some(list(unknown))}; drop "
            f"them, or pass the background that they come from{hint}"
        )
    labels = names.reindex(given)
    labels = labels.where(labels.notna(), pd.Series(given, index=given))
    groups = {group: list(dict.fromkeys(part)) for group, part in labels.groupby(of_gene.to_numpy(), sort=True)}
    if communities:
        groups = {group: part for group, part in groups.items() if len(part) > 1}
        if not groups:
            raise ValueError(f"each of the {len(of_gene):,} communities has one gene only: there is nothing to test")
    return groups


def _membership(groups: list[list[str]], universe: pd.Index) -> sp.csr_array:
    """Return which gene is in which group: shape (groups, genes), 1 or 0."""
    sizes = [len(group) for group in groups]
    members = universe.get_indexer(pd.Index([gene for group in groups for gene in group], dtype="str"))
    rows = np.repeat(np.arange(len(groups)), sizes)
    return sp.csr_array((np.ones(members.size, dtype=np.int64), (rows, members)), shape=(len(groups), len(universe)))


def _fisher(
    n_overlap: NDArray[np.int64], n_group: NDArray[np.int64], n_set: NDArray[np.int64], n_all: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return odds ratios and one-sided p-values of 2 × 2 tables, shape (groups, sets)."""
    neither = n_all - n_group - n_set + n_overlap
    with np.errstate(divide="ignore", invalid="ignore"):
        odds = (n_overlap * neither) / ((n_group - n_overlap) * (n_set - n_overlap))
    from scipy.stats import hypergeom

    p_values = hypergeom.sf(n_overlap - 1, n_all, n_set, n_group)
    return odds, np.clip(p_values, 0, 1)


def _joined(in_group: sp.csr_array, in_set: sp.csr_array, universe: pd.Index) -> list[str]:
    """Return the genes of every group and set, joined with ";", in the order of the background."""
    names = universe.to_numpy(dtype=object)
    joined = []
    for group in range(in_group.shape[0]):
        members = np.sort(in_group[[group]].indices)
        both = in_set[:, members].tocsr().sorted_indices()
        found = names[members[both.indices]]
        joined += [";".join(found[start:stop]) for start, stop in zip(both.indptr[:-1], both.indptr[1:], strict=True)]
    return joined

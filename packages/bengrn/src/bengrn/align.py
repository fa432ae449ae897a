"""The one place where a network meets a truth: match genes, drop self edges, fix which pairs are scored."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import pandas as pd
import scipy.sparse as sp
from numpy.typing import NDArray

import grnndata
from bengrn.network import Network
from bengrn.truths.ground_truth import GroundTruth
from grnndata import NamedGenes

logger = logging.getLogger(__name__)

type Regulators = Literal["truth", "assayed", "tf", "all"] | Iterable[str]


class NoOverlapError(ValueError):
    """A network and a truth have no gene, or no true edge, in common."""


@dataclass(frozen=True, eq=False)
class Universe:
    """The pairs that are scored: all of a matrix but those of a gene with itself.

    Attributes
    ----------
    scores
        The network's weights, (regulators, targets): array or CSR.
    positives
        Rows and columns of the true edges, each (positives,) int64; no self pairs, no pair twice.
    signs
        1 where a true edge activates, -1 where it represses, 0 where that is not stated, (positives,); None
        when the truth states no signs.
    self_columns
        The column that is the row's own gene, (regulators,) int64; -1 when it is not a column.
    regulators, targets
        Names of rows and columns, in the naming that matched.
    matched_by
        The network's naming that matched, "var_names" or "symbol".
    n_genes, n_matched, n_ambiguous
        Genes of the network; those the truth knows; those left out because another gene has the same name.
    n_true_edges
        Distinct true edges the truth holds, both directions counted where it is undirected.
    lost
        How many of them each filter took, in this order: ``self`` edges, ``source_absent`` and
        ``target_absent`` from the network's genes, and ``regulator_not_chosen``. What is left is the number
        of positives.
    asked
        Regulators that were asked for by name, and which of them are not there; None where none were.
    """

    scores: Any
    positives: tuple[NDArray[np.int64], NDArray[np.int64]]
    signs: NDArray[np.int8] | None
    self_columns: NDArray[np.int64]
    regulators: pd.Index
    targets: pd.Index
    matched_by: str
    n_genes: int
    n_matched: int
    n_ambiguous: int
    n_true_edges: int
    lost: dict[str, int]
    asked: NamedGenes | None = None

    @property
    def n_pairs(self) -> int:
        """Number of scored pairs."""
        return len(self.regulators) * len(self.targets) - int((self.self_columns >= 0).sum())


@dataclass(frozen=True, eq=False)
class Alignment:
    """The pairs of some genes that are scored against a truth, for every network of these genes in this order.

    Attributes
    ----------
    pairs
        Universe without scores.
    rows, columns
        Places of regulators and targets among the genes, in rising order.
    """

    pairs: Universe
    rows: NDArray[np.intp]
    columns: NDArray[np.intp]

    def universe(self, network: Network, *, transpose: bool = False) -> Universe:
        """Return the pairs with the weights of a network of these genes, or of its transpose."""
        return replace(self.pairs, scores=_submatrix(network.matrix, self.rows, self.columns, transpose=transpose))


def align(
    network: Network, truth: GroundTruth, *, transpose: bool = False, regulators: Regulators = "truth"
) -> Universe:
    """Bring network and truth onto the same genes.

    Names are matched in whichever of the network's namings and of the truth's shares most genes. A name that
    several genes of the network have matches none of them.

    Parameters
    ----------
    network, truth
        Network and ground truth to compare.
    transpose
        Score the network's transpose: its columns as regulators.
    regulators
        Rows of the universe. "truth": genes with at least one true edge whose two genes are in the network. "assayed":
        genes that are the source of any edge of the truth, also where none of its targets is in the network.
        "tf": the transcription factors among them (`grnndata.transcription_factors` of the truth's organism).
        "all": every gene that is a column. A list of names, of any kind that `grnndata.find_genes` understands: those
        of them that are columns, with or without true edges. Columns are always the network's genes that the truth
        knows, all of them where the truth does not say what it knows.

    Raises
    ------
    NoOverlapError
        If network and truth share no gene, or no true edge is left; it is a ValueError.
    ValueError
        If none of the regulators is among the genes.
    """
    return align_genes(network, truth, regulators=regulators).universe(network, transpose=transpose)


def align_genes(network: Network, truth: GroundTruth, *, regulators: Regulators = "truth") -> Alignment:
    """Bring a network's genes onto those of the truth, once for all networks of the same genes; see :func:`align`."""
    matched_by, naming, mentioned = _best_naming(network, truth)
    names = network.namings[matched_by]
    usable = ~names.duplicated(keep=False) & (names != "")
    known = truth.known(naming)
    is_column = usable if known is None else usable & _among(names, known)
    n_ambiguous = int((~usable).sum())
    columns = np.flatnonzero(is_column)
    genes = names[columns]

    edges = _true_edges(truth, naming)
    sources = _distinct(edges["source"])
    n_true_edges = len(edges)
    lost: dict[str, int] = {}
    there = set(_plain(genes))
    edges = _keep(edges, (edges["source"] != edges["target"]).to_numpy(), "self", lost)
    edges = _keep(edges, _among(edges["source"], there), "source_absent", lost)
    edges = _keep(edges, _among(edges["target"], there), "target_absent", lost)
    if regulators == "assayed":
        chosen, asked = _among(genes, sources), None
    else:
        chosen, asked = _choose_rows(network, truth, regulators, columns, genes, edges)
    rows, row_names = columns[chosen], genes[chosen]
    edges = _keep(edges, _among(edges["source"], set(_plain(row_names))), "regulator_not_chosen", lost)
    if edges.empty:
        losses = ", ".join(f"{count:,} {reason}" for reason, count in lost.items() if count)
        raise NoOverlapError(
            f"no edge of the truth {truth.name!r} can be found with this network: of {n_true_edges:,}, "
            f"{losses}; {len(row_names):,} regulators × {len(genes):,} targets were to be scored. Use more "
            "genes, or regulators='truth'"
        )

    true_rows = row_names.get_indexer(pd.Index(edges["source"])).astype(np.int64)
    true_columns = genes.get_indexer(pd.Index(edges["target"])).astype(np.int64)
    order = np.lexsort((true_columns, true_rows))
    pairs = Universe(
        scores=None,
        positives=(true_rows[order], true_columns[order]),
        signs=edges["sign"].to_numpy(dtype=np.int8)[order] if "sign" in edges else None,
        self_columns=np.flatnonzero(chosen).astype(np.int64),
        regulators=row_names,
        targets=genes,
        matched_by=matched_by,
        n_genes=len(names),
        n_matched=int(_among(names[usable], mentioned).sum()),
        n_ambiguous=n_ambiguous,
        n_true_edges=n_true_edges,
        lost=lost,
        asked=asked,
    )
    return Alignment(pairs, rows, columns)


def _plain(names: pd.Index | pd.Series) -> NDArray[np.object_]:
    """Return names as plain strings: Arrow's are looked up many times more slowly."""
    return names.to_numpy(dtype=object)


def _among(names: pd.Index | pd.Series, some: AbstractSet[str]) -> NDArray[np.bool_]:
    """Return whether each name is one of some, without turning these into an array, as pandas does each time."""
    codes, distinct = pd.factorize(names)  # a truth has few genes, and each many edges
    return np.fromiter((name in some for name in _plain(distinct)), dtype=bool, count=len(distinct))[codes]


def _distinct(names: pd.Series) -> set[str]:
    return set(_plain(pd.Index(names.unique())))


def _mentioned(truth: GroundTruth, naming: tuple[str, str]) -> AbstractSet[str]:
    known = truth.known(naming)
    return _distinct(truth.edges[naming[0]]) | _distinct(truth.edges[naming[1]]) if known is None else known


def _best_naming(network: Network, truth: GroundTruth) -> tuple[str, tuple[str, str], AbstractSet[str]]:
    """Return the naming of each whose names are most alike, and the genes that the truth mentions in it."""
    mentioned = {naming: _mentioned(truth, naming) for naming in truth.namings}
    shared = {
        (ours, theirs): int(_among(names.unique(), known).sum())
        for ours, names in network.namings.items()
        for theirs, known in mentioned.items()
    }
    best = max(shared, key=lambda pair: shared[pair])
    ours, theirs = best
    if not shared[best]:
        network_names = "; ".join(f"{key}: {_some(names)}" for key, names in network.namings.items())
        truth_names = "; ".join(_some(sorted(names)) for names in mentioned.values())
        raise NoOverlapError(
            f"the network and the truth {truth.name!r} share no gene. The network's genes are called "
            f"{network_names}; the truth's {truth_names}. Put names of the truth's kind into var['symbol'] "
            "or var_names, and check the organism"
        )
    logger.info(
        "%d of %d genes matched by %s to the truth's %s",
        shared[best],
        len(network.namings[ours]),
        ours,
        theirs[0],
    )
    return ours, theirs, mentioned[theirs]


def _some(names: Iterable[str]) -> str:
    return ", ".join(list(names)[:3]) + ", ..."


def _true_edges(truth: GroundTruth, naming: tuple[str, str]) -> pd.DataFrame:
    """Return distinct edges, source, target and, where the truth states it, sign."""
    edges = truth.edges[list(naming)].set_axis(["source", "target"], axis=1)
    if "sign" in truth.edges:
        edges["sign"] = np.sign(pd.to_numeric(truth.edges["sign"]).fillna(0)).astype(np.int8)
    if not truth.directed:
        reverse = edges.rename(columns={"source": "target", "target": "source"})
        edges = pd.concat([edges, reverse], ignore_index=True)
    pair = ["source", "target"]
    if "sign" not in edges:
        return edges.drop_duplicates()
    # Sources that disagree on the sign of an edge leave it open.
    edges = edges.drop_duplicates()
    contradicted = edges.duplicated(pair, keep=False) & (edges["sign"] != 0)
    stated = edges[contradicted].groupby(pair)["sign"].sum()
    edges = edges.drop_duplicates(pair)
    if len(stated):
        merged = pd.MultiIndex.from_frame(edges[pair])
        edges["sign"] = stated.reindex(merged).fillna(edges["sign"].set_axis(merged)).to_numpy(dtype=np.int8)
    return edges


def _keep(edges: pd.DataFrame, keep: NDArray[np.bool_], reason: str, lost: dict[str, int]) -> pd.DataFrame:
    lost[reason] = int((~keep).sum())
    return edges[keep]


def _choose_rows(
    network: Network,
    truth: GroundTruth,
    regulators: Regulators,
    columns: NDArray[np.intp],
    genes: pd.Index,
    edges: pd.DataFrame,
) -> tuple[NDArray[np.bool_], NamedGenes | None]:
    """Return which genes are rows, and those that were asked for by name."""
    if isinstance(regulators, str):
        if regulators == "all":
            return np.ones(len(genes), dtype=bool), None
        if regulators == "truth":
            return _among(genes, set(_plain(edges["source"]))), None
        if regulators != "tf":
            raise ValueError(
                f"regulators must be 'assayed', 'truth', 'tf', 'all' or a list of gene names, not {regulators!r}"
            )
        return _among(genes, _factors(network, truth).intersection(_plain(edges["source"]))), None
    namings = [names[columns].tolist() for names in network.namings.values()]
    asked = grnndata.find_genes(regulators, *namings, what="regulators")
    if not len(asked.places):
        raise ValueError(
            f"none of the {len(asked):,} regulators ({_some(asked.asked)}) is a gene of the network that the "
            f"truth knows ({_some(genes)}){asked.hint()}"
        )
    chosen = np.zeros(len(genes), dtype=bool)
    chosen[asked.places] = True
    return chosen, asked


def _factors(network: Network, truth: GroundTruth) -> set[str]:
    """Return the names, of every kind, of transcription factors of the truth's organism."""
    symbols = set(grnndata.transcription_factors(truth.organism))
    named = set(symbols)
    # The list holds symbols; rows may be named by ids, so take every name that stands beside a listed one.
    tables: list[list[pd.Index | pd.Series]] = [[*network.namings.values()]]
    tables += [[truth.edges[pair[side]] for pair in truth.namings] for side in (0, 1)]
    for beside in tables:
        listed = np.any([_among(names, symbols) for names in beside], axis=0)
        for names in beside:
            named.update(_plain(names)[listed])
    return named


def _submatrix(matrix: Any, rows: NDArray[np.intp], columns: NDArray[np.intp], *, transpose: bool) -> Any:
    first, second = (columns, rows) if transpose else (rows, columns)
    n = matrix.shape[0]
    whole = len(first) == len(second) == n  # both are in rising order
    is_sparse: bool = sp.issparse(matrix)
    if is_sparse:
        part = matrix if whole else matrix[first][:, second]
        return part.T.tocsr() if transpose else part.tocsr()
    dense = np.asarray(matrix)
    part = dense if whole else dense[np.ix_(first, second)]
    return part.T if transpose else part

"""Whether the network ranks the known targets of a factor above other genes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
import scipy.sparse as sp
from numpy.typing import NDArray

from bengrn.enrichment.row_ranks import RankedTargets, dense_rows, rank_targets
from bengrn.network import Network, as_network
from bengrn.truths.ground_truth import GroundTruth

type Method = Literal["specific", "mann-whitney", "prerank"]

METHODS: tuple[Method, ...] = ("specific", "mann-whitney", "prerank")
_SHUFFLES = 200


@dataclass(frozen=True, eq=False)
class TargetTest:
    """The result of testing which factors rank their known targets high.

    Attributes
    ----------
    table
        One row a factor, smallest p-value first: ``tf``, ``n_targets`` (known ones that are columns, self
        excluded), ``auroc`` (chance that a known target outranks another gene in the factor's row, ties
        counting half), ``auroc_expected`` (the same targets in other genes' rows, on average; 0.5 except for
        "specific"), ``nes`` (NaN except for "prerank"), ``p_value``, ``q_value`` (Benjamini and Hochberg 1995, over the
        factors of the table), ``significant`` (``q_value`` at most `fdr`).
    method, truth, fdr
        As asked for; `truth` is its name.
    share_by_chance
        Mean share of factors that the same test calls significant when each is given the row of another gene
        drawn at random; NaN for "prerank", where that would take too long.
    n_null
        Rows of other genes that stand for chance.
    n_few_targets
        Factors of the network left out because they have too few known targets, or too few other genes.
    """

    table: pd.DataFrame
    method: str
    truth: str
    fdr: float
    share_by_chance: float
    n_null: int
    n_few_targets: int

    @property
    def n_tested(self) -> int:
        """Number of factors tested."""
        return len(self.table)

    @property
    def n_significant(self) -> int:
        """Number of factors whose targets rank high at that false discovery rate."""
        return int(self.table["significant"].sum())

    @property
    def share(self) -> float:
        """Share of the tested factors that are significant."""
        return self.n_significant / self.n_tested

    def __repr__(self) -> str:
        """Say the result in one line."""
        return (
            f"TargetTest({self.n_significant} of {self.n_tested} factors rank their {self.truth} targets high at FDR "
            f"{self.fdr:g}, {self.method}; share {self.share:.3g}, by chance {self.share_by_chance:.3g})"
        )


def encode_targets(
    grn: Any,
    truth: GroundTruth | None = None,
    *,
    method: Method = "specific",
    regulators: Iterable[str] | None = None,
    transpose: bool = False,
    min_targets: int = 10,
    n_permutations: int = 1000,
    seed: int = 0,
    fdr: float = 0.05,
) -> TargetTest:
    r"""Test, for each factor of a truth, whether the network ranks its known targets above other genes.

    The edges that a factor sends out, row = regulator, are ranked by absolute weight: binding does not tell
    activation from repression. Its own gene is not a target.

    Parameters
    ----------
    grn
        A network in any form that :func:`bengrn.score` takes.
    truth
        Known targets; None: those of ENCODE (human), see :mod:`bengrn.truths.encode`.
    method
        Kind of chance that is compared with:

        - "specific": the rows of other genes. The AUROC of the factor's targets in its own row is compared with
          that of the same targets in up to `n_permutations` other rows, and
          :math:`p = (1 + \#\{\text{others at least as high}\}) / (1 + \#\text{others})`. Targets that every
          row ranks high, because they are abundant or vary much, count for nothing. Rows of one value only
          are not among the others. It asks a lot of a factor whose cofactors' rows look like its own.
        - "mann-whitney": genes drawn at random. One-sided Mann-Whitney U test, normal approximation with
          corrections for ties and continuity. Known targets are often popular genes, so that the rows of most
          genes "find" them: read the share of significant factors beside ``share_by_chance``.
        - "prerank": the same question with gene-set enrichment analysis of the row, as in the paper; needs
          gseapy. A factor whose score is negative gets p = 1.
    regulators
        Genes that could have been regulators, where the method that made the network was given a list: only they
        are tested, and stand for chance. None: every gene.
    transpose
        Test the network's transpose.
    min_targets
        Leave out factors with fewer known targets, or with fewer other genes, among the network's genes.
    n_permutations
        Most rows of other genes that are taken, or permutations of "prerank".
    seed
        Seed of the rows taken, the shuffles and "prerank".
    fdr
        False discovery rate at which a factor counts as significant.

    Returns
    -------
    TargetTest
        A row of one value only counts as tested, with p = 1.

    Raises
    ------
    ValueError
        If network and truth share nothing, no factor has enough targets, an option is out of range, a weight is
        NaN, or, for "specific", fewer than 1 / `fdr` other rows are there, so that nothing could be
        significant.
    ImportError
        For "prerank" when gseapy is not installed.

    References
    ----------
    Mann and Whitney 1947, Ann. Math. Stat. 18:50-60; Kalfon et al. 2025, scPRINT, Nature Communications 16:3607,
    Fig. 2 (share of factors enriched for their ENCODE targets).

    Examples
    --------
    >>> weights = np.zeros((6, 6))
    >>> weights[0] = [0, 0.9, 0.8, 0.1, 0.2, 0.3]
    >>> known = GroundTruth.from_edges(pd.DataFrame({"source": ["A", "A"], "target": ["B", "C"]}))
    >>> found = encode_targets((weights, list("ABCDEF")), known, method="mann-whitney", min_targets=2)
    >>> found.table.loc[0, "auroc"]
    np.float64(1.0)
    """
    check_options(n_permutations, fdr)
    if method not in METHODS:
        raise ValueError(f"method must be of {', '.join(METHODS)}, not {method!r}")
    if truth is None:
        from bengrn.truths import load_truth

        truth = load_truth("encode")
    ranked = rank_targets(
        grn if isinstance(grn, Network) else as_network(grn),
        truth,
        regulators=regulators,
        transpose=transpose,
        min_targets=min_targets,
        n_others=n_permutations,
        seed=seed,
    )
    return compare_targets(ranked, truth, method=method, n_permutations=n_permutations, seed=seed, fdr=fdr)


def compare_targets(
    ranked: RankedTargets, truth: GroundTruth, *, method: Method, n_permutations: int, seed: int, fdr: float
) -> TargetTest:
    """Test ranked targets against one kind of chance; options as `encode_targets` says.

    Raises
    ------
    ValueError
        For "specific", if there are too few other rows.
    """
    p_null, by_chance = None, np.nan
    is_self = ranked.others[:, None] == ranked.tested[None, :]
    auroc = ranked.own.auroc.diagonal()
    expected: NDArray[np.float64] = np.full(auroc.size, 0.5)
    nes = np.full(auroc.size, np.nan)
    if method == "specific":
        p_value, p_null = _against_others(ranked, is_self, fdr)
        expected = np.mean(ranked.null.auroc, axis=0, where=~is_self)
    elif method == "mann-whitney":
        p_value, p_null = ranked.own.p_value.diagonal(), ranked.null.p_value
    else:
        nes, p_value = _prerank(ranked, n_permutations, seed)
    if p_null is not None:
        names = np.asarray(ranked.universe.regulators, dtype=str)
        by_name = np.ix_(np.argsort(names[ranked.others]), np.argsort(names[ranked.tested]))
        by_chance = _share_by_chance(p_null[by_name], is_self[by_name], fdr, np.random.default_rng(seed))
    q_value = false_discovery_rates(p_value)
    table = pd.DataFrame(
        {
            "tf": ranked.universe.regulators[ranked.tested],
            "n_targets": ranked.members.sum(axis=0).astype(np.int64),
            "auroc": auroc,
            "auroc_expected": expected,
            "nes": nes,
            "p_value": p_value,
            "q_value": q_value,
            "significant": q_value <= fdr,
        }
    )
    order = np.lexsort((table["tf"].to_numpy(dtype=object), -table["auroc"], table["p_value"]))
    return TargetTest(
        table=table.iloc[order].reset_index(drop=True),
        method=method,
        truth=truth.name,
        fdr=fdr,
        share_by_chance=by_chance,
        n_null=0 if p_null is None else len(ranked.others),
        n_few_targets=ranked.n_few_targets,
    )


def check_options(n_permutations: int, fdr: float) -> None:
    """Refuse numbers out of range.

    Raises
    ------
    ValueError
        If `n_permutations` is below 1 or `fdr` not between 0 and 1.
    """
    if n_permutations < 1:
        raise ValueError(f"n_permutations = {n_permutations} is below 1: chance needs at least one draw")
    if not 0 < fdr < 1:
        raise ValueError(f"fdr = {fdr} is not between 0 and 1: pass for example 0.05")


def _against_others(
    ranked: RankedTargets, is_self: NDArray[np.bool_], fdr: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return p-values of factors among other rows, (factors,), and of these among themselves, (others, factors)."""
    needed, n_others = int(np.ceil(1 / fdr)), (~is_self).sum(axis=0)
    if n_others.min() < needed:
        raise ValueError(
            f"only {n_others.min():,} rows of other regulators hold different weights: at fdr={fdr:g} a factor needs "
            f"{needed:,} to be compared with; pass method='mann-whitney', or a network with more regulators"
        )
    from scipy.stats import rankdata

    # Rank sums are exact, areas are rounded.
    not_lower = (ranked.null.auroc >= ranked.own.auroc.diagonal() - 1e-12) & ~is_self
    p_value = np.where(ranked.own.is_constant, 1.0, (1 + not_lower.sum(axis=0)) / (1 + n_others))
    upper_ranks = rankdata(-ranked.null.auroc, method="max", axis=0)
    return p_value, upper_ranks / len(ranked.others)


def _share_by_chance(
    p_null: NDArray[np.float64], is_self: NDArray[np.bool_], fdr: float, rng: np.random.Generator
) -> float:
    """Give each factor the row of another gene, again and again: the mean share called significant."""
    if not len(p_null) or (len(p_null) == 1 and is_self.any()):
        return np.nan
    n_factors = p_null.shape[1]
    columns = np.arange(n_factors)
    rows = rng.integers(0, len(p_null), (_SHUFFLES, n_factors))
    # A factor that has drawn itself takes the next row.
    rows = np.where(is_self[rows, columns], (rows + 1) % len(p_null), rows)
    return float(np.mean(false_discovery_rates(p_null[rows, columns]) <= fdr))


def false_discovery_rates(p_values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Benjamini and Hochberg's false discovery rates along the last axis."""
    from scipy.stats import false_discovery_control

    return np.asarray(false_discovery_control(np.clip(p_values, 0, 1), axis=-1))


def _prerank(ranked: RankedTargets, n_permutations: int, seed: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return each factor's normalised score, NaN for a constant row, and its p-value."""
    import grnndata

    universe, members = ranked.universe, ranked.members
    genes = universe.targets
    names = grnndata.from_matrix(sp.csr_matrix((len(genes), len(genes)), dtype=np.float32), list(genes))
    nes, p_value = np.full(ranked.tested.size, np.nan), np.ones(ranked.tested.size)
    for i in np.flatnonzero(~ranked.own.is_constant):
        weights = pd.Series(dense_rows(universe, ranked.tested[[i]])[0].astype(np.float64), index=genes)
        own = universe.self_columns[ranked.tested[i]]
        found = grnndata.tl.prerank(
            names,
            {"targets": genes[members[:, i] > 0].tolist()},
            ranking=weights.drop(genes[own]) if own >= 0 else weights,
            min_size=1,
            max_size=len(genes),
            n_permutations=n_permutations,
            seed=seed,
        ).iloc[0]
        nes[i] = found["nes"]
        p_value[i] = found["p_value"] if found["nes"] > 0 else 1.0
    return nes, p_value

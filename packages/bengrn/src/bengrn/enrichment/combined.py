"""All enrichment tests of a network in one tidy table."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from importlib.util import find_spec
from typing import Any

import numpy as np
import pandas as pd

from bengrn.enrichment.hubs import RANKINGS, GeneSets, Ranking, hub_enrichment, hub_rankings, labels_for
from bengrn.enrichment.result import COLUMNS, Enrichment
from bengrn.enrichment.row_ranks import rank_targets
from bengrn.enrichment.tf_targets import Method, check_options, compare_targets
from bengrn.network import Network, as_network

logger = logging.getLogger(__name__)

#: The tests by name: hubs against the list of factors, hubs against PanglaoDB's markers, targets of ENCODE.
SETS = ("tf", "cell_types", "encode")
_TF_SET = "transcription factors"
_TARGET_TESTS: tuple[Method, ...] = ("specific", "mann-whitney")


def enrich(
    grn: Any,
    *,
    organism: str = "human",
    rankings: Sequence[Ranking] | Ranking = RANKINGS,
    sets: Sequence[str] | str | GeneSets | None = None,
    regulators: Iterable[str] | None = None,
    min_size: int = 5,
    min_targets: int = 10,
    n_permutations: int = 1000,
    seed: int = 0,
    fdr: float = 0.05,
) -> Enrichment:
    """Test what stands out in a network: factors and cell-type markers among its hubs, known targets of factors.

    Parameters
    ----------
    grn
        A network in any form that :func:`bengrn.score` takes; row = regulator. Genes are matched by symbol or
        id.
    organism
        "human" or "mouse": of the list of factors and of the markers. ENCODE's targets are human.
    rankings
        Ways to rank hubs, see :func:`bengrn.enrichment.hubs.hub_rankings`. One that cannot be computed, as the
        eigenvector of a network without cycles, is told in the summary.
    sets
        Names from `SETS`, or gene sets of one's own by name (tested as "own"). "tf": are transcription factors
        hubs? "cell_types": which of PanglaoDB's cell types have their markers among the hubs? They are downloaded
        once (``GRNNDATA_CACHE`` names the folder). "encode": does the network rank known targets of factors
        high, see :func:`encode_targets`, against both kinds of chance? None: all three, and those that cannot
        be had are told in the summary.
    regulators
        Genes that could have been regulators, where the method was given a list: the ranking by
        "out_strength" and the test "encode" are of these only. None: every gene.
    min_size
        Number of genes that a set needs in the ranking; smaller sets are left out.
    min_targets
        Number of known targets that a factor needs in the network; factors with fewer are left out.
    n_permutations
        Number of permutations of gene-set enrichment analysis, and most rows that stand for chance in "encode".
    seed
        Seed of both: the same seed gives the same result.
    fdr
        False discovery rate at which a row is called significant, over the terms of its test and ranking. Sets among
        hubs are called by the test that allows for co-regulation, `grnndata.tl.camera`.

    Returns
    -------
    Enrichment

    Raises
    ------
    ValueError
        If an option has no such value, a weight is NaN, a test that was asked for by name cannot be made, or
        none can.
    ConnectionError
        If "cell_types" was asked for by name and the markers cannot be downloaded.
    ImportError
        When gseapy is not installed and a test of hubs is asked for.

    Notes
    -----
    Where only factors have outgoing edges (a method that was given a list of them), ranking by "out_strength"
    would only restate the list: "tf" is not available for it.

    References
    ----------
    Kalfon et al. 2025, scPRINT, Nature Communications 16:3607, Fig. 2 and Methods, "Enrichment"; Subramanian et
    al. 2005, PNAS 102:15545-15550; Franzén et al. 2019, PanglaoDB, Database 2019:baz046; Lambert et al. 2018,
    Cell 172:650-665.
    """
    check_options(n_permutations, fdr)
    chosen: tuple[Ranking, ...] = (rankings,) if isinstance(rankings, str) else tuple(rankings)
    _check_names(chosen, RANKINGS, "rankings")
    asked, own = _asked(sets)
    if isinstance(regulators, str):
        raise TypeError(f"regulators must be a list of gene names, not the string {regulators!r}")
    network = as_network(grn)
    wanted = None if regulators is None else list(regulators)
    tests = _Tests(
        network,
        organism,
        wanted,
        min_size=min_size,
        min_targets=min_targets,
        n_permutations=n_permutations,
        seed=seed,
        fdr=fdr,
    )
    hub_tests = [name for name in asked if name != "encode"]
    if hub_tests:
        if find_spec("gseapy") is None:
            raise ImportError("tests of hubs need gseapy: pip install bengrn[enrichment] (sets='encode' does without)")
        tests.rank(chosen)
    for name in asked:
        try:
            tests.targets() if name == "encode" else tests.hubs(name, tests.gene_sets(name, own))
        except (ValueError, OSError) as error:  # OSError: no connection
            if sets is not None:
                raise
            logger.warning("%s is left out: %s", name, error)
            tests.unavailable(name, "all", str(error))
    return tests.result()


def _asked(sets: Sequence[str] | str | GeneSets | None) -> tuple[tuple[str, ...], GeneSets]:
    if isinstance(sets, Mapping):
        if not sets:
            raise ValueError("sets holds no gene set: there is nothing to test")
        return ("own",), {str(name): _genes(name, genes) for name, genes in sets.items()}
    names = SETS if sets is None else (sets,) if isinstance(sets, str) else tuple(sets)
    _check_names(names, SETS, "sets")
    return names, {}


def _genes(name: str, genes: Iterable[str]) -> list[str]:
    if isinstance(genes, str):
        raise TypeError(f"the set {name!r} must be a list of genes, not the string {genes!r}")
    return list(map(str, genes))


def _check_names(names: Sequence[str], known: Sequence[str], what: str) -> None:
    unknown = [name for name in names if name not in known]
    if unknown or not names or len(set(names)) < len(names):
        wrong = f"got {', '.join(map(repr, names)) or 'none'}"
        raise ValueError(f"{what} must be of {', '.join(map(repr, known))}, each once; {wrong}")


class _Tests:
    """Runs tests on one network and gathers their rows."""

    def __init__(
        self,
        network: Network,
        organism: str,
        regulators: list[str] | None,
        *,
        min_size: int,
        min_targets: int,
        n_permutations: int,
        seed: int,
        fdr: float,
    ) -> None:
        self.network, self.organism, self.regulators = network, organism, regulators
        self.min_size, self.min_targets = min_size, min_targets
        self.n_permutations, self.seed, self.fdr = n_permutations, seed, fdr
        self.rankings: dict[str, pd.Series] = {}
        self.no_ranking: dict[str, str] = {}
        self.tables: list[pd.DataFrame] = []
        self.rows: list[dict[str, Any]] = []

    def rank(self, rankings: Sequence[Ranking]) -> None:
        self.rankings, self.no_ranking = hub_rankings(self.network, rankings, regulators=self.regulators)

    def gene_sets(self, name: str, own: GeneSets) -> GeneSets:
        import grnndata

        if name == "own":
            return own
        if name == "tf":
            return {_TF_SET: grnndata.transcription_factors(self.organism)}
        return grnndata.cell_type_markers(self.organism)

    def hubs(self, name: str, gene_sets: GeneSets) -> None:
        rankings, reasons = dict(self.rankings), dict(self.no_ranking)
        if name == "tf" and self._only_factors_regulate(gene_sets):
            del rankings["out_strength"]
            reasons["out_strength"] = "only transcription factors have outgoing edges, so this would restate their list"
        found, failed = hub_enrichment(
            self.network,
            rankings,
            gene_sets,
            min_size=self.min_size,
            n_permutations=self.n_permutations,
            seed=self.seed,
        )
        for ranking, reason in (reasons | failed).items():
            self.unavailable(name, ranking, reason)
        for ranking in [ranking for ranking in rankings if ranking not in failed]:
            rows = found[found["ranking"] == ranking]
            significant = (rows["q_correlated"] <= self.fdr) & (rows["difference"] > 0)
            over = f"camera, {len(rows):,} {'set' if len(rows) == 1 else 'sets'} of this ranking"
            self._add(name, ranking, rows.assign(significant=significant, fdr_over=over))

    def targets(self) -> None:
        from bengrn.truths import load_truth
        from grnndata import organism_name

        if organism_name(self.organism, "known targets") != "human":
            raise ValueError(f"ENCODE's targets are of human, the network is of {self.organism}: leave out 'encode'")
        truth = load_truth("encode")
        ranked = rank_targets(
            self.network,
            truth,
            regulators=self.regulators,
            min_targets=self.min_targets,
            n_others=self.n_permutations,
            seed=self.seed,
        )
        for method in _TARGET_TESTS:
            try:
                found = compare_targets(
                    ranked, truth, method=method, n_permutations=self.n_permutations, seed=self.seed, fdr=self.fdr
                )
            except ValueError as error:
                # Too few rows that stand for chance: the other test needs none.
                self.unavailable("encode", method, str(error))
                continue
            over = f"Benjamini-Hochberg, {found.n_tested:,} factors"
            rows = found.table.rename(columns={"tf": "term", "n_targets": "n_genes"})
            self._add("encode", method, rows.assign(fdr_over=over, leading_edge=""), found.share_by_chance)

    def unavailable(self, test: str, ranking: str, reason: str) -> None:
        self.rows.append(_summary_row(test, ranking, 0, 0, np.nan, reason))

    def result(self) -> Enrichment:
        if not self.tables:
            reasons = "; ".join(f"{row['test']}, {row['ranking']}: {row['not_available']}" for row in self.rows)
            raise ValueError(f"no enrichment test can be made of this network: {reasons}")
        return Enrichment(
            table=pd.concat(self.tables, ignore_index=True),
            summary=pd.DataFrame(self.rows),
            n_genes=len(self.network.namings["var_names"]),
            method=self.network.method,
            organism=self.organism,
            n_permutations=self.n_permutations,
            seed=self.seed,
            fdr=self.fdr,
        )

    def _add(self, test: str, ranking: str, rows: pd.DataFrame, by_chance: float = np.nan) -> None:
        self.tables.append(rows.assign(test=test, ranking=ranking).reindex(columns=list(COLUMNS)))
        self.rows.append(_summary_row(test, ranking, len(rows), int(rows["significant"].sum()), by_chance, ""))

    def _only_factors_regulate(self, factors: GeneSets) -> bool:
        if "out_strength" not in self.rankings:
            return False
        out = self.rankings["out_strength"]
        labels = labels_for(self.network, factors)[out.index.astype(int)[out > 0]]
        return len(labels) > 0 and bool(labels.isin(factors[_TF_SET]).all())


def _summary_row(
    test: str, ranking: str, n_tested: int, n_significant: int, by_chance: float, reason: str
) -> dict[str, Any]:
    return {
        "test": test,
        "ranking": ranking,
        "n_tested": n_tested,
        "n_significant": n_significant,
        "share": n_significant / n_tested if n_tested else np.nan,
        "share_by_chance": by_chance,
        "not_available": reason,
    }

"""The results of the enrichment tests of a network."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from bengrn._wording import percent

COLUMNS = (
    *("test", "ranking", "term", "n_genes", "es", "nes", "auroc", "auroc_expected", "p_value", "q_value"),
    *("difference", "p_correlated", "q_correlated"),
    *("significant", "fdr_over", "leading_edge"),
)


@dataclass(frozen=True, eq=False)
class Enrichment:
    """The result of :func:`enrich`.

    Attributes
    ----------
    table
        One row a test, ranking and term, in the order tested, smallest p-value first:

        - ``test``: "tf", "cell_types", "encode", or "own" for gene sets of one's own;
        - ``ranking``: of hubs "out_strength" (as regulator), "in_strength" (as target) or "eigenvector"; of
          "encode" what chance is, "specific" (other genes' rows) or "mann-whitney" (other genes as targets);
        - ``term``: the gene set; for "encode" the factor;
        - ``n_genes``: its genes in the ranking, known targets for "encode";
        - ``es``, ``nes``: (normalised) enrichment score, above 0 for a set that stands at the top;
        - ``auroc``, ``auroc_expected``: of "encode", see :class:`bengrn.enrichment.TargetTest`;
        - ``p_value``, ``q_value``: nominal p-value and false discovery rate, which of "tf", "cell_types" and
          "own" is that of gene-set enrichment analysis (Subramanian et al. 2005; 0: below what the permutations
          resolve), of "encode" that of Benjamini and Hochberg;
        - ``difference``, ``p_correlated``, ``q_correlated``: of sets among hubs, the mean normal score of the set's
          ranks less that of the others, and p-values and rates that allow for the correlation of genes (Wu and Smyth
          2012, as `grnndata.tl.camera`); NaN for "encode". Where the genes of a set are co-regulated, trust these:
          ``p_value`` compares with random genes, as if genes were independent;
        - ``significant``: stands at the top with a rate of at most `fdr`, which is ``q_correlated`` of sets among hubs
          and ``q_value`` of "encode";
        - ``fdr_over``: what the rate is over, always one test and one ranking; rankings are not corrected for
          each other;
        - ``leading_edge``: genes that make the score, joined with ``;``; empty for "encode".
    summary
        One row a test and ranking: ``test, ranking, n_tested, n_significant, share, share_by_chance`` (share of
        factors that are significant when each has another gene's row; NaN but for "encode") and ``not_available``:
        why it has no result, "" where it has.
    n_genes, method, organism, n_permutations, seed, fdr
        Size of the network, what made it, and what was asked for.
    """

    table: pd.DataFrame
    summary: pd.DataFrame
    n_genes: int
    method: str
    organism: str
    n_permutations: int
    seed: int
    fdr: float

    def top(self, test: str = "cell_types", ranking: str = "out_strength", n: int = 10) -> pd.DataFrame:
        """Return the `n` terms that stand highest: of cell types, what the paper looks at by hand.

        Only terms with a normalised score above 0, best first by p-value, then by that score.

        Raises
        ------
        ValueError
            If the result does not exist; the message says why.
        """
        rows = self.table[(self.table["test"] == test) & (self.table["ranking"] == ranking)]
        if rows.empty:
            known = self.summary[(self.summary["test"] == test) & (self.summary["ranking"].isin([ranking, "all"]))]
            why = known["not_available"].iloc[0] if len(known) else "it was not asked for"
            raise ValueError(f"no result of test {test!r} for ranking {ranking!r}: {why}")
        return rows[~(rows["nes"] <= 0)].head(n).reset_index(drop=True)

    def __repr__(self) -> str:
        """Say what stands out, a line for each test and ranking."""
        lines = [f"Enrichment of {self.method!r}, {self.n_genes:,} genes, FDR {self.fdr:g}, seed {self.seed}"]
        for _, row in self.summary.iterrows():
            name = f"  {row['test']}, {row['ranking']}: "
            if row["not_available"]:
                lines.append(f"{name}not available: {row['not_available']}")
                continue
            lines.append(name + self._line(row))
        return "\n".join(lines)

    def _line(self, row: pd.Series) -> str:
        if row["test"] == "encode":
            return (
                f"{row['n_significant']} of {row['n_tested']} factors rank their targets high, "
                f"{percent(row['share'], 1)} "
                f"(by chance {percent(row['share_by_chance'], 1)})"
            )
        if row["n_tested"] == 1:
            one = self.table[(self.table["test"] == row["test"]) & (self.table["ranking"] == row["ranking"])].iloc[0]
            return (
                f"{one['term']}: NES {one['nes']:.3g}, p {one['p_value']:.2g}, q {one['q_value']:.2g}, p "
                f"{one['p_correlated']:.2g} allowing for co-regulation"
            )
        best = self.top(row["test"], row["ranking"])["term"].tolist()
        rows = self.table[(self.table["test"] == row["test"]) & (self.table["ranking"] == row["ranking"])]
        naive = int(((rows["q_value"] <= self.fdr) & (rows["nes"] > 0)).sum())
        return (
            f"{row['n_significant']} of {row['n_tested']} sets allowing for co-regulation ({naive} as if genes were "
            f"independent); top {len(best)}: {'; '.join(best)}"
        )

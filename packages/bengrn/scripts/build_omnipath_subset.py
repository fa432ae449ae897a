"""Build the bundled part of OmniPath: its edges between the genes of a list.

    python build_omnipath_subset.py --omnipath omnipath.parquet --uniprot human_gene_to_swissprot.tsv.gz \
        --genes genes.tsv --out omnipath_demo.parquet

Inputs: OmniPath's interactions as its Python client returns them (columns source, target, is_stimulation,
is_inhibition, type, sources); a table of gene to UniProt accession (ensembl_id, symbol, uniprot, name_match);
the gene list (gene_id = Ensembl id, symbol). Beside the output parquet a file <stem>_genes.tsv lists the
genes of the list that OmniPath mentions at all.
"""

from __future__ import annotations

import argparse
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

COMPLEX = "COMPLEX:"
ACCESSION = r"^(?:[OPQ][0-9][A-Z0-9]{3}[0-9]|[A-NR-Z][0-9](?:[A-Z][A-Z0-9]{2}[0-9]){1,2})(?:-\d+)?$"
NOT_A_GENE = r"^(?:MIMAT|MI\d|hsa-|CHEBI|CID|SID|DB\d)"
COLUMNS = ["source", "target", "source_id", "target_id", "sign", "kind", "from_complex", "resources"]


@dataclass
class Report:
    """What each step did to the number of rows."""

    lines: list[tuple[str, int, int]] = field(default_factory=list)

    def add(self, step: str, before: int, after: int) -> None:
        """Note one step."""
        self.lines.append((step, before, after))

    def __str__(self) -> str:
        """Return one line a step."""
        width = max(len(step) for step, _, _ in self.lines)
        return "\n".join(f"{step:<{width}} {after - before:>+9,} -> {after:>9,}" for step, before, after in self.lines)


def gene_names(uniprot: pd.DataFrame, genes: pd.DataFrame) -> pd.Series:
    """Map every name OmniPath may use for a gene of the list to its Ensembl id.

    Symbols of the list come first; one that two genes share names neither. An accession shared by several
    genes goes to the one whose name matches the protein's; where that leaves several or none, the accession
    is not used.
    """
    repeated = genes["gene_id"][genes["gene_id"].duplicated()]
    if len(repeated):
        raise ValueError(f"the gene list repeats {len(repeated):,} ids, first {repeated.iloc[0]}: give each gene once")
    best = uniprot.sort_values("name_match", ascending=False, kind="stable")
    ties = best.groupby("uniprot")["name_match"].transform("sum")
    size = best.groupby("uniprot")["name_match"].transform("size")
    best = best[(size == 1) | ((ties == 1) & best["name_match"])]
    by_accession = best.set_index("uniprot")["ensembl_id"]
    by_accession = by_accession[by_accession.isin(genes["gene_id"])]
    by_symbol = genes[~genes["symbol"].duplicated(keep=False)].set_index("symbol")["gene_id"]
    names = pd.concat([by_symbol, by_accession])
    return names[~names.index.duplicated()]


def expand_complexes(edges: pd.DataFrame) -> pd.DataFrame:
    """Give every edge of a complex to each of its members, marked in the column ``from_complex``."""
    edges = edges.reset_index(drop=True)
    edges["from_complex"] = edges["source"].str.startswith(COMPLEX) | edges["target"].str.startswith(COMPLEX)
    for side in ("source", "target"):
        members = edges[side].str.removeprefix(COMPLEX).str.split("_")
        is_complex = edges[side].str.startswith(COMPLEX)
        edges[side] = members.where(is_complex, edges[side].map(lambda name: [name]))
        edges = edges.explode(side, ignore_index=True)
    return edges


def merge(edges: pd.DataFrame) -> pd.DataFrame:
    """Join the rows of a gene pair; a complex speaks only where no row names the genes themselves."""
    pair = ["source_id", "target_id"]
    direct = edges.groupby(pair)["from_complex"].transform("min")
    edges = edges[edges["from_complex"] == direct]
    grouped = edges.groupby(pair, sort=True)
    merged = grouped.agg(
        stimulation=("is_stimulation", "max"),
        inhibition=("is_inhibition", "max"),
        kind=("type", _join),
        from_complex=("from_complex", "max"),
        resources=("sources", _join),
    ).reset_index()
    merged["sign"] = (merged["stimulation"].astype(int) - merged["inhibition"].astype(int)).astype("int8")
    return merged


def _join(values: pd.Series) -> str:
    return ";".join(sorted({part for value in values for part in str(value).split(";")}))


def build(
    omnipath: pd.DataFrame, uniprot: pd.DataFrame, genes: pd.DataFrame
) -> tuple[pd.DataFrame, pd.DataFrame, Report]:
    """Return the edges between the genes of the list, the genes OmniPath mentions, and the report."""
    genes = genes.assign(symbol=genes["symbol"].fillna(genes["gene_id"]))
    report = Report()
    report.add("rows read", 0, len(omnipath))
    edges = omnipath[["source", "target", "is_stimulation", "is_inhibition", "type", "sources"]]
    expanded = expand_complexes(edges)
    report.add("complexes expanded into members", len(edges), len(expanded))

    def step(name: str, keep: pd.Series, rows: pd.DataFrame) -> pd.DataFrame:
        report.add(name, len(rows), int(keep.sum()))
        return rows[keep]

    other = expanded["source"].str.contains(NOT_A_GENE) | expanded["target"].str.contains(NOT_A_GENE)
    edges = step("miRNA and small molecules dropped", ~other, expanded)
    names = gene_names(uniprot, genes)
    for side in ("source", "target"):
        edges = edges.assign(**{f"{side}_id": edges[side].str.replace(r"-\d+$", "", regex=True).map(names)})
        # The suffix marks a protein's isoform, but symbols such as HLA-A or RNA5-8S may end alike: try them
        # whole.
        edges[f"{side}_id"] = edges[side].map(names).fillna(edges[f"{side}_id"])
    everywhere = pd.concat(
        [
            edges[[f"{side}_id", "from_complex"]].rename(columns={f"{side}_id": "gene_id"}).dropna()
            for side in ("source", "target")
        ]
    )
    # Symbols such as R3HDM1 look like accessions.
    understood = {*uniprot["uniprot"], *uniprot["symbol"], *genes["symbol"]}
    unmapped = [
        edges[side].str.contains(ACCESSION) & ~edges[side].str.replace(r"-\d+$", "", regex=True).isin(understood)
        for side in ("source", "target")
    ]
    edges = step("UniProt accessions without a gene", ~(unmapped[0] | unmapped[1]), edges)
    edges = step("genes outside the list", edges["source_id"].notna() & edges["target_id"].notna(), edges)
    edges = step("self edges", edges["source_id"] != edges["target_id"], edges)
    merged = merge(edges)
    report.add("rows of one gene pair merged", len(edges), len(merged))

    symbol = genes.set_index("gene_id")["symbol"]
    merged["source"], merged["target"] = merged["source_id"].map(symbol), merged["target_id"].map(symbol)
    only_in_complexes = everywhere.groupby("gene_id")["from_complex"].min()
    known = genes[genes["gene_id"].isin(only_in_complexes.index)][["gene_id", "symbol"]]
    known = known.assign(only_in_complexes=known["gene_id"].map(only_in_complexes)).sort_values("gene_id")
    return merged[COLUMNS], known, report


def write(edges: pd.DataFrame, known: pd.DataFrame, out: Path, metadata: Mapping[str, str]) -> None:
    """Write both files, each whole or not at all."""
    table = pa.Table.from_pandas(edges, preserve_index=False).replace_schema_metadata(dict(metadata))
    partial = out.with_name(out.name + ".part")
    pq.write_table(table, partial, compression="zstd")
    partial.replace(out)
    listing = out.with_name(f"{out.stem}_genes.tsv")
    partial = listing.with_name(listing.name + ".part")
    known.to_csv(partial, sep="\t", index=False)
    partial.replace(listing)


def main(argv: list[str] | None = None) -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("omnipath", "uniprot", "genes", "out"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    args = parser.parse_args(argv)
    # A gene may be called NA or NAN: only an empty field is a missing symbol.
    genes = pd.read_csv(args.genes, sep="\t", dtype=str, keep_default_na=False, na_values=[""])
    edges, known, report = build(pd.read_parquet(args.omnipath), pd.read_csv(args.uniprot, sep="\t"), genes)
    digest = hashlib.sha256(args.omnipath.read_bytes()).hexdigest()
    write(edges, known, args.out, {"version": f"snapshot sha256:{digest[:12]}"})
    print(report)
    print(f"{len(edges):,} edges, {int(edges['from_complex'].sum()):,} of them only through complexes")
    print(f"{len(known):,} of {len(genes):,} genes are known to OmniPath")


if __name__ == "__main__":
    main()

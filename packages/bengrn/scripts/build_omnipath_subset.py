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
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from bengrn.truths.omnipath_table import build


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

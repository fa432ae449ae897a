"""Build the packaged table of which human UniProt accession is which gene.

    python build_uniprot_genes.py --proteins human_gene_to_swissprot.tsv.gz --out uniprot_human.parquet

Input: a table of the reviewed human proteins of UniProt, one row a gene, with the columns symbol, uniprot and
name_match (whether the gene's name is the protein's). The same input gives the same bytes.
"""

from __future__ import annotations

import argparse
import hashlib
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from bengrn._content import open_content
from bengrn.fetch import content_hash


def table(proteins: pd.DataFrame) -> pa.Table:
    """Return ``uniprot, symbol, name_match``, one row a pair, sorted."""
    pairs = proteins[["uniprot", "symbol", "name_match"]].dropna()
    pairs = pairs.groupby(["uniprot", "symbol"], sort=True)["name_match"].max().reset_index()
    return pa.table(
        {
            "uniprot": pa.array(pairs["uniprot"].astype(str).tolist()),
            "symbol": pa.array(pairs["symbol"].astype(str).tolist()),
            "name_match": pa.array(pairs["name_match"].astype(bool).tolist()),
        }
    )


def main(argv: list[str] | None = None) -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("proteins", "out"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    args = parser.parse_args(argv)
    with open_content(args.proteins) as file:
        # A gene may be called NA or NAN: only an empty field is a missing symbol.
        pairs = table(pd.read_csv(file, sep="\t", keep_default_na=False, na_values=[""]))
    pairs = pairs.replace_schema_metadata({"version": f"table sha256:{content_hash(args.proteins)[:12]}"})
    partial = args.out.with_name(args.out.name + ".part")
    pq.write_table(pairs, partial, compression="zstd", compression_level=19)
    partial.replace(args.out)
    digest = hashlib.sha256(args.out.read_bytes()).hexdigest()
    print(f"{pairs.num_rows:,} pairs, {args.out.stat().st_size:,} bytes, sha256 {digest}")


if __name__ == "__main__":
    main()

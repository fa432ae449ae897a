"""Build bengrn's table of gene names from scdataloader's gene tables, which name their source.

Run in the workspace: ``uv run python packages/bengrn/scripts/build_gene_names.py``.
"""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import pandas as pd

OUT = Path(__file__).parents[1] / "src" / "bengrn" / "data" / "gene_names.parquet"


def main() -> None:
    """Write the table."""
    tables = []
    for organism in ("human", "mouse"):
        with (files("scdataloader") / "resources" / f"genes_{organism}.parquet").open("rb") as file:
            table = pd.read_parquet(file, columns=["gene_id", "symbol"])
        named = table[(table["symbol"] != table["gene_id"]) & (table["symbol"] != "")]
        # Two genes of one symbol could not be told apart by it.
        named = named[~named["symbol"].duplicated(keep=False)]
        number = named["gene_id"].str.extract(r"(\d+)$")[0].astype("int32")
        tables.append(pd.DataFrame({"number": number, "symbol": named["symbol"], "organism": organism}))
        print(f"{organism}: {len(named):,} of {len(table):,} genes have a symbol of their own")
    whole = pd.concat(tables).sort_values(["organism", "number"], ignore_index=True)
    whole = whole.astype({"organism": "category"})
    whole.to_parquet(OUT, compression="zstd", index=False)
    print(f"{OUT}: {OUT.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()

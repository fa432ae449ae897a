"""DREAM5, network 3: Escherichia coli, true and false edges both stated."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from bengrn._content import open_content
from bengrn.fetch import Source, fetch
from bengrn.truths.ground_truth import GroundTruth
from bengrn.truths.record import AS_STORED, TruthRecord

GOLD = Source(
    name="DREAM5_GoldStandard_Network3_ecoli.tsv.gz",
    url=None,
    copies=(
        (
            "DREAM5_GoldStandard_Network3_ecoli.tsv.gz",
            "1785c8a7a37c4ecedebd97125f1cf24ab603952a1faac20f8c7f8df9baa33c37",
        ),
    ),
    page="https://www.synapse.org/#!Synapse:syn2787213 (needs an account)",
)
RECORD = TruthRecord(
    name="dream5",
    organism="ecoli",
    title="E. coli: RegulonDB edges, strong evidence",
    citation="Marbach D et al. Nat Methods 9:796 (2012)",
    licence="DREAM challenge terms (Synapse account); cite",
    version="network 3",
    edges=2066,
    regulators=141,
    targets=999,
    genes=1081,
    orientation=AS_STORED,
    knows="the genes of its true and false edges",
    sources=(GOLD,),
)
RECORDS = (RECORD,)


def load_dream5(*, cache: Path | None = None) -> GroundTruth:
    """Load the gold standard of DREAM5's network 3; genes are called G1, G2, ... as in the challenge.

    Parameters
    ----------
    cache
        Another cache folder.

    Notes
    -----
    Read from an offline folder or the cache: the file is behind an account.
    """
    with open_content(fetch(GOLD, cache=cache)) as file:
        pairs = pd.read_csv(file, sep="\t", header=None, names=["source", "target", "true"], skipinitialspace=True)
    named = "G" + pairs[["source", "target"]].astype(str).apply(lambda column: column.str.strip().str.removeprefix("G"))
    return RECORD.truth(named[pairs["true"] == 1], genes={*named["source"], *named["target"]})

"""TRRUST v2: transcription factor → target edges with mode of regulation, from sentences of papers."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from bengrn._content import open_content
from bengrn.fetch import Source, fetch
from bengrn.truths.edge_file import signs
from bengrn.truths.ground_truth import GroundTruth
from bengrn.truths.record import AS_STORED, TruthRecord

_COPIES = {
    "human": "6fa40ef874edd7ca99de3f6823583c118f525c1b256278ac09aa162a11bfbe42",
    "mouse": "38890e5c2fe57efe0a52d766bd46ccf1628af38cf3bb3e93eb4c3277e0cc0859",
}
_SIZES = {"human": (8427, 795, 2492), "mouse": (6490, 827, 2092)}
SOURCES = {
    organism: Source(
        name=f"trrust_rawdata.{organism}.tsv",
        url=f"https://www.grnpedia.org/trrust/data/trrust_rawdata.{organism}.tsv",
        copies=((f"trrust_rawdata.{organism}.tsv.gz", _COPIES[organism]),),
        page="https://www.grnpedia.org/trrust/downloadnetwork.php",
    )
    for organism in _SIZES
}
RECORDS = tuple(
    TruthRecord(
        name="trrust",
        organism=organism,
        title="transcription factor → target edges with mode of regulation, from the literature",
        citation="Han H et al. TRRUST v2. Nucleic Acids Res 46:D380 (2018)",
        licence="CC BY-SA 4.0",
        version="2",
        edges=_SIZES[organism][0],
        regulators=_SIZES[organism][1],
        targets=_SIZES[organism][2],
        signed=True,
        orientation=AS_STORED,
        sources=(SOURCES[organism],),
    )
    for organism in _SIZES
)


def load_trrust(*, organism: str = "human", cache: Path | None = None) -> GroundTruth:
    """Load TRRUST v2, one row a pair.

    Parameters
    ----------
    organism
        "human" or "mouse".
    cache
        Another cache folder.

    Notes
    -----
    A pair that papers call both activated and repressed has sign 0, as one whose mode is unknown; a known mode
    wins over an unknown one. ``n_papers`` counts its papers. It states no gene set, so every gene of the network
    counts as known.
    """
    record = next(record for record in RECORDS if record.organism == organism)
    with open_content(fetch(SOURCES[organism], cache=cache)) as file:
        table = pd.read_csv(file, sep="\t", header=None, names=["source", "target", "mode", "papers"], dtype=str)
    # The published file has no header; copies of it may.
    table = table[table["source"] != "TF"]
    table = table.assign(sign=signs(table["mode"]), papers=table["papers"].str.split(";"))
    pairs = table.groupby(["source", "target"], sort=True)
    sign = pairs["sign"].max().clip(lower=0) + pairs["sign"].min().clip(upper=0)
    papers = table.explode("papers").groupby(["source", "target"], sort=True)["papers"].nunique()
    edges = pd.DataFrame({"sign": sign.astype("int8"), "n_papers": papers})
    return record.truth(edges.reset_index())

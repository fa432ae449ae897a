"""DoRothEA: transcription factor → target edges with a level of confidence, A (best) to E."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from bengrn._content import open_content
from bengrn.fetch import Source, fetch
from bengrn.truths.ground_truth import GroundTruth
from bengrn.truths.record import AS_STORED, TAXA, TruthRecord, only

_COPIES = {
    "human": "d577a6ed8390800e65d7dc33f0516d00cd067f352bda3c2e9dceb974cc860ca4",
    "mouse": "d17fd40c9654cd92dd403c4a905eb9228eff7514062f2b264b3226d91b315239",
}
_SIZES = {"human": (13223, 271, 5321), "mouse": (12895, 273, 5130)}
SOURCES = {
    organism: Source(
        name=f"dorothea_{organism}.tsv",
        url=(
            "https://omnipathdb.org/interactions?genesymbols=1&datasets=dorothea&dorothea_levels=A,B,C,D"
            f"&organisms={taxon}&fields=dorothea_level&license=academic&format=tsv"
        ),
        copies=((f"dorothea_{organism}.csv.gz", _COPIES[organism]),),
        page="https://bioconductor.org/packages/dorothea (the data frames dorothea_hs and dorothea_mm, as csv)",
    )
    for organism, taxon in TAXA.items()
}
RECORDS = tuple(
    TruthRecord(
        name="dorothea",
        organism=organism,
        title="transcription factor → target edges with confidence levels (here A to C)",
        citation="Garcia-Alonso L et al. Genome Res 29:1363 (2019)",
        licence="GPL-3 (the R package); the evidence behind it: academic use",
        version="Bioconductor regulons; the web service serves levels A to D",
        edges=_SIZES[organism][0],
        regulators=_SIZES[organism][1],
        targets=_SIZES[organism][2],
        signed=True,
        orientation=AS_STORED,
        sources=(SOURCES[organism],),
    )
    for organism in TAXA
)


def load_dorothea(*, levels: Iterable[str] = "ABC", organism: str = "human", cache: Path | None = None) -> GroundTruth:
    """Load DoRothEA.

    Parameters
    ----------
    levels
        Levels of confidence to keep. Level E is most of the regulons and is not served by the web: it needs
        the file of the R package, ``dorothea_human.csv.gz`` (columns tf, confidence, target, mor), in an
        offline folder.
    organism
        "human" or "mouse".
    cache
        Another cache folder.

    Notes
    -----
    It states no gene set, so every gene of the network counts as known. Edges keep their ``level`` and
    ``sign``.

    Raises
    ------
    ValueError
        If a level does not exist, or the file at hand has no edge of one.
    """
    wanted = [str(level).upper() for level in levels]
    for level in wanted:
        only(level, "ABCDE", "levels")
    record = next(record for record in RECORDS if record.organism == organism)
    edges = _read(fetch(SOURCES[organism], cache=cache))
    absent = sorted(set(wanted) - set(edges["level"]))
    if absent:
        raise ValueError(
            f"no edge of level {', '.join(absent)} in this copy of DoRothEA: take levels A to D, or put "
            f"dorothea_{organism}.csv.gz of the R package into an offline folder (BENGRN_DATA)"
        )
    return record.truth(
        edges[edges["level"].isin(wanted)], part=f"confidence levels {', '.join(sorted(set(wanted)))} of A to E"
    )


def _read(path: Path) -> pd.DataFrame:
    with open_content(path) as file:
        start = file.readline().decode()
    separator = "\t" if "\t" in start else ","
    with open_content(path) as file:
        table = pd.read_csv(file, sep=separator, keep_default_na=False, low_memory=False)
    if "tf" in table.columns:
        table = table.rename(columns={"tf": "source", "confidence": "level", "mor": "sign"})
        return table[["source", "target", "sign", "level"]].assign(sign=table["sign"].astype("int8"))
    flags = [
        table[name].astype(str).str.lower().isin(("true", "1")).astype("int8")
        for name in ("consensus_stimulation", "consensus_inhibition")
    ]
    found = pd.DataFrame(
        {
            "source": table["source_genesymbol"],
            "target": table["target_genesymbol"],
            "sign": flags[0] - flags[1],
            "level": table["dorothea_level"].astype(str),
        }
    )
    # An edge that several resources rate counts with its best level.
    found["level"] = found["level"].str.split(";").map(min)
    return found.sort_values("level", kind="stable").drop_duplicates(["source", "target"]).sort_index()

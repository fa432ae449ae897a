"""CollecTRI: signed transcription factor → target edges, collected from twelve resources."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from bengrn.fetch import Source, fetch
from bengrn.truths.edge_file import read_edge_file, signs
from bengrn.truths.ground_truth import GroundTruth
from bengrn.truths.record import AS_STORED, TruthRecord

REGULONS = Source(
    name="CollecTRI_regulons.csv",
    url="https://zenodo.org/records/8192729/files/CollecTRI_regulons.csv?download=1",
    known_hash="sha256:4473c9189dd53dacc80297709ad1452dda1086a1cc2185f9a56146c261668701",
    copies=(("collectri_human.csv.gz", "fff46220b58764a032347b836a2bc70cf45f67985d3192c508ea4807bcab408d"),),
    page="https://zenodo.org/records/8192729",
)
# The two complexes that CollecTRI names as such.
MEMBERS = {
    "AP1": ("FOS", "FOSB", "FOSL1", "FOSL2", "JUN", "JUNB", "JUND"),
    "NFKB": ("NFKB1", "NFKB2", "REL", "RELA", "RELB"),
}
RECORD = TruthRecord(
    name="collectri",
    title="signed transcription factor → target edges from 12 resources",
    citation="Müller-Dott S et al. Nucleic Acids Res 51:10934 (2023)",
    licence="CC BY 4.0 for the collection; the joined resources keep licences of their own (academic use)",
    version="2.0 (Zenodo 8192729)",
    edges=43178,
    regulators=1186,
    targets=6692,
    signed=True,
    orientation=AS_STORED,
    sources=(REGULONS,),
)
RECORDS = (RECORD,)


def load_collectri(*, expand_complexes: bool = False, cache: Path | None = None) -> GroundTruth:
    """Load CollecTRI: 43,178 signed edges of 1,186 factors.

    Parameters
    ----------
    expand_complexes
        False: as published, with the complexes AP1 and NFKB as regulators (1,395 edges that match no gene and
        are counted as lost). True: those edges go to each member of the complex (AP1: FOS and JUN families;
        NFKB: NFKB1, NFKB2, REL, RELA, RELB) that has no such edge itself, marked in ``from_complex``.
    cache
        Another cache folder.

    Notes
    -----
    It states no gene set, so every gene of the network counts as known.
    """
    table = read_edge_file(fetch(REGULONS, cache=cache))
    edges = table[["source", "target"]].assign(sign=signs(table["weight"]))
    if expand_complexes:
        edges = expand(edges)
    return RECORD.truth(edges)


def expand(edges: pd.DataFrame) -> pd.DataFrame:
    """Give the edges of AP1 and NFKB to their members, after the members' own edges."""
    is_complex = edges["source"].isin(list(MEMBERS))
    members = edges[is_complex].assign(source=edges.loc[is_complex, "source"].map(MEMBERS)).explode("source")
    joined = pd.concat(
        [edges[~is_complex].assign(from_complex=False), members.assign(from_complex=True)], ignore_index=True
    )
    return joined.drop_duplicates(["source", "target"]).reset_index(drop=True)

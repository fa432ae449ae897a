"""RegNetwork: transcriptional and post-transcriptional regulation, known and predicted."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pandas as pd

from bengrn.fetch import Source, fetch
from bengrn.truths.ground_truth import GroundTruth
from bengrn.truths.record import AS_STORED, TruthRecord, only

_PAGE = "https://regnetworkweb.org/download.jsp"
_DIRECTIONS = Source(
    name="RegNetwork_RegulatoryDirections.zip",
    url="https://regnetworkweb.org/download/RegulatoryDirections.zip",
    copies=(("RegulatoryDirections.zip", None),),
    page=_PAGE,
)
_ALL = {
    organism: Source(
        name=f"RegNetwork_{organism}.zip",
        url=f"https://regnetworkweb.org/download/{organism}.zip",
        copies=((f"{organism}.zip", None), (f"{organism}.source", None)),
        page=_PAGE,
    )
    for organism in ("human", "mouse")
}
# Arrows of the file of directions.
_ARROWS = {"-->": 1, "--|": -1}
_MIRNA = r"(?i)^(?:hsa|mmu)-|^MIR\d|^LET7|^MIRLET"


def _record(organism: str, kind: str) -> TruthRecord:
    return TruthRecord(
        name="regnetwork",
        organism=organism,
        options={"kind": kind},
        title="regulator → gene edges"
        + (", those with a known direction" if kind == "signed" else ", known and predicted"),
        citation="Liu ZP et al. RegNetwork. Database 2015:bav095 (2015)",
        licence="none stated with the files; academic use, cite",
        version="2015",
        signed=kind == "signed",
        orientation=AS_STORED,
        sources=(_DIRECTIONS if kind == "signed" else _ALL[organism],),
    )


RECORDS = tuple(_record(organism, kind) for organism in _ALL for kind in ("all", "signed"))


def load_regnetwork(
    *, kind: str = "all", mirna: bool = False, organism: str = "human", cache: Path | None = None
) -> GroundTruth:
    """Load RegNetwork.

    Parameters
    ----------
    kind
        "all": every edge (``human.source``). "signed": the edges whose direction of effect is known
        (``new_kegg.human.reg.direction.txt``), which SERGIO and the paper simulate from.
    mirna
        Whether edges from or to microRNA stay; a gene network has no such genes.
    organism
        "human" or "mouse".
    cache
        Another cache folder.

    Notes
    -----
    It states no gene set, so every gene of the network counts as known.

    Raises
    ------
    ValueError
        If `kind` does not exist, or the archive does not hold the table.
    """
    only(kind, ("all", "signed"), "kind")
    record = next(one for one in RECORDS if one.organism == organism and one.options["kind"] == kind)
    path = fetch(record.sources[0], cache=cache)
    member = f"{organism}.source" if kind == "all" else f"new_kegg.{organism}.reg.direction.txt"
    edges = _read(path, member, signed=kind == "signed")
    if not mirna:
        is_mirna = edges["source"].str.contains(_MIRNA) | edges["target"].str.contains(_MIRNA)
        edges = edges[~is_mirna]
    return record.truth(
        edges.drop_duplicates(["source", "target"]),
        name="regnetwork" if kind == "all" else "regnetwork signed",
        part="" if mirna else "without the edges of microRNA",
    )


def _read(path: Path, member: str, *, signed: bool) -> pd.DataFrame:
    # Four columns, regulator, its Entrez id, target, its Entrez id; the file of directions has a fifth.
    separator = r"\s+" if signed else "\t"
    names = ["source", "source_entrez", "target", "target_entrez", *(["arrow"] if signed else [])]
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            found = [name for name in archive.namelist() if Path(name).name == member and "__MACOSX" not in name]
            if not found:
                raise ValueError(f"{path} holds no {member}, only {', '.join(archive.namelist()[:8])}")
            with archive.open(found[0]) as file:
                table = pd.read_csv(file, sep=separator, header=None, names=names, dtype=str, keep_default_na=False)
    else:
        table = pd.read_csv(path, sep=separator, header=None, names=names, dtype=str, keep_default_na=False)
    # The file of directions begins with a header, "TF ID Target ID ...".
    table = table[
        ~table["source"].str.lstrip("#").isin(["TF", "Regulator"]) & (table["source"] != "") & (table["target"] != "")
    ]
    edges = table[["source", "target"]].apply(lambda column: column.str.strip())
    if signed:
        edges["sign"] = table["arrow"].map(_ARROWS).fillna(0).astype("int8")
    return edges

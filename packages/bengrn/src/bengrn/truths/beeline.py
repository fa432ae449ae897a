"""BEELINE's networks: ChIP-seq, loss- and gain-of-function, STRING; whole, or cut to an experiment's genes."""

from __future__ import annotations

import io
import tarfile
import zipfile
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

import pandas as pd

from bengrn._content import open_content
from bengrn.fetch import Source, fetch
from bengrn.truths.edge_file import read_edge_file
from bengrn.truths.ground_truth import GroundTruth
from bengrn.truths.record import AS_STORED, TruthRecord, only

NETWORKS = Source(
    name="BEELINE-Networks.zip",
    url="https://zenodo.org/records/3701939/files/BEELINE-Networks.zip?download=1",
    # As Zenodo's record states it.
    known_hash="md5:a7dca84d302bb127bad962ae52815662",
    page="https://zenodo.org/records/3701939",
)
CUTS = Source(
    name="beeline_genelink_networks.tar.xz",
    url=None,
    known_hash="sha256:7877999f2053ae481d528baeedb2cc0b17137a77a00f132f6616c4f91e8ae2e6",
    page="the folder Dataset/Benchmark Dataset of the GENELink repository, packed as tar.xz",
)
ORGANISMS = {
    "hESC": "human", "hHep": "human",
    "mDC": "mouse", "mESC": "mouse", "mHSC-E": "mouse", "mHSC-GM": "mouse", "mHSC-L": "mouse",
}  # fmt: skip
_OWN_CHIP = {"hHep": "HepG2", "mHSC-E": "mHSC", "mHSC-GM": "mHSC", "mHSC-L": "mHSC"}
_FOLDERS = {"specific": "Specific", "non-specific": "Non-Specific", "string": "STRING", "lofgof": "Lofgof"}


def _record(data_set: str, kind: str) -> TruthRecord:
    what = {
        "specific": "ChIP-seq of the cell type itself",
        "non-specific": "ChIP-seq of any cell type",
        "string": "functional association (STRING), as BEELINE lists it",
        "lofgof": "loss- and gain-of-function",
    }[kind]
    return TruthRecord(
        name="beeline",
        organism=ORGANISMS[data_set],
        options={"data_set": data_set, "kind": kind},
        title=f"{data_set}: {what}",
        citation="Pratapa A et al. Nat Methods 17:147 (2020); data: doi 10.5281/zenodo.3701939",
        licence="as Zenodo 3701939 states; the joined resources keep licences of their own",
        version="Zenodo 3701939",
        orientation=f"{AS_STORED}. BEELINE scores |weight| over ordered pairs of the truth's genes: compat='beeline'",
        knows="it does not say: every gene of the network counts; with cut: the genes of that experiment",
        sources=(NETWORKS,),
    )


RECORDS = tuple(
    _record(data_set, kind)
    for data_set in ORGANISMS
    for kind in ("specific", "non-specific", "string", "lofgof")
    if kind != "lofgof" or data_set == "mESC"
)


def load_beeline(
    *,
    data_set: str | None = None,
    kind: str = "specific",
    cut: int | None = None,
    organism: str = "human",
    cache: Path | None = None,
) -> GroundTruth:
    """Load a network of BEELINE.

    Parameters
    ----------
    data_set
        "hESC", "hHep", "mDC", "mESC", "mHSC-E", "mHSC-GM" or "mHSC-L"; default: hESC or, of mouse, mESC. It
        decides the organism.
    kind
        "specific" or "non-specific" (ChIP-seq), "string", or "lofgof" (mESC only).
    cut
        None: the whole network, fetched. 500 or 1000: cut to the TFs and that many variable genes of the data
        set, as GENELink publishes them; that archive cannot be fetched and is read from an offline folder.
    organism
        "human" or "mouse".
    cache
        Another cache folder.

    Notes
    -----
    Names are capitals throughout, also of mouse genes, as published. A whole network states no gene set; a cut
    one states its experiment's genes.

    Raises
    ------
    ValueError
        If the network does not exist.
    """
    if data_set is None:
        data_set = "hESC" if organism == "human" else "mESC"
    only(data_set, ORGANISMS, "data_set")
    only(kind, _FOLDERS, "kind")
    only(cut, (None, 500, 1000), "cut")
    if organism not in ("human", ORGANISMS[data_set]):
        raise ValueError(f"data_set={data_set!r} is of {ORGANISMS[data_set]}, not {organism}")
    record = next((one for one in RECORDS if one.options == {"data_set": data_set, "kind": kind}), None)
    if record is None:
        raise ValueError(f"BEELINE has no {kind!r} network of {data_set}: loss- and gain-of-function is of mESC only")
    name = f"beeline {data_set} {kind}"
    if cut is None:
        return record.truth(_whole(fetch(NETWORKS, cache=cache), data_set, kind), name=name)
    edges, genes = _cut(fetch(CUTS, cache=cache), f"{_FOLDERS[kind]} Dataset/{data_set}/TFs+{cut}/")
    return record.truth(edges, genes=genes, name=f"{name} TFs+{cut}", version="GENELink's cut of Zenodo 3701939")


def read_reference_network(path: str | Path, *, organism: str = "human") -> GroundTruth:
    """Read a network that BEELINE runs on: refNetwork.csv or GroundTruthNetwork.csv (Gene1, Gene2[, Type]).

    The truth knows the genes of its edges, as BEELINE scores ordered pairs of those alone.
    """
    edges = read_edge_file(path, columns=("Gene1", "Gene2"))
    return GroundTruth.from_edges(
        edges,
        name=Path(path).stem,
        genes={*edges["source"], *edges["target"]},
        organism=organism,
        orientation=AS_STORED,
    )


def _whole(path: Path, data_set: str, kind: str) -> pd.DataFrame:
    file = {
        "specific": f"{_OWN_CHIP.get(data_set, data_set)}-ChIP-seq-network.csv",
        "non-specific": "Non-Specific-ChIP-seq-network.csv",
        "string": "STRING-network.csv",
        "lofgof": "mESC-lofgof-network.csv",
    }[kind]
    wanted = f"{ORGANISMS[data_set]}/{file}".lower()
    with zipfile.ZipFile(path) as archive:
        # Capitals differ between the two organisms' folders.
        found = [name for name in archive.namelist() if name.lower().endswith(wanted) and "__MACOSX" not in name]
        if not found:
            raise ValueError(f"{path} holds no {wanted}; it holds {', '.join(archive.namelist()[:12])}")
        return _edges(archive.read(found[0]))


def _cut(path: Path, folder: str) -> tuple[pd.DataFrame, set[str]]:
    wanted = {"BL--network.csv", "Target.csv", "TF.csv"}
    held: dict[str, bytes] = {}
    with open_content(path) as content, tarfile.open(fileobj=content) as archive:
        for member in iter(partial(_next_file, archive), None):
            # The folder of hHep is called hHEP.
            if folder.lower() in member.name.lower() and PurePosixPath(member.name).name in wanted:
                file: Any = archive.extractfile(member)
                held[PurePosixPath(member.name).name] = file.read()
            if len(held) == len(wanted):
                break
    missing = sorted(wanted - set(held))
    if missing:
        raise ValueError(f"{path} holds no {folder}{missing[0]}")
    targets = pd.read_csv(io.BytesIO(held["Target.csv"]), keep_default_na=False)["Gene"]
    factors = pd.read_csv(io.BytesIO(held["TF.csv"]), keep_default_na=False)["TF"]
    return _edges(held["BL--network.csv"]), {*targets, *factors}


def _next_file(archive: tarfile.TarFile) -> tarfile.TarInfo | None:
    return archive.next()


def _edges(content: bytes) -> pd.DataFrame:
    table = pd.read_csv(io.BytesIO(content), keep_default_na=False)
    table = table.rename(columns={"Gene1": "source", "Gene2": "target"})
    return table[["source", "target"]].astype(str).drop_duplicates().reset_index(drop=True)

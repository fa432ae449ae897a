"""McCalla et al.: gold standards of four cell types from ChIP, from perturbations, and from both."""

from __future__ import annotations

from pathlib import Path

from bengrn.fetch import Source, fetch
from bengrn.truths.edge_file import read_edge_file
from bengrn.truths.ground_truth import GroundTruth
from bengrn.truths.record import AS_STORED, TruthRecord, only

ORGANISMS = {"hESC": "human", "mESC": "mouse", "mDC": "mouse", "yeast": "yeast"}
KINDS = ("intersection", "chip", "perturbation")
_SUFFIX = {"intersection": "chipunion_KDUnion_intersect", "chip": "chipunion", "perturbation": "KDUnion"}
_NAMES = {"intersection": "intersect", "chip": "chip", "perturbation": "perturbation"}
# The authors' repository holds yeast; of the others, a repository that carries the authors' archive.
_YEAST = (
    "https://raw.githubusercontent.com/Roy-lab/scRNAseq_NetInference/47242d5f147155d5bb6abc5410c02bc58183c23c/ref/"
    "gold_standard_interactions"
)
_FIRST = (
    "https://raw.githubusercontent.com/jkobject/benGRN/2c24d607d0134e1b2a5cdc24bf8a14478b0b4512/data/GroundTruth/"
    "stone_and_sroy/gold_standards"
)
_SECOND = (
    "https://raw.githubusercontent.com/jkobject/benGRN/b8436c5ffda898fb3c4a63049b94ed12387d1cee/data/GroundTruth/"
    "stone_and_sroy/gold_standards%20input"
)
# cell, kind: sha256 of the text
_DIGESTS = {
    ("hESC", "intersection"): "ea2bbc244d9fab2d55faeb474227dbd53193cc9cdcd2a3a12b801fdc8a07a092",
    ("hESC", "perturbation"): "aad723ed8b88bea23d4509873934c963e7608270bc49ec7dea39ea85fbfd4b0b",
    ("mESC", "intersection"): "95ba70dba1d66e876a15f52a2af16deb8c45fcf93e1eb3a67a7b595261b340b1",
    ("mESC", "chip"): "8629656f0958fa713a5473760d1a9d33d341f24fe6efe78bf243de7ccb59473d",
    ("mESC", "perturbation"): "1b24baf64ed1991c87d721b6cef807e951b6f787e25d20f0509b6462b5d7aece",
    ("mDC", "intersection"): "dada679794cd9c9a0b6f83019122845d7efcc9bf57c1c3f1dd26b4752fe1082a",
    ("mDC", "chip"): "02821aacb88a7b6462cb5ff801d606fc06588d0f7c3c9a79ed6bb57199072bc5",
    ("mDC", "perturbation"): "5887fbcd7a2850d354c0e4b59bbc8026cc29398e77e4d7bf8a3bfc705ebd0712",
    ("yeast", "intersection"): "fd9141416085c22fb7b09aea1e9b7159b6c278c6d0a115741a8a78aa74f1d080",
    ("yeast", "chip"): "e49841dd6057b78710414061781ba10c4d735477e69787ec6293d46db3c3d001",
    ("yeast", "perturbation"): "5f9597bf25ac082bae6574c2dde06d36f7ef15e22efa7f4ebd0b6260109d0877",
}  # fmt: skip
# cell, kind, where; edges, regulators, targets
_FILES = (
    ("hESC", "intersection", _FIRST, 12986, 35, 6529),
    ("hESC", "perturbation", _FIRST, 201805, 179, 21002),
    ("mESC", "intersection", _FIRST, 11634, 47, 6109),
    ("mESC", "chip", _FIRST, 197597, 54, 31367),
    ("mESC", "perturbation", _FIRST, 201873, 179, 21019),
    ("mDC", "intersection", _SECOND, 76929, 23, 9371),
    ("mDC", "chip", _FIRST, 204551, 29, 20405),
    ("mDC", "perturbation", _SECOND, 191548, 106, 12287),
    ("yeast", "intersection", _YEAST, 2876, 115, 1657),
    ("yeast", "chip", _YEAST, 29369, 171, 5919),
    ("yeast", "perturbation", _YEAST, 34282, 284, 5687),
)


def _record(cell: str, kind: str, where: str, edges: int, regulators: int, targets: int) -> TruthRecord:
    digest = _DIGESTS[cell, kind]
    evidence = "ChIP and perturbation" if kind == "intersection" else kind
    naming = "; hESC perturbations are partly mouse experiments with genes renamed" if cell == "hESC" else ""
    return TruthRecord(
        name="mccalla",
        organism=ORGANISMS[cell],
        options={"cell": cell, "kind": kind},
        title=f"{cell}: regulator → target edges by {evidence}{naming}",
        citation="McCalla SG et al. G3 13:jkad004 (2023); data: doi 10.5281/zenodo.5907528",
        licence="none stated with the files; cite the paper and the studies it joins",
        version="Zenodo 5907528",
        edges=edges,
        regulators=regulators,
        targets=targets,
        orientation=f"{AS_STORED}. The paper compares directly",
        paper_transpose=False,
        sources=(
            Source(
                name=f"mccalla/{cell}_{_NAMES[kind]}.txt",
                url=f"{where}/{cell}/{cell}_{_SUFFIX[kind]}.txt",
                known_hash=f"sha256:{digest}",
                copies=((f"mccalla/{cell}_{_NAMES[kind]}.tsv.gz", digest),),
                page="https://doi.org/10.5281/zenodo.5907528",
            ),
        ),
    )


RECORDS = tuple(_record(*row) for row in _FILES)


def load_mccalla(
    *, cell: str | None = None, kind: str = "intersection", organism: str = "human", cache: Path | None = None
) -> GroundTruth:
    """Load a gold standard of McCalla et al.

    Parameters
    ----------
    cell
        "hESC", "mESC", "mDC" or "yeast"; default: that of the organism (mouse: mESC). It decides the organism.
    kind
        "intersection" (edges seen by ChIP and by a perturbation), "chip" or "perturbation". hESC has no ChIP
        file.
    organism
        "human", "mouse" or "yeast".
    cache
        Another cache folder.

    Notes
    -----
    Rows as published, self edges included: scoring drops and counts them. It states no gene set, so every gene
    of the network counts as known. A perturbed regulator's targets include indirect ones.

    Raises
    ------
    ValueError
        If the cell does not exist, has no file of that kind, or is of another organism.
    """
    if cell is None:
        cell = next(name for name, kept in ORGANISMS.items() if kept == organism)
    cells = {name.lower(): name for name in ORGANISMS}
    cell = cells.get(cell.lower(), cell)
    only(cell, ORGANISMS, "cell")
    only(kind, KINDS, "kind")
    if organism not in ("human", ORGANISMS[cell]):
        raise ValueError(
            f"cell={cell!r} is {ORGANISMS[cell]}, not {organism}: leave the organism out, or take its cell"
        )
    record = next((one for one in RECORDS if one.options == {"cell": cell, "kind": kind}), None)
    if record is None:
        kinds = [str(one.options["kind"]) for one in RECORDS if one.options["cell"] == cell]
        raise ValueError(f"McCalla et al. give no {kind!r} file of {cell}; there are {', '.join(kinds)}")
    edges = read_edge_file(fetch(record.sources[0], cache=cache), columns=(0, 1))
    return record.truth(edges, name=f"mccalla {cell} {kind}")

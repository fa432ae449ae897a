"""ChEA3's libraries: genes that change when a transcription factor is perturbed, and ReMap's ChIP-seq targets."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

import pandas as pd

from bengrn.fetch import Source, fetch
from bengrn.truths.ground_truth import GroundTruth
from bengrn.truths.r_data import read_named_lists
from bengrn.truths.record import AS_STORED, TruthRecord, only

PERTURBATIONS = Source(
    name="chea3_Perturbations.rda",
    url="https://raw.githubusercontent.com/MaayanLab/chea3/74dae97b6a4a6694b79b9553cceae22578850382/data/Perturbations.rda",
    copies=(("chea3_Perturbations.gmt.gz", "a5aa1d1774fcd2177473642a9ca3d1c59dce063dec635658f8c322802c227f2c"),),
    page="https://github.com/MaayanLab/chea3 (data/Perturbations.rda)",
)
REMAP = Source(
    name="chea3_ReMap_ChIP-seq.gmt",
    url="https://maayanlab.cloud/chea3/assets/tflibs/ReMap_ChIP-seq.gmt",
    copies=(("chea3_ReMap.gmt.gz", "978dbd4b05e053dd4882448811cc225c4f2ec03806d5ffcec84ca3fc8d4448b2"),),
    page="https://maayanlab.cloud/chea3",
)
_CITATION = "Keenan AB et al. ChEA3. Nucleic Acids Res 47:W212 (2019)"
_LICENCE = "none stated with the files; cite the papers"
# Edges, regulators, targets.
_SIZES = {"both": (366096, 323, 19702), "human": (195256, 204, 18317), "mouse": (184822, 208, 15666)}
RECORDS = (
    *(
        TruthRecord(
            name="chea3-perturbations",
            options={} if species == "both" else {"species": species},
            title=f"factor perturbed → genes that change, {n_experiments} experiments "
            f"({'of human and mouse' if species == 'both' else f'of {species}'}; human symbols)",
            citation=f"{_CITATION}; signatures: CREEDS, Wang Z et al. Nat Commun 7:12846 (2016)",
            licence=_LICENCE,
            version="MaayanLab/chea3 74dae97b6a4a",
            edges=_SIZES[species][0],
            regulators=_SIZES[species][1],
            targets=_SIZES[species][2],
            orientation=AS_STORED,
            part="" if species == "both" else f"the experiments in {species} cells",
            sources=(PERTURBATIONS,),
        )
        for species, n_experiments in (("both", 946), ("human", 443), ("mouse", 503))
    ),
    TruthRecord(
        name="remap",
        title="targets by ChIP-seq: the genes nearest to the strongest peaks of 297 factors",
        citation=f"{_CITATION}; peaks: ReMap 2018, Chèneby J et al. Nucleic Acids Res 46:D267 (2018)",
        licence=_LICENCE,
        version="ChEA3's library, ReMap 2018",
        edges=417534,
        regulators=297,
        targets=25034,
        orientation=AS_STORED,
        sources=(REMAP,),
    ),
)
# "NR3C1_KO_MOUSE_GSE23724_CREEDSID_GENE_3014": factor, what was done, species, series.
_EXPERIMENT = re.compile(r"(?P<factor>[^_]+)_(?P<kind>.+)_F?(?P<species>HUMAN|MOUSE)_(?P<series>GSE\d+)_.*")


def load_perturbations(
    *,
    species: Literal["both", "human", "mouse"] = "both",
    min_experiments: int = 1,
    cache: Path | None = None,
) -> GroundTruth:
    """Load ChEA3's perturbation signatures: knock-outs, knock-downs, over-expressions and mutations of factors.

    Parameters
    ----------
    species
        Cells in which the experiments were made. Genes of mouse experiments are named by human symbols in the
        library, so all of it is scored against human networks.
    min_experiments
        Number of a factor's experiments in which a gene must have changed, at least 1.
    cache
        Another cache folder.

    Notes
    -----
    ``n_experiments`` counts the experiments that show an edge. A signature holds the 263 to 600 genes that changed
    most, up or down, so edges have no sign and include indirect effects. It states no gene set, so every gene of the
    network counts as known.

    Raises
    ------
    ValueError
        If an option has no such value, a set's name is not of the library's form, or no edge is left.
    """
    only(species, _SIZES, "species")
    if min_experiments < 1:
        raise ValueError(f"min_experiments = {min_experiments} is below 1: an edge takes an experiment")
    record = next(one for one in RECORDS if one.options == ({} if species == "both" else {"species": species}))
    path = fetch(PERTURBATIONS, cache=cache)
    sets = {name: genes for name, genes in _sets(path).items() if species in ("both", _parts(path, name)["species"])}
    table = _edges({name: (_parts(path, name)["factor"], genes) for name, genes in sets.items()})
    edges = table.groupby(["source", "target"], sort=True).size().rename("n_experiments").reset_index()
    part = record.part
    if min_experiments > 1:
        edges = edges[edges["n_experiments"] >= min_experiments].reset_index(drop=True)
        seen = f"edges seen in at least {min_experiments} experiments"
        part = f"{part}; {seen}" if part else seen
    return record.truth(edges, part=part)


def load_remap(*, cache: Path | None = None) -> GroundTruth:
    """Load ReMap's targets of 297 transcription factors, as ChEA3 made them of the peaks.

    Parameters
    ----------
    cache
        Another cache folder.

    Notes
    -----
    A factor's set holds at most 1,454 genes. It states no gene set: the assay covers the genome, so every gene of the
    network counts as known. Targets include genes whose RNA is not messenger RNA.
    """
    record = next(one for one in RECORDS if one.name == "remap")
    sets = _sets(fetch(REMAP, cache=cache))
    return record.truth(_edges({name: (name.split("_")[0], genes) for name, genes in sets.items()}))


def _sets(path: Path) -> dict[str, list[str]]:
    if path.suffix == ".rda":
        return read_named_lists(path)
    from grnndata import read_gmt  # takes seconds to import

    return read_gmt(path)


def _parts(path: Path, name: str) -> dict[str, str]:
    found = _EXPERIMENT.fullmatch(name)
    if found is None:
        raise ValueError(
            f"{path} has a set {name!r}, which is not named as FACTOR_KIND_SPECIES_GSE...: is it ChEA3's library?"
        )
    return {**found.groupdict(), "species": found["species"].lower()}


def _edges(sets: dict[str, tuple[str, list[str]]]) -> pd.DataFrame:
    # One row for each gene of a set, once.
    rows = [(factor, gene) for factor, genes in sets.values() for gene in dict.fromkeys(genes) if gene]
    return pd.DataFrame(rows, columns=["source", "target"])

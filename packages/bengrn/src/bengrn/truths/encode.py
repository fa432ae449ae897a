"""ENCODE: targets of transcription factors by ChIP-seq, 166 experiments, bundled whole."""

from __future__ import annotations

from functools import cache
from importlib.resources import as_file, files
from typing import Literal

import pandas as pd

from bengrn.truths.ground_truth import GroundTruth
from bengrn.truths.record import AS_STORED, TruthRecord, only

RECORD = TruthRecord(
    name="encode",
    title="targets by ChIP-seq: 166 experiments, 95 factors in 26 cell lines (here: the union of a factor's cells)",
    citation="ENCODE Project Consortium. Nature 489:57 (2012)",
    licence="ENCODE data: free use, cite the consortium",
    version="json sha256:a263590c67d9",
    may_ship=True,
    edges=91974,
    regulators=94,
    targets=15894,
    orientation=AS_STORED,
    bundled=True,
)
RECORDS = (RECORD,)

# What an experiment is called by its antibody, where that is not the gene's name.
ANTIBODIES = {
    "AP-2alpha": "TFAP2A", "AP-2gamma": "TFAP2C", "BAF155": "SMARCC1", "BAF170": "SMARCC2", "BRG1": "SMARCA4",
    "CJUN": "JUN", "COREST": "RCOR1", "ERRA": "ESRRA", "ESR": "ESR1", "Eralpha": "ESR1", "GCN5": "KAT2A",
    "GR": "NR3C1", "KAP1": "TRIM28", "MLL5": "KMT2E", "NF-YA": "NFYA", "NF90": "ILF3", "NFKB": "RELA",
    "NRSF": "REST", "P300": "EP300", "PGC1A": "PPARGC1A", "POL2S2": "POLR2A", "POL3": "POLR3G",
    "RPC155": "POLR3A", "SIN3AK20": "SIN3A", "SPT20": "SUPT20H", "SREBP1": "SREBF1", "SREBP2": "SREBF2",
    "TFIIIC-110": "GTF3C2", "TR4": "NR2C2",
}  # fmt: skip


def load_encode(
    *,
    merge: Literal["union", "intersection"] | None = "union",
    cell: str | None = None,
    names: Literal["genes", "published"] = "genes",
) -> GroundTruth:
    """Load ENCODE's targets of transcription factors.

    Parameters
    ----------
    merge
        Way in which the experiments of one factor become one list: "union" (a target in any cell line),
        "intersection" (in all of them), None: every experiment keeps its rows, told apart by ``cell``.
    cell
        Take the experiments of one cell line ("K562", "GM12878", ...) only.
    names
        "genes": factors named by gene instead of antibody (29 of 95 differ: NRSF is REST, P300 is EP300; ESR
        and Eralpha are both ESR1, so 94 are left), and targets such as C20ORF24 spelled C20orf24. "published":
        as they are; then those factors match no gene.

    Notes
    -----
    It states no gene set: the assay covers the genome, so every gene of the network counts as known. Target
    symbols are of about 2014; older ones that HGNC has replaced match nothing and are counted as lost. Some
    "factors" are co-factors, cohesin (RAD21, SMC3) or the polymerases.

    Raises
    ------
    ValueError
        If an option has no such value, or the cell line no experiment.
    """
    only(merge, ("union", "intersection", None), "merge")
    only(names, ("genes", "published"), "names")
    table = experiments(names=names)
    if cell is not None:
        only(cell, sorted(table["cell"].unique()), "cell")
        table = table[table["cell"] == cell]
    part = "" if cell is None else f"the experiments in {cell}"
    if merge is None:
        return RECORD.truth(table.reset_index(drop=True), part=part)
    cells = table.groupby("source")["cell"].nunique()
    pairs = table.groupby(["source", "target"], sort=True)["cell"].nunique().rename("n_cells").reset_index()
    if merge == "intersection":
        pairs = pairs[pairs["n_cells"] == pairs["source"].map(cells)].reset_index(drop=True)
        part = part or "the targets that a factor has in every cell line"
    return RECORD.truth(pairs, name="encode" if cell is None else f"encode {cell}", part=part)


def experiments(*, names: Literal["genes", "published"] = "genes") -> pd.DataFrame:
    """Read every experiment: columns ``source`` (factor), ``cell``, ``target``, one row an edge.

    With ``names="genes"`` rows that two antibodies of one gene share in a cell line appear once.
    """
    return _experiments(names).copy()


@cache  # the file is part of the package, and tests of many networks ask for it again and again
def _experiments(names: Literal["genes", "published"]) -> pd.DataFrame:
    with as_file(files("bengrn.truths") / "data" / "encode_tf_targets.parquet") as path:
        table = pd.read_parquet(path).astype(str).rename(columns={"factor": "source"})
    if names == "genes":
        table["source"] = table["source"].replace(ANTIBODIES)
        # All capitals as published; "orf" is the one part of a human symbol that is not.
        table["target"] = table["target"].str.replace(r"^(C(?:\d+|X|Y))ORF(?=\w)", r"\1orf", regex=True)
        table = table.drop_duplicates().reset_index(drop=True)
    return table[["source", "cell", "target"]]

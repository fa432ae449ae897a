"""The part of OmniPath that comes with the package: the edges between the genes of the bundled examples."""

from __future__ import annotations

from importlib.resources import as_file, files

import pandas as pd

from bengrn.truths.ground_truth import GroundTruth
from bengrn.truths.omnipath import CITATION, LICENCE, ORIENTATION, SNAPSHOT_VERSION, part_of
from bengrn.truths.record import TruthRecord, only

#: The kind of interaction that each name takes; None takes every kind.
KINDS = {
    "omnipath-demo": None,
    "omnipath-demo-tf-target": "transcriptional",
    "omnipath-demo-ppi": "post_translational",
}


def _record(name: str, what: str, sizes: tuple[int, int, int, int]) -> TruthRecord:
    edges, regulators, targets, genes = sizes
    whole = name.replace("-demo", "")
    return TruthRecord(
        name=name,
        title=f"{what} of OmniPath between the genes of the bundled examples; '{whole}' has all",
        citation=CITATION,
        licence=LICENCE,
        version=SNAPSHOT_VERSION,
        may_ship=True,
        edges=edges,
        regulators=regulators,
        targets=targets,
        genes=genes,
        signed=True,
        orientation=ORIENTATION,
        paper_transpose=True,
        knows="the genes of the bundled examples that OmniPath mentions",
        part=(
            f"{what} of OmniPath between the {genes:,} genes of the bundled examples that it mentions; "
            f"'{whole}' has all"
        ),
        bundled=True,
    )


RECORDS = (
    _record("omnipath-demo", "the interactions", (37353, 2148, 3913, 4778)),
    _record("omnipath-demo-tf-target", "the transcriptional interactions", (14783, 329, 3262, 4778)),
    _record("omnipath-demo-ppi", "the post-translational interactions", (23130, 2039, 2607, 4778)),
)


def load_omnipath_demo(*, name: str = "omnipath-demo", complexes: bool = True) -> GroundTruth:
    """Load the part of OmniPath between the genes of the bundled examples, with symbols and Ensembl ids.

    A network of other genes is scored on the genes that it shares with the examples, which may be few.
    :func:`bengrn.truths.omnipath.load_omnipath` loads all of OmniPath.

    Parameters
    ----------
    name
        Name of the truth. "omnipath-demo" has transcriptional, post-translational and post-transcriptional
        interactions, "omnipath-demo-tf-target" the transcriptional and "omnipath-demo-ppi" the post-translational
        ones.
    complexes
        Whether to include edges known only for a protein complex, given to each of its members. Without them
        a gene that OmniPath knows only as a member of complexes is unknown to the truth.

    Notes
    -----
    The truth states its genes, the examples' genes that OmniPath mentions at all, so a network's other genes are
    not scored against it. A pair of several kinds has one sign, of all its rows.

    Raises
    ------
    ValueError
        If the name does not exist.
    """
    import pyarrow.parquet as pq

    only(name, KINDS, "name")
    record = next(record for record in RECORDS if record.name == name)
    data = files("bengrn.truths") / "data"
    with as_file(data / "omnipath_demo.parquet") as path:
        table = pq.read_table(path)
    with as_file(data / "omnipath_demo_genes.tsv") as path:
        genes = pd.read_csv(path, sep="\t", keep_default_na=False)
    edges = table.to_pandas()
    if not complexes:
        edges = edges[~edges["from_complex"]]
        genes = genes[~genes["only_in_complexes"]]
    kind = KINDS[name]
    if kind is not None:
        edges = edges[edges["kind"].str.split(";").map(lambda kinds: kind in kinds)]
    metadata = {key.decode(): value.decode() for key, value in (table.schema.metadata or {}).items()}
    return record.truth(
        edges,
        genes=genes["symbol"],
        gene_ids=genes["gene_id"],
        version=metadata["version"],
        part=part_of(record.part, complexes=complexes),
    )

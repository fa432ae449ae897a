"""OmniPath, literature-curated interactions: the part between the genes of the bundled example."""

from __future__ import annotations

from importlib.resources import as_file, files

import pandas as pd
import pyarrow.parquet as pq  # type: ignore[import-untyped]  # no stubs

from bengrn.truths.ground_truth import GroundTruth

CITATION = (
    "Türei D, Korcsmáros T, Saez-Rodriguez J. OmniPath. Nat Methods 13:966 (2016); "
    "Türei D et al. Mol Syst Biol 17:e9923 (2021)"
)
LICENCE = "the resources OmniPath joins keep licences of their own: cite them; academic use"


def load_omnipath(*, complexes: bool = True) -> GroundTruth:
    """Load the bundled part of OmniPath.

    Transcriptional, post-translational and post-transcriptional interactions, directed, with UniProt
    accessions mapped to gene symbols and Ensembl ids. The truth states its genes: those of the bundled list
    that OmniPath mentions at all, so a network's other genes are not scored against it.

    Parameters
    ----------
    complexes
        Whether to include edges known only for a protein complex, given to each of its members. Without them
        a gene that OmniPath knows only as a member of complexes is unknown to the truth.
    """
    data = files("bengrn.truths") / "data"
    with as_file(data / "omnipath_demo.parquet") as path:
        table = pq.read_table(path)
    with as_file(data / "omnipath_demo_genes.tsv") as path:
        genes = pd.read_csv(path, sep="\t", keep_default_na=False)
    edges = table.to_pandas()
    if not complexes:
        edges = edges[~edges["from_complex"]]
        genes = genes[~genes["only_in_complexes"]]
    metadata = {key.decode(): value.decode() for key, value in (table.schema.metadata or {}).items()}
    return GroundTruth.from_edges(
        edges,
        name="omnipath",
        genes=genes["symbol"],
        gene_ids=genes["gene_id"],
        organism="human",
        directed=True,
        citation=CITATION,
        licence=LICENCE,
        version=metadata["version"],
    )

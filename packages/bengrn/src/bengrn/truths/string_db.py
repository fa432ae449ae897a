"""STRING: functional association of proteins, undirected, with a combined score."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from bengrn._content import open_content
from bengrn.fetch import Source, fetch
from bengrn.truths.ground_truth import GroundTruth
from bengrn.truths.record import TAXA, TruthRecord

VERSION = "12.0"


def _source(table: str, taxon: int) -> Source:
    name = f"{taxon}.protein.{table}.v{VERSION}.txt.gz"
    return Source(
        name=name,
        url=f"https://stringdb-downloads.org/download/protein.{table}.v{VERSION}/{name}",
        page="https://string-db.org/cgi/download",
    )


RECORDS = tuple(
    TruthRecord(
        name="string",
        organism=organism,
        title="functional association of proteins (combined score of 700 and more)",
        citation="Szklarczyk D et al. Nucleic Acids Res 51:D638 (2023)",
        licence="CC BY 4.0",
        version=VERSION,
        directed=False,
        orientation="undirected: every edge counts both ways, so orientation does not matter on average",
        knows="the proteins STRING has for the organism",
        sources=(_source("links", taxon), _source("info", taxon)),
    )
    for organism, taxon in TAXA.items()
)


def load_string(*, min_score: int = 700, organism: str = "human", cache: Path | None = None) -> GroundTruth:
    """Load STRING, undirected, each pair once.

    Parameters
    ----------
    min_score
        Combined score from which a pair counts, 0 to 1000. STRING calls 400 medium, 700 high, 900 highest
        confidence.
    organism
        "human" or "mouse".
    cache
        Another cache folder.

    Notes
    -----
    Names are STRING's preferred names (gene symbols). The truth knows every protein STRING has for the
    organism, also those without a partner above the score.

    Raises
    ------
    ValueError
        If `min_score` is outside 0 to 1000, as 0.7 would be meant but not read.
    """
    if not 1 <= min_score <= 1000 and min_score != 0:
        raise ValueError(f"min_score={min_score} is not on STRING's scale of 0 to 1000 (0.7 is 700)")
    record = next(one for one in RECORDS if one.organism == organism)
    links, info = (fetch(source, cache=cache) for source in record.sources)
    with open_content(info) as file:
        proteins = pd.read_csv(
            file, sep="\t", usecols=[0, 1], header=0, names=["protein", "symbol"], keep_default_na=False
        )
    number = pd.Series(np.arange(len(proteins)), index=proteins["protein"])
    kept = []
    with open_content(links) as file:
        for chunk in pd.read_csv(file, sep=" ", chunksize=1_000_000):
            chunk = chunk[chunk["combined_score"] >= min_score]
            kept.append(
                pd.DataFrame(
                    {
                        "first": chunk["protein1"].map(number),
                        "second": chunk["protein2"].map(number),
                        "score": chunk["combined_score"].astype("int16"),
                    }
                ).dropna()
            )
    pairs = pd.concat(kept, ignore_index=True).astype({"first": int, "second": int})
    # The file lists a pair in both orders.
    ends = np.sort(pairs[["first", "second"]].to_numpy(), axis=1)
    symbols = proteins["symbol"].to_numpy(dtype=object)
    edges = pd.DataFrame({"source": symbols[ends[:, 0]], "target": symbols[ends[:, 1]], "score": pairs["score"]})
    edges = edges.drop_duplicates(["source", "target"]).reset_index(drop=True)
    return record.truth(edges, genes=set(symbols), part=f"pairs of a combined score of {min_score} or more")

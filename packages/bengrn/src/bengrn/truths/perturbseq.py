"""Genome-wide perturb-seq: which genes change when a gene is silenced, from the published adjusted p values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bengrn._content import open_content
from bengrn.fetch import Source, fetch
from bengrn.truths.ground_truth import GroundTruth
from bengrn.truths.record import AS_STORED, TruthRecord, only

P_VALUES = Source(
    name="anderson-darling p-values, BH-corrected.csv.gz",
    url="https://plus.figshare.com/ndownloader/files/38349308",
    copies=(("BH-corrected.csv.gz", None),),
    page="https://doi.org/10.25452/figshare.plus.21632564",
)
RECORD = TruthRecord(
    name="perturb-seq",
    title="gene silenced → genes that change, genome-wide, K562 (adjusted p below 0.05)",
    citation="Replogle JM et al. Cell 185:2559 (2022)",
    licence="CC0 (Figshare+ 21632564)",
    version="Figshare+ 21632564",
    orientation=f"{AS_STORED}. The paper compares directly",
    paper_transpose=False,
    knows="the genes whose change was tested, and the silenced genes with an edge",
    sources=(P_VALUES,),
)
RECORDS = (RECORD,)

# "7_AAAS_P1P2_ENSG00000094914": number, symbol, promoters, id.
_PERTURBATION = r"^\d+_(?P<symbol>.+)_[^_]+_(?P<id>ENS[A-Z]*G\d+)(?:\.\d+)?$"
_CONTROL = "non-targeting"
_ROWS = 256


def load_perturbseq(
    *,
    path: str | Path | None = None,
    cutoff: float = 0.05,
    perturbations: Literal["columns", "rows"] = "columns",
    symbols: Mapping[str, str] | None = None,
    organism: str = "human",
    cache: Path | None = None,
) -> GroundTruth:
    """Build the perturb-seq truth from a matrix of adjusted p values.

    Parameters
    ----------
    path
        Genes × perturbations, csv (compressed or not; first column: names of the rows) or parquet (names of the
        rows in the index or the first column). Default: the published matrix of Replogle et al. (2022) for
        K562, fetched (several hundred MB).
    cutoff
        An edge is an adjusted p value below this. NaN is not an edge.
    perturbations
        Place of the silenced genes.
    symbols
        Ensembl id → symbol, to name edges by both; a gene that lacks a symbol keeps its id.
    organism
        Organism of the matrix.
    cache
        Another cache folder.

    Returns
    -------
    GroundTruth
        Named as the matrix is: the published one by Ensembl ids, its columns ("7_AAAS_P1P2_ENSG00000094914")
        by the id in them. With `symbols`: ``source, target`` are symbols, ``source_id, target_id`` the ids.

    Notes
    -----
    A gene silenced by several guides (P1, P2) has an edge if any of them does. Controls ("non-targeting") are
    left out. A silenced gene's own decrease is a self edge, which scoring drops. Edges include indirect
    effects. The matrix is read in slices: memory grows with its edges, not its size.

    Raises
    ------
    FileNotFoundError
        If `path` does not exist.
    ValueError
        If no p value is below `cutoff`, `cutoff` is not in (0, 1], or the values are not p values.
    """
    only(perturbations, ("columns", "rows"), "perturbations")
    if not 0 < cutoff <= 1:
        raise ValueError(f"cutoff={cutoff} is no p value: give one in (0, 1], as 0.05")
    matrix = fetch(P_VALUES, cache=cache) if path is None else Path(path)
    if not matrix.is_file():
        raise FileNotFoundError(f"there is no file {matrix}")
    rows, columns, hits = _significant(matrix, cutoff)
    measured, silenced = (rows, columns) if perturbations == "columns" else (columns, rows)
    first, second = hits if perturbations == "rows" else hits[::-1]
    genes = _silenced_genes(silenced)
    edges = pd.DataFrame({"source": genes[first], "target": measured[second]})
    edges = edges[edges["source"] != ""].drop_duplicates().reset_index(drop=True)
    if edges.empty:
        raise ValueError(f"no value of {matrix} is below {cutoff}: are these adjusted p values, genes × perturbations?")
    known = sorted({*measured, *edges["source"]})
    name = "perturb-seq" if path is None else f"perturb-seq {matrix.name.split('.')[0]}"
    version = RECORD.version if path is None else f"{matrix.name}, p < {cutoff:g}"
    record = replace(RECORD, organism=organism)
    if symbols is None:
        return record.truth(edges, name=name, genes=known, version=version)
    named = {gene: symbols.get(gene) or gene for gene in known}
    edges = edges.rename(columns={"source": "source_id", "target": "target_id"})
    edges = edges.assign(source=edges["source_id"].map(named), target=edges["target_id"].map(named))
    return record.truth(edges, name=name, genes=named.values(), gene_ids=known, version=version)


def _significant(
    path: Path, cutoff: float
) -> tuple[NDArray[np.object_], NDArray[np.object_], tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """Return the names of the rows, names of the columns, and where a value is below the cut-off."""
    names: list[str] = []
    columns: pd.Index = pd.Index([])
    found: list[tuple[NDArray[np.intp], NDArray[np.intp]]] = []
    for part in _slices(path):
        # Not float32, which would move values across the cut-off.
        values = part.to_numpy(dtype=np.float64)
        if np.nanmax(values, initial=0) > 1 or np.nanmin(values, initial=0) < 0:
            raise ValueError(f"{path} has values outside 0 to 1: a matrix of adjusted p values is needed")
        row, column = np.nonzero(values < cutoff)
        found.append((row + len(names), column))
        names.extend(map(str, part.index))
        columns = part.columns
    hits = (np.concatenate([row for row, _ in found]), np.concatenate([column for _, column in found]))
    return np.asarray(names, dtype=object), np.asarray(columns.astype(str), dtype=object), hits


def _slices(path: Path) -> Iterator[pd.DataFrame]:
    with path.open("rb") as file:
        is_parquet = file.read(4) == b"PAR1"
    if not is_parquet:
        with open_content(path) as text:
            yield from pd.read_csv(text, index_col=0, chunksize=_ROWS)
        return
    import pyarrow.parquet as pq

    for batch in pq.ParquetFile(path).iter_batches(batch_size=_ROWS):
        part = batch.to_pandas()
        yield part if part.index.dtype.kind not in "iu" else part.set_index(part.columns[0])


def _silenced_genes(names: NDArray[np.object_]) -> NDArray[np.object_]:
    """Return the genes of the perturbations, "" for controls: the id in a name of the published form, else the name."""
    labels = pd.Series(names, dtype=str)
    ids = labels.str.extract(_PERTURBATION)["id"]
    genes = ids.where(ids.notna(), labels).mask(labels.str.contains(_CONTROL), "")
    return genes.to_numpy(dtype=object)

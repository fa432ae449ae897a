"""A table of gene embeddings as the rows of a model's gene encoder.

Shape suffixes: g genes of the vocabulary, d width of the model.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool1d

from scdataloader import GeneVocabulary
from scdataloader.genes import gene_table, map_identifiers, organism_id
from scprint_model._wording import counted
from scprint_model.genes import without_version

logger = logging.getLogger(__name__)

Fallback = Literal["noise", "mean", "zero"]
#: Spread of the genes without protein around their mean, of the spread that the others have.
NOISE = 0.1
_KNOWN = ("gene_id", "symbol", "organism", "protein", "n_residues", "weight")


def load_table(
    path: Path | str,
    vocabulary: GeneVocabulary,
    d_model: int,
    *,
    via: int | None = None,
    std: float | None = None,
    fallback: Fallback = "noise",
    seed: int = 0,
) -> tuple[Tensor, Tensor]:
    """Return a row of the model's width for each gene of a vocabulary.

    Wide vectors are averaged down by adaptive average pooling: value i of d is the mean over the columns
    ``floor(i n / d)`` to ``ceil((i + 1) n / d)`` of n.

    Parameters
    ----------
    path
        Table of `build_table`, or a parquet or csv (tsv) table with gene ids in the index or the first column and the
        columns 0, 1, ...; or a folder of such tables, as of several organisms.
    vocabulary
        Genes of the model. They are found by their id, with or without a version or ``_PAR_Y``, and else by symbol,
        former symbol or alias, among the genes of the row's organism (column ``organism``; the vocabulary's only one
        where there is none).
    d_model
        Width of the model, at most that of the table.
    via
        Pool to this width first. 1,024 gives the published weights' rows (1,280 → 1,024 → d) from a table of ESM2-650M.
    std
        Scale all values by one factor, so that those of genes in the table have this standard deviation.
    fallback
        Row of a gene that is not in the table. ``"noise"``: the mean over the genes of its organism (of all, where the
        table has none of it) plus normal noise of a tenth of their spread in each dimension, which depends on the
        gene's id and `seed` only. ``"mean"``: without the noise. ``"zero"``.
    seed
        Seed for the noise.

    Returns
    -------
    rows_gd
        (G, d) float32.
    found_g
        (G,) bool: whether the row is of the gene's own protein.

    Notes
    -----
    Zero is far from all proteins in ESM2's space, and gives genes without protein the same row, as the mean does: the
    model could tell them by their genome position only. The mean with a little noise is a place where proteins are,
    like none of them, and differs from gene to gene. Noise of the full spread would make each gene pass for a protein.

    A gene with several different rows gets their mean; a row under the very id of the vocabulary goes before rows that
    are the gene's by version, ``_PAR_Y`` or symbol.

    Raises
    ------
    ValueError
        When no gene is in the table, a used row is not finite, the table is narrower than the model, or its form
        is another.
    FileNotFoundError
        When the file does not exist.
    """
    table = _tables(Path(path))
    values = torch.tensor(_vectors(table, path))
    rows, genes = _match(table, vocabulary)
    if len(genes) == 0:
        raise ValueError(
            f"none of the {len(vocabulary):,} genes, such as {list(vocabulary.ids[:2])}, is in {path}, which has "
            f"{table['gene_id'].tolist()[:2]}: are they of the same organism?"
        )
    if bad := [str(table["gene_id"].iloc[row]) for row in rows if not bool(values[row].isfinite().all())]:
        raise ValueError(
            f"{path}: {counted(len(bad), 'gene has', 'genes have')} NaN or infinite values, such as "
            f"{bad[:3]}: make it anew"
        )
    n = torch.zeros(len(vocabulary))
    n.index_add_(0, torch.from_numpy(genes), torch.ones(len(genes)))
    found_g = n > 0
    pooled = _pool(values[rows], d_model, via, path)
    rows_gd = torch.zeros(len(vocabulary), d_model).index_add_(0, torch.from_numpy(genes), pooled)
    rows_gd[found_g] /= n[found_g, None]
    if std is not None:
        rows_gd *= _factor(rows_gd[found_g], std)
    if fallback != "zero":
        _fill(rows_gd, found_g, vocabulary, noise=NOISE if fallback == "noise" else 0.0, seed=seed)
    logger.info("%d of %d genes are in %s", int(found_g.sum()), len(vocabulary), path)
    return rows_gd, found_g


def read_table(path: Path | str) -> pd.DataFrame:
    """Return a table of gene embeddings: columns ``gene_id, symbol, organism`` (text) and ``"0", "1", ...``.

    Raises
    ------
    ValueError
        When the columns are not 0, 1, ... without gaps, a value is not a number, or gene ids are lacking.
    FileNotFoundError
        When the file does not exist.
    """
    path = Path(path)
    if path.suffix == ".parquet":
        frame = pd.read_parquet(path)
    else:
        comma = "\t" if {".tsv", ".txt"} & set(path.suffixes) else ","
        frame = pd.read_csv(path, sep=comma)
        frame = frame if "gene_id" in frame else frame.rename(columns={frame.columns[0]: "gene_id"})
    if "gene_id" not in frame:
        if isinstance(frame.index, pd.RangeIndex):
            raise ValueError(f"{path} has no gene ids: they belong into the index or a column 'gene_id'")
        frame = frame.rename_axis("gene_id").reset_index()
    frame.columns = pd.Index([str(name) for name in frame.columns])
    columns = [name for name in frame.columns if name not in _KNOWN]
    if not columns or columns != [str(i) for i in range(len(columns))]:
        raise ValueError(
            f"{path} is no table of gene embeddings: besides {', '.join(_KNOWN)} its columns must be 0, 1, ... without "
            f"gaps; they are {columns[:4]}, {len(columns):,} in all"
        )
    texts = [name for name in columns if not pd.api.types.is_numeric_dtype(frame[name])]
    if texts:
        raise ValueError(f"{path}: {len(texts)} columns hold no numbers, such as {texts[:3]}")
    for name in ("gene_id", "symbol", "organism"):
        column = frame[name] if name in frame else pd.Series("", index=frame.index)
        frame[name] = column.astype(object).where(column.notna(), "").astype(str)
    return frame


def _tables(path: Path) -> pd.DataFrame:
    if not path.exists():
        raise FileNotFoundError(f"there is no table of gene embeddings {path}: `scprint gene-embeddings` makes one")
    if not path.is_dir():
        return read_table(path)
    files = sorted(path.glob("[!.]*.parquet"))
    if not files:
        raise ValueError(f"the folder {path} holds no parquet files")
    frames = [read_table(file) for file in files]
    widths = {file.name: _width(frame) for file, frame in zip(files, frames, strict=True)}
    if len(set(widths.values())) > 1:
        raise ValueError(f"the tables in {path} differ in width, so they are of different models: {widths}")
    return pd.concat(frames, ignore_index=True)


def _width(table: pd.DataFrame) -> int:
    return sum(name.isdigit() for name in table.columns)


def _vectors(table: pd.DataFrame, path: Path | str) -> np.ndarray:
    if table.empty:
        raise ValueError(f"{path} has no rows")
    return table[[str(i) for i in range(_width(table))]].to_numpy(dtype=np.float32)


def _match(table: pd.DataFrame, vocabulary: GeneVocabulary) -> tuple[np.ndarray, np.ndarray]:
    """Return rows of the table and the genes that they are for; several rows can be of one gene."""
    names = table["gene_id"].tolist()
    exact = vocabulary.index(names)
    plain = vocabulary.index(map(without_version, names))
    by_name = _by_symbol(table, vocabulary, plain < 0)
    taken: set[int] = set()
    rows: list[int] = []
    genes: list[int] = []
    for index in (exact, plain, by_name):
        new = [row for row in np.flatnonzero(index >= 0).tolist() if int(index[row]) not in taken]
        rows += new
        genes += [int(index[row]) for row in new]
        taken.update(genes)
    if len(genes) > len(taken):
        logger.warning("%d rows are further ones of genes that have one: their mean is taken", len(genes) - len(taken))
    return np.array(rows, dtype=np.int64), np.array(genes, dtype=np.int64)


def _by_symbol(table: pd.DataFrame, vocabulary: GeneVocabulary, wanted: np.ndarray) -> np.ndarray:
    """Return the gene of each wanted row by its name, -1 where there is none."""
    out = np.full(len(table), -1, dtype=np.int64)
    there = list(dict.fromkeys(vocabulary.organisms))
    default = there[0] if len(there) == 1 else ""
    organisms = np.array([name or default for name in table["organism"].tolist()])
    for organism in sorted(set(organisms[wanted].tolist()) & set(there)):
        of = np.flatnonzero(wanted & (organisms == organism))
        names = [table["symbol"].iloc[row] or table["gene_id"].iloc[row] for row in of]
        mapping = map_identifiers(names, _names(vocabulary, organism))
        out[of] = vocabulary.index(gene or "" for gene in mapping.ids)
    unnamed = int((wanted & (organisms == "")).sum())
    if unnamed:
        logger.info("%d rows have an unknown id and no organism: they are not looked up by symbol", unnamed)
    return out


def _names(vocabulary: GeneVocabulary, organism: str) -> pd.DataFrame:
    try:
        return gene_table(organism_id(organism))
    except ValueError:  # nobody fetched the table of this organism: the model's own symbols
        own = [i for i, of in enumerate(vocabulary.organisms) if of == organism]
        index = pd.Index([vocabulary.ids[i] for i in own], name="gene_id")
        return pd.DataFrame({"symbol": [vocabulary.symbols[i] for i in own], "biotype": "protein_coding"}, index=index)


def _pool(values: Tensor, d_model: int, via: int | None, path: Path | str) -> Tensor:
    steps: Sequence[int] = [d_model] if via is None else [via, d_model]
    for width in steps:
        if not 1 <= width <= values.shape[1]:
            raise ValueError(
                f"rows of {values.shape[1]:,} cannot be averaged down to {width:,} (the table {path}, via={via}, "
                f"d_model={d_model}): take a larger ESM2, or a smaller width"
            )
        values = adaptive_avg_pool1d(values[:, None], width)[:, 0]
    return values


def _factor(known: Tensor, std: float) -> float:
    if not std > 0:
        raise ValueError(f"the standard deviation must be positive, std={std}")
    spread = float(known.std(correction=0))
    if spread == 0:
        raise ValueError(f"all values of the table are {float(known.flatten()[0])}: they cannot be scaled to std={std}")
    return std / spread


def _fill(rows_gd: Tensor, found_g: Tensor, vocabulary: GeneVocabulary, *, noise: float, seed: int) -> None:
    """Give genes that were not found the mean of their organism, and noise of their own."""
    organism_g = np.array(vocabulary.organisms)
    missing = np.flatnonzero(~found_g.numpy())
    for organism in sorted(set(organism_g[missing].tolist())):
        known = rows_gd[found_g & torch.from_numpy(organism_g == organism)]
        known = known if len(known) else rows_gd[found_g]
        mean_d, spread_d = known.mean(dim=0), known.std(dim=0, correction=0)
        for gene in missing[organism_g[missing] == organism].tolist():
            digest = hashlib.sha256(f"{seed}:{vocabulary.ids[gene]}".encode()).digest()
            generator = torch.Generator().manual_seed(int.from_bytes(digest[:8], "little", signed=True))
            rows_gd[gene] = mean_d + noise * spread_d * torch.randn(len(mean_d), generator=generator)


def start_from_table(embedding: nn.Embedding, rows: Tensor, found: Tensor, *, freeze: bool) -> None:
    """Put a table into the gene encoder.

    A gene without a row of its own starts where `scprint_model.gene_embeddings.load_table` puts it, near the mean of
    the others, and is always trained: that place says nothing of it.

    Parameters
    ----------
    embedding
        One row a gene; changed.
    rows
        (G, d) from the table.
    found
        (G,) bool: whether the row is the gene's own.
    freeze
        Keep the genes' own rows as they are.

    Raises
    ------
    ValueError
        When shapes do not fit.
    """
    weight = embedding.weight
    if rows.shape != weight.shape or found.shape != weight.shape[:1]:
        raise ValueError(
            f"the gene table gives rows {tuple(rows.shape)} for {tuple(found.shape)} genes, the model needs "
            f"{tuple(weight.shape)}"
        )
    with torch.no_grad():
        weight.copy_(rows)
    if not freeze:
        return
    if bool(found.all()):
        weight.requires_grad_(False)
        return
    # AdamW leaves a row alone whose gradient is always zero and which does not decay
    weight.partly_trained = True  # type: ignore[attr-defined]
    trained = ~found[:, None]
    weight.register_hook(lambda gradient: gradient * trained.to(gradient.device))  # type: ignore[no-untyped-call]

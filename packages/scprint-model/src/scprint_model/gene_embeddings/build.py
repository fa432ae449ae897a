"""Proteins to one parquet table of gene embeddings."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd
from tqdm import tqdm

from grnndata import atomic_path
from scdataloader.genes import Division, fetch_proteins
from scprint_model._cache import cache_folder
from scprint_model.gene_embeddings.batches import Long, Piece, batches, pieces
from scprint_model.gene_embeddings.esm import DType, ProteinModel, load_protein_model
from scprint_model.gene_embeddings.fasta import Protein, read_fasta
from scprint_model.gene_embeddings.finished_vectors import FinishedVectors
from scprint_model.gene_embeddings.isoforms import Isoform, choose_isoforms, read_canonical, read_genes
from scprint_model.gene_embeddings.table import read_table

logger = logging.getLogger(__name__)

#: Residues after which what is computed is written; human has 11 million.
KEEP_EVERY = 50_000


def build_table(
    out: Path | str,
    *,
    fasta: Path | str | None = None,
    organism: str | None = None,
    release: int | None = None,
    division: Division | None = None,
    canonical: Path | str | None = None,
    genes: Path | str | None = None,
    isoform: Isoform = "canonical",
    biotype: str | None = None,
    protein_model: str = "facebook/esm2_t33_650M_UR50D",
    revision: str | None = None,
    layer: int | None = None,
    long: Long = "windows",
    tokens: int = 16_384,
    dtype: DType = "auto",
    device: str = "auto",
    base_url: str | None = None,
) -> Path:
    """Turn the proteins of an organism into a table of gene embeddings (parquet).

    Each gene gets the mean output of ESM2 over the residues of one of its proteins. A run that is stopped continues
    when it is repeated: what is computed is kept beside `out`, in ``OUT.parts``, until the table is written.

    Parameters
    ----------
    out
        Table to write: index ``gene_id`` (or a symbol where the file has no ids), columns ``symbol, organism, protein,
        n_residues`` and ``0`` to ``width - 1`` (float32). How it was made is in ``pandas.DataFrame.attrs``, which
        parquet keeps.
    fasta
        Proteins of Ensembl (``NAME.pep.all.fa.gz``) or UniProt, gzipped or not. Give this or `organism`.
    organism
        Organism whose proteins and canonical transcripts are fetched from Ensembl, such as human or danio_rerio.
    release
        Release of Ensembl, for `organism`; by default one that is pinned in scdataloader.
    division
        Part of Ensembl (vertebrates, metazoa, plants, fungi, protists), for an `organism` that is not a common one.
    canonical
        List of canonical transcripts: Ensembl's canonical.tsv.gz, a GTF file, or one id a line.
    genes
        Table (csv, tsv) with the columns ``protein`` and ``gene_id`` that says which genes a protein stands for.
    isoform
        Protein that stands for a gene. canonical: that of the canonical transcript, and the longest where there is
        none; longest: the longest protein-coding one; first: the first in the file, as for the published weights.
    biotype
        Biotype of the genes that are taken, such as protein_coding; by default all.
    protein_model
        ESM2 of any size, on the hub or in a folder.
    revision
        Commit, tag or branch of that model on the hub.
    layer
        Number of the layer whose output is averaged; by default the last.
    long
        Treatment of proteins longer than the model's maximum (1,022 residues). windows: they are read in pieces
        side by side, and all residues count; cut: only the first 1,022 count.
    tokens
        Number of residues a batch at most, padding included; fewer need less memory.
    dtype
        Number format; auto: bfloat16 (or float16) on a GPU, float32 on a CPU.
    device
        Device: cpu, cuda, cuda:1; auto: a GPU where there is one.
    base_url
        Root of a mirror of Ensembl.

    Returns
    -------
    pathlib.Path
        `out`.

    Raises
    ------
    ValueError
        When the input cannot be used, the options contradict each other, the kept parts are of another run, or a
        vector is not finite.
    OSError
        When a file or the model cannot be had.
    MemoryError
        When a batch does not fit into the GPU's memory.

    References
    ----------
    Lin et al. 2023, Science 379:1123 (ESM2). Kalfon et al. 2025, Methods, "Expression encoder", 1.
    """
    out = Path(out)
    if out.suffix != ".parquet":
        raise ValueError(f"the table is a parquet file: call it NAME.parquet, not {out.name!r}")
    if (fasta is None) == (organism is None):
        raise ValueError(f"give either a FASTA file or an organism: fasta={fasta}, organism={organism}")
    if fasta is not None and (release, division, base_url) != (None, None, None):
        raise ValueError("release, division and base_url are of Ensembl: they mean nothing with fasta=")
    if canonical is not None and isoform != "canonical":
        raise ValueError(f"isoform={isoform!r} does not look at canonical transcripts: leave canonical= away")
    if tokens < 3:
        raise ValueError(f"tokens={tokens}: a batch needs 3 for a single residue")
    taxon = ""
    if organism is not None:
        fetched = fetch_proteins(
            organism, release, division=division, base_url=base_url, cache=cache_folder() / "proteins"
        )
        fasta, taxon, release = fetched.fasta, fetched.taxon, fetched.release
        if isoform == "canonical":
            canonical = canonical or fetched.canonical
    chosen, counts = choose_isoforms(
        read_fasta(cast("Path", fasta)),
        isoform=isoform,
        canonical=None if canonical is None else read_canonical(canonical),
        genes=None if genes is None else read_genes(genes),
        biotype=biotype,
    )
    encoder = load_protein_model(protein_model, revision=revision, layer=layer, dtype=dtype, device=device)
    job: dict[str, Any] = {
        **encoder.source,
        "isoform": isoform,
        "biotype": biotype,
        "long": long,
        "max_residues": encoder.max_residues,
        "source": Path(cast("Path", fasta)).name,
        "source_sha256": _sha256(fasta),
        "canonical_sha256": _sha256(canonical),
        "genes_sha256": _sha256(genes),
        "organism": organism,
        "release": release,
    }
    parts = FinishedVectors(out.with_name(f"{out.name}.parts"), job)
    if out.is_file() and job.items() <= read_table(out).attrs.items():
        logger.info("%s is there already, made in the same way", out)
        parts.remove()
        return out
    sequences = list(dict.fromkeys(protein.sequence for protein in chosen.values()))
    vectors = embed_sequences(sequences, encoder, long=long, tokens=tokens, parts=parts)
    row = {sequence: i for i, sequence in enumerate(sequences)}
    table = _table(chosen, vectors[[row[protein.sequence] for protein in chosen.values()]], taxon)
    table.attrs.update(job, n_genes=len(chosen), chosen_by=counts, scprint_model=version("scprint-model"))
    with atomic_path(out) as temporary:
        table.to_parquet(temporary, compression="zstd")
    parts.remove()
    logger.info("%s: %d genes, %d columns, %s", out, len(table), vectors.shape[1], counts)
    return out


def embed_sequences(
    sequences: Sequence[str], encoder: ProteinModel, *, long: Long, tokens: int, parts: FinishedVectors
) -> np.ndarray:
    """Return one vector a sequence, float32 (n, width); what `parts` has is not computed again.

    Parameters
    ----------
    sequences
        Sequences of letters of `fasta.LETTERS`, each at least one long.
    encoder
        The loaded model.
    long, tokens
        See `build_table`.
    parts
        Keeps the vectors of pieces.

    Raises
    ------
    ValueError
        When a vector is not finite; the message names sequences.
    MemoryError
        When a batch does not fit into the GPU's memory.
    """
    items = pieces([len(sequence) for sequence in sequences], encoder.max_residues, long)
    rows = np.empty((len(items), encoder.width), dtype=np.float32)
    there = parts.load(rows)
    if there.any():
        logger.info("%d of %d pieces of proteins were computed before", there.sum(), len(items))
    lengths = np.array([item.stop - item.start for item in items])
    pending: list[int] = []
    total, known = int(lengths.sum()), int(lengths[there].sum())
    try:
        with tqdm(total=total, initial=known, unit="aa", unit_scale=True, disable=None) as bar:
            # batches are the same in every run, so that a continued one gives the same to the bit
            for whole in batches(items, tokens):
                batch = [i for i in whole if not there[i]]
                if not batch:
                    continue
                texts = [sequences[items[i].sequence][items[i].start : items[i].stop] for i in batch]
                rows[batch] = _finite_means(encoder, texts)
                pending += batch
                bar.update(int(lengths[batch].sum()))
                if lengths[pending].sum() >= KEEP_EVERY:
                    parts.add(np.array(pending), rows[pending])
                    pending = []
    finally:  # also when it is interrupted
        if pending:
            parts.add(np.array(pending), rows[pending])
    return _join(items, rows)


def _finite_means(encoder: ProteinModel, sequences: Sequence[str]) -> np.ndarray:
    means: np.ndarray = encoder.means(sequences).numpy()
    finite = np.isfinite(means).all(axis=1)
    if not finite.all():
        first = sequences[int(np.argmin(finite))]
        raise ValueError(
            f"the vector of the protein piece {first[:20]}... ({len(first):,} residues) is not finite in "
            f"{encoder.source['dtype']}: take dtype='bfloat16' or 'float32'; what is computed is kept"
        )
    return means


def _join(items: Sequence[Piece], rows: np.ndarray) -> np.ndarray:
    """Return the mean over all residues of each sequence from the means over its pieces."""
    owner = np.array([item.sequence for item in items])
    weight = np.array([item.stop - item.start for item in items], dtype=np.float64)
    share = weight / np.bincount(owner, weights=weight)[owner]
    starts = np.flatnonzero(np.diff(owner, prepend=-1))
    out = np.add.reduceat(rows * share[:, None], starts, axis=0)
    return out.astype(np.float32)


def _sha256(path: Path | str | None) -> str | None:
    if path is None:
        return None
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _table(chosen: dict[tuple[str, str], Protein], vectors: np.ndarray, taxon: str) -> pd.DataFrame:
    proteins = list(chosen.values())
    known = {
        "symbol": [protein.symbol for protein in proteins],
        "organism": [organism or taxon for _, organism in chosen],
        "protein": [protein.name for protein in proteins],
        "n_residues": np.array([len(protein.sequence) for protein in proteins], dtype=np.int32),
    }
    index = pd.Index([gene for gene, _ in chosen], name="gene_id")
    columns = pd.Index([str(i) for i in range(vectors.shape[1])])
    return pd.concat([pd.DataFrame(known, index=index), pd.DataFrame(vectors, index=index, columns=columns)], axis=1)

"""Choose the protein that stands for a gene."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import Literal

import pandas as pd

from scprint_model._wording import counted, listed
from scprint_model.gene_embeddings.fasta import Protein, open_text
from scprint_model.genes import without_version

logger = logging.getLogger(__name__)

Isoform = Literal["canonical", "longest", "first"]

_TRANSCRIPT = re.compile(r'transcript_id "([^"]+)"')
_PROTEIN_COLUMNS, _GENE_COLUMNS = ("protein", "uniprot"), ("gene_id", "ensembl_id")


def choose_isoforms(
    proteins: Sequence[Protein],
    *,
    isoform: Isoform = "canonical",
    canonical: AbstractSet[str] | None = None,
    genes: Mapping[str, Sequence[str]] | None = None,
    biotype: str | None = None,
) -> tuple[dict[tuple[str, str], Protein], dict[str, int]]:
    """Return one protein a gene.

    Parameters
    ----------
    proteins
        In the order of the file.
    isoform
        ``"canonical"``: the product of the transcript that `canonical` lists; for a gene without one, the longest.
        ``"longest"``: the longest of the preferred products (`Protein.preferred`: protein-coding transcripts, UniProt's
        canonical and reviewed sequences), else of all; of equally long ones the first. ``"first"``: the first in the
        file, as for the published weights.
    canonical
        Ids of canonical transcripts without versions; see `read_canonical`.
    genes
        Gene ids of each protein name, in place of those in the file; proteins that are not there are left out. One
        protein can stand for several genes. See `read_genes`.
    biotype
        Biotype of the genes; others are left out. None: all.

    Returns
    -------
    chosen
        By gene id (or symbol) and NCBI taxon id (``""`` where unknown), sorted.
    counts
        How many genes got their protein by which rule: ``"canonical"``, ``"longest"``, ``"first"``, and how many
        proteins are of no known gene: ``"without_gene"``.

    Raises
    ------
    ValueError
        When no protein has a gene.
    """
    groups: dict[tuple[str, str], list[Protein]] = {}
    without = []
    for protein in proteins:
        ids = genes.get(protein.name, ()) if genes is not None else [protein.gene] if protein.gene else ()
        if not ids:
            without.append(protein.name)
        elif biotype is None or protein.biotype == biotype:
            for gene in ids:
                groups.setdefault((gene, protein.organism), []).append(protein)
    if not groups:
        raise ValueError(_no_gene(proteins, without, genes, biotype))
    if without:
        logger.warning("%s without a gene left out, such as %s", counted(len(without), "protein"), without[:3])
    counts = {"canonical": 0, "longest": 0, "first": 0, "without_gene": len(without)}
    chosen: dict[tuple[str, str], Protein] = {}
    for key in sorted(groups):
        listed = [p for p in groups[key] if canonical is not None and p.transcript in canonical]
        if isoform == "first":
            chosen[key], rule = groups[key][0], "first"
        elif isoform == "canonical" and listed:
            chosen[key], rule = listed[0], "canonical"
        else:
            chosen[key], rule = max(groups[key], key=lambda p: (p.preferred, len(p.sequence))), "longest"
        counts[rule] += 1
    if isoform == "canonical" and counts["longest"]:
        why = "no list of canonical transcripts is given" if canonical is None else "their canonical one has no protein"
        logger.warning("%d of %d genes get their longest protein: %s", counts["longest"], len(chosen), why)
    return chosen, counts


def _no_gene(
    proteins: Sequence[Protein], without: Sequence[str], genes: Mapping[str, Sequence[str]] | None, biotype: str | None
) -> str:
    if genes is not None and len(without) == len(proteins):
        return (
            f"none of the {len(proteins):,} proteins, such as {without[:2]}, is in the table of genes, which has "
            f"{list(genes)[:2]}"
        )
    if len(without) == len(proteins):
        return (
            f"none of the {len(proteins):,} proteins, such as {without[:2]}, says its gene: headers need Ensembl's "
            "'gene:' or UniProt's 'GN=', or give a table of proteins and genes (genes=)"
        )
    found = sorted({protein.biotype for protein in proteins if protein.gene} - {""})
    return f"no gene has the biotype {biotype!r}: the file has {found[:5] or 'none'}"


def read_canonical(path: Path | str) -> frozenset[str]:
    """Return the ids of canonical transcripts, without versions.

    Parameters
    ----------
    path
        Ensembl's ``NAME.canonical.tsv.gz`` (gene, transcript, and a kind of which only those called canonical count), a
        list of transcripts, one a line, or a GTF file with the tag ``Ensembl_canonical``.

    Raises
    ------
    ValueError
        When there is none in the file.

    References
    ----------
    Dyer et al., Ensembl 2025, Nucleic Acids Research 53:D948.
    """
    path = Path(path)
    found = set()
    is_gtf = ".gtf" in path.name
    with open_text(path) as file:
        for line in file:
            if is_gtf:
                if '"Ensembl_canonical"' in line and (match := _TRANSCRIPT.search(line)):
                    found.add(without_version(match[1]))
                continue
            fields = line.split("#")[0].strip().split("\t")
            name = fields[1] if len(fields) > 1 else fields[0]
            if name and (len(fields) < 3 or "canonical" in fields[2].lower()):
                found.add(without_version(name.strip()))
    if not found:
        raise ValueError(
            f"{path} lists no canonical transcripts: give Ensembl's canonical.tsv.gz, a GTF file with the tag "
            "Ensembl_canonical (release 107 and later), or a list of transcript ids"
        )
    return frozenset(found)


def read_genes(path: Path | str) -> dict[str, list[str]]:
    """Return the gene ids of each protein from a csv or tsv table.

    Parameters
    ----------
    path
        Columns ``protein`` (or ``uniprot``) and ``gene_id`` (or ``ensembl_id``); further columns are not read.

    Raises
    ------
    ValueError
        When a column is missing.
    """
    path = Path(path)
    comma = "," if ".csv" in path.suffixes else "\t"
    table = pd.read_csv(path, sep=comma, dtype=str, keep_default_na=False)
    protein = next((name for name in _PROTEIN_COLUMNS if name in table), None)
    gene = next((name for name in _GENE_COLUMNS if name in table), None)
    if protein is None or gene is None:
        raise ValueError(f"{path} needs columns 'protein' and 'gene_id': it has [{listed(table.columns)}]")
    out: dict[str, list[str]] = {}
    for name, ids in zip(table[protein].tolist(), table[gene].tolist(), strict=True):
        if name and ids:
            out.setdefault(without_version(name), []).append(without_version(ids))
    return {name: list(dict.fromkeys(ids)) for name, ids in out.items()}

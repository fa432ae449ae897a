"""Read proteins from FASTA files of Ensembl and UniProt."""

from __future__ import annotations

import gzip
import logging
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from scprint_model._wording import counted
from scprint_model.genes import without_version

logger = logging.getLogger(__name__)

#: The 20 amino acids, selenocysteine (U), pyrrolysine (O), and the ambiguous B, Z and X: ESM2 knows all of these.
LETTERS = frozenset("ACDEFGHIKLMNPQRSTVWYUOBZX")
_CLEAN = str.maketrans({"*": "X", "J": "X", "-": None, ".": None})
_ENSEMBL = re.compile(r"\b(gene|transcript|gene_biotype|transcript_biotype|gene_symbol):(\S+)")
_UNIPROT = re.compile(r"^(sp|tr)\|([^|\s]+)\|(\S+)")
_UNIPROT_FIELD = re.compile(r"\b(OX|GN)=(\S+)")
_NUCLEOTIDES = frozenset("ACGTUN")
_ENOUGH = 1000  # letters that tell nucleotides from amino acids


@dataclass(frozen=True)
class Protein:
    """One record.

    Attributes
    ----------
    name
        Ensembl protein id without version, or UniProt accession (with ``-2`` for an isoform).
    sequence
        Letters of `LETTERS`, at least one.
    gene
        Gene id without version, or a symbol where the file has only that; ``""`` where it has neither.
    symbol
        Gene symbol, ``""`` where there is none.
    organism
        NCBI taxon id such as ``"NCBITaxon:9606"``, ``""`` where the file does not say.
    transcript
        Ensembl transcript id without version.
    biotype
        Of the gene.
    preferred
        False for products that seldom stand for their gene: of transcripts that are not protein-coding (such as those
        that decay), UniProt's isoforms beside the canonical one, and its unreviewed entries.
    """

    name: str
    sequence: str
    gene: str
    symbol: str = ""
    organism: str = ""
    transcript: str = ""
    biotype: str = ""
    preferred: bool = True


def read_fasta(path: Path | str) -> list[Protein]:
    """Return the proteins of a FASTA file, plain or gzipped, in its order.

    Headers may be Ensembl's (``>ENSP... pep ... gene:... transcript:... gene_biotype:...``), UniProt's
    (``>sp|P04637|P53_HUMAN ... OX=9606 GN=TP53``), or have a name only. Sequences become upper case; a stop at the end
    and gaps are dropped; a stop inside and J (leucine or isoleucine), which ESM2 does not know, become X. Records
    without any residue are left out.

    Raises
    ------
    ValueError
        When the file is empty, damaged, holds nucleotides, or has letters that are not amino acids.
    FileNotFoundError
        When the file does not exist.
    """
    path = Path(path)
    proteins, empty, n_letters, seen = [], [], 0, set[str]()
    for header, raw in _records(path):
        sequence = raw.upper().rstrip("*").translate(_CLEAN)
        name = header.split(maxsplit=1)[0] if header else ""
        if not name:
            raise ValueError(f"{path} has a record without a name: a header is '>' and a name")
        if not sequence:
            empty.append(name)
            continue
        if odd := set(sequence) - LETTERS:
            raise ValueError(f"{path}: the sequence of {name} has {sorted(odd)}, which are no amino acids")
        n_letters += len(sequence)
        seen |= set(sequence)
        proteins.append(_protein(header, sequence))
    if not proteins:
        raise ValueError(f"{path} holds no sequences: a FASTA file with lines '>NAME ...' is needed")
    if seen <= _NUCLEOTIDES and n_letters >= _ENOUGH:
        raise ValueError(f"{path} holds nucleotides ({''.join(sorted(seen))} only): proteins (pep.all.fa) are needed")
    if empty:
        logger.warning("%s: %s without residues left out, such as %s", path, counted(len(empty), "record"), empty[:3])
    return proteins


def _protein(header: str, sequence: str) -> Protein:
    name = header.split(maxsplit=1)[0]
    if match := _UNIPROT.match(header):
        fields = dict(_UNIPROT_FIELD.findall(header))
        symbol = fields.get("GN", "")
        return Protein(
            name=match[2],
            sequence=sequence,
            gene=symbol,
            symbol=symbol,
            organism=f"NCBITaxon:{fields['OX']}" if "OX" in fields else "",
            preferred=match[1] == "sp" and "-" not in match[2],
        )
    # the description comes last and may say anything
    found = dict(reversed(_ENSEMBL.findall(header.partition(" description:")[0])))
    biotype = found.get("transcript_biotype", "protein_coding")
    return Protein(
        name=without_version(name),
        sequence=sequence,
        gene=without_version(found.get("gene", "")),
        symbol=found.get("gene_symbol", ""),
        transcript=without_version(found.get("transcript", "")),
        biotype=found.get("gene_biotype", ""),
        # segments of immunoglobulins and T-cell receptors: IG_V_gene, TR_J_gene
        preferred=biotype == "protein_coding" or biotype.startswith(("IG_", "TR_")),
    )


def _records(path: Path) -> Iterator[tuple[str, str]]:
    """Yield headers without ``>``, and sequences without line ends."""
    header: str | None = None
    lines: list[str] = []
    with open_text(path) as file:
        try:
            for line in file:
                text = line.strip()
                if text.startswith(">"):
                    if header is not None:
                        yield header, "".join(lines)
                    header, lines = text[1:].strip(), []
                elif text and header is None:
                    raise ValueError(f"{path} is no FASTA file: it begins with {text[:40]!r}, not with '>'")
                else:
                    lines.append("".join(text.split()))
        except (EOFError, gzip.BadGzipFile, zlib.error, UnicodeDecodeError) as error:
            raise ValueError(f"{path} is damaged or cut off: {error}") from error
    if header is not None:
        yield header, "".join(lines)


def open_text(path: Path) -> IO[str]:
    """Open a text file, gzipped or not, whatever it is called."""
    with path.open("rb") as file:
        packed = file.read(2) == b"\x1f\x8b"
    return gzip.open(path, "rt", encoding="utf-8") if packed else path.open(encoding="utf-8")

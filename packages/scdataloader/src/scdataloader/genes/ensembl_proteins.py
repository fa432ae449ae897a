"""Fetch an organism's proteins, and which of them are canonical, from Ensembl's public tree of files."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import NamedTuple

from scdataloader._cache import cache_folder
from scdataloader.genes.ensembl_server import GENOMES, VERTEBRATES, fetch_checked, listing
from scdataloader.genes.organisms import RELEASES, Division, find, plain_name

logger = logging.getLogger(__name__)


class EnsemblProteins(NamedTuple):
    """Files of one organism and release.

    Attributes
    ----------
    fasta
        All peptides.
    canonical
        Ensembl's list of canonical transcripts, None where there is none (before release 104 or so).
    taxon
        NCBI taxon id, ``""`` for organisms that are not in `organisms.KNOWN`.
    release
        Of Ensembl, or of Ensembl Genomes.
    """

    fasta: Path
    canonical: Path | None
    taxon: str
    release: int


def fetch_proteins(
    organism: str,
    release: int | None = None,
    *,
    division: Division | None = None,
    cache: Path | None = None,
    base_url: str | None = None,
) -> EnsemblProteins:
    """Fetch the peptides of an organism, checked against Ensembl's CHECKSUMS, and keep them in the cache.

    Parameters
    ----------
    organism
        Ensembl's name such as ``"danio_rerio"``, or any name that `organisms.find` knows.
    release
        Release of Ensembl, or of Ensembl Genomes for all but vertebrates; by default one of `organisms.RELEASES`.
    division
        Part of Ensembl; by default that of the organism, and vertebrates for those that are not known.
    cache
        Folder; by default ``proteins`` in the cache (``$SCDATALOADER_CACHE``).
    base_url
        Root of a mirror.

    Raises
    ------
    ValueError
        When the release or organism does not exist, or what arrives has another checksum.
    ConnectionError
        When the server does not answer.

    References
    ----------
    Dyer et al., Ensembl 2025, Nucleic Acids Research 53:D948. Ensembl's data may be used without restriction.
    """
    known = find(organism)
    name = known.species if known else plain_name(organism).replace(" ", "_")
    division = division or (known.division if known else "vertebrates")
    release = release or RELEASES[division]
    root = (base_url or (VERTEBRATES if division == "vertebrates" else GENOMES)).rstrip("/")
    root += f"/release-{release}" if division == "vertebrates" else f"/{division}/release-{release}"
    folder = (cache or cache_folder() / "proteins") / f"{name}.{release}"
    taxon = known.taxon if known else ""
    if there := _one(sorted(path.name for path in folder.glob("*.fa.gz")), ".pep.all.fa.gz"):
        listed = _one(sorted(path.name for path in folder.glob("*.tsv.gz")), ".canonical.tsv.gz")
        return EnsemblProteins(folder / there, folder / listed if listed else None, taxon, release)
    url = f"{root}/fasta/{name}/pep"
    try:
        fasta = _one(listing(url), ".pep.all.fa.gz")
    except FileNotFoundError as error:
        raise ValueError(
            f"Ensembl has no proteins of {organism!r} in release {release}: there is nothing at {url}/. Species are "
            "named as in danio_rerio, releases are numbered on their own outside the vertebrates (112 is 59 there)"
        ) from error
    if fasta is None:
        raise ValueError(f"a file NAME.pep.all.fa.gz was expected at {url}/, there are {listing(url)[:5]}")
    # the proteins come last: where they are, the list has been looked for
    canonical = _canonical(f"{root}/tsv/{name}", folder)
    return EnsemblProteins(fetch_checked(url, fasta, folder), canonical, taxon, release)


def _canonical(url: str, folder: Path) -> Path | None:
    try:
        name = _one(listing(url), ".canonical.tsv.gz")
    except FileNotFoundError:
        name = None
    if name is None:
        logger.warning("there is no list of canonical transcripts at %s/", url)
        return None
    return fetch_checked(url, name, folder)


def _one(names: list[str], ending: str) -> str | None:
    return next((name for name in names if name.endswith(ending)), None)

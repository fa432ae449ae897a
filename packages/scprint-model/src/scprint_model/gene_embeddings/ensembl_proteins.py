"""Fetch an organism's proteins, and which of them are canonical, from Ensembl's public tree of files."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from scdataloader.genes.ensembl import GENOMES, VERTEBRATES, bsd_sum
from scdataloader.genes.organisms import RELEASES, Division, find, plain_name
from scdataloader.sources.download import download, read_url
from scprint_model._cache import cache_folder

logger = logging.getLogger(__name__)

_HREF = re.compile(r'href="([^"?#]+)"')


class EnsemblProteins(NamedTuple):
    """Files of one organism and release.

    Attributes
    ----------
    fasta
        All peptides.
    canonical
        Ensembl's list of canonical transcripts, None where there is none (before release 104 or so).
    taxon
        NCBI taxon id, ``""`` for organisms that are not in `scdataloader.genes.organisms.KNOWN`.
    release
        Of Ensembl, or of Ensembl Genomes.
    """

    fasta: Path
    canonical: Path | None
    taxon: str
    release: int


def fetch_proteins(
    species: str,
    release: int | None = None,
    *,
    division: Division | None = None,
    cache: Path | None = None,
    base_url: str | None = None,
) -> EnsemblProteins:
    """Fetch the peptides of an organism, checked against Ensembl's CHECKSUMS, and keep them in the cache.

    Parameters
    ----------
    species
        Ensembl's name such as ``"danio_rerio"``, or any name that `scdataloader.genes.organisms.find` knows.
    release
        Of Ensembl, or of Ensembl Genomes for all but vertebrates; by default one of
        `scdataloader.genes.organisms.RELEASES`.
    division
        Part of Ensembl; by default that of the organism, and vertebrates for those that are not known.
    cache
        Folder; by default ``proteins`` in the package's cache (``$SCPRINT_MODEL_CACHE``).
    base_url
        Root of a mirror.

    Raises
    ------
    ValueError
        When there is no such release or organism, or what arrives has another checksum.
    ConnectionError
        When the server does not answer.

    References
    ----------
    Dyer et al., Ensembl 2025, Nucleic Acids Research 53:D948. Ensembl's data may be used without restriction.
    """
    known = find(species)
    name = known.species if known else plain_name(species).replace(" ", "_")
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
        fasta = _one(_listing(url), ".pep.all.fa.gz")
    except FileNotFoundError as error:
        raise ValueError(
            f"Ensembl has no proteins of {species!r} in release {release}: there is nothing at {url}/. Species are "
            "named as in danio_rerio, releases are numbered on their own outside the vertebrates (112 is 59 there)"
        ) from error
    if fasta is None:
        raise ValueError(f"a file NAME.pep.all.fa.gz was expected at {url}/, there are {_listing(url)[:5]}")
    # the proteins come last: where they are, the list has been looked for
    canonical = _canonical(f"{root}/tsv/{name}", folder)
    return EnsemblProteins(_fetch(url, fasta, folder), canonical, taxon, release)


def _canonical(url: str, folder: Path) -> Path | None:
    try:
        name = _one(_listing(url), ".canonical.tsv.gz")
    except FileNotFoundError:
        name = None
    if name is None:
        logger.warning("there is no list of canonical transcripts at %s/", url)
        return None
    return _fetch(url, name, folder)


def _one(names: list[str], ending: str) -> str | None:
    return next((name for name in names if name.endswith(ending)), None)


def _listing(url: str) -> list[str]:
    """Return the names in a folder of the server."""
    page = read_url(f"{url}/").decode(errors="replace")
    return sorted({href.rstrip("/").rpartition("/")[2] for href in _HREF.findall(page)} - {"", ".", ".."})


def _fetch(url: str, name: str, folder: Path) -> Path:
    def check(file: Path, _: Mapping[str, str]) -> None:
        expected = _checksum(url, name)
        if expected is None:
            logger.warning("there is no checksum of %s/%s", url, name)
        elif expected != (found := bsd_sum(file)):
            raise ValueError(f"has the checksum {found[0]} {found[1]}, {expected[0]} {expected[1]} was expected")

    return download(f"{url}/{name}", folder / name, check=check)


def _checksum(url: str, name: str) -> tuple[int, int] | None:
    """Return what Ensembl's CHECKSUMS say of a file: ``sum blocks name``."""
    try:
        text = read_url(f"{url}/CHECKSUMS").decode(errors="replace")
    except FileNotFoundError:
        return None
    lines = [line.split() for line in text.splitlines()]
    return next(((int(line[0]), int(line[1])) for line in lines if len(line) == 3 and line[2] == name), None)

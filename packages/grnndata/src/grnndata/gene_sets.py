"""Gene sets: files in GMT format, and those that are fetched once and cached."""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import os
import zlib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Literal

from ._atomic import atomic_path
from ._cache import cache_folder
from ._download import download
from .edges import some

#: PanglaoDB's markers, 8,286 rows: https://panglaodb.se/markers.html
PANGLAODB_URL = "https://panglaodb.se/markers/PanglaoDB_markers_27_Mar_2020.tsv.gz"
#: sha256 of that table's text, decompressed, with line ends as "\n": it does not depend on the compression.
PANGLAODB_SHA256 = "a8246bd9036dd0aa169b0d0ab45b0b9129890232f0e50055c38abee6c735e0b9"

_SPECIES = {"human": "Hs", "mouse": "Mm"}

type Duplicates = Literal["error", "merge"]


def read_gmt(path: os.PathLike[str] | str, *, duplicates: Duplicates = "error") -> dict[str, list[str]]:
    """Read gene sets from a GMT file.

    Parameters
    ----------
    path
        ``.gmt`` or ``.gmt.gz``: one set a line, tab-separated: name, description (not kept), genes.
    duplicates
        Treatment of a name that occurs again: ``"error"``, or ``"merge"`` its genes.

    Returns
    -------
    dict of str to list of str
        Genes in the file's order, each once; sets in the file's order. Empty fields and empty lines are
        passed over.

    Raises
    ------
    FileNotFoundError
        When the file does not exist.
    ValueError
        When the file is not text, a line has no genes, or a name occurs again; the message names the line.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path.resolve()}")
    return _parse_gmt(_text(path.read_bytes(), str(path)), str(path), duplicates)


def write_gmt(
    gene_sets: Mapping[str, Iterable[str]],
    path: os.PathLike[str] | str,
    *,
    descriptions: Mapping[str, str] | None = None,
) -> None:
    """Write gene sets to a GMT file, atomically.

    Parameters
    ----------
    gene_sets
        Genes by name of the set.
    path
        ``.gmt`` or ``.gmt.gz``; replaced if it exists.
    descriptions
        Text of the second column by name of the set; ``na`` where there is none.

    Raises
    ------
    ValueError
        When a set is empty, a name, gene or description is empty or contains a tab or line end, or the file's
        name ends otherwise.
    """
    path = Path(path)
    if not path.name.lower().endswith((".gmt", ".gmt.gz")):
        raise ValueError(f"cannot tell the kind of file from the name {path.name!r}: end it with .gmt or .gmt.gz")
    lines = []
    for name, genes in gene_sets.items():
        fields = [name, (descriptions or {}).get(name, "na"), *_as_genes(name, genes)]
        if len(fields) == 2:
            raise ValueError(f"the set {name!r} has no genes: leave it out")
        bad = [field for field in fields if not field.strip() or len(field.splitlines()) > 1 or "\t" in field]
        if bad:
            raise ValueError(f"the set {name!r} holds text that a GMT file cannot: {some([repr(b) for b in bad])}")
        lines.append("\t".join(fields) + "\n")
    data = "".join(lines).encode()
    with atomic_path(path) as temporary:
        temporary.write_bytes(gzip.compress(data, mtime=0) if path.suffix.lower() == ".gz" else data)


def fetch_gene_sets(
    url: str,
    sha256: str | None = None,
    cache: os.PathLike[str] | str | None = None,
    *,
    duplicates: Duplicates = "error",
) -> dict[str, list[str]]:
    """Download gene sets in GMT format, once.

    Parameters
    ----------
    url
        ``http://`` or ``https://`` address of a ``.gmt`` or ``.gmt.gz`` file.
    sha256
        Checksum that the file must have; None takes any GMT file.
    cache
        Folder of downloaded files; None: that of the environment variable ``GRNNDATA_CACHE``, else the platform's place
        for caches.
    duplicates
        See `read_gmt`.

    Returns
    -------
    dict of str to list of str
        See `read_gmt`.

    Raises
    ------
    ConnectionError, FileNotFoundError
        When nothing is cached and the download fails, or there is nothing at the address: the message says where to put
        the file by hand.
    ValueError
        When the file does not have that checksum or is not a GMT file; it is not cached then.
    """

    def parse(data: bytes) -> dict[str, list[str]]:
        return _parse_gmt(_text(data, url), url, duplicates)

    # Many collections call their files alike: the address tells them apart.
    name = f"{hashlib.sha256(url.encode()).hexdigest()[:12]}-{_file_name(url)}"
    return _fetch(url, Path(cache or cache_folder()) / name, parse, sha256)


def cell_type_markers(
    organism: str = "human",
    *,
    organ: str | None = None,
    cache: os.PathLike[str] | str | None = None,
    url: str = PANGLAODB_URL,
    sha256: str | None = PANGLAODB_SHA256,
) -> dict[str, list[str]]:
    """Return PanglaoDB's marker genes of cell types, downloaded once.

    The table's licence is not stated, so it is not part of this package: see its authors' site,
    https://panglaodb.se, before you pass it on.

    Parameters
    ----------
    organism
        ``"human"``, ``"Homo sapiens"`` or ``"NCBITaxon:9606"``, and the same for mouse (10090).
    organ
        Cell types of this organ only, as the table calls it (``"Brain"``, ``"Immune system"``); all when
        None.
    cache
        See `fetch_gene_sets`.
    url, sha256
        Another place to download from, and the checksum of the decompressed text with line ends as on
        Unix (None takes any table of that form).

    Returns
    -------
    dict of str to list of str
        Sorted symbols by cell type, cell types sorted; 178 cell types for either organism. The table spells all
        symbols as human ones: for mouse they are given as the mouse's are written, ``Pax6`` for ``PAX6``.

    Raises
    ------
    ConnectionError, FileNotFoundError
        When nothing is cached and the download fails, or there is nothing at the address: the message says where to put
        the file by hand.
    ValueError
        When the organism or organ is unknown, or the file is not that table; it is not cached then.

    References
    ----------
    Franzén, Gan and Björkegren 2019, PanglaoDB: a web server for exploration of mouse and human single-cell
    RNA sequencing data, Database 2019:baz046 (doi:10.1093/database/baz046).
    """
    from .resources import organism_name

    species = _SPECIES[organism_name(organism, "cell-type markers")]

    def parse(data: bytes) -> list[tuple[str, str, str, str]]:
        text = _text(data, url).replace("\r\n", "\n")
        _check_sha256(hashlib.sha256(text.encode()).hexdigest(), sha256, url)
        return _parse_panglaodb(text, url)

    markers = _fetch(url, Path(cache or cache_folder()) / _file_name(url), parse)
    if organ is not None:
        organs = sorted({where for _, _, _, where in markers})
        if organ not in organs:
            raise ValueError(f"no cell types of organ {organ!r}: there are {', '.join(organs)}")
    chosen: dict[str, set[str]] = {}
    for kinds, symbol, cell_type, where in markers:
        if species in kinds.split() and organ in (None, where):
            chosen.setdefault(cell_type, set()).add(symbol.capitalize() if species == "Mm" else symbol)
    return {cell_type: sorted(chosen[cell_type]) for cell_type in sorted(chosen)}


def _parse_gmt(text: str, source: str, duplicates: Duplicates) -> dict[str, list[str]]:
    if duplicates not in ("error", "merge"):
        raise ValueError(f"duplicates must be 'error' or 'merge', got {duplicates!r}")
    sets: dict[str, dict[str, None]] = {}
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        name, _, *genes = [field.strip() for field in line.split("\t")] + [""]
        genes = [gene for gene in genes if gene]
        if not name or not genes:
            start = line[:60].rstrip()
            raise ValueError(
                f"{source}, line {number}: a line of a GMT file is a name, a description and genes, with tabs "
                f"between them; this one begins {start!r}"
            )
        if name in sets and duplicates == "error":
            raise ValueError(
                f"{source}, line {number}: the set {name!r} is there already; pass duplicates='merge' to unite "
                "sets of one name"
            )
        sets.setdefault(name, {}).update(dict.fromkeys(genes))
    if not sets:
        raise ValueError(f"{source} holds no gene sets")
    return {name: list(genes) for name, genes in sets.items()}


def _parse_panglaodb(text: str, source: str) -> list[tuple[str, str, str, str]]:
    """Return species, symbol, cell type and organ of every marker."""
    columns = ["species", "official gene symbol", "cell type", "organ"]
    reader = csv.reader(io.StringIO(text), delimiter="\t", quoting=csv.QUOTE_NONE)
    header = next(reader, [])
    missing = [column for column in columns if column not in header]
    if missing:
        raise ValueError(f"{source} is not PanglaoDB's table of markers: it has no column {some(missing)}")
    places = [header.index(column) for column in columns]
    markers = []
    for row in reader:
        if len(row) != len(header):
            raise ValueError(
                f"{source}, line {reader.line_num}: {len(row)} fields, but the header has {len(header)}: the "
                "file is damaged, download it again"
            )
        species, symbol, cell_type, organ = (row[place].strip() for place in places)
        markers.append((species, symbol, cell_type, organ))
    return markers


def _fetch[T](url: str, cached: Path, parse: Callable[[bytes], T], sha256: str | None = None) -> T:
    """Parse a cached file; when there is none, download it, and keep it if it can be parsed."""
    if not url.lower().startswith(("http://", "https://")):
        raise ValueError(f"url must begin with http:// or https://, got {url!r}; read_gmt reads files")

    def check(path: Path, _: Mapping[str, str]) -> None:
        try:
            parse(path.read_bytes())
        except ValueError as error:
            raise ValueError(f"is not as expected ({error})") from error

    by_hand = f"Without a connection, get the file elsewhere and put it at {cached.resolve()}"
    known_hash = f"sha256:{sha256}" if sha256 else None
    download(url, cached, known_hash=known_hash, check=check, by_hand=by_hand)
    try:
        return parse(cached.read_bytes())
    except ValueError as error:
        raise ValueError(f"the cached file {cached} is not as expected: {error}; delete it to download anew") from error


def _check_sha256(found: str, expected: str | None, source: str) -> None:
    if expected is not None and found != expected.lower():
        raise ValueError(
            f"{source} has sha256 {found}, not {expected}: it is damaged, or another version (pass its own "
            "sha256= if you trust it)"
        )


def _text(data: bytes, source: str) -> str:
    """Return the text of a file that may be compressed, whatever its name: some servers decompress."""
    try:
        if data.startswith(b"\x1f\x8b"):
            data = gzip.decompress(data)
        return data.decode("utf-8-sig")
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise ValueError(f"{source} is damaged, or no text: {error}") from error


def _file_name(url: str) -> str:
    from urllib.parse import unquote, urlsplit

    name = Path(unquote(urlsplit(url).path)).name
    return name or "gene_sets.gmt"


def _as_genes(name: str, genes: Iterable[str]) -> list[str]:
    if isinstance(genes, str):
        raise TypeError(f"the set {name!r} must be a list of genes, not the text {genes!r}")
    return list(dict.fromkeys(map(str, genes)))

"""Data sets of CELLxGENE by their id: as the Census holds them, or as Discover has them now."""

from __future__ import annotations

import hashlib
import json
import logging
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from scdataloader._atomic import atomic_path
from scdataloader._download import download
from scdataloader.sources.addresses import read_url

logger = logging.getLogger(__name__)

BUCKET = "https://cellxgene-census-public-us-west-2.s3.us-west-2.amazonaws.com/cell-census"
RELEASES = "https://census.cellxgene.cziscience.com/cellxgene-census/v1/release.json"
DISCOVER = "https://api.cellxgene.cziscience.com/curation/v1"

_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
_ETAG = re.compile(r'"?([0-9a-f]{32})(?:-(\d+))?"?')
_MIB = 1 << 20
#: Sizes, in MiB, of the parts in which tools upload large files to S3 (8: the AWS command line).
_PARTS = (8, 5, 10, 15, 16, 20, 25, 32, 50, 64, 100, 128, 256, 512, 1024)


def download_dataset(
    dataset_id: str,
    *,
    release: str = "stable",
    cache: Path | None = None,
    base_url: str = BUCKET,
    releases_url: str = RELEASES,
    discover_url: str = DISCOVER,
) -> Path:
    """Return a local copy of a data set of CELLxGENE, as h5ad.

    Size and S3 checksum are checked when it arrives, its noted sha256 at every later use.

    Parameters
    ----------
    dataset_id
        Id as in the Census and in the addresses of Discover, such as ``"8e47ed12-c658-4252-b126-381df8d52a3d"``.
    release
        Census release: a date, or ``"stable"`` or ``"latest"``; or ``"discover"`` for the newest version on Discover,
        which need not be in the Census yet.
    cache
        Folder for the copies; by default ``census`` in the cache (``$SCDATALOADER_CACHE``).
    base_url, releases_url, discover_url
        Addresses of a mirror.

    Raises
    ------
    ValueError
        When the id or the release is none, the release has no such data set, or what arrives is damaged.
    ConnectionError
        When a server does not answer or refuses.

    References
    ----------
    CZI Cell Science Program, CZ CELLxGENE Discover, Nucleic Acids Research 53:D886 (2025). The data are CC BY 4.0.
    """
    dataset_id = dataset_id.strip().lower()
    if not _ID.fullmatch(dataset_id):
        raise ValueError(
            f"{dataset_id!r} is no data set id of CELLxGENE: they look like 8e47ed12-c658-4252-b126-381df8d52a3d"
        )
    folder = cache or _default_folder()
    if release == "discover":
        url, size = _discover_file(dataset_id, discover_url)
        return download(
            url, folder / "discover" / f"{dataset_id}.{url.rpartition('/')[2]}", size=size, check=_check_etag
        )
    release = resolve_release(release, cache=folder, releases_url=releases_url)
    url = f"{base_url.rstrip('/')}/{release}/h5ads/{dataset_id}.h5ad"
    try:
        return download(url, folder / release / f"{dataset_id}.h5ad", check=_check_etag)
    except FileNotFoundError as error:
        raise ValueError(
            f"census release {release} has no data set {dataset_id}: there is nothing at {url}. It may be in another "
            "release, or on Discover only (release='discover')"
        ) from error


def resolve_release(name: str, *, cache: Path | None = None, releases_url: str = RELEASES) -> str:
    """Return the date of a Census release given by its alias; a date is returned as it is.

    The list of releases is kept in the cache, and serves when the server does not answer.

    Raises
    ------
    ValueError
        When the release does not exist.
    ConnectionError
        When the server does not answer and no former list is kept.
    """
    if _DATE.fullmatch(name):
        return name
    copy = (cache or _default_folder()) / "release.json"
    try:
        text = read_url(releases_url)
    except OSError as error:
        if not copy.exists():
            raise ConnectionError(
                f"the list of census releases cannot be read ({error}): give the date of a release, such as 2025-01-30"
            ) from error
        logger.warning("%s; the list of census releases of an earlier use serves", error)
        text = copy.read_bytes()
    else:
        _parsed(text, releases_url)
        with atomic_path(copy) as temporary:
            temporary.write_bytes(text)
    releases = _parsed(text, releases_url)
    found = releases.get(name)
    for _ in range(len(releases)):  # an alias may name an alias
        if not isinstance(found, str) or _DATE.fullmatch(found):
            break
        found = releases.get(found)
    if not isinstance(found, str) or not _DATE.fullmatch(found):
        aliases = [key for key, value in releases.items() if isinstance(value, str)]
        dates = sorted(key for key in releases if _DATE.fullmatch(key))
        raise ValueError(f"there is no census release {name!r}: there are {', '.join([*aliases, *dates])}")
    return found


def _parsed(text: bytes, url: str) -> dict[str, Any]:
    try:
        releases = json.loads(text)
    except ValueError as error:
        raise ValueError(f"{url} does not send a list of census releases, but {text[:40]!r}") from error
    if not isinstance(releases, dict):
        raise ValueError(f"{url} does not send a list of census releases, but {text[:40]!r}")
    return releases


def _discover_file(dataset_id: str, discover_url: str) -> tuple[str, int | None]:
    """Return address and size of the newest h5ad of a data set on Discover."""
    url = f"{discover_url.rstrip('/')}/datasets/{dataset_id}/versions"
    try:
        versions = json.loads(read_url(url))
        assets = versions[0]["assets"]  # the newest comes first
        asset = next(asset for asset in assets if asset["filetype"] == "H5AD")
        size = asset.get("filesize")
        return str(asset["url"]), int(size) if size else None
    except FileNotFoundError as error:
        raise ValueError(f"Discover has no data set {dataset_id}: there is nothing at {url}") from error
    except (ValueError, LookupError, TypeError, StopIteration) as error:
        raise ValueError(f"{url} names no h5ad file of data set {dataset_id}") from error


def _default_folder() -> Path:
    from scdataloader._cache import cache_folder

    return cache_folder() / "census"


def _check_etag(path: Path, headers: Mapping[str, str]) -> None:
    """Raise ValueError when a file does not have the ETag that S3 gave it.

    The ETag of a file that was uploaded at once is its md5; of one in parts, the md5 of the parts' md5s with their
    number behind it. The size of the parts is not told: of the usual ones, those that make the number are tried.
    """
    match = _ETAG.fullmatch(headers.get("etag", ""))
    if match is None:
        return
    expected, n_parts = match[1], match[2]
    size = path.stat().st_size
    if n_parts is None:
        parts = [max(size, 1)]
    else:
        parts = [part * _MIB for part in _PARTS if -(-size // (part * _MIB)) == int(n_parts)]
        if not parts:
            logger.warning(
                "the checksum %s of %s is of parts of no usual size: only its size was checked", match[0], path
            )
            return
    if not any(_etag(path, part, multipart=n_parts is not None) == expected for part in parts):
        raise ValueError(f"does not have the checksum {match[0].strip(chr(34))} that its server tells")


def _etag(path: Path, part: int, *, multipart: bool) -> str:
    digests: list[bytes] = []
    with path.open("rb") as file:
        while True:
            digest, left = hashlib.md5(usedforsecurity=False), part
            while left and (chunk := file.read(min(left, _MIB))):
                digest.update(chunk)
                left -= len(chunk)
            if left == part and digests:
                break
            digests.append(digest.digest())
            if left:
                break
    return hashlib.md5(b"".join(digests), usedforsecurity=False).hexdigest() if multipart else digests[0].hex()

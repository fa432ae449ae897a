"""The one way to a file that does not come with the package: an offline folder, the cache, then its address."""

from __future__ import annotations

import hashlib
import logging
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from bengrn._cache import cache_folder
from bengrn._content import open_content
from bengrn._download import download, is_kept, matches

logger = logging.getLogger(__name__)

OFFLINE = "BENGRN_DATA"


@dataclass(frozen=True)
class Source:
    """A public file.

    Attributes
    ----------
    name
        Its name in the cache and in an offline folder; may hold a folder ("mccalla/hESC_intersect.txt").
    url
        Where it is fetched; None where it has no address that a program may use.
    known_hash
        "sha256:..." or "md5:..." of the bytes at `url`; None where they change or were never seen. Then the
        hash of the first download is noted and later reads are checked against that.
    copies
        Other names under which an offline folder may hold the same content, compressed or not, each with
        the sha256 of the decompressed content (None: not checked).
    page
        Where a person finds it.
    """

    name: str
    url: str | None
    known_hash: str | None = None
    copies: tuple[tuple[str, str | None], ...] = ()
    page: str = ""


def offline_folders() -> list[Path]:
    """Return the folders named by the environment variable BENGRN_DATA (several: joined as in PATH)."""
    return [Path(part).expanduser() for part in os.environ.get(OFFLINE, "").split(os.pathsep) if part]


def locate(source: Source, *, cache: Path | None = None) -> tuple[Path, Literal["offline", "cache"]] | None:
    """Say where a file lies already, None where it would have to be fetched. Looks, but reads nothing."""
    for folder in offline_folders():
        for name in (source.name, *(name for name, _ in source.copies)):
            if (folder / name).is_file():
                return folder / name, "offline"
    path = (cache or cache_folder()) / source.name
    return (path, "cache") if path.is_file() else None


def fetch(
    source: Source, *, cache: Path | None = None, attempts: int = 4, timeout: float = 60.0, wait: float = 0.5
) -> Path:
    """Return a checked local copy of a file.

    Looked for in the folders of ``BENGRN_DATA``, then in the cache, then at its address. Its hash is checked
    at every call; a cached file that fails is fetched anew. An interrupted download goes on where it stopped
    if the server can (range requests), also in a later call where the file's hash is known.

    Parameters
    ----------
    source
        File to get.
    cache
        Cache folder; None: that of the environment variable ``BENGRN_CACHE``, else the platform's.
    attempts
        Number of tries before giving up on a server that does not answer, breaks off or has a passing error.
    timeout
        Seconds without any answer that end a try.
    wait
        Seconds before the second try; doubles each time.

    Raises
    ------
    ConnectionError
        If the server does not answer, breaks off each time, or refuses.
    FileNotFoundError
        If there is nothing at its address; if it is in no offline folder and has no address.
    ValueError
        If the server or an offline folder holds something else than what is expected.
    """
    found = locate(source, cache=cache)
    if found and found[1] == "offline":
        return _checked_offline(source, found[0])
    cache = cache or cache_folder()
    path = cache / source.name
    place = f"{cache} or a folder that {OFFLINE} names"
    if source.url is None:
        if is_kept(path, source.known_hash):
            return path
        raise FileNotFoundError(
            f"{source.name} cannot be fetched by a program. Get it from {source.page or 'its publisher'} and put it, "
            f"under this name, into {place}"
        )
    return download(
        source.url,
        path,
        known_hash=source.known_hash,
        by_hand=f"Get it by hand from {source.page or source.url} and put it, as {source.name}, into {place}",
        attempts=attempts,
        timeout=timeout,
        wait=wait,
    )


def content_hash(path: Path) -> str:
    """Hash (sha256) of what a file holds once decompressed."""
    with open_content(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]  # gzip files do


def _checked_offline(source: Source, path: Path) -> Path:
    copies = {Path(name).name: pin for name, pin in source.copies}
    if path.name in copies:
        expected, ok = copies[path.name], True
        if expected is not None:
            ok = content_hash(path) == expected
    else:
        expected = source.known_hash
        ok = expected is None or matches(path, expected)
    if not ok:
        raise ValueError(
            f"{path} in the offline folder is not the expected {source.name}: its content does not have the hash "
            f"{expected}. Replace it by {source.url or source.page}, or read it as a truth of your own with "
            "GroundTruth.read"
        )
    return path

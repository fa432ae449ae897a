"""The one way to a file that does not come with the package: an offline folder, the cache, then its address.

Nothing half-written is ever read: a download goes to a file beside its place, is checked, and only then renamed.
"""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from bengrn._cache import cache_folder
from bengrn._content import open_content

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
        What to get.
    cache
        Cache folder; None: that of the environment variable ``BENGRN_CACHE``, else the platform's.
    attempts
        Tries before giving up on a server that does not answer, breaks off or has a passing error.
    timeout
        Seconds without any answer that end a try.
    wait
        Seconds before the second try; doubles each time.

    Raises
    ------
    ConnectionError
        If it cannot be downloaded.
    FileNotFoundError
        If it is on no offline folder and has no address.
    ValueError
        If the server or an offline folder holds something else than what is expected.
    """
    found = locate(source, cache=cache)
    if found and found[1] == "offline":
        return _checked_offline(source, found[0])
    cache = cache or cache_folder()
    path = cache / source.name
    expected = source.known_hash or _noted(path)
    if path.is_file():
        if expected is None:
            _note(path)
            return path
        if matches(path, expected):
            return path
        logger.warning("%s is damaged (it should have %s): fetching it anew", path, expected)
    if source.url is None:
        raise FileNotFoundError(
            f"{source.name} cannot be fetched by a program. Get it from {source.page or 'its publisher'} and put it, "
            f"under this name, into {cache} or a folder that {OFFLINE} names"
        )
    _download(source, path, attempts=attempts, timeout=timeout, wait=wait)
    return path


def matches(path: Path, expected: str) -> bool:
    """Whether a file has a hash given as "algorithm:digits"."""
    algorithm, _, digits = expected.rpartition(":")
    return file_hash(path, algorithm or "sha256") == digits.lower()


def file_hash(path: Path, algorithm: str = "sha256") -> str:
    """Hash of the bytes of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, algorithm).hexdigest()


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


def _note_path(path: Path) -> Path:
    return path.with_name(path.name + ".sha256")


def _noted(path: Path) -> str | None:
    note = _note_path(path)
    return f"sha256:{note.read_text().strip()}" if note.is_file() else None


def _note(path: Path) -> None:
    from grnndata import atomic_path  # takes seconds to import

    with atomic_path(_note_path(path)) as temporary:
        temporary.write_text(file_hash(path))


def _download(source: Source, path: Path, *, attempts: int, timeout: float, wait: float) -> None:
    import pooch

    from bengrn.resume import ResumingDownloader

    path.parent.mkdir(parents=True, exist_ok=True)
    if source.known_hash is None:
        # Nothing says what the bytes should be, so a damaged file must not stand in the way.
        path.unlink(missing_ok=True)
        _note_path(path).unlink(missing_ok=True)
    keep = source.known_hash is not None
    loader = ResumingDownloader(path, keep=keep, attempts=attempts, timeout=timeout, wait=wait)
    by_hand = (
        f"Get it by hand from {source.page or source.url} and put it, as {source.name}, into "
        f"{path.parents[source.name.count('/')]} or a folder that {OFFLINE} names"
    )
    with _quiet(pooch.get_logger()):
        while True:
            try:
                pooch.retrieve(
                    str(source.url), known_hash=source.known_hash, fname=path.name, path=path.parent, downloader=loader
                )
                break
            except ValueError as error:
                # Old bytes and new ones may not belong together: once more, from the start.
                if loader.resumed:
                    loader.resumed = False
                    continue
                raise ValueError(
                    f"what {source.url} sends is not the expected {source.name} ({source.known_hash}): the file there "
                    f"has changed, or the connection changes it. Nothing was kept. {by_hand}"
                ) from error
            except OSError as error:
                raise ConnectionError(
                    f"{source.name} could not be fetched from {source.url}: {error}. {by_hand}"
                ) from error
    if source.known_hash is None:
        _note(path)
    logger.info("fetched %s (%d bytes)", path, path.stat().st_size)


@contextmanager
def _quiet(log: logging.Logger) -> Iterator[None]:
    level = log.level
    log.setLevel(logging.WARNING)
    try:
        yield
    finally:
        log.setLevel(level)

"""The way to one public file: over http, whole, checked, and only then under its name. One text in several packages.

A download that breaks off goes on where it stopped if the server can (range requests), also in a later call where the
hash of the whole file is known.
"""

from __future__ import annotations

import hashlib
import logging
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

logger = logging.getLogger(__name__)

_CHUNK = 1 << 16
#: Answers that may be others a moment later.
_PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})
#: Seconds after which bytes that nobody adds to are those of a killed process.
_ABANDONED = 600.0


def download(
    url: str,
    path: Path,
    *,
    known_hash: str | None = None,
    size: int | None = None,
    check: Callable[[Path, Mapping[str, str]], None] | None = None,
    by_hand: str = "",
    attempts: int = 4,
    timeout: float = 60.0,
    wait: float = 0.5,
) -> Path:
    """Copy a public file to `path`, if it is not there already, and return `path`.

    The file is checked at every call, and fetched anew if it is damaged. Where no hash is known, that of the first
    download is noted beside it (``NAME.sha256``) and later calls check against this.

    Parameters
    ----------
    url
        Address, http or https.
    path
        Place of the file; its folder is made.
    known_hash
        Hash of the file, ``"sha256:..."`` or ``"md5:..."``.
    size
        Size of the file in bytes.
    check
        Function that is called with the downloaded file, before it gets its name, and the headers of the answer (names
        in lower case). It raises ValueError, with an end of the sentence "what URL sends ...", for a file that is not
        to be kept.
    by_hand
        Sentence that ends every error: how a person gets the file without this function.
    attempts
        Number of tries before giving up on a server that does not answer, breaks off, or has a passing error.
    timeout
        Seconds without any answer that end a try.
    wait
        Seconds before the second try; doubles each time.

    Raises
    ------
    FileNotFoundError
        When there is nothing at the address.
    ConnectionError
        When the server does not answer, breaks off each time, or refuses.
    ValueError
        When what arrives is not what is expected, or the address is none of http.
    OSError
        When the disk is full or cannot be written.
    """
    if not url.lower().startswith(("http://", "https://")):
        raise ValueError(f"{url!r} cannot be downloaded: its address must begin with https:// or http://")
    if is_kept(path, known_hash, size):
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with _part(path, keep=known_hash is not None) as part:
            while True:
                transfer = _Transfer(url, part, keep=known_hash is not None)
                transfer.run(attempts=attempts, timeout=timeout, wait=wait)
                try:
                    _check(part, transfer.headers, known_hash, size, check)
                    break
                except ValueError as error:
                    part.unlink()
                    if not transfer.resumed:  # else old bytes and new ones may not belong together: from the start
                        raise ValueError(
                            f"what {url} sends {error}: nothing was kept. Try again; if it stays so, the file there "
                            "was changed, or something between here and there changes it"
                        ) from error
            part.replace(path)
    except (ConnectionError, FileNotFoundError, ValueError) as error:
        if not by_hand:
            raise
        raise type(error)(f"{error}. {by_hand}") from error
    if known_hash is None:
        _note(path)
    logger.info("fetched %s (%d bytes)", path, path.stat().st_size)
    return path


def is_kept(path: Path, known_hash: str | None = None, size: int | None = None) -> bool:
    """Say whether a file is there and whole; one that is neither known nor noted is taken as it is, and noted.

    Parameters
    ----------
    path, known_hash, size
        Place, hash and size of the file; see `download`.
    """
    if not path.is_file():
        return False
    expected = known_hash or noted_hash(path)
    if expected is None:
        if size in (None, path.stat().st_size):
            _note(path)
            return True
        expected = f"{size:,} bytes"
    elif matches(path, expected):
        return True
    logger.warning("%s is damaged (it should have %s): fetching it anew", path, expected)
    return False


def noted_hash(path: Path) -> str | None:
    """Return the hash that was noted when a file was downloaded, as ``"sha256:..."``; None without a note."""
    note = _note_path(path)
    return f"sha256:{note.read_text().strip()}" if note.is_file() else None


def matches(path: Path, expected: str) -> bool:
    """Say whether a file has a hash, given as ``"algorithm:digits"``."""
    algorithm, _, digits = expected.rpartition(":")
    return file_hash(path, algorithm or "sha256") == digits.lower()


def file_hash(path: Path, algorithm: str = "sha256") -> str:
    """Return the hash of the bytes of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, algorithm).hexdigest()


def _note_path(path: Path) -> Path:
    return path.with_name(f"{path.name}.sha256")


def _note(path: Path) -> None:
    temporary = path.with_name(f".{uuid4().hex[:12]}.{path.name}.sha256")
    try:
        temporary.write_text(file_hash(path))
        temporary.replace(_note_path(path))
    finally:
        temporary.unlink(missing_ok=True)


def _check(
    part: Path,
    headers: Mapping[str, str],
    known_hash: str | None,
    size: int | None,
    check: Callable[[Path, Mapping[str, str]], None] | None,
) -> None:
    arrived = part.stat().st_size
    if size is not None and arrived != size:
        raise ValueError(f"has {arrived:,} bytes, {size:,} were expected")
    if known_hash is not None and not matches(part, known_hash):
        algorithm, _, digits = known_hash.rpartition(":")
        algorithm = algorithm or "sha256"
        raise ValueError(f"has {algorithm} {file_hash(part, algorithm)}, not {digits}")
    if check is not None:
        check(part, headers)


@contextmanager
def _part(path: Path, *, keep: bool) -> Iterator[Path]:
    """Yield a file of this call in which bytes gather, ``NAME.<random>.part``.

    Where `keep` is true, it begins with the bytes of an earlier download that failed, and after a failure of this one
    they stay, as ``NAME.part``. The hash of the whole shows afterwards whether old and new bytes belong together.
    """
    part, leftover = path.with_name(f"{path.name}.{uuid4().hex[:8]}.part"), path.with_name(f"{path.name}.part")
    others = path.parent.glob(f"{path.name}.*.part")
    for old in (leftover, *(other for other in others if time.time() - other.stat().st_mtime > _ABANDONED)):
        if not keep or part.is_file():
            old.unlink(missing_ok=True)
        elif old.is_file():
            try:
                old.rename(part)  # of several processes one succeeds
            except OSError:
                continue
    try:
        yield part
    except BaseException:
        if keep and part.is_file():
            part.replace(leftover)
        raise
    finally:
        part.unlink(missing_ok=True)


class _Transfer:
    """Adds the bytes at an address to a file, in several tries if need be.

    After `run`, ``headers`` are those of the answer, and ``resumed`` says whether bytes are there of before this call.
    """

    def __init__(self, url: str, part: Path, *, keep: bool) -> None:
        self.url, self.part, self.keep = url, part, keep
        self.resumed = part.is_file() and part.stat().st_size > 0
        self.headers: dict[str, str] = {}
        self._validator: str | None = None

    def run(self, *, attempts: int, timeout: float, wait: float) -> None:
        import requests
        import urllib3

        reason = ""
        for attempt in range(attempts):
            if attempt:
                logger.info("%s: %s, trying again", self.url, reason)
                time.sleep(wait * 2 ** (attempt - 1))
            try:
                reason = self._try(timeout)
            except (requests.ConnectionError, requests.Timeout, urllib3.exceptions.HTTPError) as error:
                reason = _innermost(error)
            except requests.RequestException as error:
                raise ConnectionError(f"{self.url} cannot be read: {_innermost(error)}") from error
            if not reason:
                return
        raise ConnectionError(
            f"{self.url} could not be read in {attempts} {'try' if attempts == 1 else 'tries'} ({reason}): check the "
            "connection (or https_proxy) and try again"
        )

    def _try(self, timeout: float) -> str:
        """Return why the file is not whole yet, empty if it is."""
        import requests

        have = self.part.stat().st_size if self.part.is_file() and (self.keep or self._validator) else 0
        # Compressed on the way, lengths and ranges would not be those of the file.
        headers = {"Accept-Encoding": "identity", "User-Agent": __name__.partition(".")[0]}
        if have:
            headers["Range"] = f"bytes={have}-"
            if self._validator:
                headers["If-Range"] = self._validator
        with requests.get(self.url, headers=headers, stream=True, timeout=timeout) as response:
            code = response.status_code
            if code == 416:
                self.part.unlink()
                self.resumed = False
                return "its server does not have the rest of the file"
            if code in (404, 410):
                raise FileNotFoundError(f"there is nothing at {self.url}: its server answered {code}")
            if code in _PASSING:
                return f"its server answered {code}"
            if not response.ok:
                raise ConnectionError(f"{self.url} cannot be read: its server answered {code} ({response.reason})")
            self.headers = {name.lower(): value for name, value in response.headers.items()}
            etag = self.headers.get("etag", "")
            self._validator = etag if etag.startswith('"') else self.headers.get("last-modified")
            return self._save(response, have)

    def _save(self, response: Any, have: int) -> str:
        import urllib3

        goes_on = response.status_code == 206 and self.headers.get("content-range", "").startswith(f"bytes {have}-")
        if not goes_on:
            have, self.resumed = 0, False
        length = self.headers.get("content-length", "")
        total = have + int(length) if length.isdigit() else None
        progress = _Progress(self.url.rstrip("/").rpartition("/")[2], total)
        with self.part.open("ab" if goes_on else "wb") as out:
            try:
                for chunk in response.raw.stream(_CHUNK, decode_content=False):
                    out.write(chunk)
                    have += len(chunk)
                    progress.show(have)
            except urllib3.exceptions.ProtocolError:  # it broke off
                if total is None:
                    raise
        progress.end()
        return "" if total in (None, have) else f"it ended after {have:,} of {total:,} bytes"


class _Progress:
    """One line on stderr, and only where somebody may be looking."""

    def __init__(self, name: str, total: int | None) -> None:
        self.name, self.total = name, total
        self.seen = sys.stderr.isatty()
        self.last = time.monotonic()
        self.shown = False

    def show(self, done: int) -> None:
        if not self.seen or time.monotonic() - self.last < 0.5:
            return
        self.last, self.shown = time.monotonic(), True
        share = f" ({done / self.total:.0%})" if self.total else ""
        sys.stderr.write(f"\r{self.name}: {done / 1e6:,.1f} MB{share} ")
        sys.stderr.flush()

    def end(self) -> None:
        if self.shown:
            sys.stderr.write("\n")


def _innermost(error: BaseException) -> str:
    """Return the shortest true account: the errors of this stack repeat each other, wrapped."""
    inner: BaseException = error
    while True:
        reason = getattr(inner, "reason", None)
        below = inner.args[0] if inner.args and isinstance(inner.args[0], BaseException) else None
        following = reason if isinstance(reason, BaseException) else below
        if following is None:
            return str(inner).split(": ", 1)[-1] or type(inner).__name__
        inner = following

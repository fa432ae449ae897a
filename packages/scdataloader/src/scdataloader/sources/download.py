"""The way to one public file: over http, whole, checked, and only then under its name."""

from __future__ import annotations

import errno
import hashlib
import http.client
import logging
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path

from scdataloader._atomic import atomic_path

logger = logging.getLogger(__name__)

_CHUNK = 1 << 20
#: Answers that may be others a moment later.
_PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})
#: Errors of this machine's disk, which say nothing of the server.
_LOCAL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM})


def download(
    url: str,
    path: Path,
    *,
    known_hash: str | None = None,
    size: int | None = None,
    check: Callable[[Path, Mapping[str, str]], None] | None = None,
    attempts: int = 4,
    timeout: float = 60.0,
    wait: float = 0.5,
) -> Path:
    """Copy a public file to `path`, if it is not there already, and return `path`.

    The hash of what was downloaded is noted beside it (``NAME.sha256``). At every later call the file is checked
    against `known_hash`, or else the noted hash, and fetched anew if it is damaged.

    Parameters
    ----------
    url
        Address, http or https.
    path
        Where it is kept; its folder is made.
    known_hash
        ``"sha256:..."`` or ``"md5:..."`` of the file.
    size
        Its size in bytes.
    check
        Called with the downloaded file, before it gets its name, and the headers of the answer (names in lower case);
        raises ValueError, with an end of the sentence "what URL sends ...", for a file that is not to be kept.
    attempts
        Tries before giving up on a server that does not answer, breaks off, or has a passing error.
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
    if not url.startswith(("http://", "https://")):
        raise ValueError(f"{url!r} cannot be downloaded: its address must begin with https:// or http://")
    expected = known_hash or noted_hash(path)
    if path.is_file():
        if expected is None and size in (None, path.stat().st_size):
            _note(path)
            return path
        if expected is not None and _matches(path, expected):
            return path
        logger.warning("%s is damaged: fetching it anew", path)
    with atomic_path(path) as temporary:
        headers = _with_retries(url, temporary, attempts=attempts, timeout=timeout, wait=wait)
        arrived = temporary.stat().st_size
        if size is not None and arrived != size:
            raise ValueError(_unexpected(url, f"has {arrived:,} bytes, {size:,} were expected"))
        if known_hash is not None and not _matches(temporary, known_hash):
            raise ValueError(_unexpected(url, f"does not have the hash {known_hash}"))
        if check is not None:
            try:
                check(temporary, headers)
            except ValueError as error:
                raise ValueError(_unexpected(url, str(error))) from error
    _note(path)
    return path


def read_url(url: str, *, attempts: int = 4, timeout: float = 60.0, wait: float = 0.5) -> bytes:
    """Return what is at an address, for small things such as listings; raises as `download` does."""
    from tempfile import TemporaryDirectory

    if not url.startswith(("http://", "https://")):
        raise ValueError(f"{url!r} cannot be read: its address must begin with https:// or http://")
    with TemporaryDirectory() as folder:
        target = Path(folder) / "page"
        _with_retries(url, target, attempts=attempts, timeout=timeout, wait=wait)
        return target.read_bytes()


def noted_hash(path: Path) -> str | None:
    """Return the hash that was noted when the file was downloaded, as ``"sha256:..."``."""
    note = path.with_name(f"{path.name}.sha256")
    return f"sha256:{note.read_text().strip()}" if note.is_file() else None


def _note(path: Path) -> None:
    with atomic_path(path.with_name(f"{path.name}.sha256")) as temporary:
        temporary.write_text(_file_hash(path, "sha256"))


def _matches(path: Path, expected: str) -> bool:
    algorithm, _, digits = expected.rpartition(":")
    return _file_hash(path, algorithm or "sha256") == digits.lower()


def _file_hash(path: Path, algorithm: str) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, algorithm).hexdigest()


def _unexpected(url: str, what: str) -> str:
    return (
        f"what {url} sends {what}: nothing was kept. Try again; if it stays so, the file there was changed, or "
        "something between here and there changes it"
    )


def _with_retries(url: str, target: Path, *, attempts: int, timeout: float, wait: float) -> dict[str, str]:
    for attempt in range(1, attempts + 1):
        try:
            return _copy(url, target, timeout)
        except urllib.error.HTTPError as error:
            if error.code in (404, 410):
                raise FileNotFoundError(f"there is nothing at {url}") from error
            if error.code not in _PASSING:
                raise ConnectionError(
                    f"{url} cannot be read: its server answered {error.code} ({error.reason})"
                ) from error
            reason = f"its server answered {error.code}"
        except (OSError, http.client.HTTPException) as error:
            if isinstance(error, OSError) and error.errno in _LOCAL:
                raise
            inner = error.reason if isinstance(error, urllib.error.URLError) else error
            reason = str(inner) or type(inner).__name__
        if attempt < attempts:
            logger.info("%s: %s, trying again", url, reason)
            time.sleep(wait * 2 ** (attempt - 1))
    raise ConnectionError(
        f"{url} could not be read in {attempts} tries ({reason}): check the connection (or https_proxy) and try again"
    )


def _copy(url: str, target: Path, timeout: float) -> dict[str, str]:
    from tqdm import tqdm

    request = urllib.request.Request(url, headers={"User-Agent": "scdataloader", "Accept-Encoding": "identity"})  # noqa: S310 (callers checked the scheme)
    with urllib.request.urlopen(request, timeout=timeout) as response, target.open("wb") as out:  # noqa: S310
        headers = {name.lower(): value for name, value in response.headers.items()}
        total = int(headers["content-length"]) if headers.get("content-length", "").isdigit() else None
        arrived = 0
        name = url.rstrip("/").rpartition("/")[2]
        with tqdm(total=total, unit="B", unit_scale=True, desc=name, disable=None, delay=2) as bar:
            while chunk := response.read(_CHUNK):
                out.write(chunk)
                arrived += len(chunk)
                bar.update(len(chunk))
    # http.client takes a broken connection for the end of the file when it reads in pieces
    if total is not None and arrived != total:
        raise http.client.HTTPException(f"it ended after {arrived:,} of {total:,} bytes")
    return headers

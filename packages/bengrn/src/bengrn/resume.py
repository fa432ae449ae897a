"""Download over HTTP that goes on where it broke off. Has the form of a downloader of pooch."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any
from uuid import uuid4

_CHUNK = 1 << 16
# A download that is alive writes more often than this.
_ABANDONED = 600.0
_PASSING = {408, 425, 429, 500, 502, 503, 504}


class ResumingDownloader:
    """Fetch a file in several tries if need be.

    Parameters
    ----------
    path
        Where the file will lie in the end; bytes gather beside it, in ``<name>.<random>.part``.
    keep
        Whether bytes of a failed download stay (as ``<name>.part``) for the next one. Only where the whole is
        checked by a hash afterwards: nothing else shows that old and new bytes belong together.
    attempts, timeout, wait
        See :func:`bengrn.fetch.fetch`.

    Attributes
    ----------
    resumed
        Whether the last download used bytes of an earlier one.
    """

    def __init__(self, path: Path, *, keep: bool, attempts: int, timeout: float, wait: float) -> None:
        self.path = path
        self.keep = keep
        self.attempts = attempts
        self.timeout = timeout
        self.wait = wait
        self.resumed = False

    def __call__(self, url: str, output_file: str, _pooch: Any) -> None:
        """Fetch `url` into `output_file`.

        Raises
        ------
        OSError
            If the server cannot be reached, refuses, or breaks off at every try.
        """
        part = self.path.with_name(f"{self.path.name}.{uuid4().hex[:8]}.part")
        try:
            self._claim_leftovers(part)
            self._gather(url, part)
            part.replace(output_file)
        except BaseException:
            if self.keep and part.is_file():
                part.replace(self._leftover)
            raise
        finally:
            part.unlink(missing_ok=True)

    @property
    def _leftover(self) -> Path:
        return self.path.with_name(self.path.name + ".part")

    def _claim_leftovers(self, part: Path) -> None:
        """Take bytes of an earlier download; a rename can succeed in one process only."""
        self.resumed = False
        abandoned = [
            other
            for other in self.path.parent.glob(f"{self.path.name}.*.part")
            if time.time() - other.stat().st_mtime > _ABANDONED
        ]
        for other in (self._leftover, *abandoned):
            if not self.keep or part.is_file():
                other.unlink(missing_ok=True)
                continue
            try:
                other.rename(part)
            except OSError:
                continue
            self.resumed = part.stat().st_size > 0

    def _gather(self, url: str, part: Path) -> None:
        import requests
        import urllib3

        validator: str | None = None
        reason = "no try was made"
        for attempt in range(self.attempts):
            if attempt:
                time.sleep(self.wait * 2 ** (attempt - 1))
            have = part.stat().st_size if part.is_file() and (self.keep or validator) else 0
            # Compressed on the way, lengths and ranges would not be those of the file.
            headers = {"Accept-Encoding": "identity", "User-Agent": "bengrn"}
            if have:
                headers["Range"] = f"bytes={have}-"
                if validator:
                    headers["If-Range"] = validator
            try:
                with requests.get(url, headers=headers, stream=True, timeout=self.timeout) as response:
                    if response.status_code == 416:
                        part.unlink()
                        reason = "the server does not have the rest of the file"
                        continue
                    if response.status_code in _PASSING:
                        reason = f"the server answers {response.status_code} {response.reason}"
                        continue
                    if not response.ok:
                        raise OSError(f"the server answers {response.status_code} {response.reason}")
                    etag = response.headers.get("ETag", "")
                    validator = etag if etag.startswith('"') else response.headers.get("Last-Modified")
                    if self._save(response, part, have):
                        return
                    reason = "the connection broke off before the end"
            except (requests.ConnectionError, requests.Timeout, urllib3.exceptions.HTTPError) as error:
                reason = _innermost(error)
        raise OSError(f"{reason} (tried {self.attempts} times)")

    def _save(self, response: Any, part: Path, have: int) -> bool:
        """Write what comes; return whether that is all of it."""
        goes_on = response.status_code == 206 and response.headers.get("Content-Range", "").startswith(f"bytes {have}-")
        if not goes_on:
            have, self.resumed = 0, False
        length = response.headers.get("Content-Length")
        total = have + int(length) if length and length.isdigit() else None
        progress = _Progress(self.path.name, total)
        with part.open("ab" if goes_on else "wb") as out:
            for chunk in response.raw.stream(_CHUNK, decode_content=False):
                out.write(chunk)
                have += len(chunk)
                progress.show(have)
        progress.end()
        return total is None or have == total


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

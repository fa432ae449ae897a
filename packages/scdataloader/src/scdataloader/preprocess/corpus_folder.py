"""The output folder of a corpus: unfinished work out of sight, finished files put in place whole."""

from __future__ import annotations

import hashlib
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

_PREFIX, _LOCK = ".work-", ".lock"
#: Bytes read at each end of an input file to tell it from another.
_PROBE = 1 << 20


@contextmanager
def work_folder(out: Path) -> Iterator[Path]:
    """Make a folder inside `out` for unfinished files, gone at the end.

    It holds a locked file. The system gives the lock back when the process ends, however it ends: this is how
    `remove_leftovers` knows the folders of killed processes, on any host and whatever process has their number now.
    """
    out.mkdir(parents=True, exist_ok=True)
    folder, handle = _locked_folder(out)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        handle.close()


def _locked_folder(out: Path) -> tuple[Path, IO[str]]:
    while True:
        folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=out))
        # until it is locked, another process may take it for a leftover
        with suppress(FileNotFoundError):
            handle = (folder / _LOCK).open("w")
            if _lock(handle) is not False and (folder / _LOCK).exists():
                return folder, handle
            handle.close()


def remove_leftovers(out: Path) -> int:
    """Remove the work folders in `out` of processes that have ended; returns how many."""
    n = 0
    for folder in sorted(out.glob(f"{_PREFIX}*")):
        with suppress(OSError):
            if not (folder / _LOCK).exists():
                folder.rmdir()  # only if empty: killed before it had its lock
                continue
            with (folder / _LOCK).open("r+") as handle:
                if _lock(handle):
                    shutil.rmtree(folder, ignore_errors=True)
                    n += 1
    return n


def _lock(handle: IO[str]) -> bool | None:
    """Lock a file; False when another holds it, None when this system has no such locks."""
    if sys.platform == "win32":
        return None
    import fcntl

    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # some network file systems
        return None
    return True


def is_local(uri: str) -> bool:
    """Say whether a source is a path rather than an address (``https://...``, ``s3://...``)."""
    return Path(uri).exists() or re.match(r"[A-Za-z][A-Za-z0-9+.-]+:", uri) is None


def input_fingerprint(uri: str) -> dict[str, Any]:
    """Tell an input from another, without reading it all.

    Returns
    -------
    dict
        Of a file: ``size`` in bytes, ``mtime_ns``, and ``ends``, a hash of its first and last 1 MiB. Of a folder:
        ``files``, their number, ``size``, and ``tree``, a hash of their names, sizes and times. Of anything else:
        ``uri``.

    Raises
    ------
    FileNotFoundError
        When a local file is not there.
    """
    if not is_local(uri):
        return {"uri": uri}
    path = Path(uri)
    if not path.exists():
        raise FileNotFoundError(f"there is no file {path}")
    digest = hashlib.blake2b(digest_size=16)
    if path.is_dir():
        files = [(file, file.stat()) for file in sorted(path.rglob("*")) if file.is_file()]
        for file, stat in files:
            digest.update(f"{file.relative_to(path).as_posix()}\0{stat.st_size}\0{stat.st_mtime_ns}\n".encode())
        return {"files": len(files), "size": sum(stat.st_size for _, stat in files), "tree": digest.hexdigest()}
    stat = path.stat()
    with path.open("rb") as handle:
        digest.update(handle.read(_PROBE))
        handle.seek(max(handle.tell(), stat.st_size - _PROBE))
        digest.update(handle.read(_PROBE))
    return {"size": stat.st_size, "mtime_ns": stat.st_mtime_ns, "ends": digest.hexdigest()}


def output_fingerprint(path: Path) -> dict[str, Any]:
    """Return ``size`` in bytes, ``mtime_ns`` and ``sha256`` of a file."""
    stat = path.stat()
    return {"size": stat.st_size, "mtime_ns": stat.st_mtime_ns, "sha256": _sha256(path)}


def is_output(path: Path, fingerprint: dict[str, Any]) -> bool:
    """Say whether a file is the one of an `output_fingerprint`; it is read only if it was copied since."""
    if not path.is_file():
        return False
    stat = path.stat()
    if stat.st_size != fingerprint["size"]:
        return False
    # two runs may have put their files and records in place in turns: size alone could mix them up
    return stat.st_mtime_ns == fingerprint["mtime_ns"] or _sha256(path) == fingerprint["sha256"]


def _sha256(path: Path) -> str:
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()

"""Files behind an address, copied once to a local cache; anything that fsspec reaches."""

from __future__ import annotations

import errno
import hashlib
import json
import logging
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from scdataloader._atomic import atomic_path
from scdataloader._cache import cache_folder

logger = logging.getLogger(__name__)

#: What servers and stores call the state of a file; one of them is enough to see that it changed.
_STATES = ("ETag", "etag", "Last-Modified", "LastModified", "last_modified", "mtime", "updated", "created", "md5Hash")
#: Errors of this machine's disk, which say nothing of the server.
_LOCAL = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM)


def fetch(url: str, folder: Path | None = None) -> Path:
    """Return a local copy of a remote file, or of a remote zarr or 10x folder; it is copied if it is new or changed.

    Whether it changed is told by its size and its ETag or date. When the server does not answer, an old copy serves.

    Parameters
    ----------
    url
        An address that fsspec knows: ``https://…``, ``s3://…``, ``gs://…``. How to reach a store (such as
        ``FSSPEC_S3_ANON=true`` for public buckets) is set as fsspec's documentation says.
    folder
        Folder for the copies; by default the cache (``$SCDATALOADER_CACHE``).

    Returns
    -------
    pathlib.Path
        A file or folder in the cache, whose name ends as the address does.

    Raises
    ------
    FileNotFoundError
        When there is nothing at the address.
    ConnectionError
        When the server does not answer, or refuses, and no copy is kept.
    ValueError
        When fewer or more bytes arrive than the server said, or a folder is neither zarr nor 10x.
    ImportError
        When fsspec needs a package for such addresses; the message names it.
    """
    copy = (folder or cache_folder()) / _file_name(url)
    note = copy.with_name(f"{copy.name}.json")
    with _failures_named(url):
        store, path = _store(url)
        try:
            state = _state(store, path)
        except Exception as error:
            if copy.exists() and note.exists() and isinstance(_translated(error, url), ConnectionError):
                logger.warning("%s does not answer, the copy %s is used: %s", url, copy, error)
                return copy
            raise
        if _is_current(copy, note, state):
            return copy
        logger.info("copying %s to %s", url, copy)
        if state["files"] is None:
            _copy_file(store, path, copy, state["size"])
        else:
            _copy_folder(store, path, copy, state["files"])
    with atomic_path(note) as temporary:
        temporary.write_text(json.dumps({"url": url, **state}))
    return copy


def _store(url: str) -> tuple[Any, str]:
    import fsspec

    options: dict[str, Any] = {}
    if url.startswith(("http://", "https://")):
        import aiohttp

        # aiohttp gives up after five minutes in all; a large file takes longer, a server that says nothing does not
        options["client_kwargs"] = {"timeout": aiohttp.ClientTimeout(total=None, sock_connect=30, sock_read=120)}
    store, path = fsspec.core.url_to_fs(url, **options)
    store.invalidate_cache()
    return store, path


def _state(store: Any, path: str) -> dict[str, Any]:
    """Return size and version of what is at the path; for a folder, also its files' sizes by their relative path."""
    info = store.info(path)
    if info["type"] != "directory":
        return {"size": info.get("size"), "version": _version(info), "files": None}
    found = {name: entry for name, entry in store.find(path, detail=True).items() if entry["type"] != "directory"}
    root = path.rstrip("/") + "/"
    files = {name.removeprefix(root): entry["size"] for name, entry in sorted(found.items())}
    if not {"zarr.json", ".zgroup", "matrix.mtx", "matrix.mtx.gz"} & set(files):
        raise _NotASourceError(
            f"is a folder of {len(files):,} files and neither zarr nor 10x: give the files' addresses"
        )
    versions = hashlib.sha256(repr([(name, _version(entry)) for name, entry in sorted(found.items())]).encode())
    return {"size": sum(files.values()), "version": versions.hexdigest(), "files": files}


def _version(info: dict[str, Any]) -> str:
    return next((str(info[name]) for name in _STATES if info.get(name) is not None), "")


def _is_current(copy: Path, note: Path, state: dict[str, Any]) -> bool:
    try:
        known = json.loads(note.read_text())
    except (OSError, ValueError):
        return False
    if any(known.get(key) != state[key] for key in state):
        return False
    if state["files"] is not None:
        return all((copy / name).is_file() and (copy / name).stat().st_size == n for name, n in state["files"].items())
    return copy.is_file() and state["size"] in (None, copy.stat().st_size)


def _copy_file(store: Any, path: str, copy: Path, size: int | None) -> None:
    with atomic_path(copy) as temporary:
        with _progress(copy.name) as progress:
            store.get_file(path, str(temporary), callback=progress)
        _check_size(temporary, size, "it")


def _copy_folder(store: Any, path: str, copy: Path, files: dict[str, int]) -> None:
    copy.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(dir=copy.parent, prefix=f".{copy.stem}-"))
    try:
        targets = [temporary / name for name in files]
        for target in targets:
            if not target.resolve().is_relative_to(temporary.resolve()):
                raise _NotASourceError(f"names the file {target}, which lies outside its folder")
            target.parent.mkdir(parents=True, exist_ok=True)
        with _progress(copy.name) as progress:  # stores get many files at once
            store.get([f"{path.rstrip('/')}/{name}" for name in files], list(map(str, targets)), callback=progress)
        for target, (name, size) in zip(targets, files.items(), strict=True):
            _check_size(target, size, name)
        shutil.rmtree(copy, ignore_errors=True)  # a folder cannot replace another in one step
        temporary.replace(copy)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _check_size(file: Path, size: int | None, what: str) -> None:
    if size is not None and file.stat().st_size != size:
        raise _NotASourceError(f"ended early: {what} has {size:,} bytes, {file.stat().st_size:,} arrived; try again")


@contextmanager
def _progress(name: str) -> Iterator[Any]:
    from fsspec.callbacks import TqdmCallback

    callback = TqdmCallback(tqdm_kwargs={"desc": name, "unit_scale": True, "disable": None})
    try:
        yield callback
    finally:
        callback.close()


def _file_name(url: str) -> str:
    """Return the name of the copy: readable, with the address's hash, since many addresses end alike."""
    from urllib.parse import urlsplit

    base = urlsplit(url).path.rstrip("/").rpartition("/")[2] or urlsplit(url).netloc
    safe = "".join(c if c.isalnum() or c in "-._" else "_" for c in base)[-100:].lstrip(".")
    return f"{hashlib.sha256(url.encode()).hexdigest()[:16]}-{safe}"


class _NotASourceError(Exception):
    """The address holds something else than it should; becomes a ValueError that names the address."""


@contextmanager
def _failures_named(url: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        translated = _translated(error, url)
        if translated is error:
            raise
        raise translated from error


def _translated(error: BaseException, url: str) -> BaseException:
    """Return the built-in exception for what fsspec and the packages below it raise, with the address in it."""
    if isinstance(error, _NotASourceError):
        return ValueError(f"{url} {error}")
    if isinstance(error, ImportError) or (isinstance(error, OSError) and error.errno in _LOCAL):
        return error
    if isinstance(error, ValueError) and "rotocol" in str(error):
        return ValueError(f"{url}: {error}")
    status = _status(error)
    if status in (404, 410) or (isinstance(error, FileNotFoundError) and status is None and not _unreachable(error)):
        hint = "; a folder cannot be listed over http, offer it as one .zarr.zip file" if ".zarr" in url else ""
        return FileNotFoundError(f"there is nothing at {url}{hint}")
    if "PayloadError" in type(error).__name__:
        return ValueError(f"{url} ended early: {error}; try again")
    answer = f"its server answered {status}" if status else f"its server does not answer ({_innermost(error)})"
    return ConnectionError(f"{url} cannot be read: {answer}")


def _causes(error: BaseException) -> Iterator[BaseException]:
    current: BaseException | None = error
    while current is not None:
        yield current
        current = current.__cause__


def _status(error: BaseException) -> int | None:
    # fsspec says FileNotFoundError for all that http servers answer; the true answer is its cause
    for cause in _causes(error):
        status: object = getattr(cause, "status", None)
        if isinstance(status, int):
            return status
    return None


def _unreachable(error: BaseException) -> bool:
    return any(not isinstance(cause, FileNotFoundError) for cause in _causes(error))


def _innermost(error: BaseException) -> str:
    last = list(_causes(error))[-1]
    with suppress(AttributeError):
        return str(last.strerror or last)  # type: ignore[attr-defined]
    return str(last) or type(last).__name__

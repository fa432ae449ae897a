"""One builder at a time: a lock file that says who holds it, and that a dead holder does not keep."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

NAME = "build.lock"


@contextmanager
def build_lock(folder: Path) -> Iterator[None]:
    """Hold the lock of a store folder while it is written.

    Raises
    ------
    BlockingIOError
        When another process holds it; the message says which, and how to free it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / NAME
    mine = folder / f".{NAME}-{platform.node()}-{os.getpid()}"
    content = json.dumps({"host": platform.node(), "pid": os.getpid(), "started": _started(os.getpid())})
    mine.write_text(content, encoding="utf-8")
    try:
        _take(path, mine)
    finally:
        mine.unlink(missing_ok=True)
    try:
        yield
    finally:
        if _read(path) == content:
            path.unlink(missing_ok=True)


def _take(path: Path, mine: Path) -> None:
    # a hard link is made or refused in one step, also on network file systems
    for _ in range(10):
        with suppress(FileExistsError):
            os.link(mine, path)
            return
        held = _read(path)
        if held is None:
            continue  # freed meanwhile
        if not _is_stale(held):
            break
        aside = mine.with_name(f"{mine.name}-stale")
        with suppress(FileNotFoundError):
            path.replace(aside)
            if _read(aside) != held:  # another builder had replaced the stale lock by its own: give it back
                with suppress(FileExistsError):
                    os.link(aside, path)
            aside.unlink()
    raise BlockingIOError(
        f"another process builds this store ({_read(path)}): wait for it; if it is no longer running, delete {path}"
    )


def _read(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None


def _is_stale(content: str) -> bool:
    try:
        holder: dict[str, Any] = json.loads(content)
        host, pid, started = holder["host"], int(holder["pid"]), holder["started"]
    except (ValueError, KeyError, TypeError):
        return True  # links are made of complete files: this is none of ours
    if host != platform.node():
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return started is not None and _started(pid) not in (None, started)


def _started(pid: int) -> str | None:
    """Return when a process started, where the system tells: its number may be another's by now."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rsplit(")", 1)[1].split()[19]
    except (OSError, IndexError):
        return None

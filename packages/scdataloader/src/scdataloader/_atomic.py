"""Files that appear complete or not at all."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4


@contextmanager
def atomic_path(path: os.PathLike[str] | str) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on success it takes the place of `path`, else it is removed.

    Parameters
    ----------
    path
        File to write. Folders above it are made.
    """
    final = Path(path)
    final.parent.mkdir(parents=True, exist_ok=True)
    temporary = final.with_name(f".{uuid4().hex[:12]}.{final.name}")
    try:
        yield temporary
        os.replace(temporary, final)  # noqa: PTH105 - the rename that overwrites on every system
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def atomic_folder(path: os.PathLike[str] | str) -> Iterator[Path]:
    """Yield a temporary path beside a folder, as `atomic_path` does: the old folder goes once the new one is complete.

    Parameters
    ----------
    path
        Folder to write. Folders above it are made.
    """
    final = Path(path)
    final.parent.mkdir(parents=True, exist_ok=True)
    mark = uuid4().hex[:12]
    temporary, old = final.with_name(f".{mark}.{final.name}"), final.with_name(f".{mark}.old.{final.name}")
    try:
        yield temporary
        # A folder cannot be renamed over another one: for a moment there is none, but both are complete.
        if final.exists():
            final.rename(old)
        temporary.rename(final)
    finally:
        if old.exists() and not final.exists():
            old.rename(final)
        for left in (temporary, old):
            shutil.rmtree(left, ignore_errors=True)

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

    Raises
    ------
    FileNotFoundError
        When the folder does not exist.
    """
    final = Path(path)
    if not final.parent.is_dir():
        raise FileNotFoundError(f"cannot write {final}: there is no folder {final.parent.resolve()}")
    temporary = final.with_name(f".{uuid4().hex[:12]}.{final.name}")
    try:
        yield temporary
        os.replace(temporary, final)  # noqa: PTH105 - the rename that overwrites on every system
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def atomic_folder(path: os.PathLike[str] | str) -> Iterator[Path]:
    """As `atomic_path`, for a folder: what stood at `path` is removed only once the new one is complete.

    Raises
    ------
    FileNotFoundError
        When the folder around it does not exist.
    """
    final = Path(path)
    if not final.parent.is_dir():
        raise FileNotFoundError(f"cannot write {final}: there is no folder {final.parent.resolve()}")
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

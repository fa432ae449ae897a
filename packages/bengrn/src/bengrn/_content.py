"""Open files, compressed or not."""

from __future__ import annotations

import bz2
import gzip
import lzma
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from os import PathLike
from pathlib import Path
from typing import IO, Any

_OPENERS: dict[bytes, Callable[..., Any]] = {b"\x1f\x8b": gzip.open, b"\xfd7zXZ": lzma.open, b"BZh": bz2.open}


@contextmanager
def open_content(path: PathLike[str] | str) -> Iterator[IO[bytes]]:
    """Open a file for reading bytes, decompressed as its first bytes say.

    Servers and copies differ in how they name and pack a file, so its name is not asked.

    Parameters
    ----------
    path
        File, plain or compressed by gzip, xz or bzip2.

    Raises
    ------
    FileNotFoundError
        When the file does not exist.
    """
    path = Path(path)
    with path.open("rb") as file:
        start = file.read(6)
    opener = next((opener for magic, opener in _OPENERS.items() if start.startswith(magic)), None)
    with path.open("rb") if opener is None else opener(path, "rb") as content:
        yield content

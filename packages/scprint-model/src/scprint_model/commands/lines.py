"""Lists in files, one name a line."""

from __future__ import annotations

from pathlib import Path


def lines(path: Path, what: str) -> list[str]:
    """Return the names in a file.

    Raises
    ------
    ValueError
        When there is no such file, or no name in it.
    """
    if not path.is_file():
        raise ValueError(f"{what}={str(path)!r} is no file with one name a line, nor another choice that there is")
    names = path.read_text(encoding="utf-8").split()
    if not names:
        raise ValueError(f"{path} names no {what}")
    return names

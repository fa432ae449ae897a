"""Named lists of names from an R data file (.rda), as R's manual "R Internals", section 1.8, describes its format."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

from bengrn._content import open_content

_SYMBOL, _PAIRS, _CHARACTERS, _LOGICAL, _INTEGER, _REAL, _STRINGS, _LIST = 1, 2, 9, 10, 13, 14, 16, 19
_NULL, _REFERENCE = 254, 255
_HAS_ATTRIBUTES, _HAS_TAG = 1 << 9, 1 << 10


def read_named_lists(path: str | Path) -> dict[str, list[str]]:
    """Read the first object of an R data file, a named list of character vectors.

    Parameters
    ----------
    path
        File as R's ``save`` writes it: binary (XDR), of version 2 or 3, compressed with gzip, bzip2 or xz, or not.

    Returns
    -------
    dict
        Name of each vector to its strings; missing ones (NA) are left out.

    Raises
    ------
    ValueError
        If the file is not of that kind, or its first object is not such a list.
    """
    with open_content(Path(path)) as file:
        content = file.read()
    if content[:7] not in (b"RDX2\nX\n", b"RDX3\nX\n"):
        raise ValueError(f"{path} is no R data file: it begins with {content[:7]!r}, not with RDX2 or RDX3")
    reader = _Reader(content, 7)
    try:
        version = reader.integers(3)[0]
        if version == 3:
            reader.take(reader.integers(1)[0])  # the name of the encoding
        found = reader.item()
    except (struct.error, IndexError) as error:
        raise ValueError(f"{path} breaks off: an R data file of {len(content):,} bytes should be longer") from error
    (value, attributes), *_ = found.values()
    names = attributes.get("names", ((), {}))[0] if isinstance(attributes, dict) else ()
    if not isinstance(value, list) or len(names) != len(value) or not all(isinstance(one[0], list) for one in value):
        raise ValueError(f"{path} holds {', '.join(found)}: the first is no named list of character vectors")
    return {name: [gene for gene in one[0] if gene is not None] for name, one in zip(names, value, strict=True)}


class _Reader:
    """Items of R's binary serialization, one after the other; each is a value and its attributes."""

    def __init__(self, content: bytes, place: int) -> None:
        self._content = content
        self._place = place
        self._symbols: list[str] = []

    def take(self, n: int) -> bytes:
        self._place += n
        return self._content[self._place - n : self._place]

    def integers(self, n: int) -> tuple[int, ...]:
        return struct.unpack(f">{n}i", self.take(4 * n))

    def item(self) -> Any:
        flags = self.integers(1)[0]
        kind = flags & 255
        if kind == _NULL:
            return {}
        if kind == _REFERENCE:
            return self._symbols[(flags >> 8 or self.integers(1)[0]) - 1]
        if kind == _SYMBOL:
            self._symbols.append(self.item())
            return self._symbols[-1]
        if kind == _CHARACTERS:
            n = self.integers(1)[0]
            return None if n < 0 else self.take(n).decode("utf-8", errors="replace")
        if kind == _PAIRS:
            return self._pairs(flags)
        value = self._vector(kind)
        return value, self.item() if flags & _HAS_ATTRIBUTES else {}

    def _pairs(self, flags: int) -> dict[str, Any]:
        # A chain of (tag, value), which ends in NULL.
        found: dict[str, Any] = {}
        while flags & 255 == _PAIRS:
            if flags & _HAS_ATTRIBUTES:
                self.item()
            tag = self.item() if flags & _HAS_TAG else str(len(found))
            found[tag] = self.item()
            flags = self.integers(1)[0]
        return found

    def _vector(self, kind: int) -> Any:
        if kind not in (_LOGICAL, _INTEGER, _REAL, _STRINGS, _LIST):
            raise ValueError(f"an R data file has an object of type {kind} at byte {self._place:,}, which is not read")
        n = self.integers(1)[0]
        if kind in (_STRINGS, _LIST):
            return [self.item() for _ in range(n)]
        return struct.unpack(f">{n}{'d' if kind == _REAL else 'i'}", self.take(n * (8 if kind == _REAL else 4)))

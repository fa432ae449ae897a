"""Tables of text on disk: how their fields are separated, whether the first line names them, and what lies in them."""

from __future__ import annotations

import csv
import gzip
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from os import PathLike
from pathlib import Path
from typing import IO, Any, cast

import pandas as pd

from ._content import open_content

#: How tables of text are read: a gene may be called NA or NAN, so only an empty field is missing.
NA_OPTIONS: dict[str, Any] = {"keep_default_na": False, "na_values": [""]}
#: Separators of fields by the end of a file's name.
SEPARATORS = {".csv": ",", ".tsv": "\t", ".txt": "\t"}
SUFFIXES = ".csv, .tsv, .txt (each also .gz) or .parquet"
BLANK = r"\s+"

_SAMPLE = 20  # lines
_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?")
_WITH_COMMA = re.compile(r"[+-]?\d*,\d+(?:[eE][+-]?\d+)?")
#: What stands for a weight that is missing.
NO_NUMBERS = ("", "NA", "NaN", "nan")


@dataclass(frozen=True)
class TextTable:
    """The beginning of a table of text.

    Attributes
    ----------
    path
        File.
    sep
        Separator as pandas takes it.
    decimal
        Decimal point of its numbers.
    lines
        Fields of the first lines that are not empty.
    """

    path: Path
    sep: str
    decimal: str
    lines: list[list[str]]

    @property
    def names_rows(self) -> bool:
        """Whether the header is a field shorter than the rows, as R writes it: the first column names rows."""
        return len(self.lines) > 1 and len(self.lines[1]) == len(self.lines[0]) + 1

    def is_number(self, text: str) -> bool:
        """Say whether a field is a number."""
        return _NUMBER.fullmatch(text.replace(",", ".") if self.decimal == "," else text) is not None

    def has_numbers(self, place: int, *, header: bool = False) -> bool:
        """Say whether a column of the first lines, without that of a header, holds numbers and no other text."""
        fields = [line[place] for line in self.lines[header:] if len(line) > place]
        return any(map(self.is_number, fields)) and all(one in NO_NUMBERS or self.is_number(one) for one in fields)

    @property
    def has_text_above_numbers(self) -> bool:
        """Whether the first line holds text where all others hold numbers, and so is a header."""
        first = self.lines[0] if len(self.lines) > 1 else []
        return any(not self.is_number(one) and self.has_numbers(i, header=True) for i, one in enumerate(first))

    def read(self, **options: Any) -> pd.DataFrame:
        """Read the table with pandas; `options` as for `pandas.read_csv`."""
        with opened(self.path) as file:
            return pd.read_csv(file, **self._options | options)

    def rest(self) -> Iterator[str]:
        """Yield the lines behind the first one, without their ends and without those that are empty."""
        with opened(self.path) as file:
            lines = (line.decode("utf-8-sig" if number == 0 else "utf-8") for number, line in enumerate(file))
            yield from islice((line.rstrip("\r\n") for line in lines if line.strip()), 1, None)

    @property
    def is_blank(self) -> bool:
        """Whether white space separates the fields."""
        return self.sep == BLANK

    @property
    def _options(self) -> dict[str, Any]:
        said = {"sep": self.sep, "decimal": self.decimal, "encoding": "utf-8-sig", "skipinitialspace": True}
        return said | NA_OPTIONS


def peek(path: PathLike[str] | str, sep: str | None = None, *, expected: str = "\t") -> TextTable:
    """Look at the first lines of a table of text.

    Parameters
    ----------
    path
        File, plain or compressed.
    sep
        Separator; None: tab, comma or semicolon, whichever gives most fields in every line, or white space where
        none of them separates.
    expected
        Separator to take where two do equally well.

    Raises
    ------
    ValueError
        When the file is empty or no text.
    """
    path = Path(path)
    with opened(path) as file:
        lines = [line.decode("utf-8-sig").rstrip("\r\n") for line in islice(file, _SAMPLE)]
    lines = [line for line in lines if line.strip()]
    sep = _separator(lines, expected) if sep is None else sep
    split = [_fields(line, sep) for line in lines]
    fields = [field for line in split for field in line]
    commas = sep != "," and any(map(_WITH_COMMA.fullmatch, fields)) and not any("." in f for f in _numbers(fields))
    return TextTable(path, sep, "," if commas else ".", split)


@contextmanager
def opened(path: Path) -> Iterator[IO[bytes]]:
    """Open a file for reading bytes: what is called .gz has to be that, all else is taken by its first bytes."""
    is_packed = path.name.lower().endswith(".gz")
    with gzip.open(path, "rb") if is_packed else open_content(path) as file:
        yield cast("IO[bytes]", file)


def kind_of(path: PathLike[str] | str) -> str:
    """Return ``.csv``, ``.tsv``, ``.txt`` or ``.parquet``, by which a table's name ends.

    Raises
    ------
    ValueError
        When it ends otherwise.
    """
    name = Path(path).name.lower()
    if name.endswith(".parquet"):
        return ".parquet"
    kind = Path(name.removesuffix(".gz")).suffix
    if kind not in SEPARATORS:
        raise ValueError(f"cannot tell the kind of edge table from the name {name!r}: end it with {SUFFIXES}")
    return kind


def first_field(line: str, sep: str) -> tuple[str, str]:
    """Return the first field of a line, without quotes, and the rest of the line behind its separator."""
    if line.startswith('"') and (end := line.find('"', 1)) > 0:
        rest = line[end + 1 :]
        return line[1:end].strip(), rest.lstrip() if sep == BLANK else rest.lstrip(" ")[len(sep) :]
    if sep == BLANK:
        parts = line.split(maxsplit=1)
        return parts[0], parts[1] if len(parts) > 1 else ""
    name, _, rest = line.partition(sep)
    return name.strip(), rest


def _separator(lines: list[str], expected: str) -> str:
    found = {sep: min((len(_fields(line, sep)) for line in lines), default=0) for sep in (expected, "\t", ",", ";")}
    best = max(found, key=lambda sep: found[sep])  # of equals the first
    return best if found[best] > 1 or not any(len(line.split()) > 1 for line in lines) else BLANK


def _fields(line: str, sep: str) -> list[str]:
    blank = sep == BLANK
    try:
        [fields] = csv.reader([" ".join(line.split()) if blank else line], delimiter=" " if blank else sep)
    except (csv.Error, TypeError, ValueError):  # a longer field than csv takes, or a longer separator
        fields = re.split(sep if len(sep) > 1 else re.escape(sep), line)
    return [field.strip(' "') for field in fields]


def _numbers(fields: list[str]) -> list[str]:
    return [field for field in fields if _NUMBER.fullmatch(field)]

"""The way messages write shares, counts and names: true, and never long. Every package has a copy of this file."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

_LONGEST = 60
_MOST_DIGITS = 4


def percent(share: float, digits: int = 0) -> str:
    """Write a share in per cent; one that is neither none nor all is not written as such.

    >>> percent(0.5), percent(0.9996), percent(0.0004, 1), percent(1.0), percent(1 - 1e-9)
    ('50%', '99.96%', '0.04%', '100%', '>99.9999%')
    """
    if 0 < share < 1:
        while digits < _MOST_DIGITS and round(100 * share, digits) in (0, 100):
            digits += 1
        if round(100 * share, digits) in (0, 100):
            return f"<{10**-digits:.{digits}f}%" if share < 0.5 else f">{100 - 10**-digits:.{digits}f}%"
    return f"{share:.{digits}%}"


def counted(n: int, one: str, many: str | None = None) -> str:
    """Write a number with its noun: `one` for 1, else `many` (by default `one` with an s).

    >>> counted(1, "outlier"), counted(2000, "outlier"), counted(1, "gene is", "genes are")
    ('1 outlier', '2,000 outliers', '1 gene is')
    """
    return f"{n:,} {one if n == 1 else many or one + 's'}"


def listed(
    names: Iterable[object], most: int = 12, *, sizes: Mapping[Any, object] | None = None, more: bool = True
) -> str:
    """Write the first names, each cut short if it is long, and how many more there are; missing ones come last.

    With `sizes`, each name's is written too. Without `more` the names are examples: their number is not said.

    >>> listed(["PAX6", float("nan"), "CRX"]), listed(range(5000), 3), listed(["rod"], sizes={"rod": 3})
    ("'PAX6', 'CRX', (missing)", '0, 1, 2 and 4,997 more', "'rod': 3")
    """
    values = list(names)
    values.sort(key=_is_missing)
    shown = [_short(name) + ("" if sizes is None else f": {sizes[name]}") for name in values[:most]]
    return ", ".join(shown) + (f" and {len(values) - most:,} more" if more and len(values) > most else "")


def _is_missing(name: object) -> bool:
    return name is None or name != name or (isinstance(name, str) and name == "nan")


def _short(name: object) -> str:
    if _is_missing(name):
        return "(missing)"
    text = repr(name)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"

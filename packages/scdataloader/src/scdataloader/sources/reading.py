"""Read on demand, and report damage by the name of the file."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import wraps
from pathlib import Path


class Lazy[T](Mapping[str, T]):
    """A mapping whose values are made when they are first asked for, and kept.

    Parameters
    ----------
    makers
        By key, what makes the value.
    """

    def __init__(self, makers: Mapping[str, Callable[[], T]]) -> None:
        self._makers = dict(makers)
        self._values: dict[str, T] = {}

    def __getitem__(self, key: str) -> T:
        if key not in self._values:
            self._values[key] = self._makers[key]()
        return self._values[key]

    def __contains__(self, key: object) -> bool:
        return key in self._makers

    def __iter__(self) -> Iterator[str]:
        return iter(self._makers)

    def __len__(self) -> int:
        return len(self._makers)


@contextmanager
def damage_named(path: Path | str, kind: str) -> Iterator[None]:
    """Turn whatever goes wrong inside into a ValueError that names the file.

    Parameters
    ----------
    path
        The file.
    kind
        Name of what it should be, for the message: ``"an h5ad file"``.

    Raises
    ------
    FileNotFoundError, PermissionError
        When the file is not there, or may not be read: that is told apart from damage.
    ValueError
        For everything else.
    """
    start = f"{path} cannot be read as {kind}: "
    try:
        yield
    except PermissionError:
        raise
    except Exception as error:  # a damaged file fails in any way: wrong types, impossible sizes, bad text, recursion
        if isinstance(error, FileNotFoundError) and not Path(path).exists():
            raise
        if str(error).startswith(start):
            raise
        raise ValueError(f"{start}{_said(error)}") from error


def guarded[**P, T](function: Callable[P, T], path: Path | str, kind: str) -> Callable[P, T]:
    """Return the function with `damage_named` around each call: files are read long after they were opened."""

    @wraps(function)
    def inner(*args: P.args, **kwargs: P.kwargs) -> T:
        with damage_named(path, kind):
            return function(*args, **kwargs)

    return inner


def _said(error: Exception) -> str:
    text = str(error.args[0]) if isinstance(error, KeyError) and error.args else str(error)
    return text or type(error).__name__

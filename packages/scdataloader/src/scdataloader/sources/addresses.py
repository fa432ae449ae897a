"""Addresses of sources: their kinds, their short names, names that no two share, and what is at one."""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import Literal
from urllib.parse import urlsplit

from scdataloader._download import download

#: Endings that say the format and not the data set; the longer ones first.
ENDINGS = (
    ".zarr.zip",
    ".csv.gz",
    ".tsv.gz",
    ".txt.gz",
    ".h5ad",
    ".zarr",
    ".loom",
    ".h5",
    ".csv",
    ".tsv",
    ".txt",
)


Kind = Literal["path", "census", "lamin", "url"]


def parse_address(uri: str) -> tuple[Kind, str]:
    """Split an address into its kind and what tells the source within that kind.

    Parameters
    ----------
    uri
        Path or address, as `scdataloader.find_sources` takes them.

    Returns
    -------
    tuple
        ``"census"`` and a data set's id; ``"lamin"`` and a uid or key; ``"url"`` and the whole address; or ``"path"``
        and a path of this machine.

    Examples
    --------
    >>> parse_address("lamin:brains/a.h5ad")
    ('lamin', 'brains/a.h5ad')
    >>> parse_address("file:///data/a.h5ad")
    ('path', '/data/a.h5ad')
    """
    for kind in ("census", "lamin"):
        if uri.startswith(f"{kind}:") and not uri.startswith(f"{kind}://"):
            return kind, uri.partition(":")[2]
    if uri.startswith("file://"):
        return "path", uri.removeprefix("file://")
    return ("url" if "://" in uri else "path"), uri


def source_name(uri: str) -> str:
    """Return the short name of a source: its file's without the ending, or the id behind ``census:`` or ``lamin:``.

    It can be used as a file name: other characters than letters, digits, ``-``, ``.`` and ``_`` become ``_``.

    Examples
    --------
    >>> source_name("https://example.org/data/My brain.h5ad?download=1")
    'My_brain'
    """
    return _clean(_parts(uri)[-1])


def unique_names(uris: Sequence[str]) -> list[str]:
    """Return one name a source, all different, also where the file system ignores case.

    Names that clash get the folders above them in front, as many as are needed; if that is not enough, a number.

    Parameters
    ----------
    uris
        Paths and addresses, as `scdataloader.sources.find.find_sources` gives them.

    Examples
    --------
    >>> unique_names(["old/brain.h5ad", "new/brain.h5ad", "new/liver.h5ad"])
    ['old_brain', 'new_brain', 'liver']
    """
    parts = [_parts(uri) for uri in uris]
    used = [1] * len(parts)
    names = [_join(p, 1) for p in parts]
    while True:
        counts = Counter(name.casefold() for name in names)
        longer = [i for i, name in enumerate(names) if counts[name.casefold()] > 1 and used[i] < len(parts[i])]
        if not longer:
            break
        for i in longer:
            used[i] += 1
            names[i] = _join(parts[i], used[i])
    taken = {folded for folded, n in counts.items() if n == 1}
    for i, name in enumerate(names):
        if counts[name.casefold()] > 1:
            numbered = (name if n == 1 else f"{name}-{n}" for n in itertools.count(1))
            names[i] = next(candidate for candidate in numbered if candidate.casefold() not in taken)
            taken.add(names[i].casefold())
    return names


def _join(parts: list[str], n: int) -> str:
    return "_".join(_clean(part) for part in parts[-n:])


def _clean(name: str) -> str:
    return re.sub(r"[^\w.-]", "_", name).lstrip(".") or "source"


def _parts(uri: str) -> list[str]:
    """Return the folders and the name without its ending."""
    kind, rest = parse_address(uri)
    if kind in ("census", "lamin"):
        return [rest or uri]
    address = urlsplit(uri)
    path = f"{address.netloc}/{address.path}" if "://" in uri else uri.replace("\\", "/")
    parts = [part for part in PurePosixPath(path).parts if part not in ("/", ".", "..")] or ["source"]
    if ten_x := re.fullmatch(r"(.*?)[\W_]*matrix\.mtx(\.gz)?", parts[-1], re.IGNORECASE):
        # the sample's name, or that of its folder
        return [*parts[:-1], ten_x[1]] if ten_x[1] else parts[:-1] or ["matrix"]
    ending = next((e for e in ENDINGS if parts[-1].lower().endswith(e) and len(parts[-1]) > len(e)), "")
    return [*parts[:-1], parts[-1][: len(parts[-1]) - len(ending)]]


def read_url(url: str, *, attempts: int = 4, timeout: float = 60.0, wait: float = 0.5) -> bytes:
    """Return what is at an address, for small things such as listings; raises as a download does.

    Parameters
    ----------
    url
        Address, http or https.
    attempts, timeout, wait
        Number of tries, seconds without any answer that end one, and seconds before the second one.
    """
    with TemporaryDirectory() as folder:
        return download(url, Path(folder) / "page", attempts=attempts, timeout=timeout, wait=wait).read_bytes()

"""Cells by group: which cells share all their labels, as one list of cells and where each group begins in it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from scdataloader._atomic import atomic_path
from scdataloader.sampling.label_codes import LabelCodes, count_codes
from scdataloader.sampling.sampler import fingerprint, fingerprint_of_array

FORMAT = "scdataloader groups"
#: Version of the file format. Other versions are refused.
SCHEMA = 1
#: The file's first line is JSON, padded with spaces to this many bytes; int64 `counts` and then `members` follow.
_HEADER = 4096
#: Cells looked at at a time.
_CHUNK = 1 << 16


class Groups:
    """Cells by group, in the order of their labels; cells without a group are in none.

    Make it with `from_labels`, or map one from disk with `open`: processes then share its pages.

    Attributes
    ----------
    counts
        Cells in each group; int64, shape (n_groups,), all positive.
    first
        Where each group begins in `members`, and their end; int64, shape (n_groups + 1,).
    members
        Cells, one group after the other, each in increasing order; uint32 (uint64 for more than 2^32 cells).
    n_cells
        Cells of the corpus, with and without a group.
    fingerprint
        A hash of all this.
    """

    def __init__(
        self, counts: np.ndarray, members: np.ndarray, *, n_cells: int, fingerprint: str, path: Path | None = None
    ) -> None:
        self.counts, self.members = counts, members
        self.first = np.concatenate([[0], np.cumsum(counts)])
        self.n_cells, self.fingerprint = n_cells, fingerprint
        self._path = path

    @classmethod
    def from_labels(cls, labels: np.ndarray | Sequence[np.ndarray], *, subset: np.ndarray | None = None) -> Groups:
        """Sort cells by their combination of labels, in two passes and without a copy of the labels.

        Parameters
        ----------
        labels
            Integers, shape (n_cells, n_columns) or (n_cells,), or a list of columns of shape (n_cells,) each; they may
            be memory-mapped and of different types. Cells with the same row form a group, negative labels (for unknown)
            are labels like others.
        subset
            The cells that count: a boolean mask of shape (n_cells,), or indices without repetition. Others are in no
            group, and combinations that only they have are not groups.

        Raises
        ------
        ValueError
            When the labels are of no cells, or the shapes or types do not fit.
        """
        from scdataloader.sampling.grouping import digest, place

        codes = LabelCodes(labels)
        n_cells = len(codes)
        allowed = None if subset is None else mask_of(subset, n_cells)
        if n_cells == 0 or (allowed is not None and not allowed.any()):
            raise ValueError("there are no cells to draw from")
        table = count_codes(codes[where] for where, _ in _chunks(n_cells, allowed))
        counts = table.counts
        following = table.of_slots(np.cumsum(counts) - counts)
        members = np.empty(counts.sum(), np.uint32 if n_cells <= 2**32 else np.uint64)
        for where, cells in _chunks(n_cells, allowed):
            place(codes[where], cells, table.keys, following, members)
        hashes = {"n_cells": n_cells, "counts": fingerprint_of_array(counts), "members": int(digest(members))}
        return cls(counts, members, n_cells=n_cells, fingerprint=fingerprint(hashes))

    def __len__(self) -> int:
        return len(self.counts)

    def __repr__(self) -> str:
        return f"Groups({len(self)} groups, {len(self.members)} of {self.n_cells} cells)"

    def cells(self, group: int) -> np.ndarray:
        """Return the cells of a group in increasing order."""
        if not 0 <= group < len(self):
            raise IndexError(f"there is no group {group} of {len(self)}")
        return self.members[self.first[group] : self.first[group + 1]]

    def save(self, path: Path | str) -> None:
        """Write one file, 4 bytes a cell; `open` maps it."""
        kind = f"<u{self.members.dtype.itemsize}"
        header = {
            "format": FORMAT,
            "schema": SCHEMA,
            "n_cells": self.n_cells,
            "n_groups": len(self),
            "n_members": len(self.members),
            "members": kind,
            "fingerprint": self.fingerprint,
        }
        with atomic_path(path) as temporary, temporary.open("wb") as file:
            file.write(json.dumps(header).encode().ljust(_HEADER - 1) + b"\n")
            file.write(self.counts.astype("<i8").data)
            file.write(self.members.astype(kind, copy=False).data)

    @classmethod
    def open(cls, path: Path | str) -> Groups:
        """Map a file that `save` wrote: at once, and in memory only once for all processes.

        Raises
        ------
        FileNotFoundError
            When there is none.
        ValueError
            When it is of another format or does not have the size it should.
        """
        path = Path(path).resolve()
        header = _read_header(path)
        n_groups, n_members, kind = header["n_groups"], header["n_members"], np.dtype(header["members"])
        due = _HEADER + 8 * n_groups + kind.itemsize * n_members
        if path.stat().st_size != due:
            raise ValueError(
                f"{path} has {path.stat().st_size} bytes instead of {due}: it is cut or damaged, save anew"
            )
        counts = np.fromfile(path, "<i8", n_groups, offset=_HEADER)
        members = np.memmap(path, kind, "r", offset=_HEADER + 8 * n_groups, shape=(n_members,))
        return cls(counts, members, n_cells=header["n_cells"], fingerprint=header["fingerprint"], path=path)

    def __reduce__(self) -> tuple[Any, ...]:
        # to a worker process goes the path, not the cells
        if self._path is not None:
            return Groups.open, (self._path,)
        return _remade, (self.counts, self.members, self.n_cells, self.fingerprint)


def mask_of(subset: np.ndarray, n_cells: int) -> np.ndarray:
    """Return the mask of a subset of cells that is given as mask or as indices."""
    subset = np.asarray(subset)
    if subset.dtype == bool:
        if subset.shape != (n_cells,):
            raise ValueError(f"the mask has shape {subset.shape}, there are {n_cells} cells")
        return subset
    if subset.ndim != 1 or (len(subset) and subset.dtype.kind not in "iu"):
        raise ValueError(
            f"subset has shape {subset.shape} and type {subset.dtype}: pass a boolean mask or indices, 1-D"
        )
    mask = np.zeros(n_cells, dtype=bool)
    if len(subset):
        low, high = int(subset.min()), int(subset.max())
        if low < 0 or high >= n_cells:
            raise ValueError(f"subset goes from {low} to {high}, there are {n_cells} cells")
        mask[subset] = True
        if (n := int(mask.sum())) != len(subset):
            raise ValueError(f"subset names {len(subset)} cells, {len(subset) - n} of them more than once")
    return mask


def _chunks(n_cells: int, allowed: np.ndarray | None) -> Iterator[tuple[slice | np.ndarray, np.ndarray]]:
    """Give cells chunk by chunk: what to index columns with, and their indices."""
    for begin in range(0, n_cells, _CHUNK):
        end = min(begin + _CHUNK, n_cells)
        if allowed is None:
            yield slice(begin, end), np.arange(begin, end)
        else:
            cells = begin + np.flatnonzero(allowed[begin:end])
            yield cells, cells


def _read_header(path: Path) -> dict[str, Any]:
    with path.open("rb") as file:
        line = file.read(_HEADER)
    try:
        header = json.loads(line)
        found = header["format"], header["schema"]
    except (ValueError, KeyError, TypeError):
        raise ValueError(f"{path} is no file of groups: make one with Groups.save") from None
    if found != (FORMAT, SCHEMA):
        raise ValueError(f"{path} is {found[0]!r}, schema {found[1]}; this version reads {FORMAT!r}, schema {SCHEMA}")
    return dict(header)


def _remade(counts: np.ndarray, members: np.ndarray, n_cells: int, fingerprint: str) -> Groups:
    return Groups(counts, members, n_cells=n_cells, fingerprint=fingerprint)

"""Ensembl's public trees of files: what a folder holds, and checked copies of files."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from functools import cache as once
from pathlib import Path
from typing import Any

import numpy as np

from scdataloader._download import download
from scdataloader.sources.addresses import read_url

logger = logging.getLogger(__name__)

VERTEBRATES = "https://ftp.ensembl.org/pub"
GENOMES = "https://ftp.ensemblgenomes.ebi.ac.uk/pub"

_HREF = re.compile(r'href="([^"?#]+)"')


def listing(url: str) -> list[str]:
    """Return the names in a folder of the server, folders without the slash behind."""
    page = read_url(f"{url}/").decode(errors="replace")
    names = [href.rstrip("/").rpartition("/")[2] for href in _HREF.findall(page)]
    return sorted({name for name in names if name not in ("", "..", ".")})


def fetch_checked(url: str, name: str, folder: Path) -> Path:
    """Return a copy of a file of the tree in a folder, checked against Ensembl's CHECKSUMS when it arrives."""

    def check(file: Path, _: Mapping[str, str]) -> None:
        expected = _checksums(url).get(name)
        if expected is None:
            logger.warning("there is no checksum of %s/%s", url, name)
        elif expected != (found := bsd_sum(file)):
            raise ValueError(f"has the checksum {found[0]} {found[1]}, {expected[0]} {expected[1]} was expected")

    return download(f"{url}/{name}", folder / name, check=check)


def _checksums(url: str) -> dict[str, tuple[int, int]]:
    try:
        text = read_url(f"{url}/CHECKSUMS").decode(errors="replace")
    except FileNotFoundError:
        return {}
    lines = [line.split() for line in text.splitlines()]
    return {line[2]: (int(line[0]), int(line[1])) for line in lines if len(line) == 3}


def bsd_sum(path: Path) -> tuple[int, int]:
    """Return the 16-bit checksum and the number of 1024-byte blocks of a file, as the command ``sum`` prints them."""
    rotate_and_add = _compiled()
    state, size = 0, 0
    with path.open("rb") as file:
        while chunk := file.read(1 << 24):
            state = int(rotate_and_add(np.frombuffer(chunk, dtype=np.uint8), state))
            size += len(chunk)
    return state, -(-size // 1024)


@once
def _compiled() -> Any:
    from numba import njit

    @njit
    def rotate_and_add(values: np.ndarray, state: int) -> int:
        for value in values:
            state = (((state >> 1) | ((state & 1) << 15)) + value) & 0xFFFF
        return state

    return rotate_and_add

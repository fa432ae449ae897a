"""Read cells of any format for bengrn, which finds this module by the entry-point group "bengrn.readers"."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from anndata import AnnData

from scdataloader.expression.counts_choice import CountsChoice
from scdataloader.expression.read import read_expression


def read_for_bengrn(path: Path | str, **options: Any) -> AnnData:
    """Read cells; without options X as it is, else the raw counts that the options of `CountsChoice` mean."""
    return read_expression(path, CountsChoice(**options) if options else None)

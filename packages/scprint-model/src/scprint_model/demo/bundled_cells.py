"""The cells that the demo works on: a bundled set by its name, or a file."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from anndata import AnnData

from scdataloader import datasets

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class BundledCells:
    """A bundled data set as the demo uses it.

    Attributes
    ----------
    load
        Function that returns the cells.
    title
        What the page and the summary call them.
    cell_type
        Cell type whose network is shown where none is asked for.
    """

    load: Callable[[], AnnData]
    title: str
    cell_type: str


#: Names that ``--data`` takes beside files.
BUNDLED: Mapping[str, BundledCells] = {
    "pancreas": BundledCells(datasets.pancreas_1k, "bundled pancreas_1k", "type B pancreatic cell"),
    "retina": BundledCells(datasets.retina_1k, "bundled retina_1k", "retinal rod cell"),
}
DEFAULT = "pancreas"


def bundled_cells(data: Path | str | None) -> BundledCells | None:
    """Return the bundled set that is meant, or None for a file.

    Parameters
    ----------
    data
        Name or path as `scprint_model.run_demo` takes it. A string that is the name of a bundled set always means that
        set, also where a file of the name lies in the working directory, of which a warning then speaks.

    Raises
    ------
    FileNotFoundError
        When it is neither a bundled set nor a file.
    """
    name = DEFAULT if data is None else data
    if isinstance(name, str) and name in BUNDLED:
        if data is not None and Path(name).exists():
            _logger.warning("%s is the bundled set; what lies here under that name is ./%s", name, name)
        return BUNDLED[name]
    if not Path(name).exists():
        raise FileNotFoundError(f"there is no file {name}, and the bundled sets are {' and '.join(BUNDLED)}")
    return None

"""Gene networks inside AnnData: store, slice, compare and draw them."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from . import plotting as pl
    from . import tools as tl
    from .convert import from_edges, from_matrix
    from .core import GRNAnnData
    from .io import read_edges, read_h5ad, write_edges, write_h5ad
    from .protocol import GRNMethod
    from .resources import transcription_factors

    __version__: str

__all__ = [
    "GRNAnnData",
    "GRNMethod",
    "__version__",
    "from_edges",
    "from_matrix",
    "pl",
    "read_edges",
    "read_h5ad",
    "tl",
    "transcription_factors",
    "write_edges",
    "write_h5ad",
]

_HOMES = {
    "GRNAnnData": "core",
    "GRNMethod": "protocol",
    "from_edges": "convert",
    "from_matrix": "convert",
    "read_edges": "io",
    "read_h5ad": "io",
    "write_edges": "io",
    "write_h5ad": "io",
    "transcription_factors": "resources",
}
_MODULES = {"pl": "plotting", "tl": "tools"}


# anndata alone takes seconds to import: names are looked up on first use.
def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        value: Any = version("grnndata")
    elif name in _MODULES:
        value = import_module(f".{_MODULES[name]}", __name__)
    elif name in _HOMES:
        value = getattr(import_module(f".{_HOMES[name]}", __name__), name)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)

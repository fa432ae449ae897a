"""Gene networks inside AnnData: store, slice, compare and draw them."""

from importlib.metadata import version

from anndata import register_anndata_namespace

from . import plotting as pl
from . import tools as tl
from .accessor import GRNAccessor
from .concat import concat, concat_networks
from .convert import from_edges, from_matrix, from_networkx
from .core import GRNAnnData
from .edge_files import read_edges, write_edges
from .gene_sets import cell_type_markers, read_gmt
from .io import read_h5ad, read_zarr, write_h5ad, write_zarr
from .loom import read_loom
from .open_problems import read_open_problems, write_open_problems
from .protocol import GRNMethod
from .resources import transcription_factors

__all__ = [
    "GRNAccessor",
    "GRNAnnData",
    "GRNMethod",
    "cell_type_markers",
    "concat",
    "concat_networks",
    "from_edges",
    "from_matrix",
    "from_networkx",
    "pl",
    "read_edges",
    "read_gmt",
    "read_h5ad",
    "read_loom",
    "read_open_problems",
    "read_zarr",
    "tl",
    "transcription_factors",
    "write_edges",
    "write_h5ad",
    "write_open_problems",
    "write_zarr",
]

__version__ = version("grnndata")

register_anndata_namespace("grn")(GRNAccessor)

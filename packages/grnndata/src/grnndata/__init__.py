"""Gene networks inside AnnData: store, slice, compare and draw them."""

from importlib.metadata import version

from anndata import register_anndata_namespace

from . import plotting as pl
from . import tools as tl
from ._atomic import atomic_path
from .accessor import GRNAccessor
from .concat import concat, concat_networks
from .convert import from_edges, from_matrix, from_networkx
from .core import GRNAnnData
from .edge_files import read_edges, recognise_edges, write_edges
from .gene_sets import cell_type_markers, read_gmt
from .graph_files import read_graphml, write_graphml, write_sif
from .loom import read_loom
from .named_genes import NamedGenes, find_genes, plain_gene_name
from .networks import Networks
from .open_problems import read_open_problems, write_open_problems
from .pairs import read_pairs
from .protocol import GRNMethod
from .read import read_h5ad, read_network, read_zarr
from .resources import organism_name, transcription_factors
from .schema import describe, network_key
from .write import write_h5ad, write_zarr

__all__ = [
    "GRNAccessor",
    "GRNAnnData",
    "GRNMethod",
    "NamedGenes",
    "Networks",
    "atomic_path",
    "cell_type_markers",
    "concat",
    "concat_networks",
    "describe",
    "find_genes",
    "from_edges",
    "from_matrix",
    "from_networkx",
    "network_key",
    "organism_name",
    "pl",
    "plain_gene_name",
    "read_edges",
    "read_gmt",
    "read_graphml",
    "read_h5ad",
    "read_loom",
    "read_network",
    "read_open_problems",
    "read_pairs",
    "read_zarr",
    "recognise_edges",
    "tl",
    "transcription_factors",
    "write_edges",
    "write_graphml",
    "write_h5ad",
    "write_open_problems",
    "write_sif",
    "write_zarr",
]

__version__ = version("grnndata")

register_anndata_namespace("grn")(GRNAccessor)

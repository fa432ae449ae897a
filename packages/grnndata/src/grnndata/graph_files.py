"""Networks as files of graph programs: GraphML, and the simple interaction files (SIF) of Cytoscape."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from os import PathLike
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape, quoteattr

import networkx as nx
import numpy as np
import pandas as pd
from anndata import AnnData

from ._atomic import atomic_path
from ._wording import counted
from .edges import EDGE_COLUMNS, check_unique, graph_edges, some
from .ordered_edges import edge_parts
from .schema import UNS_KEY, check_description, is_sparse
from .stored import edges_per_row, single_network

logger = logging.getLogger(__name__)

#: Interactions of a SIF file that are edges of weight -1; those of all others weigh 1.
REPRESSING = ("inhibits", "inhibition", "represses", "repression", "repressing", "-", "-|", "--|")

_LINES = 2**16

_HEAD = """<?xml version="1.0" encoding="UTF-8"?>
<graphml xmlns="http://graphml.graphdrawing.org/xmlns"
 xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"
 xsi:schemaLocation="http://graphml.graphdrawing.org/xmlns http://graphml.graphdrawing.org/xmlns/1.0/graphml.xsd">
<key id="name" for="node" attr.name="name" attr.type="string"/>
<key id="weight" for="edge" attr.name="weight" attr.type="double"/>
"""


def write_graphml(grn: AnnData, path: PathLike[str] | str) -> None:
    """Write a network as GraphML, which networkx, igraph, Cytoscape and Gephi read, atomically.

    Parameters
    ----------
    grn
        The network; not changed. Every gene is a node, called by its name (``id`` and ``name``), and every weight that
        is not 0 an edge with its ``weight``. A pair of an undirected network is one edge.
    path
        ``.graphml``; replaced if it exists.

    Raises
    ------
    ValueError
        When the file's name ends otherwise, there are several networks, or gene names repeat.
    """
    path = _checked(path, ".graphml")
    genes = check_unique(grn.var_names)
    directed = bool(check_description(grn.uns.get(UNS_KEY))["directed"])
    network = single_network(grn)
    with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        file.write(f'{_HEAD}<graph id="G" edgedefault="{"directed" if directed else "undirected"}">\n')
        for gene in genes:
            file.write(f'<node id={quoteattr(gene)}><data key="name">{escape(gene)}</data></node>\n')
        for part in _parts(network, [quoteattr(gene) for gene in genes], directed):
            texts = ("<edge source=", " target=", '><data key="weight">', "</data></edge>\n")
            weights = part["weight"].to_numpy()
            file.write(_lines(texts[0], part["source"], texts[1], part["target"], texts[2], weights, texts[3]))
        file.write("</graph>\n</graphml>\n")


def read_graphml(path: PathLike[str] | str) -> nx.Graph:
    """Read a GraphML file as a networkx graph whose nodes are called by their ``name``, where all have one.

    Raises
    ------
    FileNotFoundError
        When the file does not exist.
    ValueError
        When it is not a GraphML file.
    """
    path = _existing(path)
    try:
        graph = nx.read_graphml(path)
    except (SyntaxError, nx.NetworkXError, KeyError, ValueError) as error:  # a ParseError is a SyntaxError
        raise ValueError(f"{path} is no GraphML file: {error}") from error
    names = {node: str(data.get("name", "")) for node, data in graph.nodes(data=True)}
    if all(names.values()) and len(set(names.values())) == len(names):
        graph = nx.relabel_nodes(graph, names)
    lacking = sum("weight" not in data for *_, data in graph.edges(data=True))
    if lacking:
        logger.warning("%s: %s no weight, and is taken as 1", path, counted(lacking, "edge has", "edges have"))
    return graph


def read_graphml_edges(path: PathLike[str] | str) -> pd.DataFrame:
    """Read a GraphML file as edges; one of an undirected graph counts in both directions.

    Raises
    ------
    FileNotFoundError, ValueError
        As `read_graphml`.
    """
    graph = read_graphml(path)
    return pd.DataFrame(graph_edges(graph), columns=list(EDGE_COLUMNS))


def is_graphml(path: PathLike[str] | str) -> bool:
    """Say whether a file's name ends as that of a GraphML file."""
    return Path(path).name.lower().endswith(".graphml")


def write_sif(grn: AnnData, path: PathLike[str] | str) -> None:
    """Write a network as a simple interaction file for Cytoscape, atomically.

    The form has no place for weights: an edge is ``activates`` or ``inhibits`` by its sign where any weight is
    negative, and ``regulates`` otherwise.

    Parameters
    ----------
    grn
        The network; not changed. A gene without edges stands alone on a line.
    path
        ``.sif``; replaced if it exists. Fields are separated by tabs.

    Raises
    ------
    ValueError
        When the file's name ends otherwise, there are several networks, or a name holds a tab or line end or repeats.
    """
    path = _checked(path, ".sif")
    genes = check_unique(grn.var_names)
    bad = [gene for gene in genes if not gene or "\t" in gene or len(gene.splitlines()) > 1]
    if bad:
        raise ValueError(f"a SIF file cannot hold {counted(len(bad), 'name')} with a tab or line end: {some(bad)}")
    network = single_network(grn)
    directed = bool(check_description(grn.uns.get(UNS_KEY))["directed"])
    values: Any = network.data if is_sparse(network) else network
    signed = values.size > 0 and float(values.min()) < 0
    with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        for part in _parts(network, genes, directed):
            kinds = np.where(part["weight"] < 0, "inhibits", "activates" if signed else "regulates")
            file.write(_lines(part["source"], "\t", kinds, "\t", part["target"], "\n"))
        alone = genes[(edges_per_row(network) == 0) & (edges_per_row(network.T) == 0)]
        file.writelines(f"{gene}\n" for gene in alone)
    logger.warning("%s holds no weights, for which a SIF file has no place: GraphML and edge tables have", path)


def read_sif(path: PathLike[str] | str) -> pd.DataFrame:
    """Read a simple interaction file as edges.

    Parameters
    ----------
    path
        ``.sif``: source, interaction, and one or more targets a line; separated by tabs where the file has any, else by
        white space. A line of one name is a gene without edges.

    Returns
    -------
    pandas.DataFrame
        Columns ``source, target, weight, interaction``: weight 1, or -1 for `REPRESSING` interactions. A gene without
        edges is an edge of weight 0 to itself.

    Raises
    ------
    FileNotFoundError
        When the file does not exist.
    ValueError
        When a line has a source and an interaction and no target.
    """
    path = _existing(path)
    lines = path.read_text(encoding="utf-8-sig").splitlines()
    sep = "\t" if any("\t" in line for line in lines) else None
    rows: list[tuple[str, str, float, str]] = []
    for number, line in enumerate(lines, start=1):
        fields = [field.strip() for field in line.split(sep) if field.strip()]
        if len(fields) == 2:
            raise ValueError(f"{path}, line {number}: {line!r} has a source and an interaction and no target")
        if len(fields) == 1:
            rows.append((fields[0], fields[0], 0.0, ""))
        weight = -1.0 if len(fields) > 1 and fields[1].lower() in REPRESSING else 1.0
        rows += [(fields[0], target, weight, fields[1]) for target in fields[2:]]
    edges = pd.DataFrame(rows, columns=["source", "target", "weight", "interaction"])
    edges["weight"] = edges["weight"].astype(np.float32)
    kinds = sorted(set(edges["interaction"]) - {""})
    edges.attrs["notes"] = [f"a SIF file holds no weights: they are 1, or -1 where it says so ({some(kinds)})"]
    return edges


def _parts(network: Any, names: Any, directed: bool) -> Iterator[pd.DataFrame]:
    """Yield the edges some at a time: their lines take ten times the memory."""
    for part in edge_parts(network, pd.Index(names), directed=directed):
        yield from (part.iloc[start : start + _LINES] for start in range(0, len(part), _LINES))


def _lines(*parts: Any) -> str:
    """Join texts and columns of texts or numbers to one text, row by row; Python's own loop takes ten times as long."""
    import pyarrow as pa
    from pyarrow import compute

    text = pa.large_string()
    columns = [pa.scalar(one, text) if isinstance(one, str) else pa.array(one).cast(text) for one in (*parts, "")]
    joined: Any = compute.binary_join_element_wise(*columns)  # the last one stands between the others
    return "".join(joined.to_pylist())


def _checked(path: PathLike[str] | str, suffix: str) -> Path:
    if not Path(path).name.lower().endswith(suffix):
        raise ValueError(f"cannot tell what to write from the name {Path(path).name!r}: end it with {suffix}")
    return Path(path)


def _existing(path: PathLike[str] | str) -> Path:
    if not Path(path).is_file():
        raise FileNotFoundError(f"there is no file {Path(path).resolve()}")
    return Path(path)

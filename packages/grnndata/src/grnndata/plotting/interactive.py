"""A network as one page for a browser, which needs nothing else."""

from __future__ import annotations

import html
import json
from collections.abc import Iterable, Sequence
from importlib.resources import files
from os import PathLike
from pathlib import Path
from typing import Any

import networkx as nx
import numpy as np
import pandas as pd
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.sparse.csgraph import connected_components

from ..atomic import atomic_path
from ..core import GRNAnnData, single_network
from ..edges import check_unique
from ..ranking import check_count
from .axes import community_colours, gene_labels, is_regulator
from .choice import choose_edges, strongest_edges
from .layout import node_positions

# Kamada and Kawai's layout is the clearer one, and takes a second from about here on.
_SMALL = 120


def network_html(
    grn: GRNAnnData,
    path: PathLike[str] | str,
    *,
    genes: Sequence[str] | None = None,
    neighbours: int = 5,
    top_edges: int = 500,
    label: str = "symbol",
    regulators: Iterable[str] | None = None,
    communities: pd.Series | None = None,
    title: str | None = None,
) -> Path:
    """Write a part of a network as one page for a browser: zoom, search, filter by weight, click for neighbours.

    The page holds all it needs and makes no request. Arrows point from regulator to target.

    Parameters
    ----------
    grn
        The network.
    path
        The html file; replaced if it exists.
    genes
        Names from ``var_names`` to draw with their `neighbours`; the strongest edges of the whole network when
        None.
    neighbours
        How many of the strongest targets of each of `genes` are drawn too; 0 for none. Without `genes` it has
        no meaning.
    top_edges
        Number of edges, those of largest absolute weight; self-edges are not drawn.
    label
        Column of ``var`` to name genes by; their names when there is no ``"symbol"``.
    regulators
        Genes to draw as diamonds, by name or label, for example `grnndata.transcription_factors`.
    communities
        Community of every gene, as `grnndata.tl.louvain` returns; each has a colour, the largest ones their
        own.
    title
        Heading of the page; the network's method when None.

    Returns
    -------
    pathlib.Path
        Of the file.

    Raises
    ------
    FileNotFoundError
        When the folder does not exist.
    KeyError
        When `label` is no column of ``var``.
    ValueError
        When genes are unknown, repeated or none, a gene has no community, or there are no edges.
    """
    check_count(top_edges, "top_edges")
    network, names = single_network(grn), check_unique(grn.var_names)
    if genes is None:
        drawn, edges = strongest_edges(network, names, top_edges=top_edges, directed=grn.directed)
    else:
        drawn, edges = choose_edges(
            network, names, genes, neighbours=neighbours, top_edges=top_edges, directed=grn.directed
        )
    labels = gene_labels(grn, label).loc[drawn]
    colours, legend = community_colours(drawn, communities)
    ends = [drawn.get_indexer(pd.Index(edges[column])) for column in ("source", "target")]
    places = _places(len(drawn), *ends)
    method = grn.uns["grn"]["method"]
    data: dict[str, Any] = {
        "directed": grn.directed,
        "nodes": [
            {"id": name, "label": text, "x": round(x, 1), "y": round(y, 1), "colour": colour, "regulator": bool(marked)}
            for name, text, (x, y), colour, marked in zip(
                drawn, labels, places.tolist(), colours, is_regulator(labels, regulators), strict=True
            )
        ],
        "edges": [
            [int(i), int(j), float(f"{weight:.6g}")] for i, j, weight in zip(*ends, edges["weight"], strict=True)
        ],
        "legend": legend,
    }
    heading = f"Gene network: {method}" if title is None else title
    # JSON inside a script element ends at the first "</script>", whatever it stands in.
    text = json.dumps(data, ensure_ascii=False).replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
    page = (files(__package__) / "interactive.html").read_text(encoding="utf-8")
    before, _, after = page.partition("__DATA__")
    with atomic_path(path) as temporary:
        temporary.write_text(before.replace("__TITLE__", html.escape(heading)) + text + after, encoding="utf-8")
    return Path(path)


def _places(n: int, sources: NDArray[Any], targets: NDArray[Any]) -> NDArray[np.float64]:
    """Return a place for every node in pixels, shape (nodes, 2): parts that hang together side by side."""
    ones = np.ones(len(sources), dtype=np.float32)
    graph: Any = sp.csr_matrix((ones, (sources, targets)), shape=(n, n))
    graph = (graph + graph.T).astype(bool).astype(np.float32).tocsr()
    _, part = connected_components(graph, directed=False)
    members = sorted(
        (np.flatnonzero(part == i) for i in range(part.max(initial=-1) + 1)), key=lambda at: (-len(at), at[0])
    )
    places = np.zeros((n, 2))
    sides = [95 * np.sqrt(len(at)) + 60 for at in members]
    width = max(sides, default=0) + np.sqrt(sum(side**2 for side in sides[1:]))
    x = y = height = 0.0
    for at, side in zip(members, sides, strict=True):
        if x and x + side > width:
            x, y, height = 0.0, y + height, 0.0
        inner = _places_of_part(sp.csr_matrix(graph[at][:, at]))
        places[at] = (x, y) + (0.1 + 0.8 * inner) * side
        x, height = x + side, max(height, side)
    return places


def _places_of_part(graph: sp.csr_matrix) -> NDArray[np.float64]:
    if graph.shape[0] <= _SMALL:
        return node_positions(graph)
    placed = nx.spring_layout(nx.from_scipy_sparse_array(graph), iterations=150, seed=0)
    positions = np.array([placed[i] for i in range(graph.shape[0])])
    low, high = positions.min(axis=0), positions.max(axis=0)
    return (positions - low) / np.maximum(high - low, 1e-12)

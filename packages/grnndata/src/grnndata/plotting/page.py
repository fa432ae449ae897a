"""A network as one page for a browser, which needs nothing else."""

from __future__ import annotations

import html
import json
from base64 import b64encode
from collections.abc import Iterable, Sequence
from hashlib import sha256
from importlib.resources import files
from os import PathLike
from pathlib import Path
from string import Template
from typing import Any

import numpy as np
import pandas as pd
import scipy.linalg
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation, binary_fill_holes
from scipy.signal import fftconvolve
from scipy.sparse.csgraph import connected_components, shortest_path
from scipy.spatial import cKDTree

from ..atomic import atomic_path
from ..core import GRNAnnData, single_network
from ..edges import check_unique
from ..ranking import check_count
from .axes import community_colours, gene_labels, is_regulator
from .choice import choose_edges, strongest_edges

# Lengths in the layout are pixels at scale 1.
_APART = 42.0  # usual distance of a node from the next one
_LEAST = 30.0
_CELL = 30.0  # of the grid on which parts of a network are put side by side
_WIDE = 1.5  # width of the whole, over its height


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

    The page holds all it needs and makes no request. Arrows point from regulator to target (plain lines in an
    undirected network), wider for larger absolute weights; negative weights are red and dashed; nodes with more
    edges are larger.

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
        How many targets of each of `genes` are drawn too, those of largest absolute weight; 0 for none.
    top_edges
        Number of edges, those of largest absolute weight; with `genes`, the edges to their neighbours come
        first. Self-edges are not drawn.
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
        When genes are unknown, repeated or none, a gene has no community, or there are no edges to choose.
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
    colours, named_colours = community_colours(drawn, communities)
    groups = [None] * len(drawn) if communities is None else [str(name) for name in communities.loc[drawn]]
    ends = np.column_stack([drawn.get_indexer(pd.Index(edges[column])) for column in ("source", "target")])
    columns = (drawn, labels, _places(len(drawn), ends).round(1).tolist(), colours, groups)
    data = {
        "directed": grn.directed,
        "nodes": [
            {"name": name, "label": text, "x": x, "y": y, "colour": colour, "community": group, "regulator": bool(mark)}
            for name, text, (x, y), colour, group, mark in zip(*columns, is_regulator(labels, regulators), strict=True)
        ],
        # The shortest decimals that give the same float32 again.
        "edges": [[*pair, float(str(w))] for pair, w in zip(ends.tolist(), np.asarray(edges["weight"]), strict=True)],
        "legend": named_colours,
    }
    heading = f"Gene network: {grn.uns['grn']['method']}" if title is None else title
    with atomic_path(path) as temporary:
        temporary.write_text(_page(heading, data), encoding="utf-8", newline="\n")
    return Path(path)


def _page(title: str, data: dict[str, Any]) -> str:
    """Return the page as text."""
    page, style, script = ((files(__package__) / f"page.{kind}").read_text("utf-8") for kind in ("html", "css", "js"))
    # Only this very script may run, whatever else the page holds.
    policy = {
        "default-src": "'none'",
        "script-src": _digest(script),
        "style-src": _digest(style),
        "img-src": "data:",
        "base-uri": "'none'",
        "form-action": "'none'",
    }
    # The first "</script>" ends a script element, even within a string of JSON.
    text = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")
    return Template(page).substitute(
        policy="; ".join(f"{name} {source}" for name, source in policy.items()),
        title=html.escape(title),
        style=style,
        script=script,
        data=text,
    )


def _digest(text: str) -> str:
    return f"'sha256-{b64encode(sha256(text.encode()).digest()).decode()}'"


def _places(n: int, ends: NDArray[Any]) -> NDArray[np.float64]:
    """Find a place for every node.

    Parameters
    ----------
    n
        Number of nodes.
    ends
        The two nodes of every edge, shape (edges, 2).

    Returns
    -------
    numpy.ndarray
        Shape (nodes, 2), in pixels; the same for the same input.
    """
    graph = sp.csr_matrix((np.ones(len(ends), np.float32), (ends[:, 0], ends[:, 1])), shape=(n, n))
    graph = sp.csr_matrix(graph + graph.T)
    _, part = connected_components(graph, directed=False)
    places = np.zeros((n, 2))
    order = sorted(set(part.tolist()), key=lambda i: (-int((part == i).sum()), i))
    taken = np.zeros((1, 1), dtype=bool)
    for i in order:
        at = np.flatnonzero(part == i)
        inner = sp.csr_matrix(graph[at][:, at])
        placed = _level(_spread(_stress_positions(inner)))
        offset, taken = _find_room(placed, np.argwhere(inner.toarray()), taken)
        places[at] = placed + offset
    return places


def _stress_positions(graph: sp.csr_matrix) -> NDArray[np.float64]:
    """Place the nodes of a connected graph so that distances in the plane follow those in the graph.

    References
    ----------
    Gansner, Koren and North 2005, Graph drawing by stress majorization, Graph Drawing 2004: 239-250: the
    iteration of section 2, and edges that are longer around nodes of many neighbours (section 5).
    """
    n = graph.shape[0]
    if n < 3:
        return np.column_stack([np.arange(n) * _APART * 1.6, np.zeros(n)])
    is_edge = (graph.toarray() > 0).astype(np.float64)
    shared = is_edge @ is_edge
    degree = is_edge.sum(axis=1)
    lengths = np.sqrt(degree[:, None] + degree[None] - 2 * shared) * is_edge
    distance = shortest_path(sp.csr_matrix(lengths), directed=False)
    # Classical scaling is a good start; a little noise parts nodes that it puts on one spot.
    centred = distance**2
    centred -= centred.mean(axis=0)
    centred -= centred.mean(axis=1, keepdims=True)
    values, vectors = scipy.linalg.eigh(-centred / 2, subset_by_index=[n - 2, n - 1])
    # What sign a vector has is up to the library that finds it.
    vectors *= np.sign(vectors[np.abs(vectors).argmax(axis=0), [0, 1]])
    noise = np.random.default_rng(0).normal(size=(n, 2)) * distance.mean() / 10
    places = np.asarray(vectors * np.sqrt(np.maximum(values, 0)) + noise)

    np.fill_diagonal(distance, 1)
    weights = distance**-2
    np.fill_diagonal(weights, 0)
    laplacian = np.diag(weights.sum(axis=1)) - weights
    solved = scipy.linalg.cho_factor(laplacian + 1 / n)
    for _ in range(int(np.clip(4e7 / n**2, 10, 150))):
        apart = np.sqrt(
            np.maximum(((places[:, None, 0] - places[None, :, 0]) ** 2), 0)
            + (places[:, None, 1] - places[None, :, 1]) ** 2
        )
        np.fill_diagonal(apart, 1)
        pull = -weights * distance / np.maximum(apart, 1e-9)
        np.fill_diagonal(pull, 0)
        np.fill_diagonal(pull, -pull.sum(axis=1))
        places = scipy.linalg.cho_solve(solved, pull @ places)
    nearest = cKDTree(places).query(places, k=2)[0][:, 1]
    return np.asarray(places * _APART / max(float(np.median(nearest)), 1e-9))


def _spread(places: NDArray[np.float64]) -> NDArray[np.float64]:
    """Push nodes apart that are too close."""
    moved = places.copy()
    for _ in range(100):
        pairs = cKDTree(moved).query_pairs(_LEAST, output_type="ndarray")
        if not len(pairs):
            break
        gap = moved[pairs[:, 0]] - moved[pairs[:, 1]]
        length = np.linalg.norm(gap, axis=1, keepdims=True)
        push = gap / np.maximum(length, 1e-9) * (_LEAST * 1.02 - length) / 2
        np.add.at(moved, pairs[:, 0], push * 0.7)
        np.add.at(moved, pairs[:, 1], -push * 0.7)
    return moved


def _level(places: NDArray[np.float64]) -> NDArray[np.float64]:
    """Turn places so that they are wider than high."""
    centred = places - places.mean(axis=0)
    _, _, axes = np.linalg.svd(centred, full_matrices=False)
    turned = centred @ axes.T if len(axes) == 2 else centred
    return np.asarray(turned - turned.min(axis=0))


def _find_room(
    places: NDArray[np.float64], edges: NDArray[np.intp], taken: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Find the free room nearest to the middle of a drawing.

    Parameters
    ----------
    places
        Nodes of one part, shape (nodes, 2), from 0 on.
    edges
        Its edges, shape (edges, 2).
    taken
        Cells that hold other parts, an odd number of rows (y) and columns (x), the middle of the drawing in
        the middle.

    Returns
    -------
    numpy.ndarray
        What to add to `places`.
    numpy.ndarray
        Cells that are taken then.

    References
    ----------
    Freivalds, Dogrusoz and Kikusts 2002, Disconnected graph layout and the polyomino packing approach, Graph
    Drawing 2001: 378-391.
    """
    along = np.linspace(0, 1, 40)[:, None, None]
    dots = np.concatenate([places, (places[edges[:, 0]] * (1 - along) + places[edges[:, 1]] * along).reshape(-1, 2)])
    cells = (dots / _CELL).astype(int) + 1
    mask = np.zeros(cells.max(axis=0)[::-1] + 2, dtype=bool)
    mask[cells[:, 1], cells[:, 0]] = True
    mask = binary_fill_holes(binary_dilation(mask))

    room = np.pad(taken, [(size, size) for size in mask.shape])
    blocked = fftconvolve(room.astype(float), mask[::-1, ::-1].astype(float), mode="valid") > 0.5
    rows, columns = np.nonzero(~blocked)
    middle = (np.array(room.shape) - mask.shape) / 2
    far = ((rows - middle[0]) * _WIDE) ** 2 + (columns - middle[1]) ** 2
    best = int(np.argmin(far))
    row, column = int(rows[best]), int(columns[best])
    room[row : row + mask.shape[0], column : column + mask.shape[1]] |= mask
    offset = (np.array([column, row]) + 1 - (np.array(room.shape[::-1]) - 1) / 2) * _CELL
    return offset - _CELL, room

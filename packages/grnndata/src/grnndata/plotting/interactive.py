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

from .._atomic import atomic_path
from .._provenance import in_page, step, steps_of
from ..core import GRNAnnData
from ..edges import check_unique
from ..gene_labels import gene_labels
from ..ranking import check_count
from ..stored import single_network
from .axes import community_colours, is_regulator
from .choice import choose_edges, count_edges, is_directed, merge_equal_ways, strongest_edges
from .stress import packed_positions

# In this order they are one script.
_SCRIPTS = ("graph.js", "panel.js", "gestures.js")


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

    The page holds all it needs and makes no request. Arrows point from regulator to target, wider for larger
    absolute weights; negative weights are red and dashed; nodes with more edges are larger. A line without a head is
    an undirected edge, or two opposite edges of the same weight. The page says how many edges the network has.

    Parameters
    ----------
    grn
        The network.
    path
        The html file; replaced if it exists.
    genes
        Names or labels of the genes to draw with their `neighbours`; the strongest edges of the whole network when
        None.
    neighbours
        Number of targets of each of `genes` that are drawn too, those of largest absolute weight; 0 for none.
    top_edges
        Number of edges, those of largest absolute weight; with `genes`, the edges to their neighbours come
        first. Self-edges are not drawn.
    label
        Column of ``var`` to name genes by; their names when ``var`` lacks ``"symbol"``.
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
    KeyError
        When `label` is not a column of ``var``.
    ValueError
        When genes are unknown, repeated or none, a gene has no community, or no edge is left to choose.
    """
    regulators = None if regulators is None else list(regulators)
    made = step(network_html, locals(), inputs=[grn], skip=("grn", "path"))
    steps = [*steps_of(grn.uns), made]
    check_count(top_edges, "top_edges")
    network, names, every = single_network(grn), check_unique(grn.var_names), gene_labels(grn, label)
    directed = is_directed(network, directed=grn.directed)
    if genes is None:
        drawn, edges = strongest_edges(network, names, top_edges=top_edges, directed=directed)
    else:
        drawn, edges = choose_edges(
            network, every, genes, neighbours=neighbours, top_edges=top_edges, directed=directed
        )
    edges, mutual = merge_equal_ways(network, names, edges, directed=directed)
    labels, marked = every.loc[drawn], is_regulator(drawn, every, regulators)
    colours, named_colours = community_colours(drawn, communities)
    groups = [None] * len(drawn) if communities is None else [str(name) for name in communities.loc[drawn]]
    ends = np.column_stack([drawn.get_indexer(pd.Index(edges[column])) for column in ("source", "target")])
    columns = (drawn, labels, packed_positions(len(drawn), ends).round(1).tolist(), colours, groups)
    data = {
        "directed": directed,
        "total": {"genes": len(names), "edges": count_edges(network, directed=directed)},
        "nodes": [
            {"id": name, "label": text, "x": x, "y": y, "colour": colour, "community": group, "regulator": bool(mark)}
            for name, text, (x, y), colour, group, mark in zip(*columns, marked, strict=True)
        ],
        # The shortest decimals that give the same float32 again; a fourth value marks an edge that runs both ways.
        "edges": [
            [*pair, float(str(weight)), *([1] if both else [])]
            for pair, weight, both in zip(ends.tolist(), np.asarray(edges["weight"]), mutual, strict=True)
        ],
        "legend": named_colours,
    }
    heading = f"Gene network: {grn.uns['grn']['method']}" if title is None else title
    with atomic_path(path) as temporary:
        temporary.write_text(_page(heading, data, in_page(steps)), encoding="utf-8", newline="\n")
    return Path(path)


def _page(title: str, data: dict[str, Any], record: str) -> str:
    """Return the page as text."""
    folder = files(__package__) / "page"
    page, style = ((folder / name).read_text("utf-8") for name in ("page.html", "page.css"))
    script = "".join((folder / name).read_text("utf-8") for name in _SCRIPTS)
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
        record=record,
    )


def _digest(text: str) -> str:
    return f"'sha256-{b64encode(sha256(text.encode()).digest()).decode()}'"

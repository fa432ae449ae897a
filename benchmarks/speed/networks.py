"""A network of 20,000 genes and 2 million edges: ours, networkx, and grnndata 1.3.2 in its own environment."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from pathlib import Path

import anndata
import networkx as nx
import numpy as np
import pandas as pd
import scipy.sparse as sp

import grnndata
from benchmarks.peer import run_peer
from benchmarks.timing import medians
from grnndata import GRNAnnData, tl

GENES = 20_000
EDGES = 2_000_000
KEPT = 2_000
REPEATS = 3
PEER = Path(__file__).with_name("peer_grnndata.py")


def example() -> GRNAnnData:
    """Return a random network with a heavy-tailed out-degree and 10 cells."""
    rng = np.random.default_rng(0)
    rows = np.minimum((rng.pareto(1.2, EDGES) * 200).astype(np.int64), GENES - 1)
    columns = rng.integers(0, GENES, EDGES)
    network = sp.csr_matrix((rng.random(EDGES, dtype=np.float32), (rows, columns)), shape=(GENES, GENES))
    network.setdiag(0)
    var = pd.DataFrame(index=[f"g{i}" for i in range(GENES)])
    return GRNAnnData(anndata.AnnData(np.ones((10, GENES), np.float32), var=var), network, method="random")


def network_times() -> pd.DataFrame:
    """Return median seconds of each operation, ours beside the others that can do the same work."""
    grn = example()
    kept = np.random.default_rng(1).permutation(grn.var_names)[:KEPT].tolist()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "network.h5ad"

        def write_and_read() -> GRNAnnData:
            grn.write_h5ad(path)
            return grnndata.read_h5ad(path)

        ours: dict[str, Callable[[], object]] = {
            "2,000 genes of it": lambda: grn[:, kept].copy(),
            "write and read h5ad": write_and_read,
            "table of edges": grn.edges,
            "out-strength": lambda: tl.strength(grn),
            "10 strongest per regulator": lambda: tl.top_k(grn, 10),
            "10 strongest per target": lambda: tl.top_k(grn, 10, per="target"),
            "PageRank": lambda: tl.pagerank(grn),
            "maximum spanning tree": lambda: tl.maximum_spanning_tree(grn),
            "eigenvector centrality, 20 strongest per gene": lambda: tl.eigenvector(tl.top_k(grn, 20)),
        }
        times = medians(ours, repeats=REPEATS)
        theirs = _networkx_times(grn, kept)
        write_and_read()
        peer = _peer_times(path, kept)
    lines = [
        {
            "operation": name,
            "ours (s)": seconds,
            "networkx (s)": theirs.get(name, float("nan")),
            "grnndata 1.3.2 (s)": peer.get(name, float("nan")),
            "against networkx": theirs.get(name, float("nan")) / seconds,
            "against grnndata 1.3.2": peer.get(name, float("nan")) / seconds,
        }
        for name, seconds in times.items()
    ]
    return pd.DataFrame(lines).replace(np.nan, "")


def _networkx_times(grn: GRNAnnData, kept: list[str]) -> dict[str, float]:
    """Time networkx on its own graph, which is built before."""
    graph = grn.to_networkx()
    both = graph.to_undirected()
    functions: dict[str, Callable[[], object]] = {
        "2,000 genes of it": lambda: graph.subgraph(kept).copy(),
        "table of edges": lambda: nx.to_pandas_edgelist(graph),
        "out-strength": lambda: dict(graph.out_degree(weight="weight")),
        "PageRank": lambda: nx.pagerank(graph),
        "maximum spanning tree": lambda: nx.maximum_spanning_tree(both),
    }
    return medians(functions, repeats=1)


def _peer_times(path: Path, kept: list[str]) -> dict[str, float]:
    """Time the published package in an environment of its own, on the same file; nothing when that fails."""
    return dict(run_peer(PEER, "grnndata", [str(path)], stdin=json.dumps(kept)) or {})

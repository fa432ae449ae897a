"""BBKNN's graph of cells, as 30 coordinates that keep it: ``bbknn_peer.py FOLDER SEED``; writes ``BBKNN.npy``.

BBKNN gives a graph and no embedding. Its coordinates here are a diffusion map: eigenvectors of the normalised graph,
each times its eigenvalue, so that all scores are taken alike for all methods.
"""

import json
import sys
from pathlib import Path

import bbknn.matrix
import numpy as np
from scipy import sparse
from scipy.sparse.linalg import eigsh
from tables import column

folder, seed = Path(sys.argv[1]), int(sys.argv[2])
batches = np.array(column(folder, "batch"))
_, graph, _ = bbknn.matrix.bbknn(np.load(folder / "components.npy"), batches, neighbors_within_batch=3)
graph = sparse.csr_matrix(graph)
roots = sparse.diags(1 / np.sqrt(np.maximum(np.asarray(graph.sum(axis=1)).ravel(), 1e-12)))
values, vectors = eigsh(
    roots @ graph @ roots, k=31, which="LA", v0=np.random.default_rng(seed).standard_normal(graph.shape[0])
)
order = np.argsort(-values)
vectors = roots @ vectors[:, order]
np.save(folder / "BBKNN.npy", (vectors * values[order] / np.linalg.norm(vectors, axis=0))[:, 1:])
print(json.dumps({"BBKNN": ""}))

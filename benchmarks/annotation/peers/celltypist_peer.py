"""A CellTypist model of one's own: ``celltypist_peer.py FOLDER SEED``; prints labels and confidences as JSON.

Its two steps, as its authors advise: stochastic gradient descent over all genes chooses each label's best, and a
logistic regression is fitted over those.
"""

import contextlib
import json
import sys
from pathlib import Path

import anndata
import celltypist
import numpy as np
import pandas as pd
from scipy import sparse

folder, seed = Path(sys.argv[1]), int(sys.argv[2])
np.random.seed(seed)  # noqa: NPY002 (it draws from there)
genes = pd.Index(json.loads((folder / "genes.json").read_text(encoding="utf-8")))
cells = {}
for part in ("train", "test"):
    values = sparse.load_npz(folder / f"{part}.npz").tocsr().astype(np.float32)
    names = pd.DataFrame(index=[f"{part}{i}" for i in range(values.shape[0])])
    cells[part] = anndata.AnnData(values, obs=names, var=pd.DataFrame(index=genes))
labels = json.loads((folder / "labels.json").read_text(encoding="utf-8"))
with contextlib.redirect_stdout(sys.stderr):
    model = celltypist.train(
        cells["train"], labels=labels, n_jobs=1, max_iter=100, feature_selection=True, top_genes=100
    )
    found = celltypist.annotate(cells["test"], model=model)
said = found.predicted_labels["predicted_labels"].astype(str)
shares = found.probability_matrix
print(json.dumps({"labels": said.tolist(), "confidence": shares.max(axis=1).astype(float).tolist()}))

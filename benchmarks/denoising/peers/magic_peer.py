"""MAGIC over all genes, on square roots of counts per 10,000, its authors' way."""

import json
import sys
from pathlib import Path

import magic
import numpy as np
from scipy import sparse

folder, seed = Path(sys.argv[1]), int(sys.argv[2])
counts, at, genes = sparse.load_npz(folder / "counts.npz"), np.load(folder / "cells.npy"), np.load(folder / "genes.npy")
total = np.asarray(counts.sum(axis=1)).ravel()
roots = sparse.csr_matrix((sparse.diags_array(1e4 / np.maximum(total, 1)) @ counts).sqrt())
values = magic.MAGIC(random_state=seed, n_jobs=1, verbose=0).fit_transform(roots, genes="all_genes")
np.save(folder / "profiles.npy", np.maximum(values[at][:, genes], 0) ** 2)
print(json.dumps(""))

"""Scanorama on log counts of variable genes: ``scanorama_peer.py FOLDER SEED``; writes ``Scanorama.npy``."""

import contextlib
import json
import sys
from pathlib import Path

import numpy as np
import scanorama
from scipy import sparse
from tables import column

folder, seed = Path(sys.argv[1]), int(sys.argv[2])
values = sparse.load_npz(folder / "log.npz").tocsr()
batches = np.array(column(folder, "batch"))
names = list(dict.fromkeys(batches))
genes = [str(i) for i in range(values.shape[1])]
with contextlib.redirect_stdout(sys.stderr):
    parts, _ = scanorama.integrate(
        [values[batches == name] for name in names], [genes] * len(names), dimred=30, seed=seed, verbose=0
    )
made = np.zeros((len(batches), parts[0].shape[1]))
for name, part in zip(names, parts, strict=True):
    made[batches == name] = part
np.save(folder / "Scanorama.npy", made)
print(json.dumps({"Scanorama": ""}))

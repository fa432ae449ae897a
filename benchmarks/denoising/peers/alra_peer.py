"""ALRA (Linderman et al. 2022) as the package halra computes it, on log counts per 10,000."""

import contextlib
import json
import sys
from pathlib import Path

import halra
import numpy as np
from scipy import sparse

folder, seed = Path(sys.argv[1]), int(sys.argv[2])
counts, at, genes = sparse.load_npz(folder / "counts.npz"), np.load(folder / "cells.npy"), np.load(folder / "genes.npy")
names = [[f"{kind}{i}" for i in range(n)] for kind, n in zip("cg", counts.shape, strict=True)]
with contextlib.redirect_stdout(sys.stderr):
    values, cells, kept = halra.halra(counts.astype(np.float64), *names, normalize=True, seed=seed, verbose=False)
values = values.toarray() if sparse.issparse(values) else np.asarray(values)
place = {name: i for i, name in enumerate(map(str, kept))}
row = {name: i for i, name in enumerate(map(str, cells))}
found = np.zeros((len(at), len(genes)))
columns = [(j, place[f"g{gene}"]) for j, gene in enumerate(genes) if f"g{gene}" in place]
for i, cell in enumerate(at):
    found[i, [j for j, _ in columns]] = values[row[f"c{cell}"], [k for _, k in columns]]
np.save(folder / "profiles.npy", np.expm1(np.maximum(found, 0)))
print(json.dumps(""))

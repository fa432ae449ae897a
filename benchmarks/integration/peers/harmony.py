"""Harmony on principal components: ``harmony.py FOLDER SEED``; writes ``Harmony.npy``."""

import json
import sys
from pathlib import Path

import harmonypy
import numpy as np
from tables import column

folder, seed = Path(sys.argv[1]), int(sys.argv[2])
components = np.load(folder / "components.npy")
found = harmonypy.run_harmony(
    components.astype(float), {"batch": column(folder, "batch")}, ["batch"], random_state=seed, verbose=False, ncores=1
)
made = np.asarray(found.Z_corr)
np.save(folder / "Harmony.npy", made if len(made) == len(components) else made.T)
print(json.dumps({"Harmony": ""}))

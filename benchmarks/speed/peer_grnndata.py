"""Times the published grnndata 1.3.2; run by networks.py in an environment of its own (Python 3.11)."""

import contextlib
import io
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path

import anndata

from grnndata import read_h5ad, utils

# It reads names as pandas' own strings, and may not write them again unless asked to.
anndata.settings.allow_write_nullable_strings = True

path, kept = sys.argv[1], json.load(sys.stdin)
grn = read_h5ad(path)


def write_and_read():
    with tempfile.TemporaryDirectory() as folder:
        grn.write_h5ad(Path(folder) / "again.h5ad")
        return read_h5ad(Path(folder) / "again.h5ad")


def centrality():
    with contextlib.redirect_stdout(io.StringIO()):
        return utils.get_centrality(grn, 20, 10)


functions = {
    "2,000 genes of it": (lambda: grn[:, kept].copy(), 3),
    "write and read h5ad": (write_and_read, 3),
    "eigenvector centrality, 20 strongest per gene": (centrality, 1),
}
medians = {}
for name, (function, repeats) in functions.items():
    times = []
    for turn in range(repeats + 1):
        started = time.perf_counter()
        function()
        if turn or repeats == 1:
            times.append(time.perf_counter() - started)
    medians[name] = statistics.median(times)
print(json.dumps(medians))

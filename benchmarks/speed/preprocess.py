"""Preprocessing: a file far larger than memory should be, and real files side by side in processes."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import sparse

from scdataloader import gene_table
from scdataloader.preprocess.sinks import H5adSink

CELLS = 500_000
GENES = 20_000
BLOCK = 20_000
#: Non-zeros of a cell: a log-normal around 1,000.
MEAN_GENES = 1_000

_CHILD = """
import json, resource, sys, time
from scdataloader import Preprocessor
preprocessor = Preprocessor(compression={compression!r})
began = time.perf_counter()
report = preprocessor.write({source!r}, {out!r})
took = time.perf_counter() - began
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
print(json.dumps([took, peak, report.steps[-1].cells_out]))
"""


def make_file(path: Path, *, cells: int = CELLS, seed: int = 0) -> None:
    """Write an uncompressed h5ad file of random counts over real protein-coding genes."""
    rng = np.random.default_rng(seed)
    table = gene_table("human")
    genes = table.index[table["biotype"] == "protein_coding"][:GENES]
    sink = H5adSink(path, len(genes), compression=None)
    popularity = rng.permutation(len(genes))
    for begin in range(0, cells, BLOCK):
        n = min(BLOCK, cells - begin)
        expressed = np.clip(rng.lognormal(np.log(MEAN_GENES), 0.4, n), 50, len(genes) // 2).astype(np.int64)
        # a gene may be drawn twice: the sum of its counts is one value then
        columns = popularity[(rng.random(expressed.sum()) ** 2 * len(genes)).astype(np.int64)]
        rows = np.repeat(np.arange(n), expressed)
        values = rng.geometric(0.6, len(rows)).astype(np.float32)
        block = sparse.csr_matrix((values, (rows, columns)), shape=(n, len(genes)))
        sink.add(block)
    obs = pd.DataFrame({"organism_ontology_term_id": pd.Categorical(["NCBITaxon:9606"] * cells)})
    obs.index = [f"cell{i}" for i in range(cells)]
    sink.finish(obs, pd.DataFrame(index=genes), {}, {})


def preprocess_times() -> pd.DataFrame:
    """Return seconds and peak memory of preprocessing one large file, compressed or not."""
    lines = []
    with tempfile.TemporaryDirectory() as folder:
        source, out = Path(folder) / "large.h5ad", Path(folder) / "clean.h5ad"
        began = time.perf_counter()
        make_file(source)
        print(f"made {source.stat().st_size / 1e9:.1f} GB in {time.perf_counter() - began:.0f} s", flush=True)
        for compression in (None, "lzf", "gzip"):
            code = _CHILD.format(compression=compression, source=str(source), out=str(out))
            done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
            took, peak, cells = json.loads(done.stdout.splitlines()[-1])
            lines.append(
                {
                    "compression of the output": compression or "none",
                    "cells in": CELLS,
                    "cells out": cells,
                    "file in (GB)": source.stat().st_size / 1e9,
                    "file out (GB)": out.stat().st_size / 1e9,
                    "seconds": took,
                    "cells/s": CELLS / took,
                    "peak memory (GB)": peak,
                }
            )
            out.unlink()
    return pd.DataFrame(lines)

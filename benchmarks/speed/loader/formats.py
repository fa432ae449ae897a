"""Size and speed of the formats a store could have: synthetic and real cells, from memory and from a cold disk."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
from scipy import sparse

from benchmarks.speed.loader.candidates import CANDIDATES, Gather, H5ad, PackedAhead, Zarr
from benchmarks.speed.loader.make_data import make_file
from scdataloader import Preprocessor, datasets

BATCH, PANEL = 64, 2200
#: Batches of a measurement: slow formats get fewer.
FAST, SLOW = 300, 8
#: Cells of a measurement from a cold disk, each read once; and how often the synthetic cells are repeated for it: the
#: system reads 128 kB around each page it misses, so that all of a small file is soon in memory.
COLD, COLD_SLOW = 4096, 512
COPIES = 4
REPEATS = 3


def format_times(n_cells: int = 25_000, folder: str | None = None) -> pd.DataFrame:
    """Return bytes a count and cells/s of each format; one core, random cells, 2,200 genes out, dense float32."""
    rows = []
    for data, counts in _corpora(n_cells):
        rng = np.random.default_rng(0)
        n, n_genes = counts.shape
        panel = np.sort(rng.choice(n_genes, min(PANEL, n_genes // 2), replace=False))
        expected = counts[:BATCH][:, panel].toarray()
        with tempfile.TemporaryDirectory(dir=folder) as work:
            opened: dict[str, Gather] = {}
            for number, candidate in enumerate(CANDIDATES):
                here = Path(work) / str(number)
                here.mkdir()
                candidate.write(counts, here)
                gather = opened[candidate.name] = candidate.open(here, panel, n_genes)
                if not np.array_equal(gather(np.arange(BATCH)), expected):
                    raise AssertionError(f"{candidate.name} does not give back the counts")
            warm: dict[str, list[float]] = {name: [] for name in opened}
            for _ in range(REPEATS):
                for candidate in CANDIDATES:
                    slow = isinstance(candidate, H5ad | Zarr)
                    draws = rng.integers(0, n, (SLOW if slow else FAST, BATCH))
                    warm[candidate.name].append(draws.size / _seconds(opened[candidate.name], draws))
            opened.clear()
            for number, candidate in enumerate(CANDIDATES):
                files = [path for path in (Path(work) / str(number)).rglob("*") if path.is_file()]
                rows.append(
                    {
                        "data": data,
                        "format": candidate.name,
                        "bytes a count": round(sum(path.stat().st_size for path in files) / counts.nnz, 2),
                        "warm cells/s": round(float(np.median(warm[candidate.name]))),
                    }
                )
    return pd.DataFrame(rows)


def cold_times(n_cells: int = 25_000, folder: str | None = None) -> pd.DataFrame:
    """Return cells/s of each format from a cold disk: as `format_times`, but no cell or its file is in memory.

    Three runs of fresh cells each, the files dropped from the page cache before each.
    """
    counts = sparse.csr_matrix(sparse.vstack([make_file(n_cells).X] * COPIES, format="csr"))
    n, n_genes = counts.shape
    rng = np.random.default_rng(0)
    panel = np.sort(rng.choice(n_genes, PANEL, replace=False))
    rows = []
    with tempfile.TemporaryDirectory(dir=folder) as work:
        for number, candidate in enumerate(CANDIDATES):
            here = Path(work) / str(number)
            here.mkdir()
            candidate.write(counts, here)
            candidate.open(here, panel, n_genes)(np.arange(BATCH))  # compiles
            speeds = []
            for _ in range(REPEATS):
                drop_from_cache(here)
                width = 16 * BATCH if isinstance(candidate, PackedAhead) else BATCH
                n_drawn = COLD_SLOW if isinstance(candidate, H5ad | Zarr) else COLD
                draws = rng.choice(n, n_drawn, replace=False).reshape(-1, width)
                speeds.append(round(draws.size / _seconds(candidate.open(here, panel, n_genes), draws)))
            rows.append({"format": candidate.name, "cold cells/s": " ".join(map(str, sorted(speeds)))})
            shutil.rmtree(here)
    return pd.DataFrame(rows)


def drop_from_cache(folder: Path) -> None:
    """Have the system forget the contents of files that are on the disk and that nobody has mapped."""
    os.sync()
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("rb") as file:
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def _seconds(gather: Gather, draws: np.ndarray) -> float:
    started = time.perf_counter()
    for rows in draws:
        gather(rows)
    return time.perf_counter() - started


def _corpora(n_cells: int) -> Iterator[tuple[str, sparse.csr_matrix]]:
    yield f"synthetic, {n_cells:,} cells", sparse.csr_matrix(make_file(n_cells).X)
    retina, _ = Preprocessor()(datasets.retina_1k())
    yield "retina, 1,000 cells", sparse.csr_matrix(retina.X)
    shared = Path(os.environ.get("SCPRINT_SHARED", "../shared")) / "data" / "expression"
    for name in ("human_balf_covid_liao", "mouse_marrow_hpc_tusi", "human_lung_lca_popv"):
        if (shared / f"{name}.h5ad").exists():
            clean, _ = Preprocessor()(anndata.read_h5ad(shared / f"{name}.h5ad"))
            yield f"{name}, {clean.n_obs:,} cells", sparse.csr_matrix(clean.X)


if __name__ == "__main__":
    from benchmarks.__main__ import markdown

    print(markdown(format_times()))
    print(markdown(cold_times()))

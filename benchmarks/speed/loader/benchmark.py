"""All loaders on the same corpus in one run: in order, uniform, weighted; 1 and 2 cores; warm and cold."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anndata
import numpy as np
import pandas as pd

from benchmarks.speed.loader.loaders import LOADERS, Loader
from benchmarks.speed.loader.make_data import make_corpus
from benchmarks.speed.loader.make_real import make_real_corpus
from benchmarks.speed.loader.peers.measure import cell_weights
from benchmarks.speed.loader.report import write_reports
from benchmarks.speed.loader.run import FailedError, environment, measure, prepare

WIDTH = 2200
ORDERS = ("weighted", "sequential", "uniform")
RANDOM = "random expressed"
#: How far the mean counts of random batches may be from those of the corpus, and what share may stay in memory.
_TOLERANCE, _STAYED = 0.15, 0.02


@dataclass(frozen=True)
class Options:
    """What to measure and where.

    Attributes
    ----------
    data
        Folder of the corpus, in all formats, and of the environments: 9 GB.
    files, cells
        Of the corpus.
    windows, seconds, warm_up
        Of a warm measurement; a cold one has as many windows, each from dropped files on.
    cold_seconds
        After which a cold window ends.
    only
        Loaders whose names contain one of these.
    resume
        Take the measurements of a run that was broken off.
    real
        Measure on real cells instead: those of the human h5ad files of this folder; see `make_real_corpus`.
    results
        Folder for the detailed tables and the plot.
    """

    data: Path = field(default_factory=lambda: Path(tempfile.gettempdir()) / "scdataloader-benchmark")
    files: int = 4
    cells: int = 25_000
    windows: int = 3
    seconds: float = 2.0
    warm_up: float = 1.0
    cold_seconds: float = 3.0
    only: Sequence[str] = ()
    resume: bool = False
    real: Path | None = None
    results: Path = Path(__file__).parents[2] / "results"


def loader_times(options: Options | None = None) -> pd.DataFrame:
    """Return a line of cells/s for each loader; write all measurements, the targets and the plot beside it."""
    options = options or Options()
    data = (options.data / ("real" if options.real else f"{options.files}x{options.cells}")).resolve()
    if options.real:
        made = make_real_corpus(data / "h5ad", options.real)
    else:
        made = make_corpus(data / "h5ad", files=options.files, cells=options.cells)
    files = [path.resolve() for path in made]
    job = common_job(files, options)
    n_cells = sum(anndata.read_h5ad(path, backed="r").n_obs for path in files)
    chosen = [one for one in LOADERS if not options.only or any(part in one.name for part in options.only)]
    rows: list[dict[str, Any]] = []
    if not options.resume:
        for loader in chosen:
            for old in (data / "measured").glob(f"{loader.slug}-*.json"):
                old.unlink()
    for loader in chosen:
        cost: dict[str, float] = {}
        try:
            environment(loader, data)
            cost = prepare(loader, data, files)
        except FailedError as error:
            rows.append({"loader": loader.name, "kind": loader.kind, "error": str(error)})
            print(f"{loader.name}: {error}", flush=True)
            continue
        for part in parts(loader, cold=options.real is None):  # the real corpus is too small to be cold for long
            at_once = min(loader.at_once, n_cells // 64 * 64)
            sizes = {"at_once": at_once, "cold_cells": max(at_once, loader.cold_cells)}
            found = measured(loader, data, job | part | sizes, options)
            rows += [{"kind": loader.kind, "settings": loader.settings, **row, "conversion": cost} for row in found]
            if not any("rates" in row for row in rows if row["loader"] == loader.name):
                break  # it does not run at all
    return write_reports(rows, options.results, _where(files), "speed_loader_real" if options.real else "speed_loader")


def parts(loader: Loader, *, cold: bool = True) -> Iterator[dict[str, Any]]:
    """Yield the processes to run: each core count and way to use it, warm, then cold."""
    cores = sorted(os.sched_getaffinity(0))[-2:]
    fixed = [{"order": order, "genes": "fixed", "width": WIDTH} for order in ORDERS]
    random = [{"order": "weighted", "genes": RANDOM, "width": WIDTH}] if loader.random_expressed else []
    yield {"cpus": cores[-1:], "workers": 0, "temperature": "warm", "runs": [*fixed, *random]}
    for workers in loader.workers if len(cores) > 1 else ():
        yield {"cpus": cores, "workers": workers, "temperature": "warm", "runs": [*fixed, *random]}
    if loader.cold and cold:
        yield {
            "cpus": cores[-1:],
            "workers": 0,
            "temperature": "cold",
            "runs": fixed[:2],
        }


def measured(loader: Loader, data: Path, job: dict[str, Any], options: Options) -> list[dict[str, Any]]:
    """Return the rows of one process, of an earlier run if that is wanted; one that says why where it failed."""
    cores = len(job["cpus"])
    kept = data / "measured" / f"{loader.slug}-{job['temperature']}-{cores}-{job['workers']}.json"
    if options.resume and kept.exists():
        found: list[dict[str, Any]] = json.loads(kept.read_text())
        return found
    where = {"loader": loader.name, "cores": cores, "workers": job["workers"], "cache": job["temperature"]}
    try:
        rows = [{**where, **row} for row in measure(loader, data, job)]
        for row in rows:
            check(row, loader, job)
    except FailedError as error:
        print(f"{loader.name}, {cores} cores, {job['temperature']}: {error}", flush=True)
        return [{**where, "error": str(error)}]
    for row in rows:
        row["cells_s"] = float(np.median(row["rates"]))
        print(
            f"{loader.name}, {cores} cores, {job['workers']} workers, {job['temperature']}, {row['order']}, "
            f"{row['genes']}: {row['cells_s']:,.0f} cells/s",
            flush=True,
        )
    kept.parent.mkdir(exist_ok=True)
    kept.write_text(json.dumps(rows))
    return rows


def check(row: dict[str, Any], loader: Loader, job: dict[str, Any]) -> None:
    """Raise FailedError if the batches cannot have held the counts they should, or a cold file was in memory."""
    due, spread = job["due"][row["genes"]]["weighted" if row["order"] == "weighted" else "all"]
    chance = 4 * spread / np.sqrt(row["checked"])  # real cells differ, and a slow loader shows few
    # in order, not all of the corpus may have been read, and files and types differ
    if abs(row["mean"] - due) > max(_TOLERANCE * due, chance) and row["order"] != "sequential":
        raise FailedError(f"{row['order']} batches hold {row['mean']:.1f} counts a cell, the corpus {due:.1f}")
    in_order = loader.in_order and row["order"] == "sequential"
    if in_order and row["genes"] == "fixed" and not np.allclose(row["first"], job["first"]):
        raise FailedError("its first batch does not hold the counts of the first cells")
    if row.get("resident", 0) > _STAYED:
        raise FailedError(f"{row['resident']:.0%} of its files stayed in memory, which was to be cold")


def common_job(files: list[Path], options: Options) -> dict[str, Any]:
    """Return what is the same for all: corpus, genes, length of the windows, and what the counts should be."""
    first = anndata.read_h5ad(files[0])
    panel = np.sort(np.random.default_rng(0).choice(first.n_vars, WIDTH, replace=False))
    of_panel, chosen = [], []
    for path in files:
        counts = anndata.read_h5ad(path).X
        of_panel.append(np.asarray(counts[:, panel].sum(axis=1)).ravel())
        share = np.minimum(1, WIDTH / np.maximum(np.diff(counts.indptr), 1))
        chosen.append(np.asarray(counts.sum(axis=1)).ravel() * share)
    weights = cell_weights([str(path) for path in files])

    def due(parts: list[np.ndarray]) -> dict[str, tuple[float, float]]:
        values = np.concatenate(parts)
        found = {}
        for name, of in (("all", np.ones_like(weights)), ("weighted", weights)):
            mean = np.average(values, weights=of)
            found[name] = float(mean), float(np.sqrt(np.average((values - mean) ** 2, weights=of)))
        return found

    return {
        "files": [str(path) for path in files],
        "genes": first.var_names.tolist(),
        "labels": [name for name in first.obs if isinstance(first.obs[name].dtype, pd.CategoricalDtype)],
        "panel": panel.tolist(),
        "first": of_panel[0][:64].tolist(),
        "due": {"fixed": due(of_panel), RANDOM: due(chosen)},
        "windows": options.windows,
        "seconds": options.seconds,
        "warm_up": options.warm_up,
        "cold_seconds": options.cold_seconds,
    }


def _where(files: list[Path]) -> str:
    with_genes = anndata.read_h5ad(files[0], backed="r").n_vars
    cells = sum(anndata.read_h5ad(path, backed="r").n_obs for path in files)
    size = sum(path.stat().st_size for path in files) / 1e6
    return f"{cells:,} cells × {with_genes:,} genes in {len(files)} uncompressed h5ad files, {size:,.0f} MB"

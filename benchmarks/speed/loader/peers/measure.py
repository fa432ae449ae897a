"""What all measured loaders share: the standard library and numpy only, for it runs in each loader's own environment.

A loader is a script that calls `main` with two functions: ``prepare(folder, files)`` converts the corpus where the
loader wants its own format, ``open_loader(job, run)`` opens it and returns an iterator of batches that begins to read
at its first batch. The driver (``run.py``, one folder up) gives the job as JSON on standard input; the measurements go
back as JSON in the last line of standard output.
"""

from __future__ import annotations

import ctypes
import gc
import json
import mmap
import os
import sys
import time
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

BATCH = 64
#: Draws of an epoch for samplers that draw a whole epoch at once.
EPOCH = 200_000
#: s in the weight s·n / (n + s) of a class of n cells.
SCALE = 50
CLASS = "cell_type_ontology_term_id"

Batches = Iterator[Any]


def main(
    prepare: Callable[[Path, list[str]], None], open_loader: Callable[[dict[str, Any], dict[str, Any]], Batches]
) -> None:
    """Do the job that standard input describes."""
    output = sys.stdout
    sys.stdout = sys.stderr  # the last line is the result, whatever a loader prints at exit
    job = read_job()
    folder = Path(job["folder"])
    if job["task"] == "prepare":
        started = time.perf_counter()
        prepare(folder, job["files"])
        result: Any = {"seconds": time.perf_counter() - started}
    else:
        os.sched_setaffinity(0, job["cpus"])
        imported = time.monotonic() - job["spawned"]
        measured = cold if job["temperature"] == "cold" else warm
        result = [{**run, "import_s": imported, **measured(open_loader, job, run)} for run in job["runs"]]
    output.write(json.dumps(result) + "\n")
    output.flush()
    os._exit(0)  # some loaders hang in their clean-up


@lru_cache(maxsize=1)
def read_job() -> dict[str, Any]:
    """Return the job, for scripts that need it before they import a loader."""
    job: dict[str, Any] = json.load(sys.stdin)
    return job


def warm(open_loader: Callable[..., Batches], job: dict[str, Any], run: dict[str, Any]) -> dict[str, Any]:
    """Return cells a second in windows of an uninterrupted iteration, the corpus in the page cache."""
    for path in read_files(job):
        with path.open("rb") as file:
            while file.read(1 << 24):
                pass
    began = time.monotonic()
    batches = open_loader(job, run)
    first = check(next(batches), run)
    first_batch = time.monotonic() - began
    sums = [first]
    ends = time.monotonic() + job["warm_up"]
    while time.monotonic() < ends:
        sums.append(check(next(batches), run))
    rates = []
    for _ in range(job["windows"]):
        started, cells = time.perf_counter(), 0
        # whole multiples of what is read at once: else a window has one such load more or less than its share
        while (passed := time.perf_counter() - started) < job["seconds"] or cells % job["at_once"]:
            next(batches)
            cells += BATCH
        rates.append(cells / passed)
    ended = time.monotonic()
    close(batches)
    return {
        "rates": rates, "first_batch_s": first_batch, "began": began, "ended": ended,
        "first": first.tolist(), "mean": float(np.mean(sums)), "checked": BATCH * len(sums),
    }  # fmt: skip


def cold(open_loader: Callable[..., Batches], job: dict[str, Any], run: dict[str, Any]) -> dict[str, Any]:
    """Return cells a second from the first batch on, the files dropped from the page cache before each window."""
    rates, left, sums, firsts = [], [], [], []
    began = time.monotonic()
    for seed in range(job["windows"]):
        batches = open_loader(job, {**run, "seed": seed})
        left.append(drop(read_files(job)))
        started, cells = time.perf_counter(), 0
        while (passed := time.perf_counter() - started) < job["cold_seconds"] or cells < job["at_once"]:
            if cells >= job["cold_cells"]:
                break
            batch = next(batches)
            if cells == 0:
                firsts.append(time.perf_counter() - started)
                sums.append(check(batch, run))
            cells += BATCH
        rates.append(cells / passed)
        close(batches)
        del batches
        gc.collect()
    ended = time.monotonic()
    return {
        "rates": rates, "first_batch_s": float(np.median(firsts)), "began": began, "ended": ended,
        "first": sums[0].tolist(), "mean": float(np.mean(sums)), "checked": BATCH * len(sums), "resident": max(left),
    }  # fmt: skip


def check(batch: Any, run: dict[str, Any]) -> np.ndarray:
    """Return the sum of the counts of each cell of a batch, after a look at its shape and type."""
    values = np.asarray(batch)
    if values.shape != (BATCH, run["width"]) or values.dtype != np.float32:
        raise ValueError(f"a batch has shape {values.shape} and type {values.dtype}, not {BATCH, run['width']} float32")
    return values.sum(axis=1, dtype=np.float64)


def close(batches: Batches) -> None:
    """End a generator, and the threads or processes it holds."""
    if hasattr(batches, "close"):
        batches.close()


def read_files(job: dict[str, Any]) -> list[Path]:
    """Return the files that a loader reads: those of its own folder, else the corpus."""
    own = [path for path in sorted(Path(job["folder"]).rglob("*")) if path.is_file() and path.stat().st_size]
    large = [path for path in own if path.stat().st_size > 1 << 20]
    return own if large else [Path(name) for name in job["files"]]


def drop(files: list[Path]) -> float:
    """Drop files from the page cache and return the share of their pages that stayed."""
    for path in files:
        descriptor = os.open(path, os.O_RDONLY)
        os.fsync(descriptor)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(descriptor)
    pages = [resident(path) for path in files]
    return sum(here for here, _ in pages) / max(1, sum(total for _, total in pages))


def resident(path: Path) -> tuple[int, int]:
    """Return how many pages of a file are in the page cache, and how many it has."""
    size = path.stat().st_size
    count = -(-size // mmap.PAGESIZE)
    libc = ctypes.CDLL(None, use_errno=True)
    libc.mmap.restype = ctypes.c_void_p
    libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long]
    libc.mincore.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_void_p]
    libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
    with path.open("rb") as file:
        address = libc.mmap(None, size, mmap.PROT_READ, mmap.MAP_SHARED, file.fileno(), 0)
    states = np.zeros(count, np.uint8)
    failed = libc.mincore(address, size, states.ctypes.data)
    libc.munmap(address, size)
    if failed:
        raise OSError(ctypes.get_errno(), f"mincore of {path}")
    return int((states & 1).sum()), count


def epochs(make: Callable[[], Batches]) -> Batches:
    """Yield the full batches of one epoch after the other."""
    while True:
        full = 0
        for batch in make():
            if len(batch) == BATCH:
                full += 1
                yield batch
        if full == 0:
            raise ValueError(f"an epoch had no batch of {BATCH} cells")


class Panel:
    """Makes a dense batch of the wanted genes; of six ways to do this in numpy, scipy and torch the fastest."""

    def __init__(self, job: dict[str, Any]) -> None:
        self.width = len(job["panel"])
        #: Column of each gene; those not wanted go to one past the end.
        self.place = np.full(len(job["genes"]), self.width)
        self.place[job["panel"]] = np.arange(self.width)

    def dense(self, counts: Any) -> np.ndarray:
        """Return the wanted columns of a CSR matrix, float32."""
        n_cells = len(counts.indptr) - 1
        out = np.zeros(n_cells * (self.width + 1), np.float32)
        begin = np.repeat(np.arange(n_cells) * (self.width + 1), np.diff(counts.indptr))
        out[begin + self.place[counts.indices]] = counts.data
        return out.reshape(n_cells, self.width + 1)[:, :-1]


def class_codes(files: list[str]) -> np.ndarray:
    """Return the class of every cell of the corpus as a number."""
    import h5py

    codes = []
    for name in files:
        with h5py.File(name, "r") as file:
            column = file["obs"][CLASS]
            names = column["categories"].asstr()[:]
            # the files' categories differ: the number is in the name, as in "type:0007"
            codes.append(np.array([int(text.split(":")[1]) for text in names])[column["codes"][:]])
    return np.concatenate(codes)


def cell_weights(files: list[str]) -> np.ndarray:
    """Return the weight of every cell, s / (n + s) in a class of n cells: the class then has s·n / (n + s)."""
    codes = class_codes(files)
    counts = np.bincount(codes)
    return SCALE / (counts[codes] + SCALE)

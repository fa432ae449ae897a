"""The parts of a set, measured and kept; apart from the command, whose module other processes cannot import."""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import anndata
import pandas as pd
import torch

from benchmarks.card.annotation import annotation_rows
from benchmarks.card.denoising import denoising_rows
from benchmarks.card.embedding import embedding_rows
from benchmarks.card.invariance import invariance_rows
from benchmarks.card.networks import network_rows
from benchmarks.card.opened import Given, Opened
from benchmarks.card.rows import COLUMNS, Row
from benchmarks.card.sets import SETS, drawn, units_of


def place(given: Given, name: str, part: str) -> Path:
    """Return the file of the rows of one part of a set."""
    return given.kept / f"{name.replace(' ', '_')}-{part}.csv"


def measure_apart(given: Given, name: str, parts: list[str]) -> list[str]:
    """Measure parts of a set in a process of its own."""
    torch.set_num_threads(1)
    return list(measure(Opened(given), name, parts))


def measure(opened: Opened, name: str, parts: list[str]) -> Iterator[str]:
    """Measure parts of a set and keep each; yield a line for each that failed."""
    given = opened.given
    adata = drawn(name, given.data, given.n_cells, given.seed)
    for part in parts:
        started = seconds()
        try:
            rows = part_rows(opened, name, part, adata)
        except Exception as error:
            yield f"{name}, {part}: {type(error).__name__}: {error}"
            continue
        seen = "yes" if SETS[name].role == "seen" else "no"
        told = {"set": name, "part": part, "seen": seen, "cpu_s": round(seconds() - started, 1)}
        table = pd.DataFrame([told | row for row in rows]).reindex(columns=list(COLUMNS))
        file = place(given, name, part)
        table.to_csv(file.with_suffix(".part"), index=False)
        file.with_suffix(".part").replace(file)
        print(f"{name}, {part}: {told['cpu_s']} s", file=sys.stderr, flush=True)


def part_rows(opened: Opened, name: str, part: str, adata: anndata.AnnData) -> list[Row]:
    """Return the rows of one part of a set."""
    units = units_of(name, adata)
    if part == "embedding":
        return embedding_rows(opened, name, adata, units, mixed=SETS[name].mixed)
    if part == "annotation":
        return annotation_rows(opened, name, adata, units)
    if part == "denoising":
        return denoising_rows(opened, adata)
    if part == "invariance":
        return invariance_rows(opened, adata)
    # networks are of more cells of a type than the other parts have
    every = drawn(name, opened.given.data, 10 * opened.given.n_cells, opened.given.seed)
    return [row for kind in SETS[name].types for row in network_rows(opened, every, kind)]


def seconds() -> float:
    """Return the CPU seconds of this process and of those that it started."""
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + after.ru_utime + after.ru_stime

"""Embeddings of cells of several batches: scib-metrics' scores of ours and of published methods.

Intervals are over cells, with each embedding as it is: scores of random halves of the cells spread around that of all
as much as scores of other cells of the same source would (half-sampling, McCarthy 1969, Review of the International
Statistical Institute 37:239-264). Each half has half of the cells of each label. What another start of a method's
training would give is not in them.
"""

from __future__ import annotations

import os
import resource
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData
from scipy.stats import t

from benchmarks.integration import sets
from benchmarks.peer import NOT_RUN, run_peer
from benchmarks.seen import seen
from benchmarks.weights import METHODS, tell_missing
from bengrn import embed
from scprint_model import ScPrint, tasks

PEERS = Path(__file__).parent / "peers"
#: Script of each environment, and the methods that it gives.
SCRIPTS = (
    ("harmony", "harmony.py", ("Harmony",)),
    ("scvi", "scvi_peer.py", ("scVI", "scANVI")),
    ("scanorama", "scanorama_peer.py", ("Scanorama",)),
    ("bbknn", "bbknn_peer.py", ("BBKNN",)),
    ("scgen", "scgen_peer.py", ("scGen",)),
)
#: They are told the labels that are scored.
TOLD_LABELS = ("scANVI", "scGen")
NOT_INTEGRATED = "PCA"
OURS = {"scPRINT embedding": None, "scPRINT logits": "cell_type"}
TOTALS = ("Total", "Bio conservation", "Batch correction")


def integration_scores(
    *,
    dataset: str,
    n_cells: int = 500,
    epochs: int = 150,
    n_halves: int = 6,
    kbet: bool = False,
    weights: Mapping[str, str] | None = None,
    seed: int = 0,
) -> pd.DataFrame:
    """Return a row a method: the total, its two parts and each score, with the gain over principal components.

    Parameters
    ----------
    dataset
        Name of one of `sets.SETS`.
    n_cells
        Number of cells that are drawn.
    epochs
        Number of epochs of scVI and scGen; scANVI goes on from scVI for a tenth of them.
    n_halves
        Number of random halves of the cells, for the intervals.
    kbet
        Whether the batch correction has kBET, too, which compiles for seconds for each label of each embedding.
    weights
        Folder of the weights of each method of `benchmarks.weights` that is to be run.
    seed
        Seed for the cells, the halves and the methods.
    """
    tell_missing(weights or {})
    model = ScPrint.from_pretrained("bundled")
    adata = sets.drawn(dataset, n_cells, seed)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        seconds = {NOT_INTEGRATED: _timed(lambda: sets.write(adata, folder, seed))}
        os.link(folder / "components.npy", folder / f"{NOT_INTEGRATED}.npy")
        spent = time.process_time()
        encoded = tasks.encode(model, adata, classes=("cell_type_ontology_term_id",), seed=seed)
        for ours, logits in OURS.items():
            np.save(folder / f"{ours}.npy", tasks.embed(model, adata, logits=logits, encoded=encoded))
        seconds |= dict.fromkeys(OURS, time.process_time() - spent)
        for method, place in (weights or {}).items():
            seconds[method] = _timed(partial(write_given, adata, folder, method, place, seed))
        for environment, script, methods in SCRIPTS:
            seconds |= _peer(folder, environment, script, methods, seed, epochs)
        found = run_peer(
            PEERS / "scib.py", "scib", [str(folder), str(n_halves), str(seed), "kbet" if kbet else "no", *seconds]
        )
    if found is None:
        raise RuntimeError(f"scib-metrics could not be run: {NOT_RUN['scib']}")
    known = "yes" if seen(model, sets.SETS[dataset].file) else "no"
    rows = []
    for method, (whole, *halves) in found.items():
        row: dict[str, Any] = {"set": dataset, "method": method}
        row |= {"n_cells": adata.n_obs, "n_batches": adata.obs["batch"].nunique()}
        row["seen in training"] = known if method in OURS else "no"
        row["told the labels"] = "yes" if method in TOLD_LABELS else "no"
        row |= with_intervals(whole, halves)
        if method != NOT_INTEGRATED:
            row |= gains([whole, *halves], found[NOT_INTEGRATED])
        rows.append(row | {"CPU s": round(seconds[method], 1)})
    return pd.DataFrame(rows)


def write_given(adata: AnnData, folder: Path, method: str, place: str, seed: int) -> None:
    """Write the embedding of a method whose weights lie in a folder, of the raw counts of all genes."""
    np.save(folder / f"{method}.npy", embed(adata, METHODS[method][0], settings={"folder": place}, seed=seed))


def with_intervals(whole: Mapping[str, float], halves: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Return each score of all cells with its 95 % interval by Student's t from the scores of random halves."""
    found: dict[str, float] = {}
    for name, value in whole.items():
        key = _key(name)
        found[key] = value
        spread = [half[name] for half in halves if name in half]
        if len(spread) > 1:
            half_width = float(t.ppf(0.975, len(spread) - 1) * np.std(spread, ddof=1))
            found |= {f"{key}_low": value - half_width, f"{key}_high": value + half_width}
    return found


def gains(scores: Sequence[Mapping[str, float]], before: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Return by how much the totals are above those of the embedding before integration, on the same cells."""
    found = [
        {f"gain {name}": one[name] - other[name] for name in TOTALS} for one, other in zip(scores, before, strict=True)
    ]
    return with_intervals(found[0], found[1:])


def _key(name: str) -> str:
    return name.lower().replace(" ", "_")


def _timed(work: Callable[[], object]) -> float:
    """Do work in this process, and return its CPU seconds."""
    started = time.process_time()
    work()
    return time.process_time() - started


def _peer(
    folder: Path, environment: str, script: str, methods: Sequence[str], seed: int, epochs: int
) -> dict[str, float]:
    """Run a peer's script; return the CPU seconds of its methods, and keep the reason of those that failed."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    told = run_peer(PEERS / script, environment, [str(folder), str(seed), str(epochs)], methods=methods)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if told is None:
        return {}
    NOT_RUN.update({method: why for method, why in told.items() if why})
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {method: spent for method, why in told.items() if not why}

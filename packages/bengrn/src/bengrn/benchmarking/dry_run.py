"""Tell the time and memory that a benchmark will take, before it runs."""

from __future__ import annotations

from collections.abc import Sequence

import anndata
import numpy as np
import pandas as pd

from bengrn._wording import counted
from bengrn.benchmarking.grid import Planned
from bengrn.benchmarking.job import method_of
from bengrn.benchmarking.result_rows import is_done
from bengrn.benchmarking.work_files import REGULATOR, WorkFiles
from bengrn.effort import duration, estimate
from bengrn.inference import Work


def told_before(planned: Sequence[Planned], files: WorkFiles, n_jobs: int) -> str:
    """Say which networks a benchmark makes and about how long that takes, by trying each method on a part of the genes.

    Parameters
    ----------
    planned
        Jobs of the benchmark.
    files
        Folder of the benchmark.
    n_jobs
        Number of processes at a time.
    """
    grid = pd.DataFrame(
        [
            {
                "method": one.columns["label"],
                "data set": one.columns["dataset"] or "-",
                "job": one,
                "is_done": is_done(one, files),
            }
            for one in planned
        ]
    )
    rows, total, is_known = [], 0.0, True
    for (method, dataset), part in grid.groupby(["method", "data set"], sort=False):
        missing: list[Planned] = part.loc[~part["is_done"], "job"].tolist()
        seconds = _seconds(missing, files)
        is_known &= seconds is not None
        total += seconds or 0.0
        largest = max(part["job"], key=lambda one: one.cells.n_cells)
        rows.append(
            {
                "method": method,
                "data set": dataset,
                "networks": len(part),
                "missing": len(missing),
                "cells": largest.cells.n_cells,
                "regulators × genes": f"{largest.cells.n_regulators:,} × {largest.cells.n_genes:,}",
                "time": "-" if seconds == 0 else "not known" if seconds is None else duration(seconds),
            }
        )
    truths = sorted({how.truth for one in planned for how in one.job.scorings.values()})
    n_scores = sum(len(one.job.scorings) for one in planned)
    at_least = "" if is_known else "at least "
    return "\n\n".join(
        [
            pd.DataFrame(rows).to_string(index=False),
            f"{counted(len(planned), 'network')} against {counted(len(truths), 'truth')} ({', '.join(truths)}): "
            f"{counted(n_scores, 'scoring')}",
            f"inference: {at_least}about {duration(total / n_jobs)} with {counted(n_jobs, 'process', 'processes')} at "
            "a time; reading cells and scoring come on top",
        ]
    )


def _seconds(missing: Sequence[Planned], files: WorkFiles) -> float | None:
    """Return the seconds that the networks of one method and data set take; None where nobody can say."""
    of_methods = [one for one in missing if one.job.source["kind"] == "method"]
    if not of_methods:
        return 0.0
    largest = max(of_methods, key=lambda one: one.cells.n_cells)
    cells = anndata.read_h5ad(files.cells(largest.cells.name))
    regulators = None
    if REGULATOR in cells.var:
        regulators = cells.var_names[cells.var[REGULATOR].to_numpy(dtype=bool)].tolist()
    work = Work(method_of(largest.job.source), cells, {"": np.arange(cells.n_obs)}, regulators)
    each = estimate(work).seconds
    if each is None:
        return None
    return each * sum(one.cells.n_cells for one in of_methods) / max(1, largest.cells.n_cells)

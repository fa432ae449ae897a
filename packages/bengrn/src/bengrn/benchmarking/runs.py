"""Run a benchmark: methods × data sets × groups × replicates × truths × seeds → one table."""

from __future__ import annotations

import errno
import logging
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bengrn._provenance import KEY as STEPS
from bengrn._provenance import step
from bengrn._threads import n_processors
from bengrn._wording import counted
from bengrn.benchmarking.as_config import as_config
from bengrn.benchmarking.columns import as_table
from bengrn.benchmarking.config import Config
from bengrn.benchmarking.config_values import values_of
from bengrn.benchmarking.executors import in_this_process, on_dask, on_this_machine
from bengrn.benchmarking.grid import Planned, lay_out
from bengrn.benchmarking.located_yaml import Section
from bengrn.benchmarking.origin import commit, machine, versions
from bengrn.benchmarking.progress import Progress
from bengrn.benchmarking.result_rows import forget_failures, is_done, table_of
from bengrn.benchmarking.table_files import joined, write_table
from bengrn.benchmarking.watched import Limits
from bengrn.benchmarking.work_files import WorkFiles, remove_leftovers, write_json
from bengrn.benchmarking.worker import write_job

if TYPE_CHECKING:
    import pandas as pd

logger = logging.getLogger(__name__)


def benchmark(
    methods: Sequence[Any] = (),
    datasets: Sequence[Any] = (),
    truths: Sequence[Any] = (),
    *,
    out: str | Path,
    networks: Sequence[Mapping[str, Any]] = (),
    seeds: Sequence[int] = (0,),
    regulators: str = "assayed",
    orientations: Sequence[str] = ("as stored", "transposed"),
    baselines: bool = True,
    bootstrap: int = 200,
    permutations: int = 200,
    time_limit: float | str | None = None,
    memory_limit: float | str | None = None,
    workers: int | None = None,
    threads: int = 1,
    scheduler: str | None = None,
    retry: bool = False,
    add: Sequence[str | Path] = (),
    progress: Callable[[str], None] | None = None,
) -> pd.DataFrame:
    """Score many methods on many data sets against many truths, and return one row for each combination.

    Each network is made in a process of its own. Results are kept in the folder by their content: called again, only
    what is missing or has changed runs.

    Parameters
    ----------
    methods
        Methods: names (:func:`bengrn.list_methods`), :class:`grnndata.GRNMethod` objects, or mappings with ``name`` (or
        ``object``, as "module:NAME"), ``settings``, ``label``, ``absolute``.
    datasets
        Data sets: paths of files of cells, or mappings with ``path`` (or ``cells``, an AnnData), ``name``, ``groupby``,
        ``groups``, ``replicates`` (a column of obs, or a number of draws), ``n_cells``, ``n_genes`` or ``genes``,
        ``genes_by`` ("all" or "group"), ``regulators`` ("all", "tf" or names), ``organism``, ``layer``, ``counts``,
        ``seed`` (for draws of cells), ``truths`` (instead of those for all), ``held_out`` (a share of the cells, or a
        mapping with ``share`` and ``by``, a column of obs such as the donor: each method also infers a network from the
        other cells, and its gain in predicting the held-out ones gets a row; see :func:`bengrn.score_prediction`).
    truths
        Ground truths: names (:func:`bengrn.list_truths`), files of edges, :class:`bengrn.GroundTruth` objects, or
        mappings with ``name``, ``truth``, ``path``, ``columns``, ``organism``, ``options``, ``directed``.
    out
        Folder of the results.
    networks
        Networks of other tools: mappings with ``path``, ``name``, ``dataset``, ``group``, ``replicate``, ``network``
        (in a file of several), ``columns``, ``duplicates``, ``missing``, ``orientation``, ``absolute``. They are scored
        on the genes of their data set.
    seeds
        Seeds for methods that draw; methods that do not run with the first alone.
    regulators
        Rows of the scored pairs: "assayed" (all sources of the truth that are among the genes), "truth" (those with a
        true edge among them), "tf" or "all".
    orientations
        Orientations to score: "as stored", "transposed". Symmetric networks have one row.
    baselines
        Whether random weights, the absolute Pearson correlation and the degrees of the truth get rows of their own.
    bootstrap
        Number of replicates for 95 % intervals over regulators; 0 for none.
    permutations
        Number of truths rewired at the same degrees for the p-value; 0 for none.
    time_limit, memory_limit
        Limit of each stage of a process, in seconds or as "2 h", and of its memory, in bytes or as "8 GB"; None for no
        limit.
    workers
        Number of processes at a time; one a core when None. 0 runs all in this process and without limits, which
        helps to find an error.
    threads
        Number of threads that each process is given.
    scheduler
        Address of a Dask scheduler, whose workers share the folder; this machine when None.
    retry
        Whether to run what failed before again. What reached a limit runs again when the limit is wider.
    add
        Tables of other benchmarks to join: csv, tsv, parquet, or folders of results.
    progress
        Function that is called with a line of text whenever something is done.

    Returns
    -------
    pandas.DataFrame
        Columns as :data:`bengrn.benchmarking.columns.COLUMNS` tells. ``out`` has it as ``table.parquet`` and
        ``table.csv``.

    Raises
    ------
    ValueError
        If a name or value is not known, or there is nothing to score.
    FileNotFoundError, ConnectionError
        If a file is missing or a truth cannot be fetched.
    OSError
        If the disk is full; what is done is kept.
    """
    limits = {"time": time_limit, "memory": memory_limit}
    given: dict[str, Any] = {
        "methods": list(methods),
        "datasets": list(datasets),
        "truths": list(truths),
        "networks": list(networks),
        "seeds": list(seeds),
        "regulators": regulators,
        "orientations": list(orientations),
        "baselines": baselines,
        "bootstrap": bootstrap,
        "permutations": permutations,
        "limits": {name: value for name, value in limits.items() if value is not None},
        "workers": workers,
        "threads": threads,
    }
    config = replace(as_config(Section(given)), out=Path(out))
    return run(config, scheduler=scheduler, retry=retry, add=add, progress=progress)


def run(
    config: Config,
    *,
    scheduler: str | None = None,
    retry: bool = False,
    add: Sequence[str | Path] = (),
    progress: Callable[[str], None] | None = None,
) -> pd.DataFrame:
    """Run a benchmark as it is configured, and write its table; see :func:`benchmark`."""
    joined(as_table([]), add)  # what is wrong with tables of others is told before the work
    out = Path(config.out or "results")
    files = WorkFiles(out.absolute())
    files.work.mkdir(parents=True, exist_ok=True)
    remove_leftovers(files.work)
    planned = lay_out(config, files)
    for one in planned:
        forget_failures(one, files, retry=retry)
    todo = _merged([one for one in planned if not is_done(one, files)])
    paths = {write_job(one.job, files): one for one in todo}
    watch = Progress(todo, n_before=len({one.job.key for one in planned}) - len(todo))
    trouble = ""
    try:
        # However this ends, the processes are ended before the table is written.
        with closing(_executed(list(paths), config, scheduler)) as results:
            for path, message in results:
                if message:
                    trouble = message
                    break
                watch.finished(paths[path])
                if progress is not None:
                    progress(str(watch))
    finally:
        table = joined(table_of(planned, files), add)
        write_table(table, files.results)
        _write_record(config, files, planned)
    if trouble:
        n_left = sum(not is_done(one, files) for one in planned)
        raise OSError(
            errno.ENOSPC,
            f"{trouble}. {counted(len(planned) - n_left, 'network is', 'networks are')} done and kept in "
            f"{out}, {n_left:,} are missing: make room, and run it again",
        )
    return table


def _merged(planned: Sequence[Planned]) -> list[Planned]:
    """Return one job for each network: two data sets may have the same cells, and other truths."""
    merged: dict[str, Planned] = {}
    for one in planned:
        key = one.job.key
        if key in merged:
            scorings = {**merged[key].job.scorings, **one.job.scorings}
            one = replace(one, job=replace(one.job, scorings=scorings))
        merged[key] = one
    return list(merged.values())


def _executed(paths: list[Path], config: Config, scheduler: str | None) -> Any:
    limits = Limits(config.time, config.memory, config.threads)
    if scheduler is not None:
        return on_dask(paths, limits, scheduler)
    if config.workers == 0:
        return in_this_process(paths)
    return on_this_machine(paths, limits, processes_at_a_time(config))


def processes_at_a_time(config: Config) -> int:
    """Return the number of processes that run at the same time: as configured, or one a core."""
    return config.workers or max(1, n_processors() // config.threads)


def _write_record(config: Config, files: WorkFiles, planned: Sequence[Planned]) -> None:
    told = values_of(config)
    inputs = [{"file": str(one.path), "data set": one.name} for one in config.datasets if one.path is not None]
    record = {
        STEPS: [step("bengrn run", told, inputs=inputs)],
        "config": told,
        "command": sys.argv,
        "versions": versions(None),
        "commit": commit(),
        "machine": machine(),
        "networks": len(planned),
    }
    write_json(files.results / "run.json", record)

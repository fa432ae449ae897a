"""Carry out one job of a benchmark: infer a network, or read it, and score it against its truths."""

from __future__ import annotations

import errno
import os
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from bengrn._threads import n_threads
from bengrn.benchmarking.network_scores import Scoring, degree_rows, is_symmetric, rows_for, score_rows, write_edges
from bengrn.benchmarking.origin import machine, peak_memory_mb, versions
from bengrn.benchmarking.present import record_of_network, record_of_score
from bengrn.benchmarking.work_files import (
    DIGITS,
    REGULATOR,
    WorkFiles,
    read_genes,
    read_truth,
    read_weights,
    write_json,
    write_weights,
)

#: Name of the stage in which the network is made.
INFERENCE = "inference"


@dataclass(frozen=True, kw_only=True)
class Job:
    """One network to make and to score; everything is named by its content.

    Attributes
    ----------
    key
        Checksum of what makes the network.
    source
        What makes it: ``kind`` ("method", "file" or "degrees"), and what that takes, such as the modules that a method
        imports when it runs.
    cells
        Name of the prepared cells.
    seed
        Seed for the method, intervals and permutations.
    scorings
        How it is scored, by the checksum of each scoring.
    limits
        Limits in force, told beside what failed.
    """

    key: str
    source: Mapping[str, Any]
    cells: str
    seed: int
    scorings: Mapping[str, Scoring]
    limits: Mapping[str, float | None]

    def missing(self, files: WorkFiles) -> list[str]:
        """Return the checksums of the scorings that are not done."""
        return [score for score in self.scorings if record_of_score(self.key, score, files) is None]

    @property
    def imports(self) -> tuple[str, ...]:
        """Modules that the method imports when it runs."""
        return tuple(self.source.get("imports", ()))

    @property
    def name(self) -> str:
        """Short name for progress and messages."""
        return str(self.source.get("label") or self.source.get("name") or self.source["kind"])


def carry_out(job: Job, files: WorkFiles, begin: Callable[[str], None] = lambda _: None) -> None:
    """Make and score a network, and write each result as soon as it is there.

    What is there is not done again. A method or scoring that raises an error is written down as failed; only a full
    disk raises.

    Parameters
    ----------
    job
        Network to make or read, and what to score it against.
    files
        Folder of the benchmark.
    begin
        Function that is called with the name of each stage when it begins: "inference", then checksums of scorings.

    Raises
    ------
    OSError
        If the disk is full.
    """
    made: Mapping[str, Any] = {}
    weights = None
    if job.source["kind"] != "degrees":
        found = record_of_network(job.key, files)
        if found is None:
            import_early(job.imports)
            begin(INFERENCE)
            made, weights = _made(job, files)
        else:
            made, weights = found, read_weights(files.network(job.key))
        if made["status"] != "ok":
            return
    for score in job.missing(files):
        begin(score)
        try:
            rows = _rows(job, score, weights, made, files)
        except Exception as error:  # a scoring that fails is a row of the table
            if full_disk(error):
                raise
            traceback.print_exc()
            rows = rows_for(_status(error), _message(error), job.scorings[score].orientations[:1])
        told = {"rows": rows, "network": made.get("network_sha256", ""), "limits": job.limits}
        write_json(files.scores(job.key, score), told)


def import_early(names: Iterable[str]) -> None:
    """Import modules, so that no method's time holds their imports; what is missing the method itself will tell."""
    for name in names:
        with suppress(Exception):
            import_module(name)


def _made(job: Job, files: WorkFiles) -> tuple[dict[str, Any], Any]:
    """Infer or read the network, and write it down."""
    folder = files.network(job.key)
    folder.mkdir(parents=True, exist_ok=True)
    try:
        weights, told = (_inferred if job.source["kind"] == "method" else _read)(job, files)
        told |= {"status": "ok", "network_sha256": write_weights(folder, weights), "limits": job.limits}
        write_edges(weights, read_genes(files.cells(job.cells)).var_names, told["network_sha256"][:16], files)
    except Exception as error:  # whatever a method of others raises is a row of the table
        if full_disk(error):
            raise
        traceback.print_exc()
        told = {"status": _status(error), "message": _message(error), "limits": job.limits}
        weights = None
    write_json(files.inference(job.key), told)
    return told, weights


def _inferred(job: Job, files: WorkFiles) -> tuple[Any, dict[str, Any]]:
    from bengrn.inference import Work, checked

    method = method_of(job.source)
    cells = _cells(job, files)
    regulators = None
    if REGULATOR in cells.var:
        regulators = cells.var_names[cells.var.pop(REGULATOR).to_numpy(dtype=bool)].tolist()
    part = cells.copy()
    wall, cpu = time.perf_counter(), time.process_time()
    network = method.infer(part, regulators=regulators, rng=job.seed)
    spent = {"wall_s": time.perf_counter() - wall, "cpu_s": time.process_time() - cpu + _cpu_of_children()}
    checked(network, part, Work(method, cells, {}, regulators))
    told = spent | {"peak_memory_mb": peak_memory_mb(), "machine": machine(), "versions": versions(method)}
    told["directed"] = bool(network.uns.get("grn", {}).get("directed", True))
    told["threads"] = n_threads()
    return on_genes(network, cells, exact=True)[0], told


def _read(job: Job, files: WorkFiles) -> tuple[Any, dict[str, Any]]:
    options = ("path", "network", "columns", "duplicates", "missing", "orientation")
    found = read_given(**{key: job.source[key] for key in options})
    weights, left_out = on_genes(found, _cells(job, files))
    notes = [str(note) for note in found.uns.get("grn", {}).get("parameters", {}).get("notes", ())]
    if left_out:
        notes.append(f"{left_out:,} of {found.n_vars:,} genes of the file are not among those of the data set")
    directed = bool(found.uns.get("grn", {}).get("directed", True))
    told = {"message": "; ".join(notes), "machine": machine(), "versions": versions(None), "directed": directed}
    return weights, told


def read_given(
    path: str,
    *,
    network: str | None,
    columns: Sequence[str] | None,
    duplicates: Any,
    missing: Any,
    orientation: Any,
) -> Any:
    """Read one network of others.

    Parameters
    ----------
    path, columns, duplicates, missing, orientation
        See :func:`grnndata.read_network`; columns may be numbers that are written as text.
    network
        Name of the one network, in a file of several.

    Raises
    ------
    ValueError
        If the file holds several networks and none is named, or holds none.
    """
    import grnndata

    named = None if columns is None else [int(one) if str(one).isdigit() else one for one in columns]
    found = grnndata.read_network(
        path,
        name=network,
        columns=None if named is None else tuple(named),
        duplicates=duplicates,
        missing=missing,
        orientation=orientation,
        with_cells=False,
    )
    if "GRN" not in found.varp:
        raise ValueError(f"{path} holds several networks ({', '.join(found.networks)}): name one, network: NAME")
    return found


def on_genes(network: Any, cells: Any, *, exact: bool = False) -> tuple[Any, int]:
    """Return the weights of a network on the genes of a data set, and how many genes of the network are not among them.

    Parameters
    ----------
    network
        GRNAnnData.
    cells
        AnnData that has the genes.
    exact
        Whether genes are found by their names alone, and not by symbols or ids, too.

    Raises
    ------
    ValueError
        If no gene of the network is among them.
    """
    import numpy as np
    import scipy.sparse as sp

    from bengrn.network import find_in

    weights = network.varp["GRN"]
    if network.var_names.equals(cells.var_names):
        return weights, 0
    if exact:
        own = cells.var_names.get_indexer(network.var_names)
        at, kept = own, np.arange(network.n_vars)
    else:
        found = find_in(cells, network.var_names.tolist())
        absent = set(found.missing)
        kept = np.array([i for i, name in enumerate(network.var_names) if name not in absent], dtype=np.int64)
        at = np.asarray(found.places)
        if not len(at):
            raise ValueError(
                f"no gene of the network is among the {cells.n_vars:,} genes of the data set{found.hint()}"
            )
        at, first = np.unique(at, return_index=True)
        kept = kept[first]
    table = sp.coo_array(sp.csr_array(weights)[kept][:, kept])
    shape = (cells.n_vars, cells.n_vars)
    placed = sp.csr_matrix((table.data, (at[table.coords[0]], at[table.coords[1]])), shape=shape)
    return placed, network.n_vars - len(kept)


def method_of(source: Mapping[str, Any]) -> Any:
    """Return the method that a job names."""
    import pickle

    from bengrn.benchmarking.entries import object_at
    from bengrn.methods.method import Method
    from bengrn.registry import get_method

    settings = source["settings"]
    if source.get("pickle"):
        with Path(source["pickle"]).open("rb") as file:
            return pickle.load(file)  # noqa: S301 - which this run has written for its own processes
    if source.get("object"):
        sys.path[:0] = [path for path in source.get("import_from", ()) if path not in sys.path]
        found = object_at(source["object"])
        return found.with_settings(**settings) if isinstance(found, Method) and settings else found
    return get_method(source["name"], **settings)


def _rows(job: Job, score: str, weights: Any, made: Mapping[str, Any], files: WorkFiles) -> list[dict[str, Any]]:
    import anndata

    from bengrn.benchmarking.prediction_rows import prediction_rows
    from bengrn.network import Network, namings_of

    how = job.scorings[score]
    if how.held_out:
        held: Any = anndata.read_h5ad(files.cells(how.sha256[:DIGITS]))
        symmetric = not made.get("directed", True) or is_symmetric(weights)
        return prediction_rows(weights, held, by=how.by, seed=job.seed, is_symmetric=symmetric)
    truth = read_truth(files.truth(how.sha256))
    given: dict[str, Any] = {"seed": job.seed, "details": f"{job.key[:8]}{score[:16]}", "files": files}
    namings = namings_of(read_genes(files.cells(job.cells)))
    if job.source["kind"] == "degrees":
        told = {"machine": machine(), "versions": versions(None)}
        return [told | row for row in degree_rows(Network(None, namings, "degrees"), truth, how, **given)]
    network = Network(weights, namings, job.name, directed=made.get("directed", True))
    rows = score_rows(network, truth, how, **given)
    note = made.get("message", "")
    return [row | {"message": "; ".join(part for part in (note, row.get("message", "")) if part)} for row in rows]


def _cells(job: Job, files: WorkFiles) -> Any:
    import anndata

    return anndata.read_h5ad(files.cells(job.cells))


def full_disk(error: BaseException) -> str:
    """Return a sentence where a full disk is the cause of an error, else ""."""
    seen: BaseException | None = error
    while seen is not None:
        if getattr(seen, "errno", None) in (errno.ENOSPC, errno.EDQUOT) or "No space left on device" in str(seen):
            return f"the disk is full: {getattr(seen, 'filename', None) or seen}"
        seen = seen.__cause__ or seen.__context__
    return ""


def _status(error: BaseException) -> str:
    return "out of memory" if isinstance(error, MemoryError) else "failed"


def _message(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


def _cpu_of_children() -> float:
    times = os.times()
    return times.children_user + times.children_system

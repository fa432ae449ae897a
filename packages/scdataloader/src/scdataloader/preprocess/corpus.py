"""Preprocess many files: in parallel, going on where an earlier run stopped, each output whole or not at all."""

from __future__ import annotations

import errno
import json
import logging
import shutil
import traceback
from collections import Counter
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, is_dataclass
from importlib.metadata import version
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any, Protocol

from scdataloader.preprocess.corpus_folder import (
    input_fingerprint,
    is_local,
    is_output,
    output_fingerprint,
    remove_leftovers,
    work_folder,
)
from scdataloader.preprocess.corpus_report import CorpusReport
from scdataloader.preprocess.file_result import FileResult, read_record
from scdataloader.preprocess.report import Report, plain
from scdataloader.preprocess.workers import Died, run_in_processes, run_on_dask

if TYPE_CHECKING:
    from distributed import Client

_log = logging.getLogger(__name__)

#: Failures of the data, the disk or the installation; any other is told with its name and place, as a RuntimeError.
_EXPECTED = (FileNotFoundError, ValueError, OSError, MemoryError, ImportError)


class Writer(Protocol):
    """Something that makes one output: a dataclass of settings, such as `scdataloader.Preprocessor`."""

    def write(self, source: str, out: Path, /) -> Report:
        """Write the output of a source to `out`."""


@dataclass(frozen=True)
class _Job:
    uri: str
    name: str
    out: Path
    writer: Any

    @property
    def output(self) -> Path:
        return self.out / f"{self.name}.h5ad"

    @property
    def record(self) -> Path:
        return self.out / f"{self.name}.json"

    @property
    def settings(self) -> dict[str, Any]:
        return {"preprocessor": type(self.writer).__name__} | plain(asdict(self.writer))


def preprocess_files(
    uris: Sequence[str | Path],
    out: Path | str,
    preprocessor: Writer,
    *,
    names: Sequence[str] | None = None,
    workers: int = 1,
    client: Client | str | None = None,
    keep_going: bool = False,
    overwrite: bool = False,
) -> CorpusReport:
    """Write a clean copy of each file of a corpus, ``<out>/<name>.h5ad``.

    Beside each lies ``<name>.json``: the report, the settings, the version of this package and what tells input and
    output from others. A file whose record agrees with its input and the settings, and whose output is there, is not
    made again, so that a run that was stopped goes on when it is started again. Several runs may write to one folder.

    Parameters
    ----------
    uris
        Paths and addresses.
    out
        Folder of the outputs, made if need be. On a cluster, it and the inputs lie where all workers see them.
    preprocessor
        Settings and steps that make each output.
    names
        Names of the outputs, one each. By default those of the inputs, without suffix.
    workers
        Number of processes of this machine, one thread each; 1 works in this one. A script that asks for more must do
        so under ``if __name__ == "__main__":``, since each process imports it anew.
    client
        Client of a Dask cluster to work on instead, or the address of its scheduler.
    keep_going
        Whether to go on after a file that fails; `CorpusReport.failed` holds these. Otherwise files that have begun are
        finished, and the error is raised.
    overwrite
        Whether to make every file anew.

    Returns
    -------
    CorpusReport
        One entry a file, in the order given.

    Raises
    ------
    ValueError
        Before any work: no files, names that are not names or the same, an output that would overwrite an input.
        Without `keep_going`: a file cannot be used.
    FileNotFoundError
        Without `keep_going`, before any work: files do not exist.
    OSError
        Without `keep_going`: a file cannot be read or written, for instance because the disk is full.
    RuntimeError
        Without `keep_going`: a worker process died, or something went wrong that is not the file's fault.
    ImportError
        With `client`, without the package distributed.

    Examples
    --------
    >>> import tempfile
    >>> from scdataloader import Preprocessor, datasets
    >>> folder = Path(tempfile.mkdtemp())
    >>> datasets.retina_1k().write_h5ad(folder / "retina.h5ad")
    >>> report = preprocess_files([folder / "retina.h5ad"], folder / "clean", Preprocessor())
    >>> report.table()["status"].tolist()
    ['done']
    """
    if not is_dataclass(preprocessor):
        raise TypeError(f"a {type(preprocessor).__name__} is no dataclass of settings, which tell outputs from others")
    if workers < 1:
        raise ValueError(f"workers={workers}: at least 1 is needed")
    uris = [str(uri) for uri in uris]
    if client is not None:  # workers have folders of their own
        uris = [str(Path(uri).absolute()) if is_local(uri) else uri for uri in uris]
    jobs = _jobs(uris, Path(out).absolute(), preprocessor, names)
    if not keep_going:
        missing = [job.uri for job in jobs if is_local(job.uri) and not Path(job.uri).exists()]
        if missing:
            raise FileNotFoundError(f"{len(missing)} of {len(jobs)} files do not exist: {missing[:5]}")
    if remove_leftovers(jobs[0].out):
        _log.info("removed unfinished work of processes that were killed in %s", jobs[0].out)
    results: dict[int, FileResult] = {}
    if not overwrite:
        results = {i: result for i, job in enumerate(jobs) if (result := _done_before(job)) is not None}
        if results:
            _log.info("%d of %d files were done before", len(results), len(jobs))
    _run(jobs, results, workers=workers, client=client, keep_going=keep_going)
    if not keep_going:
        _raise_first(jobs, results)
    return CorpusReport([results[i] for i in range(len(jobs))])


def _jobs(uris: Sequence[str], out: Path, writer: Writer, names: Sequence[str] | None) -> list[_Job]:
    if not uris:
        raise ValueError("there are no files to preprocess")
    if names is None:
        names = [Path(uri.rstrip("/")).stem for uri in uris]
    if len(names) != len(uris):
        raise ValueError(f"{len(names)} names are given for {len(uris)} files")
    wrong = [name for name in names if not name or name.startswith(".") or any(c in "/\\\0" for c in name)]
    if wrong:
        raise ValueError(f"{wrong[:5]} cannot be names of files in {out}: pass others as names=")
    # some file systems do not tell A from a
    repeated = [name for name, n in Counter(name.casefold() for name in names).items() if n > 1]
    if repeated:
        same = [uri for uri, name in zip(uris, names, strict=True) if name.casefold() == repeated[0]]
        raise ValueError(f"two input files have the same name, such as {same[:2]}: pass names= that differ")
    jobs = [_Job(uri, name, out, writer) for uri, name in zip(uris, names, strict=True)]
    inputs = {_identity(Path(uri)) for uri in uris if is_local(uri)} - {None}
    for job in jobs:
        for target in (job.output, job.record):
            if _identity(target) in inputs:
                raise ValueError(f"{target} is an input file: choose another folder, input is never overwritten")
    return jobs


def _identity(path: Path) -> tuple[int, int] | None:
    """Tell a file by what it is, whatever links lead to it."""
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_dev, stat.st_ino


def _done_before(job: _Job) -> FileResult | None:
    record = read_record(job.record)
    if record is None or record["status"] != "done" or record["settings"] != job.settings:
        return None
    try:
        if record["input"] != input_fingerprint(job.uri) or not is_output(job.output, record["output"]):
            return None
    except OSError:
        return None
    return FileResult.from_dict(record | {"name": job.name, "source": job.uri, "status": "skipped", "seconds": None})


def _run(
    jobs: list[_Job], results: dict[int, FileResult], *, workers: int, client: Client | str | None, keep_going: bool
) -> None:
    """Fill in the results that are not there yet."""
    from tqdm import tqdm

    todo = [i for i in range(len(jobs)) if i not in results]
    waiting = [jobs[i] for i in todo]
    if not todo:
        return

    def stop() -> bool:
        return not keep_going and any(result.status == "failed" for result in results.values())

    runs: Generator[tuple[int, FileResult | Died], None, None]
    if client is not None:
        runs = run_on_dask(_make, waiting, client=client, stop=stop)
    elif workers > 1 and len(todo) > 1:
        runs = run_in_processes(_make, waiting, workers=workers, stop=stop)
    else:
        runs = _run_here(waiting, stop)
    bar = tqdm(total=len(jobs), initial=len(results), desc="preprocess", unit="file", disable=None)
    try:
        with bar, closing(runs):
            for position, answer in runs:
                job = waiting[position]
                result = _of_dead(job, answer) if isinstance(answer, Died) else answer
                results[todo[position]] = result
                bar.update()
                if result.status == "failed":
                    _log.warning("%s failed: %s", job.uri, result.reason)
                else:
                    _log.info("%s is done: %s", job.uri, job.output)
    finally:
        remove_leftovers(jobs[0].out)  # of workers that were killed, by whomever


def _run_here(jobs: list[_Job], stop: Callable[[], bool]) -> Generator[tuple[int, FileResult | Died], None, None]:
    for i, job in enumerate(jobs):
        if stop():
            return
        yield i, _make(job)


def _make(job: _Job) -> FileResult:
    """Make one output and its record; an exception becomes a result that says why."""
    begin = perf_counter()
    made: dict[str, Any] = {"settings": job.settings, "version": version("scdataloader")}
    try:
        before = input_fingerprint(job.uri)
        with work_folder(job.out) as work:
            new = work / job.output.name
            report = job.writer.write(job.uri, new)
            if input_fingerprint(job.uri) != before:
                raise OSError(f"{job.uri} was changed while it was read: run again")
            result = FileResult(job.name, job.uri, "done", report, **made, seconds=perf_counter() - begin)
            record = result.to_dict() | {"input": before, "output": output_fingerprint(new)}
            (work / job.record.name).write_text(json.dumps(record, indent=1, allow_nan=False), encoding="utf-8")
            # in this order a run that is killed leaves no record beside an output that is not its own
            job.record.unlink(missing_ok=True)
            new.replace(job.output)
            (work / job.record.name).replace(job.record)
    except Exception as error:
        _log.debug("%s failed", job.uri, exc_info=True)
        report = getattr(error, "report", None)
        result = FileResult(
            job.name,
            job.uri,
            "failed",
            report if isinstance(report, Report) else None,
            _reason(error, job) + _stale(job),
            next((kind.__name__ for kind in _EXPECTED if isinstance(error, kind)), "RuntimeError"),
            **made,
            seconds=perf_counter() - begin,
        )
        _try_to_record(job, result)
    return result


def _of_dead(job: _Job, died: Died) -> FileResult:
    result = FileResult(job.name, job.uri, "failed", reason=died.how + _stale(job), settings=job.settings)
    _try_to_record(job, result)
    return result


def _stale(job: _Job) -> str:
    return f" ({job.output.name} is still that of an earlier run)" if job.output.exists() else ""


def _reason(error: Exception, job: _Job) -> str:
    if _is_full(error):
        place = next(folder for folder in (job.out, *job.out.parents) if folder.exists())
        free = shutil.disk_usage(place).free / 1e6
        return (
            f"the disk is full: {job.output} was not written; {free:,.1f} MB are free there without the part that was. "
            "Make room and run again: files that are done stay"
        )
    if isinstance(error, _EXPECTED) and str(error):
        return str(error)
    line = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__}: {error} (in {Path(line.filename).name}, line {line.lineno})"


def _is_full(error: BaseException) -> bool:
    """Say whether a disk was full, also where HDF5 tells it in words only or another error came of it."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, OSError) and seen.errno in (errno.ENOSPC, errno.EDQUOT):
            return True
        if "No space left on device" in str(seen) or f"errno = {errno.ENOSPC}," in str(seen):
            return True
        seen = seen.__cause__ or seen.__context__
    return False


def _try_to_record(job: _Job, result: FileResult) -> None:
    """Leave a word of a failure for `CorpusReport.read`, if the disk lets us."""
    try:
        with work_folder(job.out) as work:
            text = json.dumps(result.to_dict() | {"input": None, "output": None}, indent=1, allow_nan=False)
            (work / job.record.name).write_text(text, encoding="utf-8")
            (work / job.record.name).replace(job.record)
    except (OSError, TypeError) as error:
        _log.warning("the failure of %s could not be recorded: %s", job.uri, error)


def _raise_first(jobs: list[_Job], results: dict[int, FileResult]) -> None:
    failed = next((results[i] for i in sorted(results) if results[i].status == "failed"), None)
    if failed is None:
        return
    place = "" if failed.source in failed.reason else f"{failed.source}: "
    kinds = {kind.__name__: kind for kind in _EXPECTED}
    error = kinds.get(failed.error, RuntimeError)(place + failed.reason)
    n_done = sum(result.status != "failed" for result in results.values())
    error.add_note(f"{n_done} of {len(jobs)} files are done; run again to go on, keep_going=True to go past failures")
    raise error

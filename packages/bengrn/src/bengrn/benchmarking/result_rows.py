"""The table of a benchmark, from what its folder holds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bengrn.benchmarking.columns import as_table
from bengrn.benchmarking.grid import Planned
from bengrn.benchmarking.network_scores import Scoring, rows_for
from bengrn.benchmarking.origin import as_json, commit
from bengrn.benchmarking.present import record_of_network, record_of_score
from bengrn.benchmarking.work_files import WorkFiles, read_json


def table_of(planned: Sequence[Planned], files: WorkFiles) -> Any:
    """Return one row for each network, truth and orientation; those that are not done have the status "not run"."""
    return as_table([row for one in planned for row in _rows(one, files)])


def is_done(one: Planned, files: WorkFiles) -> bool:
    """Say whether a job has all of its rows, and what they tell of its network."""
    made = _made(one, files)
    return made is not None and (made["status"] != "ok" or not one.job.missing(files))


def _made(one: Planned, files: WorkFiles) -> Mapping[str, Any] | None:
    """Return how the network was made, or why not; None where that is still to do."""
    made = record_of_network(one.job.key, files)
    return {"status": "ok"} if made is None and one.job.source["kind"] == "degrees" else made


def forget_failures(one: Planned, files: WorkFiles, *, retry: bool) -> None:
    """Remove failures that are to be tried again: all, or those of limits that are wider now."""
    places = [files.inference(one.job.key), *(files.scores(one.job.key, score) for score in one.job.scorings)]
    for place in places:
        told = read_json(place)
        if told is None:
            continue
        status = told["status"] if "status" in told else told["rows"][0]["status"]
        limit = {"out of time": "time", "out of memory": "memory"}.get(status)
        if status == "failed" or limit is not None:
            then = told["limits"].get(limit) if limit else None
            now = one.job.limits[limit] if limit else None
            is_wider = then is not None and (now is None or now > then)
            if retry or is_wider:
                place.unlink()


def _rows(one: Planned, files: WorkFiles) -> list[dict[str, Any]]:
    made = _made(one, files)
    is_ok = made is not None and made["status"] == "ok"
    made = made or {}
    origin = {
        key: made.get(key) for key in ("wall_s", "cpu_s", "peak_memory_mb", "machine", "threads", "network_sha256")
    }
    origin["versions"] = as_json(made.get("versions"))
    rows = []
    for score, how in one.job.scorings.items():
        told = record_of_score(one.job.key, score, files) if is_ok else None
        if told is not None:
            found = told["rows"]
        elif made and not is_ok:
            found = rows_for(made["status"], made.get("message", ""), how.orientations[:1])
        else:
            found = rows_for("not run", "the run was stopped before", how.orientations[:1])
        rows += [dict(one.columns) | origin | _of_scoring(how) | _plain(row) for row in found]
    return rows


def _of_scoring(how: Scoring) -> dict[str, Any]:
    return {
        "truth": how.truth,
        "organism": how.organism,
        "regulators": "" if how.held_out else how.regulators,
        "truth_sha256": how.sha256,
        "commit": commit(),
    }


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    return row | ({"versions": as_json(row["versions"])} if isinstance(row.get("versions"), dict) else {})

"""The page, tables and record of a run of the benchmarks."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import pandas as pd

from benchmarks.measures import better, interval, measures, numbers, row_name
from benchmarks.sections import SECTIONS, peers_of
from benchmarks.suite import Section as Chapter
from benchmarks.suite import Suite
from benchmarks.work import LAST, ROOT
from bengrn.benchmarking.report.page import Facts, Folded, Page, Part, Section, Text, Tiles
from bengrn.benchmarking.report.plots import Mark, Measure, Panel, Plot
from bengrn.benchmarking.report.tables import Block, Column, Number, Row, Table
from bengrn.benchmarking.work_files import write_json
from bengrn.effort import duration
from grnndata import atomic_path

ORIGIN = ("commit", "versions", "peers", "machine", "threads", "seed", "date")
#: Rows of a table that are shown without a click.
_SHOWN = 40


def write_report(
    suites: Sequence[Suite], results: Sequence[Mapping[str, Any]], out: Path, *, size: str, wrong: Sequence[str] = ()
) -> None:
    """Write a table a suite, all numbers in one table, a record, and the page.

    Every row of a suite's table says where it comes from: commit, versions, those of its peers, machine, threads, seed
    and date. What did not run is a row with its status and message. ``seconds.csv`` says how long each unit took.
    """
    out.mkdir(parents=True, exist_ok=True)
    for suite in suites:
        mine = [result for result in results if result["suite"] == suite.name]
        if mine:
            _write_csv(out / f"{suite.name}.csv", csv_rows(mine))
    found = measures(suites, results)
    _write_csv(out / "measures.csv", found)
    took = [(one["name"], one["seconds"], one["commit"]) for one in results if "seconds" in one]
    _write_csv(out / "seconds.csv", pd.DataFrame(took, columns=["name", "seconds", "commit"]))
    peers = peers_of(suites, results)
    write_json(out / "bench.json", {"size": size, "failures": list(wrong), "peers": peers, "results": list(results)})
    page = Page(
        "scPRINT beside its peers",
        f"{len(results)} units of work, size {size}",
        (*(_section(one, suites, results, found, peers[one.key]) for one in SECTIONS), _made(results)),
        (_tiles(results), *([Text(tuple(f"Failed: {line}" for line in wrong))] if wrong else [])),
    )
    with atomic_path(out / "index.html") as temporary:
        temporary.write_text(page.text(), encoding="utf-8")


def csv_rows(results: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Return the rows of a suite's results, each with where it comes from."""
    rows = []
    for result in results:
        told = {key: _plain(result.get(key, "")) for key in ORIGIN}
        state = {"arguments": _plain(result["arguments"]), "repeat": result["repeat"]}
        for row in result["rows"] or [{}]:
            missed = "" if result["status"] == "ok" and result["rows"] else result["status"]
            more = {"bench_status": missed or "ok", "bench_message": result["message"]}
            # a row's own seed is the one to tell
            rows.append(row | state | more | told | row)
        for peer, why in result["not_run"].items():
            rows.append(state | {"bench_status": "not run", "bench_message": f"{peer}: {why}"} | told)
    return pd.DataFrame(rows)


def _section(
    chapter: Chapter,
    suites: Iterable[Suite],
    results: Sequence[Mapping[str, Any]],
    found: pd.DataFrame,
    peers: Mapping[str, str],
) -> Section:
    parts: list[Part] = []
    states = [
        Row(name, {"state": "ran"}) if state == "ran" else Row(name, failure=("not run", state or "no rows"))
        for name, state in peers.items()
    ]
    for suite in suites:
        if suite.section != chapter.key:
            continue
        mine = [result for result in results if result["suite"] == suite.name]
        if not mine:
            mine = _last(suite)
        if mine:
            parts += [Text((suite.title,)), *_figures(suite, mine), _table(suite, mine)]
            parts += _plots(suite, found[found["suite"] == suite.name])
        else:
            parts.append(Text((f"{suite.title}: not part of this run, and there is no table of an earlier one.",)))
    if states:
        parts.append(
            Table("Peers", "Peer", [Column("state", "State")], [Block("Peers, and why some did not run", states)])
        )
    return Section(chapter.title, tuple(parts), chapter.lead)


def _figures(suite: Suite, results: Sequence[Mapping[str, Any]]) -> list[Part]:
    """Return the parts that the suite's own function makes of all of its rows."""
    if not suite.figures:
        return []
    module, _, name = suite.figures.partition(":")
    found: list[Part] = getattr(import_module(module), name)([row for result in results for row in result["rows"]])
    return found


def _table(suite: Suite, results: Sequence[Mapping[str, Any]]) -> Part:
    columns: dict[str, None] = {}
    blocks = []
    for result in results:
        rows = []
        for row in result["rows"]:
            found = numbers(suite, row)
            columns |= dict.fromkeys(found)
            cells = {measure: _number(suite, row, measure) for measure in found}
            rest = {key: str(value) for key, value in row.items() if key not in found and str(value)}
            bad = row.get("status", "ok") not in ("ok", "")
            failure = (str(row["status"]), str(row.get("message", ""))) if bad else None
            rows.append(Row(row_name(suite, row), cells, failure=failure, details=rest))
        rows += [Row(peer, failure=("not run", why)) for peer, why in result["not_run"].items()]
        if result["status"] != "ok":
            rows.append(Row(result["name"], failure=(result["status"], result["message"])))
        note = " · ".join(filter(None, (result.get("date", ""), str(result.get("commit", ""))[:12], _took(result))))
        blocks.append(Block(result["name"], rows, note))
    shown = [
        Column(name, name, _help(suite, name), drawn=False, largest_first=better(suite, name) != "lower")
        for name in columns
    ]
    table = Table(suite.title, "Row", shown or [Column("state", "State")], blocks)
    n_rows = sum(len(block.rows) for block in blocks)
    return table if n_rows <= _SHOWN else Folded(f"All {n_rows:,} rows", table)


def _plots(suite: Suite, found: pd.DataFrame) -> list[Part]:
    """Return points with intervals of each measure that has intervals, a line a method."""
    some = found[found["low"].notna() & (found["method"] != "")]
    if not len(some):
        return []
    names = list(dict.fromkeys(some["measure"]))
    marks: dict[str, list[Mark]] = {}
    for (row, method), lines in some.groupby(["row", "method"], sort=False):
        values = {line.measure: (line.value, line.low, line.high) for line in lines.itertuples()}
        case = " · ".join(part for part in str(row).split(" · ") if part != method)
        marks.setdefault(case, []).append(Mark(str(method), values))
    panels = [Panel(case or suite.name, marks=of_case) for case, of_case in marks.items()]
    caption = f"{suite.title}. Lines are 95% intervals; where they overlap, the order may be chance."
    return [Plot("strip", caption, panels, [Measure(name, name, _help(suite, name)) for name in names])]


def _number(suite: Suite, row: Mapping[str, Any], measure: str) -> Number:
    low, high = interval(suite, row, measure)
    return Number(float(row[measure]), f"{row[measure]:,.4g}", low, high)


def _help(suite: Suite, measure: str) -> str:
    which = better(suite, measure)
    return f"{which.capitalize()} is better." if which else ""


def _took(result: Mapping[str, Any]) -> str:
    return f"{duration(result['seconds'])}, {result['peak_mb']:,.0f} MB" if "seconds" in result else ""


def _tiles(results: Sequence[Mapping[str, Any]]) -> Tiles:
    failed = sum(result["status"] != "ok" for result in results)
    rows = sum(len(result["rows"]) for result in results)
    took = sum(result.get("seconds", 0.0) for result in results)
    return Tiles(
        (
            ("Units of work", f"{len(results):,}", f"{failed:,} without a result" if failed else "all with a result"),
            ("Rows", f"{rows:,}", "of all suites"),
            ("Time", duration(took), "of all units, one after the other"),
        )
    )


def _made(results: Sequence[Mapping[str, Any]]) -> Section:
    facts = {}
    for key in ("commit", "machine", "threads"):
        values = dict.fromkeys(str(result[key]) for result in results if result.get(key, "") != "")
        facts[key.capitalize()] = "; ".join(values)
    versions = {k: v for result in results for k, v in result.get("versions", {}).items()}
    facts["Versions"] = ", ".join(f"{name} {version}" for name, version in sorted(versions.items()))
    environments = {k: v for result in results for k, v in result.get("peers", {}).items()}
    for name, inside in environments.items():
        facts[f"Environment {name}"] = ", ".join(f"{package} {version}" for package, version in inside.items())
    return Section("How it was made", (Facts(facts),))


def _last(suite: Suite) -> list[dict[str, Any]]:
    """Return the committed table of a suite that is not part of this run, with its date and commit."""
    path = LAST / f"{suite.name}.csv"
    if not path.is_file():
        return []
    command = ["git", "log", "-1", "--format=%cs %H", "--", str(path)]
    told = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT).stdout.split()
    date, commit = told if len(told) == 2 else ("", "")
    rows = [{k: v for k, v in row.items() if not pd.isna(v)} for row in pd.read_csv(path).to_dict("records")]
    name = f"{suite.name}: last full results"
    return [{"name": name, "rows": rows, "not_run": {}, "status": "ok", "message": "", "date": date, "commit": commit}]


def _plain(value: Any) -> Any:
    return json.dumps(value, sort_keys=True) if isinstance(value, dict) else value


def _write_csv(path: Path, table: pd.DataFrame) -> None:
    with atomic_path(path) as temporary:
        table.to_csv(temporary, index=False)

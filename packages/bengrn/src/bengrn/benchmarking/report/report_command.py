"""``bengrn report``: the leaderboard of a folder of results."""

from __future__ import annotations

from pathlib import Path

from jsonargparse import Namespace

from bengrn._command_line import check_output
from bengrn._command_options import Parser

_FORMATS = {"html": "leaderboard.html", "openproblems": "scores.json"}


def options(parser: Parser) -> None:
    """Add the options of the command."""
    parser.add_argument("results", metavar="RESULTS", type=str, nargs="?", help="folder that `bengrn run` wrote")
    parser.add_argument(
        "-o", "--out", type=str, metavar="FILE", help="file to write; leaderboard.html or scores.json when left out"
    )
    parser.add_argument(
        "--add", type=list[str], default=[], metavar="TABLE", help="tables of others to put beside it: csv or parquet"
    )
    parser.add_argument(
        "--format", choices=list(_FORMATS), default="html", help="a page, or the score records of an Open Problems task"
    )
    parser.add_argument("--title", type=str, default="Benchmark of gene networks", help="heading of the page")


def command(args: Namespace) -> str:
    """Write the leaderboard; return what to print."""
    out = Path(args.out or _FORMATS[args.format])
    check_output(out, *args.add, *([args.results] if args.results else []))
    if args.results is None and not args.add:
        raise ValueError("there is nothing to report: name the folder that `bengrn run` wrote, or tables with --add")
    from bengrn.benchmarking.report.leaderboard import report
    from bengrn.benchmarking.report.reading import read_results

    results = read_results(args.results, args.add)
    report(results, out, format=args.format, title=args.title)
    failed = int((results.table["status"] != "ok").sum())
    words = f", {failed:,} of them without a result" if failed else ""
    return f"{out}: {len(results.table):,} rows{words}"

"""``bengrn run``: a benchmark from its configuration or preset."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from jsonargparse import Namespace

from bengrn._command_line import check_output, ending
from bengrn._command_options import Parser
from bengrn._wording import counted

#: Rows of the table that are printed at most.
_MOST_ROWS = 60


def options(parser: Parser) -> None:
    """Add the options of the command."""
    parser.add_argument("config", metavar="CONFIG", type=str, nargs="?", help="configuration: a YAML file")
    parser.add_argument(
        "--preset", type=str, metavar="NAME", help="configuration that comes with the package; 'list' tells which"
    )
    parser.add_argument("--data", type=str, metavar="FOLDER", help="folder with data of a preset that are not fetched")
    parser.add_argument("-o", "--out", type=str, metavar="FOLDER", help="folder of the results; results by default")
    parser.add_argument(
        "--workers", type=int, help="processes at a time; one a core by default, 0 runs all in this one"
    )
    parser.add_argument(
        "--time-limit", type=str, metavar="TIME", help="limit of each stage of a process, such as '2 h'"
    )
    parser.add_argument("--memory-limit", type=str, metavar="SIZE", help="limit of each process, such as '8 GB'")
    parser.add_argument(
        "--scheduler", type=str, metavar="ADDRESS", help="Dask scheduler whose workers share the folder of results"
    )
    parser.add_argument("--add", type=list[str], default=[], metavar="TABLE", help="tables of other benchmarks to join")
    parser.add_argument("--retry", action="store_true", help="run what failed before again")
    parser.add_argument("--dry-run", action="store_true", help="say what there is to do, and run nothing")


def command(args: Namespace) -> str | int:
    """Run a benchmark; return what to print, or the exit status where files are missing that are listed."""
    from bengrn.benchmarking.dry_run import told_before
    from bengrn.benchmarking.grid import lay_out
    from bengrn.benchmarking.preset import list_presets
    from bengrn.benchmarking.runs import processes_at_a_time, run
    from bengrn.benchmarking.work_files import WorkFiles

    if args.preset == "list":
        presets = list_presets()
        width = max(map(len, presets))
        return "\n".join(f"{name:<{width}}  {about}" for name, about in presets.items())
    try:
        config = _config(args)
    except FileNotFoundError as error:
        if "\n" not in str(error):
            raise
        sys.stderr.write(f"bengrn: {error}\n")  # one file a line, which other errors are as a whole
        return ending(error)[0]
    check_output(config.out / "table.csv")
    if args.dry_run:
        files = WorkFiles(config.out)
        return told_before(lay_out(config, files), files, processes_at_a_time(config))
    is_watched = sys.stderr.isatty()
    table = run(
        config,
        scheduler=args.scheduler,
        retry=args.retry,
        add=args.add,
        progress=_tell if is_watched else None,
    )
    if is_watched:
        sys.stderr.write("\n")
    return f"{shown(table)}\n\n{_counts(table)}; written to {config.out / 'table.csv'}"


def shown(table: Any) -> str:
    """Return the main columns of a table, best average precision first within each data set, group and truth."""
    import pandas as pd

    by = ["dataset", "group", "replicate", "truth"]
    best_first = [*by, "ap", "gain"]
    ranked = table.sort_values(best_first, ascending=[True] * len(by) + [False, False], kind="stable")
    lines: dict[str, Any] = {"method": ranked["label"]}
    for name in by:
        if name == "truth" or ranked[name].nunique() > 1:
            lines[name] = ranked[name]
    lines["orientation"] = ranked["orientation"]
    lines["AP"] = ranked["ap"].map(_number)
    lines["95 %"] = _intervals(ranked["ap_low"], ranked["ap_high"], "-")
    for title, name in {"random": "ap_random", "AUROC": "auroc", "EPR": "epr", "p degrees": "p_degree"}.items():
        lines[title] = ranked[name].map(_number)
    if ranked["gain"].notna().any():
        lines["gain"] = ranked["gain"].map(_number)
        lines["of gain"] = _intervals(ranked["gain_low"], ranked["gain_high"], " to ")
    lines["status"] = ranked["status"]
    text: str = pd.DataFrame(lines).head(_MOST_ROWS).to_string(index=False)
    return text + (f"\n... and {len(table) - _MOST_ROWS:,} rows more" if len(table) > _MOST_ROWS else "")


def _config(args: Namespace) -> Any:
    from bengrn.benchmarking.as_config import as_config
    from bengrn.benchmarking.located_yaml import Section, read_yaml
    from bengrn.benchmarking.preset import load_preset

    if (args.config is None) == (args.preset is None):
        raise ValueError(
            "give one of a configuration, such as benchmark.yaml, and --preset NAME; --preset list tells which"
        )
    if args.data is not None and args.preset is None:
        raise ValueError(f"--data {args.data} goes with --preset: a configuration names its files itself")
    read = read_yaml(Path(args.config)) if args.config is not None else load_preset(args.preset, args.data)
    asked: dict[str, Any] = {} if args.workers is None else {"workers": args.workers}
    limits = {name: args[f"{name}_limit"] for name in ("time", "memory") if args[f"{name}_limit"] is not None}
    if limits:
        held = read.values.get("limits")
        asked["limits"] = (dict(held) if isinstance(held, Mapping) else {}) | limits
    config = as_config(Section(dict(read.values) | asked, read.place, read.file, read.lines))
    out = config.out if args.out is None else Path(args.out)
    return replace(config, out=out or Path("results"))


def _counts(table: Any) -> str:
    counts = table["status"].value_counts()
    told = ", ".join(f"{n:,} {status}" for status, n in counts.items())
    return f"{counted(len(table), 'row')} ({told})"


def _intervals(lows: Any, highs: Any, between: str) -> list[str]:
    return [
        f"{_number(low)}{between}{_number(high)}" if low == low else "" for low, high in zip(lows, highs, strict=True)
    ]


def _number(value: float) -> str:
    return f"{value:.3g}" if value == value else ""


def _tell(line: str) -> None:
    sys.stderr.write(f"\r\x1b[K{line}")
    sys.stderr.flush()

"""The benchmark of loaders with options: ``python -m benchmarks.speed.loader --help``."""

from __future__ import annotations

import argparse
from pathlib import Path

from benchmarks.measures import markdown
from benchmarks.speed.loader.benchmark import Options, loader_times


def main() -> None:
    """Measure what was asked for, and print the summary."""
    default = Options()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=default.data, help="folder for corpora and environments")
    parser.add_argument("--files", type=int, default=default.files)
    parser.add_argument("--cells", type=int, default=default.cells, help="cells a file")
    parser.add_argument("--windows", type=int, default=default.windows)
    parser.add_argument("--seconds", type=float, default=default.seconds, help="of a window")
    parser.add_argument("--cold-seconds", type=float, default=default.cold_seconds, help="of a cold window")
    parser.add_argument("--only", nargs="*", default=[], help="parts of the names of loaders")
    parser.add_argument("--resume", action="store_true", help="take what a run that was broken off has measured")
    parser.add_argument("--real", type=Path, help="measure on real cells: folder of h5ad files, those named human_*")
    parser.add_argument("--results", type=Path, default=default.results, help="folder for the tables and the plot")
    options = Options(**vars(parser.parse_args()))
    table = loader_times(options)
    stem = "speed_loader_real" if options.real else "speed_loader"
    table.to_csv(options.results / f"{stem}.csv", index=False)
    title = "Reading cells: cells/s, one core where not said, median of 3 windows"
    text = f"# {title}{', real cells' if options.real else ''}\n\n{markdown(table)}\n"
    (options.results / f"{stem}.md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()

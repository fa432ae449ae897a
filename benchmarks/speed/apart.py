"""Runs a piece of work in a process of its own, ours and the published scprint 2.3.8 in turn, one thread each."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from benchmarks.environments import python_of

OURS = Path(__file__).with_name("ours_scprint.py")
PEER = Path(__file__).with_name("peer_scprint.py")
#: Weights in the published format, cells, and a network that the published code made of them.
FIXTURES = Path(os.environ.get("SCPRINT_SHARED", "../shared")) / "fixtures" / "timing"
CHECKPOINT = FIXTURES / "timing_d128_l4_h4_g1200.ckpt"
#: Names a Python that has scprint 2.3.8; without it a locked environment is made, which takes minutes and gigabytes.
PEER_PYTHON = "SCPRINT_PEER_PYTHON"
ONE_THREAD = {f"{name}_NUM_THREADS": "1" for name in ("OMP", "MKL", "OPENBLAS", "NUMBA")}
#: Address space of a process, bytes: who asks for more is told so, and the machine stays usable.
LIMIT = 22 * 10**9


@dataclass
class Measured:
    """What several processes with the same work said.

    Attributes
    ----------
    wall, cpu
        Seconds of each call.
    before, peak
        Bytes of memory when the work began, and at most; one a process.
    result
        Arrays of the last call.
    error
        Why there is nothing.
    """

    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    before: list[int] = field(default_factory=list)
    peak: list[int] = field(default_factory=list)
    result: dict[str, np.ndarray] = field(default_factory=dict)
    error: str = ""

    def columns(self, who: str) -> dict[str, float]:
        """Return the medians: CPU seconds, seconds, memory that the work added and that of the process."""
        if not self.cpu:
            return dict.fromkeys((f"{who} (CPU s)", f"{who} (s)", f"{who} (MB)", f"{who}, process (MB)"), float("nan"))
        return {
            f"{who} (CPU s)": statistics.median(self.cpu),
            f"{who} (s)": statistics.median(self.wall),
            f"{who} (MB)": float(np.median(np.subtract(self.peak, self.before))) / 1e6,
            f"{who}, process (MB)": statistics.median(self.peak) / 1e6,
        }


def side_by_side(
    work: str,
    checkpoint: Path,
    inputs: Path,
    *,
    peer_inputs: Path | None,
    rounds: int,
    repeats: int = 1,
    warm_up: int = 0,
) -> tuple[Measured, Measured]:
    """Do the work `rounds` times with ours and the published code in turn.

    Parameters
    ----------
    work
        Name of a function of both scripts.
    checkpoint
        In the published format.
    inputs, peer_inputs
        npz of what the work reads, for either; None: the published code is left out.
    rounds, repeats, warm_up
        Processes of each, calls in each that count, and calls before these that do not.

    Raises
    ------
    RuntimeError
        When ours fails; that the published code does is told in its ``error``.
    """
    ours, theirs = Measured(), Measured()
    for _ in range(rounds):
        run_apart([sys.executable, str(OURS)], work, checkpoint, inputs, ours, repeats, warm_up)
        if ours.error:
            raise RuntimeError(f"{work}: {ours.error}")
        if peer_inputs is not None and not theirs.error:
            run_apart([*peer_python(), str(PEER)], work, checkpoint, peer_inputs, theirs, repeats, warm_up)
    return ours, theirs


def run_apart(
    command: list[str],
    work: str,
    checkpoint: Path,
    inputs: Path,
    into: Measured,
    repeats: int = 1,
    warm_up: int = 0,
) -> None:
    """Run one process and add what it says."""
    clean = {key: value for key, value in os.environ.items() if key not in ("VIRTUAL_ENV", "PYTHONPATH")}
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "output.npz"
        arguments = [work, checkpoint.resolve(), inputs, output, repeats, warm_up, LIMIT]
        done = subprocess.run(
            [*command, *map(str, arguments)],
            capture_output=True,
            text=True,
            check=False,
            env=clean | ONE_THREAD,
            cwd=folder,  # the published code leaves files where it runs
        )
        if done.returncode:
            last = done.stderr.strip().splitlines()[-1:] or ["killed"]
            into.error = f"{last[0].rpartition('err == 0. ')[2][:160]} (status {done.returncode})"
            print(f"{work}: {Path(command[-1]).name} failed: {into.error}")
            return
        said = json.loads(done.stdout.splitlines()[-1])
        with np.load(output) as arrays:
            into.result = dict(arrays)
    into.wall += said["wall"]
    into.cpu += said["cpu"]
    into.before.append(said["before"])
    into.peak.append(said["peak"])


def peer_python() -> list[str]:
    """Return the command of a Python that has the published package."""
    if PEER_PYTHON in os.environ:
        return [os.environ[PEER_PYTHON]]
    return [str(python_of("scprint"))]


def compare(work: str, ours: Measured, theirs: Measured) -> dict[str, object]:
    """Return a line of the table."""
    mine, others = ours.columns("ours"), theirs.columns("scprint 2.3.8")
    seconds, memory = ("(CPU s)", "(MB)")
    return {
        "work": work,
        **mine,
        **others,
        "times faster": others[f"scprint 2.3.8 {seconds}"] / mine[f"ours {seconds}"],
        "of its memory": mine[f"ours {memory}"] / others[f"scprint 2.3.8 {memory}"],
        "largest difference": largest_difference(ours.result, theirs.result),
    }


def largest_difference(ours: dict[str, np.ndarray], theirs: dict[str, np.ndarray]) -> float:
    """Return the largest difference in any array that both have, as a share of its largest value where above 1.

    Raises
    ------
    ValueError
        When shapes differ.
    """
    worst = float("nan")
    for name in sorted(ours.keys() & theirs.keys()):
        a, b = ours[name].astype(np.float64), theirs[name].astype(np.float64)
        if a.shape != b.shape:
            raise ValueError(f"{name}: ours has shape {a.shape}, theirs {b.shape}")
        worst = np.fmax(worst, np.abs(a - b).max() / max(1.0, np.abs(b).max()))
    return float(worst)

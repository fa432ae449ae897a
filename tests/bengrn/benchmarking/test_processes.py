"""Benchmarks in processes of their own: limits, crashes, kills, Ctrl-C, a Dask cluster."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import psutil
import pytest

import bengrn
from bengrn.benchmarking.columns import COLUMNS, OF_THE_RUN

METHODS = """
import os
import time
import numpy as np
from bengrn.methods.method import Method

def sleeps(values, regulators, rng):
    time.sleep(600)

def grows(values, regulators, rng):
    held = []
    while True:
        held.append(np.ones(5_000_000))
        time.sleep(0.02)

def crashes(values, regulators, rng):
    print("about to crash")
    os.abort()

def slow(values, regulators, rng, *, number: int = 0):
    time.sleep(0.5)
    return np.random.default_rng(number).random((values.shape[1],) * 2)

def given(function):
    told = {"reference": "", "takes": "any", "directed": True, "deterministic": True}
    return Method(name=function.__name__, function=function, **told)

SLEEPS, GROWS, CRASHES, SLOW = map(given, (sleeps, grows, crashes, slow))
"""
KEPT = [name for name in COLUMNS if name not in OF_THE_RUN]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    from anndata import AnnData

    monkeypatch.chdir(tmp_path)
    Path("my_methods.py").write_text(METHODS)
    rng = np.random.default_rng(0)
    genes = [f"G{i}" for i in range(20)]
    AnnData(rng.poisson(2.0, (30, 20)).astype(np.float32), var=pd.DataFrame(index=genes)).write_h5ad("cells.h5ad")
    edges = [(f"G{i}", f"G{(i + 3) % 20}") for i in range(12)]
    pd.DataFrame(edges, columns=["source", "target"]).to_csv("truth.csv", index=False)
    return tmp_path


@pytest.mark.slow
def test_limits_and_crashes_are_rows(folder):
    given = {
        "methods": [{"object": f"my_methods:{name}"} for name in ("SLEEPS", "GROWS", "CRASHES")],
        "datasets": ["cells.h5ad"],
        "truths": ["truth.csv"],
        "baselines": False,
        "bootstrap": 0,
        "permutations": 0,
        "out": "results",
    }
    lines: list[str] = []
    table = bengrn.benchmark(**given, time_limit=20, memory_limit="600 MB", workers=3, progress=lines.append)
    rows = table.set_index("method")
    assert rows["status"].to_dict() == {"sleeps": "out of time", "grows": "out of memory", "crashes": "failed"}
    assert rows.loc["sleeps", "message"] == "stopped at the limit of 20 s"
    assert "above the limit of 600 MB" in rows.loc["grows", "message"]
    assert "signal 6" in rows.loc["crashes", "message"]
    assert lines[-1].startswith("3 of 3 networks done")
    logs = [path.read_text() for path in Path("results/work").glob("*/log.txt")]
    assert sum("about to crash" in text for text in logs) == 1
    assert not [
        one for one in psutil.Process().children(recursive=True) if "benchmarking.worker" in " ".join(one.cmdline())
    ]
    # with wider limits what reached them runs again, and only that
    again = bengrn.benchmark(**given, time_limit=21, memory_limit="600 MB", workers=3, progress=lines.append)
    assert lines[3:] == ["3 of 3 networks done (sleeps, cells)"]
    assert again.set_index("method").loc["sleeps", "message"] == "stopped at the limit of 21 s"


def configuration(n: int) -> str:
    methods = "".join(f"  - {{object: 'my_methods:SLOW', settings: {{number: {i}}}}}\n" for i in range(n))
    return (
        f"methods:\n{methods}datasets: [cells.h5ad]\ntruths: [truth.csv]\nbootstrap: 20\npermutations: 20\nworkers: 2\n"
    )


def started(out: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-m", "bengrn.cli", "run", "b.yaml", "-o", out], stdout=subprocess.DEVNULL)


def workers_of(results: Path) -> list[psutil.Process]:
    found = []
    for one in psutil.process_iter():
        try:
            if any(str(results) in word for word in one.cmdline()) and "benchmarking.worker" in " ".join(one.cmdline()):
                found.append(one)
        except psutil.Error:
            continue
    return found


def wait_until(is_so, seconds: float = 400.0) -> None:
    end = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < end, "nothing happened"
        time.sleep(0.05)


@pytest.mark.slow
def test_killed_and_started_again_it_makes_the_same_table(folder):
    Path("b.yaml").write_text(configuration(3))
    assert started("whole").wait() == 0
    results = folder / "killed"
    for n_done in (1, 2):
        run = started("killed")
        wait_until(lambda n=n_done: len(list(results.glob("work/*/inference.json"))) >= n)
        run.kill()
        run.wait()
        wait_until(lambda: not workers_of(results))  # they end with the run that started them
    made = {path: path.stat().st_mtime_ns for path in results.glob("work/*/inference.json")}
    assert started("killed").wait() == 0
    assert all(path.stat().st_mtime_ns == then for path, then in made.items())
    tables = [pd.read_parquet(f"{name}/table.parquet")[KEPT] for name in ("whole", "killed")]
    pd.testing.assert_frame_equal(*tables)
    assert set(tables[0]["status"]) == {"ok"}


@pytest.mark.slow
def test_ctrl_c_ends_the_workers_and_keeps_what_is_done(folder):
    Path("b.yaml").write_text(configuration(4))
    run = started("results")
    results = folder / "results"
    wait_until(lambda: len(list(results.glob("work/*/inference.json"))) >= 1)
    run.send_signal(signal.SIGINT)
    assert run.wait(300) == 130
    assert not workers_of(results)
    table = pd.read_parquet("results/table.parquet")
    assert "not run" in set(table["status"])


@pytest.mark.slow
def test_a_dask_cluster_whose_worker_is_killed(folder):
    distributed = pytest.importorskip("distributed")
    Path("b.yaml").write_text(configuration(3))
    options = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": None}
    with distributed.LocalCluster(**options) as cluster:
        command = [sys.executable, "-m", "bengrn.cli", "run", "b.yaml", "-o", "dask"]
        run = subprocess.Popen([*command, "--scheduler", cluster.scheduler_address], stdout=subprocess.DEVNULL)
        wait_until(lambda: run.poll() is not None or bool(workers_of(folder / "dask")))
        assert run.poll() is None, "it ended before a worker could be killed"
        os.kill(next(iter(cluster.workers.values())).pid, signal.SIGKILL)
        assert run.wait(600) == 0
    table = pd.read_parquet("dask/table.parquet")
    assert set(table["status"]) == {"ok"}
    assert started("here").wait() == 0
    pd.testing.assert_frame_equal(table[KEPT], pd.read_parquet("here/table.parquet")[KEPT])

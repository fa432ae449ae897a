"""Benchmarks in processes of their own: limits, crashes, kills, Ctrl-C, a Dask cluster."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import psutil
import pytest

import bengrn
from bengrn.benchmarking import executors, nursery
from bengrn.benchmarking.columns import COLUMNS, OF_THE_RUN
from bengrn.benchmarking.nursery import Nursery
from bengrn.cli import main

METHODS = """
import os
import time
import numpy as np
import psutil
from pathlib import Path
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

def held(values, regulators, rng, *, number: int = 0):
    here = Path(__file__).parent
    (here / f"new_{number}").write_text(str(psutil.Process().parent().pid))
    (here / f"new_{number}").replace(here / f"waiting_{number}")
    while (here / "hold").exists():
        time.sleep(0.05)
    return np.random.default_rng(number).random((values.shape[1],) * 2)

def draws(values, regulators, rng, *, number: int = 0):
    return np.random.random((values.shape[1],) * 2)  # of numpy's own stream, which has no seed

def given(function):
    told = {"reference": "", "takes": "any", "directed": True, "deterministic": True}
    return Method(name=function.__name__, function=function, **told)

SLEEPS, GROWS, CRASHES, SLOW, HELD, DRAWS = map(given, (sleeps, grows, crashes, slow, held, draws))
"""
KEPT = [name for name in COLUMNS if name not in OF_THE_RUN]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    from anndata import AnnData

    monkeypatch.chdir(tmp_path)
    Path("slow_methods.py").write_text(METHODS)
    rng = np.random.default_rng(0)
    genes = [f"G{i}" for i in range(20)]
    AnnData(rng.poisson(2.0, (30, 20)).astype(np.float32), var=pd.DataFrame(index=genes)).write_h5ad("cells.h5ad")
    edges = [(f"G{i}", f"G{(i + 3) % 20}") for i in range(12)]
    pd.DataFrame(edges, columns=["source", "target"]).to_csv("truth.csv", index=False)
    return tmp_path


@pytest.mark.skipif(sys.platform != "linux", reason="nurseries are of Linux alone")
def test_a_nursery_tells_how_its_processes_end_and_when_it_is_gone(tmp_path):
    log, missing, endless = (tmp_path / name for name in ("log.txt", "missing.json", "endless.json"))
    os.mkfifo(endless)  # which a process waits for that reads it
    with Nursery(os.environ) as nursery, log.open("ab") as errors:
        ended, killed, waits = (nursery.start(path, errors) for path in (missing, endless, endless))
        assert ended.wait(100) == 1
        assert f"there is no job {missing}" in log.read_text()
        os.kill(killed.pid, signal.SIGTERM)
        assert killed.wait(100) == -signal.SIGTERM
        # what runs goes with the nursery, and nothing can be started any more
        assert waits.poll() is None
        nursery._process.kill()
        assert waits.wait(100) == -signal.SIGKILL
        wait_until(lambda: not psutil.pid_exists(waits.pid) or psutil.Process(waits.pid).status() == "zombie")
        assert nursery.start(missing, errors) is None


@pytest.mark.slow
def test_fresh_and_forked_processes_make_the_same_table(folder, monkeypatch):
    Path("b.yaml").write_text(configuration(2))
    assert main(["run", "b.yaml", "-o", "forked"]) == 0
    monkeypatch.setattr(nursery, "Nursery", Dead)
    assert main(["run", "b.yaml", "-o", "nursery_gone"]) == 0
    monkeypatch.setattr(executors, "sys", SimpleNamespace(platform="darwin"))
    assert main(["run", "b.yaml", "-o", "fresh"]) == 0
    tables = [pd.read_parquet(f"{name}/table.parquet")[KEPT] for name in ("forked", "nursery_gone", "fresh")]
    assert set(tables[0]["status"]) == {"ok"}
    for table in tables[1:]:
        pd.testing.assert_frame_equal(table, tables[0])


@pytest.mark.slow
def test_forked_processes_share_no_stream_of_random_numbers(folder):
    Path("b.yaml").write_text(configuration(2).replace("SLOW", "DRAWS"))
    assert main(["run", "b.yaml", "-o", "results"]) == 0
    networks = pd.read_parquet("results/table.parquet")["network_sha256"]
    assert networks.nunique() == 2


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="nurseries are of Linux alone")
def test_modules_of_a_method_are_imported_once_for_all_its_networks(folder):
    Path("heavy.py").write_text(TELLS)
    Path("heavy_methods.py").write_text(HEAVY)
    methods: list[Any] = [{"object": "heavy_methods:HEAVY", "settings": {"number": i}} for i in range(3)]
    methods += [{"object": "heavy_methods:BROKEN"}, "random"]
    options: dict[str, Any] = {"baselines": False, "bootstrap": 0, "permutations": 0, "workers": 2}
    table = bengrn.benchmark(methods, ["cells.h5ad"], ["truth.csv"], out="results", **options)
    assert (table["status"] == "ok").all()
    assert Path("heavy.txt").read_text() == "imported\n"
    assert Path("threads.txt").read_text() == "1"  # each process has one, however many processors there are
    early = [Path(f"early_{i}") for i in range(3)]
    assert [path.read_text() for path in early] == ["True"] * 3  # so that no method's time holds it
    for path in early:
        path.unlink()
    bengrn.benchmark(methods[:3], ["cells.h5ad"], ["truth.csv"], out="here", **options | {"workers": 0})
    assert [path.read_text() for path in early] == ["True"] * 3
    assert Path("heavy.txt").read_text() == "imported\n" * 2  # once in this process


TELLS = """
from pathlib import Path

with Path(__file__).with_name("heavy.txt").open("a") as file:
    file.write("imported\\n")
"""
HEAVY = """
import sys
from pathlib import Path
import numpy as np
from bengrn._threads import number_of_threads
from bengrn.methods.method import Method

def heavy(values, regulators, rng, *, number: int = 0):
    Path(__file__).with_name(f"early_{number}").write_text(str("heavy" in sys.modules))
    return np.random.default_rng(number).random((values.shape[1],) * 2)

def broken(values, regulators, rng):
    Path(__file__).with_name("threads.txt").write_text(str(number_of_threads(None)))
    return np.random.default_rng(9).random((values.shape[1],) * 2)

told = {"reference": "", "takes": "any", "directed": True, "deterministic": True}
HEAVY = Method(name="heavy", function=heavy, imports=("heavy",), **told)
BROKEN = Method(name="broken", function=broken, imports=("not_there",), **told)
"""


class Dead(Nursery):
    """A nursery that something has killed."""

    def __init__(self, environment, imports=()):
        super().__init__(environment, imports)
        self._process.kill()
        self._process.wait()


@pytest.mark.slow
def test_limits_and_crashes_are_rows(folder):
    given = {
        "methods": [{"object": f"slow_methods:{name}"} for name in ("SLEEPS", "GROWS", "CRASHES")],
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
    assert not workers_of(folder)
    # with wider limits what reached them runs again, and only that
    again = bengrn.benchmark(**given, time_limit=21, memory_limit="600 MB", workers=3, progress=lines.append)
    assert lines[3:] == ["3 of 3 networks done (sleeps, cells)"]
    assert again.set_index("method").loc["sleeps", "message"] == "stopped at the limit of 21 s"


def configuration(n: int) -> str:
    methods = "".join(f"  - {{object: 'slow_methods:SLOW', settings: {{number: {i}}}}}\n" for i in range(n))
    return (
        f"methods:\n{methods}datasets: [cells.h5ad]\ntruths: [truth.csv]\nbootstrap: 20\npermutations: 20\nworkers: 2\n"
        "baselines: false\n"  # which are networks as any other, and a process each
    )


#: The command line, with the interrupt that a shell's background jobs ignore.
COMMAND = (
    "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler); "
    "from bengrn.cli import main; sys.exit(main())"
)


def started(out: str, *options: str, **given: Any) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", COMMAND, "run", "b.yaml", "-o", out, *options]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, **given)


def workers_of(folder: Path) -> list[psutil.Process]:
    """Return the processes that runs in a folder have started: nurseries, and the jobs that they fork."""
    found = []
    for one in psutil.process_iter():
        try:
            if "bengrn.benchmarking." in " ".join(one.cmdline()) and Path(one.cwd()) == folder:
                found.append(one)
        except psutil.Error:
            continue
    return found


def wait_until(is_so, seconds: float = 400.0) -> None:
    end = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < end, "nothing happened"
        time.sleep(0.05)


def killed_at_random(n_kills: int, longest: float, rng: np.random.Generator) -> list[pd.DataFrame]:
    """Start b.yaml again and again, kill it and its workers at random points, and return the tables it ends with.

    A run that ends before its kill is followed by one in a new folder; the last one is let run to its end.
    """
    tables: list[pd.DataFrame] = []
    n_killed = 0
    while True:
        out = f"killed_{len(tables)}"
        run = started(out, start_new_session=True)
        try:
            assert run.wait(rng.uniform(0, longest) if n_killed < n_kills else 600) == 0
        except subprocess.TimeoutExpired:
            os.killpg(run.pid, signal.SIGKILL)
            run.wait()
            assert n_killed < n_kills, "it does not end"
            n_killed += 1
            continue
        tables.append(pd.read_parquet(f"{out}/table.parquet"))
        if n_killed == n_kills:
            return tables


@pytest.mark.slow
def test_killed_and_started_again_it_makes_the_same_table(folder):
    Path("b.yaml").write_text(configuration(3))
    begun = time.monotonic()
    assert started("whole").wait() == 0
    whole = pd.read_parquet("whole/table.parquet")
    assert set(whole["status"]) == {"ok"}
    for table in killed_at_random(3, time.monotonic() - begun, np.random.default_rng()):
        pd.testing.assert_frame_equal(table[KEPT], whole[KEPT])


@pytest.mark.slow
def test_what_is_done_outlives_the_run(folder):
    Path("b.yaml").write_text(configuration(2))
    results = folder / "killed"
    run = started("killed")
    wait_until(lambda: list(results.glob("work/*/inference.json")))
    assert workers_of(folder)
    run.kill()
    run.wait()
    wait_until(lambda: not workers_of(folder))  # they end with the run that started them
    made = {path: path.stat().st_mtime_ns for path in results.glob("work/*/inference.json")}
    assert started("killed").wait() == 0
    assert made
    assert all(path.stat().st_mtime_ns == then for path, then in made.items())


@pytest.mark.slow
def test_ctrl_c_ends_the_workers_and_keeps_what_is_done(folder):
    Path("b.yaml").write_text(configuration(4))
    run = started("results")
    results = folder / "results"
    wait_until(lambda: len(list(results.glob("work/*/inference.json"))) >= 1)
    run.send_signal(signal.SIGINT)
    assert run.wait(300) == 130
    assert not workers_of(folder)
    table = pd.read_parquet("results/table.parquet")
    assert "not run" in set(table["status"])


@pytest.mark.slow
def test_a_dask_cluster_whose_worker_is_killed(folder):
    distributed = pytest.importorskip("distributed")
    # While the file is there, its methods wait: a worker is killed in the middle of a job, however slow the machine.
    Path("hold").touch()
    Path("b.yaml").write_text(configuration(3).replace("SLOW", "HELD"))
    options = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": None, "processes": True}
    with distributed.LocalCluster(**options, silence_logs=50) as cluster:
        run = started("dask", "--scheduler", cluster.scheduler_address)
        waiting = [folder / f"waiting_{number}" for number in range(3)]
        wait_until(lambda: run.poll() is not None or any(path.exists() for path in waiting))
        assert run.poll() is None, "it ended before a worker could be killed"
        of_worker = int(next(path for path in waiting if path.exists()).read_text())
        os.kill(of_worker, signal.SIGKILL)
        wait_until(lambda: not psutil.pid_exists(of_worker) or psutil.Process(of_worker).status() == "zombie")
        Path("hold").unlink()
        assert run.wait(600) == 0
    table = pd.read_parquet("dask/table.parquet")
    assert set(table["status"]) == {"ok"}
    assert main(["run", "b.yaml", "-o", "here", "--workers", "0"]) == 0
    pd.testing.assert_frame_equal(table[KEPT], pd.read_parquet("here/table.parquet")[KEPT])

"""Worker processes: results, and what becomes of the others when one dies."""

import os
import subprocess
import sys
import textwrap
import threading
import time
from contextlib import closing
from importlib import import_module
from pathlib import Path

import pytest

from scdataloader.preprocess.workers import Died, run_in_processes

# In a file of its own, so that the processes load little and start soon.
FUNCTIONS = """
import os, signal, time
from pathlib import Path

def double(x):
    return 2 * x

def ends(x):
    if x < 0:
        os.kill(os.getpid(), -x)
    if x:
        os._exit(x)
    return "lives"

def environment(name):
    return os.environ.get(name), os.getpid()

def waits(folder):
    Path(folder, str(os.getpid())).touch()
    while not Path(folder, "go").exists():
        time.sleep(0.01)
    return os.getpid()
"""


@pytest.fixture(scope="module")
def functions(tmp_path_factory):
    folder = tmp_path_factory.mktemp("importable")
    (folder / "worker_functions.py").write_text(FUNCTIONS)
    sys.path.insert(0, str(folder))
    yield import_module("worker_functions")
    sys.path.remove(str(folder))
    del sys.modules["worker_functions"]


def never():
    return False


def test_results_are_those_of_a_loop(functions):
    answers = list(run_in_processes(functions.double, range(20), workers=3, stop=never))
    assert sorted(answers) == [(i, 2 * i) for i in range(20)]
    assert list(run_in_processes(functions.double, [], workers=3, stop=never)) == []


def test_each_process_has_one_thread_and_this_one_keeps_its_own(functions, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    monkeypatch.delenv("NUMBA_NUM_THREADS", raising=False)
    names = ["OMP_NUM_THREADS", "NUMBA_NUM_THREADS"]
    answers = dict(run_in_processes(functions.environment, names, workers=1, stop=never))
    assert [answers[i][0] for i in range(2)] == ["1", "1"]
    assert answers[0][1] == answers[1][1] != os.getpid()  # one worker did both
    assert os.environ["OMP_NUM_THREADS"] == "7"
    assert "NUMBA_NUM_THREADS" not in os.environ


def test_a_process_that_dies_costs_its_own_item_only(functions):
    answers = dict(run_in_processes(functions.ends, [0, 3, 0, -9, 0, -15, 0], workers=2, stop=never))
    assert [answers[i] for i in (0, 2, 4, 6)] == ["lives"] * 4
    assert answers[1] == Died("its worker process ended with exit code 3")
    assert answers[3].how.startswith("its worker process was killed by signal 9: it takes more memory than there is")
    assert answers[5] == Died("its worker process was killed by signal 15")


def test_after_stop_what_has_begun_is_finished_and_no_more_begins(functions, tmp_path):
    begun = tmp_path / "begun"
    begun.mkdir()

    def let_go():
        while len(list(begun.iterdir())) < 2:
            time.sleep(0.01)
        (begun / "go").touch()

    helper = threading.Thread(target=let_go)
    helper.start()
    done = set()
    for position, _ in run_in_processes(functions.waits, [str(begun)] * 5, workers=2, stop=lambda: bool(done)):
        done.add(position)
    helper.join()
    assert done == {0, 1}


def alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_closing_kills_what_runs(functions, tmp_path):
    (tmp_path / "go").touch()
    with closing(run_in_processes(functions.waits, [str(tmp_path)] * 5, workers=2, stop=never)) as runs:
        _, first = next(runs)
        (tmp_path / "go").unlink()
    assert first != os.getpid()
    pids = [int(path.name) for path in tmp_path.iterdir() if path.name != "go"]
    assert first in pids
    assert not any(alive(pid) for pid in pids)


def test_a_script_without_guard_is_told_what_is_wrong(functions, tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        textwrap.dedent(f"""
            import sys
            sys.path.insert(0, {str(Path(functions.__file__).parent)!r})
            from scdataloader.preprocess.workers import run_in_processes
            from worker_functions import double
            list(run_in_processes(double, [1, 2], workers=2, stop=lambda: False))
        """)
    )
    run = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=False, timeout=300)
    assert run.returncode == 1
    assert 'must do so under `if __name__ == "__main__":`' in run.stderr

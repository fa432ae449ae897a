"""A process that has imported what jobs need, and forks one for each: seconds of imports are paid once a run.

``python -m bengrn.benchmarking.nursery`` is that process. It is Linux alone that forks: elsewhere, and when it is gone,
:mod:`bengrn.benchmarking.watched` starts a fresh Python for each job.
"""

from __future__ import annotations

import gc
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import warnings
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import IO

import numpy as np

from bengrn.benchmarking.job import import_early
from bengrn.benchmarking.origin import providers
from bengrn.benchmarking.worker import main

#: Modules that a job imports only when it comes to them, for the sake of what is no job.
_LATE = ("bengrn.inference", "bengrn.registry", "bengrn.prediction", "pyarrow.dataset", "pyarrow.parquet")
#: Longest path of a job's file, in bytes.
_LONGEST = 1 << 16


class Forked:
    """The process of a job that a nursery has forked, with what is used of :class:`subprocess.Popen`.

    Attributes
    ----------
    pid
        Number of the process.
    stdin, stdout
        Ends of its pipes; it ends when its standard input closes.
    """

    def __init__(self, pid: int, status: socket.socket, stdin: IO[bytes], stdout: IO[bytes]) -> None:
        self.pid, self.stdin, self.stdout = pid, stdin, stdout
        self._status = status
        self._code: int | None = None

    def poll(self) -> int | None:
        """Return how the process ended, as :class:`subprocess.Popen` says it; None while it runs."""
        try:
            return self.wait(0)
        except subprocess.TimeoutExpired:
            return None

    def wait(self, timeout: float | None = None) -> int:
        """Return how the process ended, once it has; raise :class:`subprocess.TimeoutExpired` after so many seconds."""
        if self._code is None:
            if not select.select([self._status], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired(f"job of process {self.pid}", timeout or 0)
            told = self._status.recv(64)
            self._status.close()
            if not told:  # the nursery is gone, and nobody would say when the process ends
                with suppress(ProcessLookupError):  # it may have ended already
                    os.kill(self.pid, signal.SIGKILL)
            self._code = int(told) if told else -signal.SIGKILL
        return self._code


class Nursery:
    """Starts the processes of jobs; a context manager, which ends it but not the processes.

    Parameters
    ----------
    environment
        Variables of the processes.
    imports
        Modules that it imports before it forks.
    """

    def __init__(self, environment: Mapping[str, str], imports: Sequence[str] = ()) -> None:
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            command = [sys.executable, "-m", "bengrn.benchmarking.nursery", *imports]
            # pyarrow's allocator would have a thread of its own, and a fork is safest of a process of one thread
            alone = {**environment, "JE_ARROW_MALLOC_CONF": "background_thread:false"}
            # and PyTorch is to look for GPUs in a way that leaves them to the forks
            alone["PYTORCH_NVML_BASED_CUDA_CHECK"] = "1"
            self._process = subprocess.Popen(command, stdin=theirs.fileno(), env=alone)  # noqa: S603 - our own module
        self._one_at_a_time = threading.Lock()

    def __enter__(self) -> Nursery:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._control.close()
        self._process.wait()

    def start(self, path: Path, errors: IO[bytes]) -> Forked | None:
        """Start the process of a job's file, whose standard error goes to a file; None when the nursery is gone."""
        (read_in, write_in), (read_out, write_out) = os.pipe(), os.pipe()
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        stdin, stdout = os.fdopen(write_in, "wb"), os.fdopen(read_out, "rb")
        pid = b""
        try:
            with self._one_at_a_time:
                message = os.fsencode(path.absolute())
                socket.send_fds(self._control, [message], [read_in, write_out, errors.fileno(), theirs.fileno()])
            theirs.close()
            pid = ours.recv(64)
        except OSError:
            pass
        finally:
            os.close(read_in)
            os.close(write_out)
            theirs.close()
            if not pid:
                for one in (ours, stdin, stdout):
                    one.close()
        return Forked(int(pid), ours, stdin, stdout) if pid else None


class Nurseries(ExitStack):
    """A nursery for each list of modules that jobs import, from the first such job on; a context manager.

    They are apart so that no job holds the memory of what only others import.

    Parameters
    ----------
    environment
        Variables of the processes.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        super().__init__()
        self._environment = environment
        self._of: dict[tuple[str, ...], Nursery] = {}
        self._one_at_a_time = threading.Lock()

    def start(self, path: Path, imports: Sequence[str], errors: IO[bytes]) -> Forked | None:
        """Start the process of a job's file; see :meth:`Nursery.start`."""
        key = tuple(imports)
        with self._one_at_a_time:
            if key not in self._of:
                self._of[key] = self.enter_context(Nursery(self._environment, key))
        return self._of[key].start(path, errors)


def serve(control: socket.socket) -> str | None:
    """Fork a process for each job that is asked for, until nobody can ask any more.

    Returns
    -------
    str or None
        In the process of a job, the path of its file; None in the nursery itself, when it is over.
    """
    woken, wakes = os.pipe()
    os.set_blocking(wakes, False)
    os.set_blocking(woken, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for who asks, and closes the socket
    signal.set_wakeup_fd(wakes)
    # with several threads a process, OpenBLAS has some already: it ends them before a fork, and starts them after it
    warnings.filterwarnings("ignore", "This process .* is multi-threaded", DeprecationWarning)
    statuses: dict[int, socket.socket] = {}
    while True:
        ready = select.select([control.fileno(), woken], [], [])[0]
        if woken in ready:
            os.read(woken, 4096)
            _tell_ends(statuses)
        if control.fileno() not in ready:
            continue
        path, fds, _, _ = socket.recv_fds(control, _LONGEST, 4)
        if not path:
            return None
        stdin, stdout, stderr, status = fds
        pid = os.fork()
        if pid == 0:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            for number, fd in enumerate((stdin, stdout, stderr)):
                os.dup2(fd, number)
            for one in (*fds, woken, wakes):
                os.close(one)
            for other in (control, *statuses.values()):
                other.close()
            np.random.seed()  # noqa: NPY002 - methods that draw from it would all draw the same
            return os.fsdecode(path)
        for fd in (stdin, stdout, stderr):
            os.close(fd)
        statuses[pid] = socket.socket(fileno=status)
        statuses[pid].send(str(pid).encode())


def _tell_ends(statuses: dict[int, socket.socket]) -> None:
    """Say of each process that has ended how, to who started it."""
    for pid in list(statuses):
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            with statuses.pop(pid) as told, suppress(OSError):  # who started it is gone
                told.send(str(os.waitstatus_to_exitcode(status)).encode())


if __name__ == "__main__":
    import_early([*_LATE, *sys.argv[1:]])
    providers()  # which each fork would find out anew, to say what made its network
    gc.collect()
    gc.freeze()  # a fork that ends would else copy each page of what it shares to take it apart: a second or more
    job = serve(socket.socket(fileno=os.dup(0)))
    raise SystemExit(0 if job is None else main(job))

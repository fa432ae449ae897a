"""Runs a loader's script in its own environment and process, on the cores it may use, and watches its memory."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from benchmarks.speed.loader.loaders import PEERS, Loader

_ROOT = Path(__file__).parents[3]
#: Seconds after which a process is given up, of installing or converting and of measuring.
SETUP_LIMIT, RUN_LIMIT = 900, 240
#: Seconds between two looks at the memory.
_INTERVAL = 0.1


class FailedError(RuntimeError):
    """A loader could not be installed or run; the message says why."""


def environment(loader: Loader, data: Path) -> Path:
    """Return the Python of a loader's environment, made where there is none: beside the corpora, for all of them."""
    if not loader.requirements:
        return Path(sys.executable)
    wanted = "\n".join(loader.requirements)
    folder = data.parent / "environments" / hashlib.sha256(wanted.encode()).hexdigest()[:12]
    python, complete = folder / "bin" / "python", folder / "complete"
    if not complete.exists():
        uv = shutil.which("uv") or str(_ROOT / ".bootstrap" / "bin" / "uv")
        # the interpreter that runs this: uv would otherwise look for one to download
        base = str(Path(sys.base_prefix) / "bin" / f"python{sys.version_info.major}.{sys.version_info.minor}")
        _call([uv, "venv", "--no-project", "--quiet", "--clear", "--python", base, str(folder)])
        _call([uv, "pip", "install", "--quiet", "--python", str(python), *loader.requirements])
        complete.write_text(wanted)
    return python


def prepare(loader: Loader, data: Path, files: list[Path]) -> dict[str, float]:
    """Convert the corpus to a loader's format if that was not done; return seconds and bytes of that."""
    folder = corpus_folder(loader, data)
    done = folder.with_suffix(".json")
    if not loader.corpus:
        folder.mkdir(parents=True, exist_ok=True)
        return {}
    if not done.exists():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        job = {"task": "prepare", "folder": str(folder), "files": [str(path) for path in files]}
        result, _ = _run(loader, data, job, SETUP_LIMIT)
        size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        os.sync()  # pages that are not written yet cannot be dropped from memory
        done.write_text(json.dumps({**result, "bytes": size}))
    found: dict[str, float] = json.loads(done.read_text())
    return found


def measure(loader: Loader, data: Path, job: dict[str, Any]) -> list[dict[str, Any]]:
    """Return one row of measurements for each run of a job."""
    job = {**job, "task": "measure", "folder": str(corpus_folder(loader, data)), "variant": loader.variant}
    rows, memory = _run(loader, data, job, RUN_LIMIT)
    for row in rows:
        row["anon_mb"] = max((mb for when, mb in memory if row["began"] <= when <= row["ended"]), default=float("nan"))
        row["start_s"] = row["import_s"] + row["first_batch_s"]
    return list(rows)


def corpus_folder(loader: Loader, data: Path) -> Path:
    """Return the folder of the converted corpus; an empty one where the files are read as they are."""
    return data / "corpora" / (loader.corpus or "as_it_is")


def _run(loader: Loader, data: Path, job: dict[str, Any], limit: float) -> tuple[Any, list[tuple[float, float]]]:
    """Return what a script answers, and its memory in MB at moments of the monotonic clock."""
    python = environment(loader, data)
    variables = {key: value for key, value in os.environ.items() if key != "VIRTUAL_ENV"}
    variables |= {"PYTHONPATH": str(PEERS), "LAMIN_SETTINGS_DIR": str(data / "lamin"), "PYTHONWARNINGS": "ignore"}
    process = subprocess.Popen(
        [str(python), str(loader.script)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True, env=variables, start_new_session=True, cwd=data,
    )  # fmt: skip
    memory: list[tuple[float, float]] = []
    ended = threading.Event()
    watch = threading.Thread(target=_watch, args=(process.pid, memory, ended), daemon=True)
    watch.start()
    try:
        out, errors = process.communicate(json.dumps({**job, "spawned": time.monotonic()}), timeout=limit)
    except subprocess.TimeoutExpired:
        raise FailedError(f"took longer than {limit} s") from None
    finally:
        ended.set()
        watch.join()
        with suppress(ProcessLookupError):  # and the workers that it may have left
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    if process.returncode or not out.strip():
        raise FailedError(_last_line(errors) or f"ended with exit code {process.returncode}")
    return json.loads(out.splitlines()[-1]), memory


def _call(command: list[str]) -> None:
    try:
        subprocess.run(command, check=True, capture_output=True, text=True, timeout=SETUP_LIMIT)
    except subprocess.CalledProcessError as error:
        raise FailedError(_last_line(error.stderr)) from error
    except (OSError, subprocess.TimeoutExpired) as error:
        raise FailedError(str(error)) from error


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1][:500] if lines else ""


def _watch(pid: int, memory: list[tuple[float, float]], ended: threading.Event) -> None:
    while not ended.wait(_INTERVAL):
        memory.append((time.monotonic(), sum(_anonymous_mb(one) for one in _tree(pid))))


def _tree(pid: int) -> list[int]:
    """Return a process and all below it."""
    found = [pid]
    for one in found:
        with suppress(OSError):
            for task in Path(f"/proc/{one}/task").iterdir():
                found += [int(child) for child in (task / "children").read_text().split()]
    return found


def _anonymous_mb(pid: int) -> float:
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("RssAnon:"):
                return int(line.split()[1]) / 1000
    return 0.0

"""Locked environments of peers: made on demand in a folder of their own, never in the workspace.

``benchmarks/envs/NAME/requirements.in`` says what is asked for, and ``requirements.txt`` is what uv makes of it:
``uv pip compile --no-header --no-annotate --python-version 3.11 requirements.in -o requirements.txt``. A first line
such as ``# python 3.10`` names another Python than 3.11.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

ENVS = Path(__file__).parent / "envs"
#: Variable that names the folder of environments, instead of one in the user's cache.
FOLDER = "SCPRINT_BENCHMARK_ENVS"
PYTHON = "3.11"


def python_of(name: str) -> Path:
    """Return the Python of a peer's environment, which is made first where it is not there as its lock says.

    Raises
    ------
    FileNotFoundError
        If there is no such lock, or no uv.
    RuntimeError
        If the environment cannot be made.
    """
    lock = lock_of(name)
    told = hashlib.sha256(lock.read_bytes()).hexdigest()[:12]
    folder = environments() / f"{name}-{told}"
    python = folder / "bin" / "python"
    done = folder / ".complete"
    if not done.is_file():  # one that was broken off is made anew
        _uv("venv", "--quiet", "--clear", "--python", _python_version(lock.with_suffix(".in")), str(folder))
        _uv("pip", "sync", "--quiet", "--python", str(python), str(lock))
        done.touch()
    return python


def lock_of(name: str) -> Path:
    """Return the file with the versions of a peer's environment.

    Raises
    ------
    FileNotFoundError
        If there is none.
    """
    lock = ENVS / name / "requirements.txt"
    if not lock.is_file():
        known = ", ".join(sorted(path.parent.name for path in ENVS.glob("*/requirements.txt")))
        raise FileNotFoundError(f"there is no lock {lock}: environments are {known}")
    return lock


def versions_of(name: str) -> dict[str, str]:
    """Return the version of each package that an environment's own list asks for."""
    asked = [line.partition("<")[0].partition("=")[0].strip() for line in _lines(lock_of(name).with_suffix(".in"))]
    locked = dict(line.split("==", 1) for line in _lines(lock_of(name)) if "==" in line)
    return {package: locked[package] for package in asked if package in locked}


def environments() -> Path:
    """Return the folder in which environments are made."""
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(os.environ.get(FOLDER) or Path(cache) / "scprint-benchmarks")


def _python_version(asked: Path) -> str:
    first = asked.read_text(encoding="utf-8").partition("\n")[0]
    return first.removeprefix("# python ") if first.startswith("# python ") else PYTHON


def _lines(path: Path) -> list[str]:
    lines = path.read_text(encoding="utf-8").splitlines()
    return [line.strip() for line in lines if line.strip() and not line.startswith("#")]


def _uv(*words: str) -> None:
    uv = shutil.which("uv") or str((ENVS.parents[1] / ".bootstrap/bin/uv").resolve())
    if not Path(uv).is_file():
        raise FileNotFoundError(f"there is no uv to make the environment with: `make install` fetches it ({uv})")
    clean = {key: value for key, value in os.environ.items() if key != "VIRTUAL_ENV"}
    done = subprocess.run([uv, *words], capture_output=True, text=True, check=False, env=clean)
    if done.returncode:
        raise RuntimeError(f"uv {' '.join(words[:2])} failed: {done.stderr.strip()[-500:]}")

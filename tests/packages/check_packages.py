"""Install each package's wheel alone, as a user would, and use it: `make test-packages`.

    make test-packages                     # one Python; highest and lowest versions
    make test-packages FULL=1              # every supported Python, and each package's own tests
    make test-packages PACKAGE=grnndata    # one package

For each package a fresh environment is made, in which the package is installed as the install page says, from the
wheels in `dist` and the open package index, and a small program uses it without a network (`use_*.py`). It is done
once with the highest versions of the dependencies, and once with the lowest that the package claims to work with.
PyTorch comes in its CPU build where that can be reached.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import tempfile
import time
import tomllib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
PACKAGES = ("grnndata", "bengrn", "scdataloader", "scprint-model")
PYTHONS = ("3.12", "3.13")
TESTING = ("pytest>=8.3", "hypothesis>=6.100")


class StepError(Exception):
    """A command that failed, with what it printed."""


def call(*command: str | Path, cwd: Path = ROOT, extra: dict[str, str] | None = None) -> str:
    """Run a command and return what it printed.

    Raises
    ------
    StepError
        If it fails.
    """
    environment = {name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"} | (extra or {})
    done = subprocess.run(
        [str(part) for part in command], cwd=cwd, env=environment, text=True, capture_output=True, check=False
    )
    if done.returncode:
        raise StepError(f"$ {shlex.join(map(str, command))}\n{done.stdout[-4000:]}\n{done.stderr[-8000:]}")
    return done.stdout


def install_command() -> list[str]:
    """Return the line of the install page that installs a package from the built wheels, with NAME for the package."""
    page = (ROOT / "docs" / "install.md").read_text(encoding="utf-8")
    (line,) = re.findall(r'^pip install (--find-links dist "NAME>=3")', page, re.MULTILINE)
    return shlex.split(line)


def torch_options(uv: str) -> list[str]:
    """Options for PyTorch's CPU build; none where the place that serves it cannot be reached."""
    probe = ["--torch-backend", "cpu"]
    with tempfile.TemporaryDirectory() as folder:
        call(uv, "venv", "--quiet", "--python", sys.executable, Path(folder) / "env")
        python = Path(folder) / "env" / "bin" / "python"
        try:
            call(uv, "pip", "install", "--python", python, "--dry-run", "--no-cache", *probe, "torch")
        except StepError:
            print("PyTorch's CPU build cannot be reached from here: its default build is taken")
            return []
    return probe


def make_environment(folder: Path, package: str, python: str, resolution: str, dist: Path, options: list[str]) -> Path:
    """Install `package` from `dist` into a new environment; returns its Python."""
    uv = os.environ.get("UV", "uv")
    call(uv, "venv", "--quiet", "--python", python, folder / "env")
    interpreter = folder / "env" / "bin" / "python"
    command = [part.replace("NAME", package).replace("dist", str(dist)) for part in install_command()]
    if resolution != "highest":
        # What the package itself asks for is "direct" only where its own list is given beside it.
        command += [
            "--resolution",
            resolution,
            "--no-sources",
            "-r",
            str(ROOT / "packages" / package / "pyproject.toml"),
        ]
    # A lowest version without a wheel for this Python is a bound that is too low.
    binary = ["--only-binary", ":all:"]
    # uv takes an unpacked wheel of the same version from its cache, even if it was built anew since.
    fresh = [part for name in PACKAGES for part in ("--refresh-package", name)]
    call(uv, "pip", "install", "--quiet", "--python", interpreter, *command, *binary, *fresh, *options)
    return interpreter


def own_tests(interpreter: Path, package: str, folder: Path) -> str:
    """Run the package's own tests where nothing but the package is installed; returns pytest's last line."""
    uv = os.environ.get("UV", "uv")
    call(uv, "pip", "install", "--quiet", "--python", interpreter, *TESTING)
    tests = ROOT / "tests" / package.replace("-", "_")
    printed = call(interpreter, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", ROOT, tests, cwd=folder)
    return printed.strip().splitlines()[-1]


def check(package: str, python: str, resolution: str, dist: Path, options: list[str], *, tests: bool) -> str:
    """Install and use a package; returns what came of its own tests, if they are asked for."""
    with tempfile.TemporaryDirectory(prefix="package-") as name:
        folder = Path(name)
        interpreter = make_environment(folder, package, python, resolution, dist, options)
        program = HERE / f"use_{package.replace('-', '_')}.py"
        call(interpreter, "-P", program, dist, cwd=folder, extra={"PYTHONPATH": str(HERE)})
        return own_tests(interpreter, package, folder) if tests else ""


def find_python(uv: str, version: str) -> str | None:
    """Return the path of a Python of that version: on the PATH, managed by uv, or installed by pyenv."""
    try:
        return call(uv, "python", "find", "--no-project", "--system", version).strip()
    except StepError:
        root = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
        return next((str(path) for path in sorted(root.glob(f"versions/{version}.*/bin/python"))), None)


def version_of(python: str) -> str:
    """Return what an interpreter calls itself, such as "Python 3.12.1"."""
    return call(python, "--version").strip()


def supported_pythons(uv: str, *, full: bool) -> list[str]:
    """Return the Pythons to test under: the first of the supported ones, or with `full` all that are at hand."""
    found = {version: find_python(uv, version) for version in PYTHONS}
    for version in [version for version, path in found.items() if path is None]:
        print(f"Python {version} is not on this machine: not tested")
    return [path for path in found.values() if path][: None if full else 1]


def main() -> int:
    """Check the packages; returns 1 if one of them failed."""
    dist = Path(sys.argv[1]).resolve()
    uv = os.environ.get("UV", "uv")
    full = bool(os.environ.get("FULL"))
    wanted = os.environ.get("PACKAGE")
    if wanted not in (None, "", *PACKAGES):
        sys.exit(f"PACKAGE={wanted}: the packages are {', '.join(PACKAGES)}")
    version = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    if len(list(dist.glob(f"*-{version}-*.whl"))) != len(PACKAGES):
        sys.exit(f"{dist} does not hold the four wheels of version {version}: make build")
    options = torch_options(uv)
    grid = [
        (package, python, resolution)
        for python in supported_pythons(uv, full=full)
        for resolution in ("highest", "lowest-direct")
        for package in ([wanted] if wanted else PACKAGES)
    ]

    def attempt(package: str, python: str, resolution: str) -> bool:
        start = time.perf_counter()
        what = f"{package:14}{version_of(python):15}{resolution:15}"
        try:
            note = check(package, python, resolution, dist, options, tests=full and resolution == "highest")
        except StepError as error:
            print(f"{what}FAILED\n{error}", flush=True)
            return False
        print(f"{what}ok in {time.perf_counter() - start:.0f} s  {note}", flush=True)
        return True

    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        passed = list(pool.map(attempt, *zip(*grid, strict=True)))
    return int(not all(passed))


if __name__ == "__main__":
    sys.exit(main())

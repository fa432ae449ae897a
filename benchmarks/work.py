"""Units of work: what each is called by its content, and what is kept of it."""

from __future__ import annotations

import hashlib
import os
import platform
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from benchmarks.environments import lock_of
from benchmarks.suite import Suite
from bengrn.benchmarking.work_files import DIGITS, digest, read_json

ROOT = Path(__file__).parents[1]
#: Committed tables of the longest runs, which stand beside shorter ones, and seconds that units took.
LAST = Path(__file__).parent / "results"
#: Variable that names the folder of h5ad files, and where they lie beside a checkout.
FOLDER = "SCPRINT_EVALUATION_DATA"
USUAL = ROOT.parent / "shared" / "data" / "expression"


@dataclass(frozen=True)
class Work:
    """One unit of work: a suite with arguments, and how many times it has been done before this time."""

    suite: Suite
    arguments: Mapping[str, Any]
    repeat: int = 0
    threads: int = 1

    @property
    def key(self) -> str:
        """Checksum of all that the result depends on: arguments, versions, code, environments and data."""
        told = [
            *(self.suite.name, self.suite.function, dict(self.arguments), self.repeat, self.threads),
            *(platform.python_version(), checksum((ROOT / "uv.lock",))),
            checksum(tuple(ROOT / place for place in (module_file(self.suite), *self.suite.code))),
            [lock_of(name).read_text("utf-8") for name in self.suite.environments],
            checksum(tuple(data_folder() / name for name in self.suite.data)),
        ]
        return digest(told)[:DIGITS]

    @property
    def name(self) -> str:
        """Name for people."""
        given = ", ".join(f"{key}={value}" for key, value in self.arguments.items())
        again = f", repeat {self.repeat + 1}" if self.repeat else ""
        return self.suite.name + (f" ({given})" if given else "") + again

    @property
    def missing_data(self) -> list[str]:
        """Files of the data that are not there."""
        return [name for name in self.suite.data if not (data_folder() / name).is_file()]

    def result(self, folder: Path) -> Any:
        """Return what is kept of it; None where it has not been done."""
        return read_json(self.file(folder))

    def file(self, folder: Path) -> Path:
        """Return the file of its result."""
        return folder / self.key / "result.json"


def planned(suites: Iterable[Suite], size: str, threads: int) -> list[Work]:
    """Return the units of work of a size: all suites once before any of them a second time."""
    units = [
        Work(suite, arguments, repeat, threads)
        for suite in suites
        for arguments in suite.sizes.get(size, ())
        for repeat in range(suite.repeats.get(size, 1))
    ]
    return sorted(units, key=lambda unit: unit.repeat)


def data_folder() -> Path:
    """Return the folder of h5ad files that suites read."""
    return Path(os.environ.get(FOLDER, USUAL))


def module_file(suite: Suite) -> str:
    """Return the file of a suite's function, below the repository."""
    return suite.function.partition(":")[0].replace(".", "/") + ".py"


@cache
def checksum(places: Sequence[Path]) -> str:
    """Return a checksum of files and of all files in folders; a file that is absent counts as such."""
    found = hashlib.sha256()
    for place in places:
        for path in sorted(place.rglob("*")) if place.is_dir() else [place]:
            if "__pycache__" not in path.parts and not path.is_dir():
                content = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "absent"
                found.update(f"{path.relative_to(place.parent)}\0{content}\n".encode())
    return found.hexdigest()

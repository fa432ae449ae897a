"""Runs a peer's script in its locked environment, so that it never meets the workspace."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.environments import python_of

#: Peers that could not be run in this process, and why; a worker puts it beside its rows.
NOT_RUN: dict[str, str] = {}


def run_peer(
    script: Path, environment: str, arguments: list[str], *, stdin: str = "", methods: Sequence[str] = ()
) -> Any:
    """Return what a script prints as JSON in its last line, run in an environment; None when that fails.

    Why it failed is kept in `NOT_RUN` for each of its methods, or for the environment where none is named.
    """
    names = methods or (environment,)
    try:
        python = python_of(environment)
    except (OSError, RuntimeError) as error:
        return _missed(names, str(error))
    clean = {key: value for key, value in os.environ.items() if key not in ("VIRTUAL_ENV", "PYTHONPATH")}
    command = [str(python), str(script), *arguments]
    done = subprocess.run(command, input=stdin, capture_output=True, text=True, check=False, env=clean)
    if done.returncode:
        return _missed(names, done.stderr.strip()[-500:])
    return json.loads(done.stdout.splitlines()[-1])


def _missed(names: Sequence[str], why: str) -> None:
    NOT_RUN.update(dict.fromkeys(names, why))
    print(f"{', '.join(names)} could not be run: {why}")

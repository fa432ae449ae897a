"""Runs a published package in an environment of its own, so that it never meets the workspace."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

#: What the peers need to import today; newer versions of these broke them.
REQUIREMENTS = ("setuptools<81", "numpy<2.4")


def run_peer(script: Path, package: str, arguments: list[str], *, stdin: str = "") -> Any:
    """Return what a script prints as JSON in its last line, run with Python 3.11; None when that fails."""
    uv = shutil.which("uv") or str(Path(".bootstrap/bin/uv").resolve())
    given = [part for name in (package, *REQUIREMENTS) for part in ("--with", name)]
    command = [uv, "run", "--no-project", "--isolated", "--python", "3.11", *given, "python", str(script), *arguments]
    clean = {key: value for key, value in os.environ.items() if key != "VIRTUAL_ENV"}
    done = subprocess.run(command, input=stdin, capture_output=True, text=True, check=False, env=clean)
    if done.returncode:
        print(f"{package} could not be run: {done.stderr[-500:]}")
        return None
    return json.loads(done.stdout.splitlines()[-1])

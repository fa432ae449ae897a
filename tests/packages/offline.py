"""Close the network to this process, and check that an installed package is the one that was built here."""

from __future__ import annotations

import importlib
import socket
import sys
import zipfile
from importlib.metadata import distribution
from pathlib import Path
from typing import Any


def close_network() -> None:
    """Let every connection to another machine fail from now on: a package is used without any."""

    def refuse(self: socket.socket, address: Any) -> None:
        raise OSError(f"a package reached for the network: {address}")

    socket.socket.connect = refuse  # type: ignore[method-assign, assignment]


def assert_ours(dist: Path, *names: str) -> None:
    """Stop unless each of the distributions `names` is installed from the wheel in `dist`, and imported from there."""
    for name in names:
        module = name.replace("-", "_")
        (wheel,) = dist.glob(f"{module}-*.whl")
        with zipfile.ZipFile(wheel) as archive:
            (entry,) = [entry for entry in archive.namelist() if entry.endswith(".dist-info/METADATA")]
            built = archive.read(entry).decode()
        installed = distribution(name).read_text("METADATA")
        assert installed == built, f"{name} {distribution(name).version} is not the one of {wheel}"
        home = Path(str(importlib.import_module(module).__file__))
        assert home.is_relative_to(sys.prefix), f"{module} comes from {home}"

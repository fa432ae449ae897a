"""``scprint demo``."""

from __future__ import annotations

import sys

import jsonargparse

from scprint_model.demo.run import run_demo


def run(arguments: list[str]) -> int:
    """Run the demo and print its summary."""
    result = jsonargparse.auto_cli(run_demo, args=arguments, prog="scprint demo", as_positional=False)
    sys.stdout.write(result.summary + "\n")
    return 0

"""``scprint demo``."""

from __future__ import annotations

from scprint_model.commands.options import call
from scprint_model.demo.run import run_demo


def run(command: str, words: list[str]) -> str:
    """Run the demo on its words, and return its summary."""
    return str(call(run_demo, words, command, as_positional=False).summary)

"""``scprint demo``."""

from __future__ import annotations

from scprint_model.commands.call import call, say
from scprint_model.demo.run import run_demo


def run(arguments: list[str]) -> int:
    """Run the demo and print its summary."""
    return say(call(run_demo, arguments, "demo", as_positional=False).summary)

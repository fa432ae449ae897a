"""``scprint demo``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from scprint_model._command_line import check_output
from scprint_model.commands.options import TaskCommand
from scprint_model.demo.run import run_demo


def demo(*, out: Path = Path("demo"), **options: Any) -> str:
    """Do the main job on real cells: clean, embed, annotate, denoise, infer a network, score it.

    Parameters
    ----------
    out
        Folder for the results and the page that shows them; files of an earlier run are replaced.
    """
    check_output(out, is_folder=True)
    return run_demo(out=out, **options).summary


COMMANDS = {"demo": TaskCommand(demo, run_demo)}

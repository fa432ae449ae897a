"""Tell the commit of the code that made a page, and the command that makes it again."""

from __future__ import annotations

import inspect
import shlex
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any


def commit_of(folder: Path) -> str | None:
    """Return the commit of a folder of code, with ``", changed"`` where files differ from it.

    Parameters
    ----------
    folder
        Folder of a package.

    Returns
    -------
    str or None
        None where the folder is not under git, as for an installed package, or git is not there.
    """
    try:
        if not _git(folder, "ls-files", "--", "."):
            return None
        return _git(folder, "rev-parse", "HEAD") + (
            ", changed" if _git(folder, "status", "--porcelain", "--", ".") else ""
        )
    except (OSError, subprocess.SubprocessError):
        return None


def _git(folder: Path, *words: str) -> str:
    options: Any = {"cwd": folder, "capture_output": True, "text": True, "check": True, "timeout": 10}
    return str(subprocess.run(["git", *words], **options).stdout).strip()  # noqa: S603, S607


def command_of(name: str, task: Callable[..., Any], given: Mapping[str, Any]) -> str:
    """Return the command line that runs a task with these arguments; those that are the default are left out.

    Parameters
    ----------
    name
        Command, such as ``"scprint demo"``.
    task
        Function whose parameters are the command's options.
    given
        Arguments by name.
    """
    words = name.split()
    for one, parameter in inspect.signature(task).parameters.items():
        value = given.get(one, parameter.default)
        if value == parameter.default:
            continue
        words += [f"--{one}", "true" if value is True else "false" if value is False else str(value)]
    return shlex.join(words)

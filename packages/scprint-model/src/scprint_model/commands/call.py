"""How a subcommand calls its function with the words of the command line."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Sequence
from typing import Any

import jsonargparse


def call(function: Callable[..., Any], arguments: Sequence[str], command: str, *, as_positional: bool = True) -> Any:
    """Return what the function gives; its parameters are the options, and a switch that is off needs no value.

    Parameters
    ----------
    function
        Its docstring is the help.
    arguments
        Words behind the subcommand.
    command
        Name of the subcommand.
    as_positional
        Whether parameters without a default are told by their place.
    """
    switches = {f"--{name}" for name, one in inspect.signature(function).parameters.items() if one.default is False}
    words = [f"{word}=true" if word in switches else word for word in arguments]
    return jsonargparse.auto_cli(function, args=words, prog=f"scprint {command}", as_positional=as_positional)


def say(text: object) -> int:
    """Print what a subcommand made; returns the exit status."""
    sys.stdout.write(f"{text}\n")
    return 0

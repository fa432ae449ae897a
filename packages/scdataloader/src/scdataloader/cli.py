"""The command ``scdataloader``: reads the signatures of `scdataloader.commands`."""

from __future__ import annotations

import inspect
import logging
import sys
from collections.abc import Callable, Collection, Sequence
from dataclasses import asdict, fields
from typing import Literal

import docstring_parser
import jsonargparse

from scdataloader.commands import COMMANDS
from scdataloader.preprocess import Preprocessor

PRESETS = ("paper", "published", "inference")
#: What each command takes without a flag.
HELP = {
    "file": "a file or address",
    "files": "files, folders, globs, addresses, census:ID, lamin:NAME",
    "ids": "data set ids",
    "store": "folder of a cell store",
    "action": "list, fetch or register; default: list",
    "organism": "whose table: danio_rerio, zebrafish, NCBITaxon:7955",
}


def main(argv: list[str] | None = None) -> int:
    """Run the command line; returns the exit status: 0, 1 when some files failed, 2 when nothing could be done."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(message)s")
    arguments = [_underscored(word) for word in (sys.argv[1:] if argv is None else argv)]
    options = _parser(_preset(arguments)).parse_args(arguments)
    command = options.subcommand
    chosen = options[command].as_dict()
    chosen.pop("config", None)
    try:
        if "preset" in chosen:
            chosen.pop("preset")
            settings = {field.name: chosen.pop(field.name) for field in fields(Preprocessor)}
            lists = {name: tuple(settings[name]) for name in ("drop_assays", "labels")}
            chosen["preprocessor"] = Preprocessor(**settings | lists)
        return COMMANDS[command][1](**chosen)
    except (ValueError, OSError, ImportError, RuntimeError) as error:
        sys.stderr.write(f"scdataloader: {error}\n")
        return 2


def _preset(arguments: Sequence[str]) -> Literal["paper", "published", "inference"]:
    """Return the preset that is named: it decides the defaults of the other options."""
    first = jsonargparse.ArgumentParser(add_help=False, exit_on_error=False)
    first.add_argument("--preset", choices=PRESETS, default="paper")
    given = [i for i, word in enumerate(arguments) if word == "--preset" or word.startswith("--preset=")]
    if not given:
        return "paper"
    words = list(arguments[given[-1] : given[-1] + (1 if "=" in arguments[given[-1]] else 2)])
    return first.parse_args(words).preset


def _parser(preset: Literal["paper", "published", "inference"]) -> jsonargparse.ArgumentParser:
    parser = jsonargparse.ArgumentParser(
        prog="scdataloader", description="Clean single-cell data for training and inference."
    )
    commands = parser.add_subcommands()
    for name, (summary, run, cleans) in COMMANDS.items():
        command = jsonargparse.ArgumentParser(description=summary)
        positional = [name for name in inspect.signature(run).parameters if name in HELP]
        for word in positional:
            _add_positional(command, run, word)
        skip: set[str | int] = {*positional, "preprocessor"}
        command.add_function_arguments(run, skip=skip | _add_plain(command, run, skip))
        if cleans:
            command.add_argument("--preset", choices=PRESETS, default="paper", help="defaults of the settings below")
            command.add_class_arguments(Preprocessor, skip=_add_plain(command, Preprocessor))
            command.set_defaults(asdict(Preprocessor.preset(preset)))
        commands.add_subcommand(name, command, help=summary)
    return parser


def _add_positional(command: jsonargparse.ArgumentParser, run: Callable[..., int], name: str) -> None:
    """Add a command's first parameter as what comes without a flag; several where it is a list."""
    parameter = inspect.signature(run, eval_str=True).parameters[name]
    several = parameter.annotation == list[str]
    optional = parameter.default is not inspect.Parameter.empty
    kind = str if several else parameter.annotation
    default = {"default": parameter.default} if optional else {}
    command.add_argument(
        name, type=kind, nargs="+" if several else "?" if optional else None, help=HELP[name], **default
    )


def _add_plain(
    command: jsonargparse.ArgumentParser, what: Callable[..., object], skip: Collection[str | int] = ()
) -> set[str | int]:
    """Add the switches and lists of a signature as one writes them on a command line, and return their names.

    Switches are ``--name``, ``--name false`` or ``--no_name``; a list's entries stand after its name. jsonargparse by
    itself would ask for ``--name true`` and ``--name [one,two]``.
    """
    added: set[str | int] = set()
    texts = {entry.arg_name: entry.description for entry in docstring_parser.parse(inspect.getdoc(what) or "").params}
    texts = {name: text for names, text in texts.items() for name in names.split(", ")}
    for name, parameter in inspect.signature(what, eval_str=True).parameters.items():
        if name in skip:
            continue
        kind = parameter.annotation
        text = " ".join((texts.get(name) or "").split())
        if kind is bool:
            action = jsonargparse.ActionYesNo(no_prefix="no_")
            command.add_argument(f"--{name}", action=action, nargs="?", default=parameter.default, help=text)
        elif kind in (list[str], list[str] | None, tuple[str, ...]):
            command.add_argument(f"--{name}", type=str, nargs="+", default=parameter.default, help=text)
        else:
            continue
        added.add(name)
    return added


def _underscored(word: str) -> str:
    """Return an option with underscores: ``--keep-going`` and ``--keep_going`` are the same."""
    if not word.startswith("--"):
        return word
    name, *value = word.split("=", 1)
    return "=".join(["--" + name[2:].replace("-", "_"), *value])

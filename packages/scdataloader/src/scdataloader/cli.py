"""The command ``scdataloader``: options and help are those of the functions in `scdataloader.commands`."""

from __future__ import annotations

import inspect
from argparse import SUPPRESS
from collections.abc import Callable
from dataclasses import fields
from typing import get_args, get_type_hints

from jsonargparse import Namespace

from scdataloader import commands
from scdataloader._command_line import Command, Program
from scdataloader._command_options import Parser
from scdataloader.expression.counts_choice import CountsChoice
from scdataloader.preprocess import Preprocessor

#: Named sets of settings.
PRESETS = get_args(get_type_hints(Preprocessor.preset)["name"])
_SETTINGS = [field.name for field in fields(Preprocessor)]


def _command(function: Callable[..., int], *examples: str) -> Command:
    """Return the command that runs a function, whose docstring is the help."""
    summary, _, rest = (inspect.getdoc(function) or "").partition("\n")
    cleans = "preprocessor" in inspect.signature(function).parameters
    chooses = "choice" in inspect.signature(function).parameters

    def add_options(parser: Parser) -> None:
        parser.description = " ".join(rest.partition("Parameters\n")[0].split()) or None
        parser.add_options(function, skip=["preprocessor", "choice"])
        if cleans:
            _add_settings(parser)
        if chooses:
            parser.add_options(CountsChoice)

    def run(args: Namespace) -> int:
        chosen = args.as_dict()
        if cleans:
            settings = {name: chosen.pop(name) for name in _SETTINGS if name in chosen}
            chosen["preprocessor"] = Preprocessor.preset(chosen.pop("preset"), **settings)
        if chooses:
            meant = CountsChoice(**{field.name: chosen.pop(field.name) for field in fields(CountsChoice)})
            chosen["choice"] = None if meant == CountsChoice() else meant
        return function(**chosen)

    return Command(summary, examples, add_options, run)


def _add_settings(parser: Parser) -> None:
    """Add the settings of the cleaning; what is not given comes from the preset."""
    presets = {name: Preprocessor.preset(name) for name in PRESETS}
    parser.add_argument("--preset", choices=PRESETS, default="paper", help="Set of settings, where none is given.")
    parser.add_options(Preprocessor)
    for action in parser._actions:
        if action.dest in _SETTINGS:
            defaults = {name: _shown(getattr(preset, action.dest)) for name, preset in presets.items()}
            others = {name: text for name, text in defaults.items() if text != defaults["paper"]}
            told = [defaults["paper"] or "none", *(f"{name}: {text}" for name, text in others.items())]
            if defaults["paper"] or others:
                action.help = f"{action.help} (default: {'; '.join(told)})"
            action.default = SUPPRESS


def _shown(value: object) -> str:
    return "yes" if value is True else "no" if value is False else "" if value in (None, ()) else str(value)


main = Program(
    "scdataloader",
    "Clean single-cell data for training and inference.",
    {
        "check": _command(commands.check, "check raw/*.h5ad", "check cells.h5ad --preset inference --lost lost.csv"),
        "preprocess": _command(
            commands.preprocess,
            "preprocess raw/*.h5ad --out clean --workers 2",
            "preprocess census:ID --out clean --labels cell_type,disease --min-genes 500",
        ),
        "labels": _command(commands.labels, "labels clean", "labels clean --classes cell_type --out labels.json"),
        "build": _command(commands.build, "build clean --out cells.store", "build more.h5ad --out cells.store --add"),
        "inspect": _command(commands.inspect, "inspect cells.store", "inspect clean/cells.h5ad"),
        "verify": _command(commands.verify, "verify cells.store", "verify cells.store --quarantine"),
        "export": _command(commands.export, "export cells.store all.h5ad"),
        "genes": _command(commands.genes, "genes", "genes fetch danio_rerio --release 112"),
        "download": _command(commands.download, "download ID --release stable"),
    },
)


if __name__ == "__main__":
    raise SystemExit(main())

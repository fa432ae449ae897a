"""The command ``scprint``."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable

_COMMANDS = {
    "demo": "the main job on real cells: clean, embed, annotate, denoise, infer a network, score it, write a page",
    "fit": "pre-train a model: scprint fit --config FILE (Lightning's options)",
}


def main(argv: list[str] | None = None) -> int:
    """Run the command line; returns the exit status: 0, or 2 when the input cannot be used."""
    arguments = sys.argv[1:] if argv is None else argv
    runners: dict[str, Callable[[list[str]], int]] = {"demo": _demo, "fit": _fit}
    if not arguments or arguments[0] not in runners:
        asked_for_help = arguments[:1] in ([], ["-h"], ["--help"])
        lines = [f"  {name:<8} {text}" for name, text in _COMMANDS.items()]
        text = "\n".join(["usage: scprint COMMAND [options]   (scprint COMMAND --help lists them)", *lines]) + "\n"
        if asked_for_help:
            sys.stdout.write(text)
            return 0
        sys.stderr.write(f"scprint: unknown command {arguments[0]!r}\n{text}")
        return 2
    try:
        return runners[arguments[0]](arguments[1:])
    except (ValueError, OSError, ImportError) as error:
        sys.stderr.write(f"scprint: {error}\n")
        return 2


def _demo(arguments: list[str]) -> int:
    import jsonargparse

    from scprint_model.demo.run import run_demo

    result = jsonargparse.auto_cli(run_demo, args=arguments, prog="scprint demo", as_positional=False)
    sys.stdout.write(result.summary + "\n")
    return 0


def _fit(arguments: list[str]) -> int:
    from lightning.pytorch.cli import LightningCLI

    from scdataloader import CellDataModule
    from scprint_model.training.module import PretrainingModule

    # meant for callers who forget sys.argv; here it was cut on purpose
    warnings.filterwarnings("ignore", message="LightningCLI's args parameter is intended")
    LightningCLI(
        PretrainingModule,
        CellDataModule,
        args=["fit", *arguments],
        save_config_callback=None,  # it would write into the working directory where there is no logger
        parser_kwargs={"prog": "scprint"},
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())

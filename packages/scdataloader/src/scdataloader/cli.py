"""The command ``scdataloader``."""

from __future__ import annotations

import sys
from dataclasses import fields
from pathlib import Path

import jsonargparse
import pandas as pd

from scdataloader.preprocess import Preprocessor
from scdataloader.write import atomic, write_h5ad


def main(argv: list[str] | None = None) -> int:
    """Run the command line; returns the exit status: 0, or 2 when the input cannot be used."""
    parser = _parser()
    options = parser.parse_args(argv)
    command = options[options.subcommand]
    try:
        preprocess = Preprocessor(**{field.name: command[field.name] for field in fields(Preprocessor)})
        if options.subcommand == "check":
            _, report = preprocess(command.file)
            sys.stdout.write(f"{report}\nready to use\n")
        else:
            _preprocess(preprocess, [Path(name) for name in command.files], Path(command.out))
    except (ValueError, OSError) as error:
        sys.stderr.write(f"scdataloader: {error}\n")
        return 2
    return 0


def _parser() -> jsonargparse.ArgumentParser:
    parser = jsonargparse.ArgumentParser(
        prog="scdataloader", description="Clean single-cell data for training and inference."
    )
    commands = parser.add_subcommands()
    check = jsonargparse.ArgumentParser(description="Say whether a file can be used, and what cleaning would remove.")
    check.add_argument("file", help="h5ad file of raw counts")
    preprocess = jsonargparse.ArgumentParser(
        description="Write a clean copy of each file, and a table of what was removed."
    )
    preprocess.add_argument("files", nargs="+", help="h5ad files of raw counts")
    preprocess.add_argument("--out", required=True, help="folder for the clean copies and report.csv")
    for name, sub in (("check", check), ("preprocess", preprocess)):
        sub.add_class_arguments(Preprocessor)
        commands.add_subcommand(name, sub)
    return parser


def _preprocess(preprocess: Preprocessor, files: list[Path], out: Path) -> None:
    missing = [str(path) for path in files if not path.is_file()]
    if missing:
        raise FileNotFoundError(f"{len(missing)} of {len(files)} files do not exist: {missing[:5]}")
    targets = [out / path.name for path in files]
    if len(set(targets)) < len(targets):
        raise ValueError("two input files have the same name: their clean copies would overwrite each other")
    for path, target in zip(files, targets, strict=True):
        if target.exists() and target.samefile(path):
            raise ValueError(f"{target} is an input file: choose another --out, input is never overwritten")
    tables = []
    for path, target in zip(files, targets, strict=True):
        clean, report = preprocess(path)
        write_h5ad(clean, target)
        tables.append(report.to_frame().assign(file=path.name))
        sys.stdout.write(f"{report}\n  written to {target}\n")
    with atomic(out / "report.csv") as temporary:
        pd.concat(tables).to_csv(temporary, index=False)


if __name__ == "__main__":
    sys.exit(main())
